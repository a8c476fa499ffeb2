"""The Fréchet distance between two sets of features, each taken as a Gaussian (Heusel et al. 2017, arXiv:1706.08500).

d^2 = |mu1 - mu2|^2 + tr S1 + tr S2 - 2 tr sqrt(S1 S2)                       (Dowson and Landau 1982)

tr sqrt(S1 S2) needs no matrix square root. With any A such that A A^T = S1, the eigenvalues of S1 S2 are those of the
symmetric A^T S2 A; and with S2 = B B^T they are the squared singular values of A^T B.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from typing_extensions import override

from prism_bench.prism.encoders.base import Vectors
from prism_bench.prism.errors import ComputeError
from prism_bench.prism.metrics.base import FeatureMetric, Value

Matrix = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class FrechetDistance(FeatureMetric, name="frechet"):
    """Fréchet distance of the encoder's features. Biased upwards at small n, so compare at equal n only."""

    @override
    def between(self, generated: Vectors, reference: Vectors) -> tuple[Value, ...]:
        name, label = self.encoder.frechet_name
        distance = frechet_between(generated, reference)
        return (Value(name, distance, len(generated), len(reference), "lower", label),)


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
    factor = _factor_of_covariance(spreads[0])
    eigenvalues = eigh(factor.T @ spreads[1] @ factor, eigvals_only=True, driver="evd", check_finite=False)
    # Rounding can push the eigenvalues of a singular matrix below zero.
    overlap = np.sqrt(np.clip(eigenvalues, 0, None)).sum()
    return _assemble(moments[0] - moments[1], np.trace(spreads[0]) + np.trace(spreads[1]), overlap)


def frechet_between(features1: npt.ArrayLike, features2: npt.ArrayLike) -> float:
    """d^2 of the Gaussians of two samples, [n1, d] and [n2, d], covariances with n - 1; computed in float64.

    The same value as `frechet_distance` of the samples' moments, but exact where n <= d and the covariances are
    singular: they are never formed. The nuclear norm of A^T B above is taken on the centred samples themselves
    (divided by sqrt(n - 1)), or on their triangular factor [d, d] where n > d.
    """
    from scipy.linalg import svdvals

    means, factors = [], []
    for features in (features1, features2):
        sample = np.asarray(features, np.float64)
        means.append(sample.mean(axis=0))
        centred = (sample - means[-1]) / np.sqrt(len(sample) - 1)
        factors.append(np.asarray(np.linalg.qr(centred, mode="r")) if np.greater(*centred.shape) else centred)
    overlap = svdvals(factors[0] @ factors[1].T).sum()
    return _assemble(means[0] - means[1], sum(np.square(factor).sum() for factor in factors), overlap)


def _factor_of_covariance(sigma: Matrix) -> Matrix:
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
