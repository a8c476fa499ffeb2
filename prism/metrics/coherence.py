"""Global coherence, measured: do regions that agree in every real image agree in the generated ones?"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt
from typing_extensions import override

from prism_bench.prism.data.base import AgreeingRegions, Box, Dataset
from prism_bench.prism.images import Pixels
from prism_bench.prism.metrics.base import ImageMetric, MetricInputs, Value

Colours = npt.NDArray[np.float64]
NO_VARIANCE = 1e-20
"""Below this a summed variance of colours in [0, 1] is rounding."""


@dataclass(frozen=True, kw_only=True)
class Coherence(ImageMetric, name="coherence"):
    """Agreement of the mean colours of the regions that must agree: far pairs (never in one patch) and near pairs.

    Correlation tells whether one region knows of the other: 1 for real images, 0 for independent regions; it is
    defined as 0 where a region has the same colour in all images, for then it tells nothing about the other.
    Difference is in fractions of full scale: 0 for real images. Values of several pairs of one kind are averaged.
    """

    uses_reference: ClassVar[bool] = False
    outcome: ClassVar[str] = "far_correlation"
    """The name of the number that claims are judged by."""

    def applies(self, dataset: Dataset) -> str | None:
        """Declines data without known agreeing regions."""
        return None if dataset.agreeing else "it is not known which regions of its images must agree"

    @override
    def values(self, inputs: MetricInputs) -> tuple[Value, ...]:
        values = []
        for kind in ("far", "near"):
            pairs = [pair for pair in inputs.dataset.agreeing if pair.distance == kind]
            if pairs:
                values += _of_pairs(kind, pairs, inputs.generated)
        return tuple(values)


def _of_pairs(kind: str, pairs: list[AgreeingRegions], images: Pixels) -> list[Value]:
    colours = [(mean_colour(images, pair.one), mean_colour(images, pair.other)) for pair in pairs]
    agreement = float(np.mean([correlation(one, other) for one, other in colours]))
    difference = float(np.mean([np.abs(one - other).mean() for one, other in colours]))
    n = len(images)
    return [
        Value(f"{kind}_correlation", agreement, n, 0, "higher", f"{kind} correlation"),
        Value(f"{kind}_difference", difference, n, 0, "lower", f"{kind} difference", "of full scale"),
    ]


def mean_colour(images: Pixels, box: Box) -> Colours:
    """uint8 [n, 3, R, R] -> the mean colour inside `box`, float64 [n, 3] in [0, 1]."""
    rows, columns = box.pixels(images.shape[-1])
    region = images[:, :, rows, columns]
    # Summed as integers, so that equal regions have equal means to the last bit.
    total: Colours = region.sum(axis=(2, 3), dtype=np.int64) / (255 * region.shape[2] * region.shape[3])
    return total


def correlation(one: Colours, other: Colours) -> float:
    """Pearson correlation over images, pooled over channels, for [n, c]: sum cov / sqrt(sum var * sum var), in [-1, 1].

    Pooling weighs a channel by its variance, so that one which hardly varies adds no noise. 0 where either side does
    not vary at all.
    """
    one, other = one - one.mean(axis=0), other - other.mean(axis=0)
    spread_one, spread_other = np.square(one).mean(axis=0).sum(), np.square(other).mean(axis=0).sum()
    if min(spread_one, spread_other) < NO_VARIANCE:
        return 0.0
    covariance = (one * other).mean(axis=0).sum()
    return float(np.clip(covariance / np.sqrt(spread_one * spread_other), -1, 1))
