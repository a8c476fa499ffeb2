"""Kernel distance between two sets of features (Binkowski et al. 2018, arXiv:1801.01401, equation 4 and section 3)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import numpy as np
import numpy.typing as npt
from typing_extensions import override

from prism_bench.prism.encoders.base import Vectors
from prism_bench.prism.metrics.base import FeatureMetric, Value, own_order
from prism_bench.prism.rng import numpy_rng

Matrix = npt.NDArray[np.float64]
ROWS = 1024
"""Rows of a kernel matrix held at once; bounds the memory."""


class Kernel(NamedTuple):
    """An unbiased squared MMD and its standard error over the images of both sets."""

    distance: float
    standard_error: float


@dataclass(frozen=True, kw_only=True)
class KernelDistance(FeatureMetric, name="kid"):
    """Unbiased squared MMD with the kernel (x.y/d + 1)^3, over all pairs of images; 0 in expectation at equality.

    subsets, subset_size: where all pairs are more than those of so many subsets of so many images of each kind (the
    defaults: above 20,000 images together), it is the mean over random subsets instead. A value can be negative: it is
    an unbiased estimate of something that is at least 0.
    Differs from the publication: that always takes subsets, whose mean is a noisier estimate of the same.
    """

    version: ClassVar[int] = 2
    subsets: int = 100
    subset_size: int = 1000

    def __post_init__(self) -> None:
        self.check_least("metric", subsets=1, subset_size=2)

    @override
    def between(self, generated: Vectors, reference: Vectors) -> tuple[Value, ...]:
        found = kernel_distance(generated, reference, subsets=self.subsets, subset_size=self.subset_size)
        return (
            Value(
                name=f"kid_{self.encoder.slug}",
                value=found.distance,
                n=len(generated),
                reference_n=len(reference),
                better="lower",
                label=f"KID ({self.encoder.name}, not scaled)",
                standard_error=found.standard_error,
            ),
        )


def kernel_distance(features1: npt.ArrayLike, features2: npt.ArrayLike, *, subsets: int, subset_size: int) -> Kernel:
    """Unbiased MMD^2 of [n, d] and [m, d], in float64; neither the order of images nor that of the sets matters.

    Over all pairs it is a U-statistic, whose variance is that of its projections on single images, var(a) / n +
    var(b) / m (Hoeffding 1948), with a_i = 2 (mean_j k(x_i, x_j) - mean_j k(x_i, y_j)) and b_j likewise. Near equality,
    where these vanish, their noise makes the error too large rather than too small. Over subsets, the projections are
    taken within each, and the spread of the mean of the subsets is added.
    """
    ordered = [rows[own_order(rows, "kid")] for rows in (np.asarray(f, np.float64) for f in (features1, features2))]
    x, y = sorted(ordered, key=lambda rows: (len(rows), rows.sum()))
    if (len(x) + len(y)) ** 2 <= subsets * (2 * subset_size) ** 2:
        return _over_subsets([_mmd2(x, y)], len(x), len(y))
    sizes = [min(subset_size, len(rows)) for rows in (x, y)]
    parts = []
    for subset in range(subsets):
        # By a generator of its own, so that a subset does not depend on how many there are.
        rng = numpy_rng(0, "kid", subset)
        i, j = (
            rng.choice(len(rows), size, replace=False, shuffle=False) for rows, size in zip((x, y), sizes, strict=True)
        )
        parts.append(_mmd2(x[i], y[j]))
    return _over_subsets(parts, len(x), len(y))


def _over_subsets(parts: Sequence[tuple[float, float, float]], n: int, m: int) -> Kernel:
    """The mean of the distances; `parts`: the distance and the variances of both projections, of each subset."""
    distances, of_x, of_y = np.array(parts).T
    between = distances.var(ddof=1) / len(distances) if len(distances) > 1 else 0.0
    return Kernel(float(distances.mean()), float(np.sqrt(of_x.mean() / n + of_y.mean() / m + between)))


def _mmd2(x: Matrix, y: Matrix) -> tuple[float, float, float]:
    """The unbiased MMD^2 over all pairs, and the variances of its projections on single rows of x and of y."""
    within = [(_sums(rows, rows)[0] - _of_itself(rows)) / (len(rows) - 1) for rows in (x, y)]
    rows_of_x, rows_of_y = _sums(x, y)
    across = [rows_of_x / len(y), rows_of_y / len(x)]
    of_x, of_y = (np.var(2 * (one - other), ddof=1) for one, other in zip(within, across, strict=True))
    return float(within[0].mean() + within[1].mean() - 2 * across[0].mean()), float(of_x), float(of_y)


def _sums(x: Matrix, y: Matrix) -> tuple[Matrix, Matrix]:
    """sum_j k(x_i, y_j) for every row of x, and sum_i k(x_i, y_j) for every row of y."""
    of_x, of_y = np.zeros(len(x)), np.zeros(len(y))
    for start in range(0, len(x), ROWS):
        rows = slice(start, start + ROWS)
        kernel = (x[rows] @ y.T / x.shape[1] + 1) ** 3
        of_x[rows] = kernel.sum(axis=1)
        of_y += kernel.sum(axis=0)
    return of_x, of_y


def _of_itself(x: Matrix) -> Matrix:
    """k(x_i, x_i) for every row."""
    found: Matrix = (np.square(x).sum(axis=1) / x.shape[1] + 1) ** 3
    return found
