"""Contract tests of every family, for plug-ins as for our own members; needs pytest.

A test file of a plug-in names its member, and inherits every law of its family:

    @pytest.mark.parametrize("member", [Mine()])
    class TestMine(ScheduleContract): ...
"""

import pytest

PARTS = ("component", "conditioning", "data", "methods", "metrics", "sampling")
pytest.register_assert_rewrite(*(f"{__name__}.{part}" for part in PARTS))

from prism_bench.testing.component import ComponentContract  # noqa: E402 - after the rewriting is on
from prism_bench.testing.conditioning import (  # noqa: E402
    AggregatorContract,
    PatchesContract,
    RetrievalContract,
    ScheduleContract,
)
from prism_bench.testing.data import DatasetContract, EncoderContract, TrainingSetContract  # noqa: E402
from prism_bench.testing.methods import MethodContract, VariantContract  # noqa: E402
from prism_bench.testing.metrics import MetricContract  # noqa: E402
from prism_bench.testing.sampling import DenoiserContract, ODESamplerContract, SamplerContract  # noqa: E402

__all__ = [
    "AggregatorContract",
    "ComponentContract",
    "DatasetContract",
    "DenoiserContract",
    "EncoderContract",
    "MethodContract",
    "MetricContract",
    "ODESamplerContract",
    "PatchesContract",
    "RetrievalContract",
    "SamplerContract",
    "ScheduleContract",
    "TrainingSetContract",
    "VariantContract",
]
