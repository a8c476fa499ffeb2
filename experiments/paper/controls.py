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

CONTROLS = tuple(
    Row.of(variant)
    for variant in (
        PatchDOnTrain(),
        RandomNeighbourPrism(),
        ShuffledNeighbourPrism(),
        ZeroConditionPrism(),
        PlainMeanRag(),
        MeanMLPRag(),
        CrossAttentionRag(),
    )
)


REAL = tuple(
    Row.of(variant)
    for variant in (
        RealImagesRow(),
        NoiseOf5Row(),
        NoiseOf10Row(),
        BlurredRow(),
        RepairedHalvesRow(),
        FlatRow(),
    )
)
"""How large a distance is: real images as they are, and altered."""


def baselines() -> tuple[Row, ...]:
    """Table 1's further baselines, and rows that learn nothing."""
    from prism_bench.baselines.rissole.rows import FirstStageRow, RissoleOnTrain

    patches = (PatchDiffusion(), ProgressivePatchDiffusion(), FullResolution(), RissoleOnTrain(), FirstStageRow())
    return tuple(Row.of(it) for it in (*patches, HeldOutRow(), NearestImageRow(), NoiseRow()))
