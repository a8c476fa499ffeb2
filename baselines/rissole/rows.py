"""RISSOLE's rows: that of the paper's Table 1, its other readings, and the floor that its first stage sets."""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from typing_extensions import override

from prism_bench.baselines.rissole.first_stage.first_stage_file import FILES, FirstStageFile
from prism_bench.baselines.rissole.first_stage.vqgan import VQGAN
from prism_bench.baselines.rissole.method import Rissole
from prism_bench.baselines.rissole.presets import clean, literal, rissole_of
from prism_bench.baselines.systems import OtherSystems, System
from prism_bench.prism.data.base import Dataset
from prism_bench.prism.errors import InputError
from prism_bench.prism.methods.method import Method, TrainSplit
from prism_bench.prism.methods.sampling import Sampler
from prism_bench.prism.variants.scale import Scale
from prism_bench.prism.variants.variant import Variant

DIM = 64
"""Width of the neighbours' embedding where PRISM's operations are counted; it hardly matters to them."""
NO_SIZE = "this scale has no size for RISSOLE; give it one with --set rissole=rissole_small"


@dataclass(frozen=True, kw_only=True)
class RissoleVariant(Variant):
    """What the rows share: the scale's RISSOLE, its sampler, and its budget."""

    def applies(self, scale: Scale, dataset: Dataset) -> str | None:
        """Where the scale has a size for it."""
        return NO_SIZE if scale.part(OtherSystems()).rissole is None else None

    def method(self, scale: Scale) -> Method:
        """Trained for as long as the system says."""
        system = _system(scale)
        own = self.reading(rissole_of(system.method))
        return own if system.budget == "own" else _with_operations(own, scale, system.first_share)

    def sampler(self, scale: Scale) -> Sampler:
        """The system's."""
        return _system(scale).sampler

    def reading(self, method: Rissole) -> Rissole:
        """As it is."""
        return method


@dataclass(frozen=True, kw_only=True)
class RissoleRow(RissoleVariant, name="rissole"):
    """RISSOLE, trained on all images X, which are its database too: the baseline of Table 1."""

    label: ClassVar[str] = "RISSOLE"


@dataclass(frozen=True, kw_only=True)
class RissoleCleanRow(RissoleVariant, name="rissole-clean"):
    """RISSOLE with whole latents as queries, no image its own neighbour, blocks told their place, dropout 0.1."""

    label: ClassVar[str] = "RISSOLE, whole queries, no self-retrieval, positions"
    control: ClassVar[bool] = True

    @override
    def reading(self, method: Rissole) -> Rissole:
        return clean(method)


@dataclass(frozen=True, kw_only=True)
class RissoleRepoRow(RissoleVariant, name="rissole-repo"):
    """RISSOLE with the first block as query, self-retrieval, no positions, dropout 0.5, as in its authors' code."""

    label: ClassVar[str] = "RISSOLE, as in its authors' code"
    control: ClassVar[bool] = True

    @override
    def reading(self, method: Rissole) -> Rissole:
        return literal(method)


@dataclass(frozen=True, kw_only=True)
class RissoleOnTrain(RissoleVariant, name="rissole-x-train"):
    """Control: RISSOLE on PRISM's data: both its networks trained on X_train, its database D."""

    label: ClassVar[str] = "RISSOLE on X_train, database D"
    control: ClassVar[bool] = True

    @override
    def applies(self, scale: Scale, dataset: Dataset) -> str | None:
        """And not with a given first stage that saw other images."""
        reason = super().applies(scale, dataset)
        if reason is not None:
            return reason
        first = rissole_of(_system(scale).method).first_stage
        if isinstance(first, FirstStageFile) and first.training_set != TrainSplit():
            return f"the first stage that was given (--first-stage) was trained on {first.training_set.words}"
        return None

    def reading(self, method: Rissole) -> Rissole:
        """The data alone differ."""
        first = method.first_stage.replace(training_set=TrainSplit())
        return method.replace(training_set=TrainSplit(), database="D", first_stage=first)


@dataclass(frozen=True, kw_only=True)
class FirstStageRow(RissoleVariant, name="rissole-first-stage"):
    """Control: real images through RISSOLE's first stage and back; its FID is the rFID, the floor of RISSOLE's."""

    label: ClassVar[str] = "RISSOLE's first stage: real images restored"
    control: ClassVar[bool] = True

    def method(self, scale: Scale) -> Method:
        """The first stage of the row `rissole`."""
        return rissole_of(RissoleRow().method(scale)).first_stage


def _system(scale: Scale) -> System:
    system = scale.part(OtherSystems()).rissole_system
    if system is None:
        raise InputError(NO_SIZE)
    return system


def with_first_stage(scale: Scale, path: Path) -> Scale:
    """The scale with a first stage of RISSOLE's that was trained before.

    Raises:
        InputError: no such file, one that holds no first stage, or a scale without RISSOLE.
    """
    system = scale.part(OtherSystems()).rissole_system
    if system is None:
        raise InputError(f"--first-stage {path}: this scale has no RISSOLE; leave it out")
    method = rissole_of(system.method)
    taken = FirstStageFile(file=FILES.take(path))
    trained = taken.replace(training_set=taken.own().training_set)
    return scale.with_part(OtherSystems(rissole=system.replace(method=method.replace(first_stage=trained))))


def _with_operations(method: Rissole, scale: Scale, first_share: float) -> Rissole:
    """The method with as many training images as PRISM's operations at this scale allow, the first stage's included."""
    resolution = scale.dataset.resolution
    method.check(resolution)
    whole = scale.method.training_flops(resolution, DIM)
    first = method.first_stage.within(first_share * whole, resolution)
    each = method.training_flops(resolution, DIM) / method.training.images
    left = whole - first.training_flops(resolution, DIM)
    images = max(method.training.batch, int(left / each))
    return method.replace(first_stage=first, training=method.training.lasting(images))


def check_rampups(method: Method) -> None:
    """Raise InputError where one of RISSOLE's two trainings ends before its ramp-up."""
    rissole = rissole_of(method)
    rissole.training.check_rampup("rissole.method.training")
    if isinstance(rissole.first_stage, VQGAN):
        rissole.first_stage.training.check_rampup("rissole.method.first_stage.training")
