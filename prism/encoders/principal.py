"""The leading principal axes of images: covariances without rounding, and only the eigenvectors that are wanted."""

import numpy as np
import numpy.typing as npt

from prism_bench.prism.rng import numpy_rng

Levels = npt.NDArray[np.uint8]
Matrix = npt.NDArray[np.float64]
MIDDLE = 128
"""Taken off each level: products of two lie within 2^14 then, and sums of EXACT of them within 2^24."""
EXACT = 1024
"""Products of levels whose sum is exact in float32, which is twice as fast as float64."""
DENSE = 1024
"""Up to this size LAPACK finds the eigenvectors, in time that grows with the cube of it."""
BLOCK = 32
"""Vectors that the matrix is multiplied with at a time."""
GUARD = 16
"""Directions beyond those wanted that a restart keeps."""
STEPS = 10
"""Blocks that are added before a restart."""
RESTARTS = 30
"""After so many LAPACK finds them after all."""
SPENT = 1e-14
"""What a product may add, as a share of the largest, and be rounding."""
TOLERANCE = 1e-13
"""The largest residual |A v - a v| of an eigenpair, as a share of the largest eigenvalue; a gap divides it."""


def principal_axes(levels: Levels, count: int) -> tuple[Matrix, Matrix]:
    """The mean of uint8 [n, d], float64 [d], and the axes of the largest variances, orthonormal, [d, c].

    c: `count`, or as many as d or n - 1 allow, and at least one. Signs: the largest entry of an axis is positive.
    """
    n, d = levels.shape
    sums = levels.sum(axis=0, dtype=np.int64)
    if n >= d:
        # n times the sum of (x - mean)(x - mean)^T, in whole numbers that float64 holds.
        scatter = _gram(levels.T)
        scatter *= n
        shifted = (sums - MIDDLE * n).astype(np.float64)
        scatter -= np.outer(shifted, shifted)
        axes = leading_eigenvectors(scatter, min(count, d))
    else:
        # The smaller of the two Gram matrices has the same leading eigenvectors, up to the map by the data.
        gram = _gram(levels)
        means = gram.mean(axis=0)
        gram -= means
        gram -= (means - means.mean())[:, None]
        axes = _mapped(levels, sums / n, leading_eigenvectors(gram, min(count, max(n - 1, 1))))
        axes /= np.maximum(np.linalg.norm(axes, axis=0), 1e-12)
    axes = axes * np.sign(axes[np.abs(axes).argmax(axis=0), np.arange(axes.shape[1])])
    return sums / n, axes


def _gram(levels: Levels) -> Matrix:
    """(x - 128)(x - 128)^T for uint8 [n, d], float64 [n, n]: exact, whatever the order of sums."""
    found: Matrix = np.zeros((len(levels), len(levels)))
    for start in range(0, levels.shape[1], EXACT):
        part = np.ascontiguousarray(levels[:, start : start + EXACT], np.float32) - np.float32(MIDDLE)
        found += part @ part.T
    return found


def _mapped(levels: Levels, mean: Matrix, weights: Matrix) -> Matrix:
    """(x - mean)^T w for uint8 [n, d] and [n, c], a block of rows at a time."""
    found: Matrix = np.zeros((levels.shape[1], weights.shape[1]))
    for start in range(0, len(levels), EXACT):
        found += (levels[start : start + EXACT] - mean).T @ weights[start : start + EXACT]
    return found


def leading_eigenvectors(matrix: Matrix, count: int) -> Matrix:
    """Those of the `count` largest eigenvalues of a symmetric semi-definite [n, n], orthonormal, largest first, [n, c].

    Block Lanczos with thick restarts (Wu and Simon 2000), every block made orthogonal to all before it: time grows with
    n^2. The same on every run: it starts from a fixed draw.
    """
    kept = count + GUARD
    widest = kept + STEPS * BLOCK
    if len(matrix) <= DENSE or 2 * widest > len(matrix):
        return _by_lapack(matrix, count)
    basis, images = (np.empty((len(matrix), widest)) for _ in range(2))
    fresh, done = np.linalg.qr(numpy_rng(0, "principal axes").standard_normal((len(matrix), BLOCK)))[0], 0
    largest = 0.0
    for _ in range(RESTARTS):
        while done + BLOCK <= widest:
            new = slice(done, done + BLOCK)
            done += BLOCK
            basis[:, new], images[:, new] = fresh, matrix @ fresh
            largest = max(largest, float(np.linalg.norm(images[:, new], axis=0).max()))
            fresh = _orthogonal(images[:, new], basis[:, :done], SPENT * largest)
        values, vectors = np.linalg.eigh(basis[:, :done].T @ images[:, :done])
        values, vectors = values[::-1][:kept], vectors[:, ::-1][:, :kept]
        basis[:, :kept], images[:, :kept] = basis[:, :done] @ vectors, images[:, :done] @ vectors
        done = kept
        residuals = np.linalg.norm(images[:, :count] - basis[:, :count] * values[:count], axis=0)
        if residuals.max() <= TOLERANCE * values[0]:
            return basis[:, :count]
    return _by_lapack(matrix, count)


def _orthogonal(block: Matrix, basis: Matrix, nothing: float) -> Matrix:
    """What a block adds to an orthonormal basis, orthonormal itself.

    nothing: what is no longer than this is rounding, and gives way to directions drawn at random.
    """
    block, triangle = np.linalg.qr(block - basis @ (basis.T @ block))
    spent = np.abs(np.diagonal(triangle)) <= nothing
    if spent.any():
        drawn = numpy_rng(0, "principal axes", basis.shape[1]).standard_normal(block.shape)
        block = np.where(spent, drawn / np.sqrt(len(drawn)), block)
    # Again, for what the first time left of the basis by rounding.
    for _ in range(2):
        block = np.linalg.qr(block - basis @ (basis.T @ block))[0]
    return block


def _by_lapack(matrix: Matrix, count: int) -> Matrix:
    from scipy.linalg import eigh

    size = len(matrix)
    vectors: Matrix = eigh(matrix, subset_by_index=[size - count, size - 1], driver="evr", check_finite=False)[1]
    return vectors[:, ::-1]
