"""FD-infinity: the Fréchet distance without the bias of a finite sample (Chong and Forsyth 2020, arXiv:1911.07023)."""

from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import numpy as np
import numpy.typing as npt
from typing_extensions import override

from prism_bench.prism.encoders.base import Vectors
from prism_bench.prism.errors import InputError
from prism_bench.prism.metrics.base import FeatureMetric, Value, own_order
from prism_bench.prism.metrics.frechet import frechet_of, moments_of
from prism_bench.prism.rng import numpy_rng

SMALLEST = 0.1
"""The smallest subset, as a share of the generated images."""


class Line(NamedTuple):
    """Where a straight line in 1/n meets 1/n = 0, with the standard error of that value."""

    intercept: float
    error: float


@dataclass(frozen=True, kw_only=True)
class FrechetInfinity(FeatureMetric, name="fd-infinity"):
    """Fréchet distance extrapolated to infinitely many generated images, with the error of the extrapolation.

    points: sizes of subsets of the generated images, from a tenth of them to all, even in 1/n; the intercept of the
    straight line through their distances over 1/n is the value. The reference is all real images every time.
    The bias is straight in 1/n only where subsets are larger than the features are long; smaller ones are refused.
    The error is that of the fit: subsets share images, so it understates what another sample would change.
    Differs from the publication: plain random subsets and noise, no Sobol sequences.
    """

    version: ClassVar[int] = 2
    points: int = 15

    def __post_init__(self) -> None:
        self.check_least("metric", points=3)

    @property
    def fewest(self) -> int:
        """Twice as many as the smallest subset, which is larger than the features are long."""
        return max(self.min_samples, 2 * ((self.encoder.features or 0) + 1))

    @override
    def between(self, generated: Vectors, reference: Vectors) -> tuple[Value, ...]:
        n, d = generated.shape
        smallest = max(round(SMALLEST * n), d + 1)
        if 2 * smallest > n:
            raise InputError(
                f"metric {self.name} needs at least {2 * (d + 1):,} generated images for {d:,} features, not {n:,}; "
                "ask for more samples or use an encoder with shorter features"
            )
        line = at_infinity(generated, reference, smallest=smallest, points=self.points)
        facts = {"n": n, "reference_n": len(reference), "better": "lower"}
        name = f"fd_infinity_{self.encoder.slug}"
        return (
            Value(name=name, value=line.intercept, label=f"FD at infinite n ({self.encoder.name})", **facts),
            Value(name=f"{name}_error", value=line.error, label=f"its standard error ({self.encoder.name})", **facts),
        )


def at_infinity(generated: npt.ArrayLike, reference: npt.ArrayLike, *, smallest: int, points: int) -> Line:
    """The extrapolated distance of [n, d] to [m, d], by `points` subsets of `smallest` to n images."""
    features = np.asarray(generated)
    features = features[own_order(features, "fd-infinity")]
    sizes = np.round(1 / np.linspace(1 / smallest, 1 / len(features), points)).astype(np.int64)
    known, distances = moments_of(reference), []
    for number, size in enumerate(sizes):
        chosen = numpy_rng(0, "fd-infinity", number).choice(len(features), int(size), replace=False)
        distances.append(frechet_of(moments_of(features[chosen]), known))
    return straight_line(1 / sizes, np.asarray(distances))


def straight_line(x: npt.NDArray[np.float64], y: npt.NDArray[np.float64]) -> Line:
    """Ordinary least squares y = a + b x over at least three points: a, and its standard error."""
    design = np.stack([np.ones_like(x), x], axis=1)
    inverse = np.linalg.inv(design.T @ design)
    fit = inverse @ design.T @ y
    variance = np.square(y - design @ fit).sum() / (len(x) - 2)
    return Line(float(fit[0]), float(np.sqrt(variance * inverse[0, 0])))
