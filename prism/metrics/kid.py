"""Kernel distance between two sets of features (Binkowski et al. 2018, arXiv:1801.01401, equation 4 and section 3)."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from typing_extensions import override

from prism_bench.prism.encoders.base import Vectors
from prism_bench.prism.metrics.base import FeatureMetric, Value
from prism_bench.prism.rng import numpy_rng

Matrix = npt.NDArray[np.float64]
ROWS = 1024
"""Rows of a kernel matrix held at once; bounds the memory."""


@dataclass(frozen=True, kw_only=True)
class KernelDistance(FeatureMetric, name="kid"):
    """Unbiased squared MMD with the kernel (x.y/d + 1)^3, averaged over random subsets; 0 in expectation at equality.

    subsets: how many. subset_size: images of each kind in one, capped by what there is. A value can be negative:
    it is an unbiased estimate of something that is at least 0.
    """

    subsets: int = 100
    subset_size: int = 1000

    def __post_init__(self) -> None:
        self.check_least("metric", subsets=1, subset_size=2)

    @override
    def between(self, generated: Vectors, reference: Vectors) -> tuple[Value, ...]:
        distance = kernel_distance(generated, reference, subsets=self.subsets, subset_size=self.subset_size)
        name, label = f"kid_{self.encoder.slug}", f"KID ({self.encoder.name}, not scaled)"
        return (Value(name, distance, len(generated), len(reference), "lower", label),)


def kernel_distance(features1: npt.ArrayLike, features2: npt.ArrayLike, *, subsets: int, subset_size: int) -> float:
    """Mean unbiased MMD^2 over subsets of [n, d] and [m, d], in float64.

    Subset s is drawn by its own generator, so it does not depend on how many are drawn. Where a subset takes all of
    both sets there is only one.
    """
    x, y = np.asarray(features1, np.float64), np.asarray(features2, np.float64)
    size = min(subset_size, len(x), len(y))
    if size == len(x) == len(y):
        whole = np.ones((size, 1))
        return float(_mmd2(x, y, whole, whole)[0])
    draws = [numpy_rng(0, "kid", subset) for subset in range(subsets)]
    chosen = [(rng.choice(len(x), size, replace=False), rng.choice(len(y), size, replace=False)) for rng in draws]
    if (len(x) + len(y)) ** 2 > subsets * (2 * size) ** 2:
        whole = np.ones((size, 1))
        return float(np.mean([_mmd2(x[i], y[j], whole, whole)[0] for i, j in chosen]))
    # Few images and many overlapping subsets: each kernel value is computed once, subsets are sums of them.
    in_x, in_y = np.zeros((len(x), subsets)), np.zeros((len(y), subsets))
    for subset, (i, j) in enumerate(chosen):
        in_x[i, subset], in_y[j, subset] = 1, 1
    return float(_mmd2(x, y, in_x, in_y).mean())


def _mmd2(x: Matrix, y: Matrix, in_x: Matrix, in_y: Matrix) -> Matrix:
    """The unbiased MMD^2 of every subset, float64 [S], for membership matrices of zeros and ones, [n, S] and [m, S]."""
    size = in_x[:, 0].sum()
    within = _sums(x, x, in_x, in_x) - _own(x) @ in_x + _sums(y, y, in_y, in_y) - _own(y) @ in_y
    across = _sums(x, y, in_x, in_y)
    distance: Matrix = within / (size * (size - 1)) - 2 * across / size**2
    return distance


def _sums(x: Matrix, y: Matrix, in_x: Matrix, in_y: Matrix) -> Matrix:
    """sum_ij in_x[i, s] k(x_i, y_j) in_y[j, s] for every subset s."""
    total = np.zeros(in_x.shape[1])
    for start in range(0, len(x), ROWS):
        rows = slice(start, start + ROWS)
        kernel = (x[rows] @ y.T / x.shape[1] + 1) ** 3
        total += ((kernel @ in_y) * in_x[rows]).sum(axis=0)
    return total


def _own(x: Matrix) -> Matrix:
    """k(x_i, x_i) for every row."""
    own: Matrix = (np.square(x).sum(axis=1) / x.shape[1] + 1) ** 3
    return own
