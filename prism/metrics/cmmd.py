"""CMMD: maximum mean discrepancy with a Gaussian kernel (Jayasumana et al. 2024, arXiv:2401.09603, section 4)."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from typing_extensions import override

from prism_bench.prism.encoders.base import Encoder, Vectors
from prism_bench.prism.encoders.clip import CLIP
from prism_bench.prism.errors import ComputeError, InputError
from prism_bench.prism.metrics.base import FeatureMetric, Value

Matrix = npt.NDArray[np.float64]
ROWS = 1024
"""Rows of a kernel matrix held at once; bounds the memory."""
SCALE = 1000.0
PUBLISHED = CLIP(model="ViT-L-14-336-quickgelu", pretrained="openai")
"""The encoder of the publication; through another one the metric has another name."""


@dataclass(frozen=True, kw_only=True)
class CMMD(FeatureMetric, name="cmmd"):
    """Gaussian MMD: 1000 times the unbiased square for unit-length CLIP embeddings; 0 in expectation at equality.

    bandwidth: sigma of exp(-|x - y|^2 / (2 sigma^2)). A value can be negative: it is an unbiased estimate.
    Differs from the code published with the paper, which keeps the diagonals and so is biased upwards; this is the
    paper's equation.
    """

    encoder: Encoder = PUBLISHED
    bandwidth: float = 10.0

    def __post_init__(self) -> None:
        if not self.bandwidth > 0:
            raise InputError(f"metric.bandwidth must be positive, not {self.bandwidth}")

    @override
    def between(self, generated: Vectors, reference: Vectors) -> tuple[Value, ...]:
        distance = SCALE * gaussian_mmd2(_unit(generated), _unit(reference), self.bandwidth)
        name, label = f"mmd_{self.encoder.slug}", f"Gaussian MMD ({self.encoder.name})"
        if self.encoder == PUBLISHED:
            name, label = "cmmd", "CMMD"
        return (Value(name, distance, len(generated), len(reference), "lower", label, "times 1000"),)


def gaussian_mmd2(features1: npt.ArrayLike, features2: npt.ArrayLike, bandwidth: float) -> float:
    """The unbiased MMD^2 of [n, d] and [m, d], n and m at least 2, in float64.

    sum_{i != j} k(x_i, x_j) / (n (n - 1)) + sum_{i != j} k(y_i, y_j) / (m (m - 1)) - 2 sum_ij k(x_i, y_j) / (n m)
    """
    x, y = np.asarray(features1, np.float64), np.asarray(features2, np.float64)
    n, m = len(x), len(y)
    # The diagonals hold ones.
    within = (_sum(x, x, bandwidth) - n) / (n * (n - 1)) + (_sum(y, y, bandwidth) - m) / (m * (m - 1))
    return within - 2 * _sum(x, y, bandwidth) / (n * m)


def _sum(x: Matrix, y: Matrix, bandwidth: float) -> float:
    squares = np.square(y).sum(axis=1)
    total = 0.0
    for start in range(0, len(x), ROWS):
        rows = x[start : start + ROWS]
        apart = np.square(rows).sum(axis=1)[:, None] + squares - 2 * rows @ y.T
        total += float(np.exp(-np.clip(apart, 0, None) / (2 * bandwidth**2)).sum())
    return total


def _unit(features: Vectors) -> Matrix:
    lengths = np.linalg.norm(np.asarray(features, np.float64), axis=1, keepdims=True)
    if not lengths.all():
        raise ComputeError(f"the features of image {int(np.flatnonzero(lengths == 0)[0])} are all zero")
    unit: Matrix = features / lengths
    return unit
