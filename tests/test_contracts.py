"""Our own members run through the contracts; a new one is tested the moment it exists."""

import subprocess
import sys
from collections.abc import Mapping
from dataclasses import fields
from typing import ClassVar

import pytest

from prism_bench.baselines.rissole.first_stage.vqgan import VQGAN
from prism_bench.baselines.rissole.method import Rissole
from prism_bench.baselines.rissole.unet import BlockUNet
from prism_bench.prism.component import Component
from prism_bench.prism.conditioning.aggregators import ZeroCondition
from prism_bench.prism.conditioning.schedules import Decreasing
from prism_bench.prism.methods.method import AllImages
from prism_bench.prism.methods.sampling import ODESampler
from prism_bench.prism.patch_diffusion.denoiser import DDPMpp
from prism_bench.prism.patch_diffusion.patch_method import PatchMethod
from prism_bench.prism.training.adam import Training
from prism_bench.testing import (
    AggregatorContract,
    ComponentContract,
    DatasetContract,
    DenoiserContract,
    EncoderContract,
    MethodContract,
    MetricContract,
    ODESamplerContract,
    PatchesContract,
    RetrievalContract,
    SamplerContract,
    ScheduleContract,
    TrainingSetContract,
    VariantContract,
)

SHORT = Training(images=64, batch=8, learning_rate=1e-3, rampup_images=0, ema_halflife=16)
FIRST_STAGE = VQGAN(
    training_set=AllImages(), channels=(8,), latent_channels=4, codebook=16, heads=1, head_dim=8, training=SHORT
)
SMALL: Mapping[str, Component] = {
    "method/patch": PatchMethod(
        schedule=Decreasing(k_max=4),
        denoiser=DDPMpp(channels=8, multipliers=(1, 2), blocks=1, attention=(8,)),
        training=SHORT,
    ),
    "method/rissole": Rissole(
        first_stage=FIRST_STAGE,
        k=3,
        unet=BlockUNet(channels=(8, 16), res_per_level=1, time_sin=8, time_dim=16, heads=1, head_dim=8),
        training=SHORT,
    ),
    "method/vqgan": FIRST_STAGE,
}
"""Members whose defaults are too large to be trained by a test, and those small enough."""


def members(family: str, *, but: str = "", of: type = Component) -> pytest.MarkDecorator:
    """Every member of a family, with its defaults, as `member`."""
    kinds = {name: kind for name, kind in Component.members[family].items() if name != but and issubclass(kind, of)}
    values = [SMALL.get(f"{family}/{name}") or kind() for name, kind in sorted(kinds.items())]
    # A dataset that can be of any size is drawn small.
    values = [one.replace(size=64) if family == "dataset" and "size" in _fields(one) else one for one in values]
    return pytest.mark.parametrize("member", values, ids=sorted(kinds))


def _fields(value: Component) -> set[str]:
    return {field.name for field in fields(value)}


DEFAULTS = [kind() for known in Component.members.values() for kind in known.values()]


def test_digests_are_the_same_in_another_process() -> None:
    code = (
        "from prism_bench.prism.component import Component, load_members\n"
        "load_members()\n"
        "print(*(kind().digest() for known in Component.members.values() for kind in known.values()))"
    )
    other = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert set(other.stdout.split()) == {one.digest() for one in DEFAULTS}


def test_pytest_is_needed_by_the_contracts_alone() -> None:
    code = "import sys; import prism_bench; from prism_bench.prism import component; print('pytest' in sys.modules)"
    other = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert other.stdout.strip() == "False"


OWN_CONTRACT = {
    "aggregator", "dataset", "denoiser", "encoder", "method", "metric", "patches", "retrieval", "sampler", "schedule",
    "training_set", "variant",
}  # fmt: skip
OTHERS = [
    kind() for family, known in Component.members.items() if family not in OWN_CONTRACT for kind in known.values()
]


@pytest.mark.parametrize("member", OTHERS, ids=lambda one: f"{one.family}/{one.name}")
class TestOthers(ComponentContract):
    """Families of one member, and those that are made of members: what holds for every component."""


@members("schedule")
class TestSchedules(ScheduleContract): ...


@members("aggregator", but="zero")
class TestAggregators(AggregatorContract): ...


@pytest.mark.parametrize("member", [ZeroCondition()])
class TestZeroCondition(AggregatorContract):
    ignores_neighbours: ClassVar[bool] = True


@members("retrieval")
class TestRetrievals(RetrievalContract): ...


@members("patches")
class TestPatches(PatchesContract): ...


@members("dataset")
class TestDatasets(DatasetContract): ...


@members("training_set")
class TestTrainingSets(TrainingSetContract): ...


@members("encoder")
class TestEncoders(EncoderContract): ...


@members("denoiser")
class TestDenoisers(DenoiserContract): ...


@members("sampler")
class TestSamplers(SamplerContract): ...


@members("sampler", of=ODESampler)
class TestODESamplers(ODESamplerContract): ...


@members("metric")
class TestMetrics(MetricContract): ...


@members("method", but="first-stage-file")
class TestMethods(MethodContract): ...


@members("variant")
class TestVariants(VariantContract): ...
