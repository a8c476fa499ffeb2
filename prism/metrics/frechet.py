"""The Fréchet distance between two sets of features, each taken as a Gaussian (Heusel et al. 2017, arXiv:1706.08500).

d^2 = |mu1 - mu2|^2 + tr S1 + tr S2 - 2 tr sqrt(S1 S2)                       (Dowson and Landau 1982)

tr sqrt(S1 S2) needs no matrix square root. With any A such that A A^T = S1, the eigenvalues of S1 S2 are those of the
symmetric A^T S2 A; and with S2 = B B^T they are the squared singular values of A^T B.
"""

from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import numpy as np
import numpy.typing as npt
from typing_extensions import override

from prism_bench.prism.encoders.base import Vectors
from prism_bench.prism.engine.rows_file import read_rows
from prism_bench.prism.errors import ComputeError
from prism_bench.prism.metrics.base import ROWS, Facts, ReferenceMetric, Value

Matrix = npt.NDArray[np.float64]
EPSILON = float(np.finfo(np.float64).eps)
MANY = 2
"""So many images for each feature make a covariance worth forming."""
SINGULAR = 1e-12
"""The reciprocal condition number of the correlations below which the covariance has too few digits."""
LARGE = 256
"""Below this many singular values their time does not matter."""
NEGLIGIBLE = 1e-6
"""The share of a distance that rounding may change at worst; what it does change is far less."""


@dataclass(frozen=True, kw_only=True)
class FrechetDistance(ReferenceMetric, name="frechet"):
    """Fréchet distance of the encoder's features. Biased upwards at small n, so compare at equal n only."""

    version: ClassVar[int] = 2

    @override
    def of_reference(self, reference: Vectors) -> Facts:
        return moments_of(reference)._asdict()

    @override
    def against(self, generated: Vectors, reference: Vectors, facts: Facts) -> tuple[Value, ...]:
        name, label = self.encoder.frechet_name
        distance = frechet_of(moments_of(generated), Moments(**facts))
        return (Value(name, distance, len(generated), len(reference), "lower", label),)


class Moments(NamedTuple):
    """A mean, float64 [d], and a factor F of the covariance: F^T F with n - 1, float64 [min(n, d), d]."""

    mean: Matrix
    factor: Matrix


def moments_of(features: npt.ArrayLike) -> Moments:
    """The moments of a sample [n, d], in float64, a block of rows at a time: the memory does not grow with n.

    The factor is the centred sample itself where n <= d, so that a singular covariance is exact, and otherwise
    triangular: Cholesky's of the covariance where there are so many images, and that is so far from singular, that its
    rounding does not show, else by QR of what there is and the next rows, which never forms the covariance.
    """
    rows = np.asanyarray(features)
    n, d = rows.shape
    blocks = [slice(start, min(start + max(ROWS, d), n)) for start in range(0, n, max(ROWS, d))]
    mean = sum(read_rows(rows, block).sum(axis=0, dtype=np.float64) for block in blocks) / n
    if n >= MANY * d and (factor := _by_covariance(rows, blocks, mean)) is not None:
        return Moments(mean, factor)
    factor = np.empty((0, d))
    for block in blocks:
        factor = np.concatenate([factor, (read_rows(rows, block) - mean) / np.sqrt(n - 1)])
        if len(factor) > d:
            factor = np.asarray(np.linalg.qr(factor, mode="r"))
    return Moments(mean, factor)


def _by_covariance(rows: npt.NDArray[Any], blocks: list[slice], mean: Matrix) -> Matrix | None:
    """A triangular F with F^T F = covariance, in a third of QR's time; None where that would cost digits.

    Cholesky's of the correlations: rounding an entry of the covariance costs a share of its two features' deviations,
    whatever those of the others. The roots of eigenvalues then change by at most about that over the root of the
    reciprocal condition number. Features that do not vary have no row.
    """
    covariance: Matrix = np.zeros((rows.shape[1], rows.shape[1]))
    for block in blocks:
        centred = read_rows(rows, block) - mean
        covariance += centred.T @ centred
    deviations = np.sqrt(np.diagonal(covariance) / (len(rows) - 1))
    # Those of a feature that is the same for all are the rounding of its mean.
    live = np.flatnonzero(deviations > len(rows) * EPSILON * np.abs(mean))
    if not live.size:
        return np.zeros((1, len(deviations)))
    correlations = covariance[np.ix_(live, live)] / np.outer(deviations[live], (len(rows) - 1) * deviations[live])
    root = _root(correlations, SINGULAR)
    if root is None:
        return None
    factor: Matrix = np.zeros((len(live), len(deviations)))
    factor[:, live] = root * deviations[live]
    return factor


