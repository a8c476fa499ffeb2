"""The rows of `--controls`: they separate what the paper's rows change together, or say how large a distance is."""

from prism_bench.baselines.altered import BlurredRow, FlatRow, NoiseOf5Row, NoiseOf10Row, RepairedHalvesRow
from prism_bench.baselines.controls import (
    CrossAttentionRag,
    MeanMLPRag,
    PlainMeanRag,
    RandomNeighbourPrism,
    ShuffledNeighbourPrism,
    ZeroConditionPrism,
)
from prism_bench.baselines.patch_diffusion import FullResolution, PatchDiffusion, ProgressivePatchDiffusion
from prism_bench.baselines.table3 import PatchDOnTrain
from prism_bench.baselines.trivial import HeldOutRow, NearestImageRow, NoiseRow, RealImagesRow
from prism_bench.experiments.paper.experiment import Row
from prism_bench.prism.variants.variant import Variant


def rows_of(*variants: Variant) -> tuple[Row, ...]:
    """A row for each, as it is."""
    return tuple(Row.of(variant) for variant in variants)


CONTROLS = rows_of(
    PatchDOnTrain(),
    RandomNeighbourPrism(),
    ShuffledNeighbourPrism(),
    ZeroConditionPrism(),
    PlainMeanRag(),
    MeanMLPRag(),
    CrossAttentionRag(),
)


REAL = rows_of(
    RealImagesRow(),
    NoiseOf5Row(),
    NoiseOf10Row(),
    BlurredRow(),
    RepairedHalvesRow(),
    FlatRow(),
)
"""How large a distance is: real images as they are, and altered."""


def baselines() -> tuple[Row, ...]:
    """Table 1's further baselines, and rows that learn nothing."""
    from prism_bench.baselines.rissole.rows import FirstStageRow, RissoleOnTrain

    patches = (PatchDiffusion(), ProgressivePatchDiffusion(), FullResolution(), RissoleOnTrain(), FirstStageRow())
    return rows_of(*patches, HeldOutRow(), NearestImageRow(), NoiseRow())
