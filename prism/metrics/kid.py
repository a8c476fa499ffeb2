"""Kernel distance between two sets of features (Binkowski et al. 2018, arXiv:1801.01401, equation 4 and section 3)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import numpy as np
import numpy.typing as npt
from typing_extensions import override

from prism_bench.prism.encoders.base import Vectors
from prism_bench.prism.metrics.base import Facts, ReferenceMetric, Value, own_order
from prism_bench.prism.rng import numpy_rng

Matrix = npt.NDArray[np.float64]
ROWS = 256
"""Rows of a kernel matrix held at once; bounds the memory."""


class Kernel(NamedTuple):
    """An unbiased squared MMD and its standard error over the images of both sets."""

    distance: float
    standard_error: float


@dataclass(frozen=True, kw_only=True)
class KernelDistance(ReferenceMetric, name="kid"):
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
    def of_reference(self, reference: Vectors) -> Facts:
        """The mean of each image's kernel to the others, where all pairs will be looked at."""
        if len(reference) ** 2 > self._pairs:
            return {}
        return {"within": _within(_in_order(reference))}

    @override
    def against(self, generated: Vectors, reference: Vectors, facts: Facts) -> tuple[Value, ...]:
        found = kernel_distance(
            generated, reference, subsets=self.subsets, subset_size=self.subset_size, within2=facts.get("within")
        )
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

    @property
    def _pairs(self) -> int:
        """The most pairs of images that are all looked at."""
        return self.subsets * (2 * self.subset_size) ** 2


def kernel_distance(
    features1: npt.ArrayLike,
    features2: npt.ArrayLike,
    *,
    subsets: int,
    subset_size: int,
    within2: Matrix | None = None,
) -> Kernel:
    """Unbiased MMD^2 of [n, d] and [m, d], in float64; neither the order of images nor that of the sets matters.

    Over all pairs it is a U-statistic, whose variance is that of its projections on single images, var(a) / n +
    var(b) / m (Hoeffding 1948), with a_i = 2 (mean_j k(x_i, x_j) - mean_j k(x_i, y_j)) and b_j likewise. Near equality,
    where these vanish, their noise makes the error too large rather than too small. Over subsets, the projections are
    taken within each, and the spread of the mean of the subsets is added.

    within2: `KernelDistance.of_reference` of the second set, where it is known.
    """
    one, other = _Set(_in_order(features1)), _Set(_in_order(features2), within2)
    x, y = sorted((one, other), key=lambda it: (len(it.rows), it.rows.sum(dtype=np.float64)))
    if (len(x.rows) + len(y.rows)) ** 2 <= subsets * (2 * subset_size) ** 2:
        return _over_subsets([_mmd2(x, y)], len(x.rows), len(y.rows))
    parts = []
    for subset in range(subsets):
        # By a generator of its own, so that a subset does not depend on how many there are.
        rng = numpy_rng(0, "kid", subset)
        i, j = (rng.choice(len(it.rows), min(subset_size, len(it.rows)), replace=False, shuffle=False) for it in (x, y))
        parts.append(_mmd2(_Set(x.rows[i]), _Set(y.rows[j])))
    return _over_subsets(parts, len(x.rows), len(y.rows))


class _Set(NamedTuple):
    """Features [n, d], and the mean kernel of each to the others where it is known."""

    rows: npt.NDArray[Any]
    within: Matrix | None = None


def _in_order(features: npt.ArrayLike) -> npt.NDArray[Any]:
    rows = np.asarray(features)
    return rows[own_order(rows, "kid")]


def _over_subsets(parts: Sequence[tuple[float, float, float]], n: int, m: int) -> Kernel:
    """The mean of the distances; `parts`: the distance and the variances of both projections, of each subset."""
    distances, of_x, of_y = np.array(parts).T
    between = distances.var(ddof=1) / len(distances) if len(distances) > 1 else 0.0
    return Kernel(float(distances.mean()), float(np.sqrt(of_x.mean() / n + of_y.mean() / m + between)))


def _mmd2(x: _Set, y: _Set) -> tuple[float, float, float]:
    """The unbiased MMD^2 over all pairs, and the variances of its projections on single rows of x and of y."""
    within = [_within(it.rows) if it.within is None else it.within for it in (x, y)]
    of_x, of_y = _across(x.rows, y.rows)
    across = [of_x / len(y.rows), of_y / len(x.rows)]
    spreads = [np.var(2 * (one - other), ddof=1) for one, other in zip(within, across, strict=True)]
    return float(within[0].mean() + within[1].mean() - 2 * across[0].mean()), float(spreads[0]), float(spreads[1])


def _within(features: npt.NDArray[Any]) -> Matrix:
    """mean_j k(x_i, x_j) over the other rows, for every row; nan for a row that is alone.

    Each pair is looked at once: k(x_i, x_j) = k(x_j, x_i).
    """
    left, right = _factors(features, features)
    total = np.zeros(len(left))
    for start in range(0, len(left), ROWS):
        kernel = _cubed(left[start : start + ROWS] @ right[start:].T)
        own = kernel[:, : len(kernel)]
        np.fill_diagonal(own, 0.0)
        total[start : start + ROWS] += kernel.sum(axis=1)
        total[start + ROWS :] += kernel[:, len(kernel) :].sum(axis=0)
    found: Matrix = total / (len(left) - 1)
    return found


def _across(x: npt.NDArray[Any], y: npt.NDArray[Any]) -> tuple[Matrix, Matrix]:
    """sum_j k(x_i, y_j) for every row of x, and sum_i k(x_i, y_j) for every row of y."""
    left, right = _factors(x, y)
    of_x, of_y = np.zeros(len(x)), np.zeros(len(y))
    for start in range(0, len(x), ROWS):
        kernel = _cubed(left[start : start + ROWS] @ right.T)
        of_x[start : start + ROWS] = kernel.sum(axis=1)
        of_y += kernel.sum(axis=0)
    return of_x, of_y


def _factors(x: npt.NDArray[Any], y: npt.NDArray[Any]) -> tuple[Matrix, Matrix]:
    """[n, d + 1] and [m, d + 1] in float64, whose products are x . y / d + 1."""
    (n, d), m = x.shape, len(y)
    left, right = np.ones((n, d + 1)), np.ones((m, d + 1))
    np.divide(x, d, out=left[:, :d], dtype=np.float64)
    right[:, :d] = y
    return left, right


def _cubed(matrix: Matrix) -> Matrix:
    """By two products: a power that is not two is slow."""
    cube: Matrix = matrix * matrix
    cube *= matrix
    return cube