def frechet_of(one: Moments, other: Moments) -> float:
    """d^2 of two Gaussians; the nuclear norm of A^T B above is that of the product of the factors.

    The singular values of a large product are the roots of its square's eigenvalues, found in a quarter of the time,
    where their rounding can change no more than `NEGLIGIBLE` of the distance.
    """
    from scipy.linalg import eigh, svdvals

    product = one.factor @ other.factor.T
    shift, spread = one.mean - other.mean, np.square(one.factor).sum() + np.square(other.factor).sum()
    if min(product.shape) >= LARGE:
        square = product @ product.T if len(product) <= len(product.T) else product.T @ product
        if _root(square, 4 * EPSILON) is not None:
            squares = np.clip(eigh(square, eigvals_only=True, driver="evr", check_finite=False), 0, None)
            roots, error = np.sqrt(squares), EPSILON * squares[-1]
            distance = _assemble(shift, spread, roots.sum())
            if (error / (roots + np.sqrt(squares + error))).sum() <= NEGLIGIBLE * distance:
                return distance
    return _assemble(shift, spread, svdvals(product, check_finite=False).sum())


def _root(matrix: Matrix, limit: float) -> Matrix | None:
    """The upper triangular R with R^T R = matrix, symmetric; None where it is too near to a singular one.

    limit: what its reciprocal condition number must be above.
    """
    from scipy.linalg import LinAlgError, cholesky
    from scipy.linalg.lapack import dpocon

    try:
        root: Matrix = cholesky(matrix, check_finite=False)
    except LinAlgError:
        return None
    return root if dpocon(root, np.abs(matrix).sum(axis=0).max())[0] > limit else None


def frechet_distance(mu1: Matrix, sigma1: Matrix, mu2: Matrix, sigma2: Matrix) -> float:
    """The squared distance d^2 of two Gaussians: mu float64 [d], sigma float64 [d, d], symmetric and semi-definite.

    One triangular factorisation and the eigenvalues of one symmetric matrix, without eigenvectors; clipped at 0.

    Raises:
        ComputeError: a moment is not finite, or a covariance is not symmetric.
    """
    from scipy.linalg import eigh

    moments = [np.atleast_1d(np.asarray(mu, np.float64)) for mu in (mu1, mu2)]
    spreads = [np.atleast_2d(np.asarray(sigma, np.float64)) for sigma in (sigma1, sigma2)]
    if not all(np.isfinite(part).all() for part in (*moments, *spreads)):
        raise ComputeError("the moments hold values that are not finite")
    if not all(np.allclose(sigma, sigma.T, rtol=1e-6, atol=1e-9 * np.abs(sigma).max()) for sigma in spreads):
        raise ComputeError("a covariance matrix is not symmetric")
    factor = factor_of_covariance(spreads[0])
    eigenvalues = eigh(factor.T @ spreads[1] @ factor, eigvals_only=True, driver="evd", check_finite=False)
    # Rounding can push the eigenvalues of a singular matrix below zero.
    overlap = np.sqrt(np.clip(eigenvalues, 0, None)).sum()
    return _assemble(moments[0] - moments[1], np.trace(spreads[0]) + np.trace(spreads[1]), overlap)


def frechet_between(features1: npt.ArrayLike, features2: npt.ArrayLike) -> float:
    """d^2 of the Gaussians of two samples, [n1, d] and [n2, d], covariances with n - 1; computed in float64.

    The same value as `frechet_distance` of the samples' moments, but exact where a covariance is singular.
    """
    return frechet_of(moments_of(features1), moments_of(features2))


def factor_of_covariance(sigma: Matrix) -> Matrix:
    """Some A with A A^T = sigma: Cholesky's where sigma is definite, else V sqrt(w) by eigenpairs, w clipped at 0."""
    from scipy.linalg import LinAlgError, cholesky, eigh

    try:
        factor: Matrix = cholesky(sigma, lower=True, check_finite=False)
    except LinAlgError:
        values, vectors = eigh(sigma, driver="evd", check_finite=False)
        factor = vectors * np.sqrt(np.clip(values, 0, None))
    return factor


def _assemble(shift: Matrix, spread: float, overlap: float) -> float:
    """|shift|^2 + spread - 2 overlap, which is not negative but for rounding."""
    return max(float(shift @ shift + spread - 2 * overlap), 0.0)
