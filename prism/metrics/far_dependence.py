"""Global coherence without ground truth: do regions that no patch shows together depend on each other as they should?

The image is cut into 4 x 4 cells. Two cells at opposite ends, three rows or three columns apart, span the whole side,
and no training patch (at most half the side) ever shows both: whatever ties them together, a model can only know
through its conditioning or carry across from patch to patch. There are 30 such far pairs.

Each cell becomes its first few principal components (of the real cells at that place). For a far pair (a, b), the
singular vectors u_i, v_j of the cross-covariance of the whitened components are the directions in which the real cells
depend on each other most (canonical correlations, Hotelling 1936), found on one half of the real images. Of every
direction of one cell with every direction of the other,

    r_ij = corr(u_i . a, v_j . b)      over the generated images
    s_ij = corr(u_i . a, v_j . b)      over the other half of the real images

and with sums over all i and j of all far pairs,

    far dependence = 2 sum r s / (sum r^2 + sum s^2)

It is 1 where the two patterns of correlation are equal and 0 where cells of generated images are independent; both too
little and too much dependence lower it. Off the diagonal real images show next to nothing, so that a dependence of
another kind, one brightness or one colour over the whole image, counts against it. The halves are drawn from the images
in the order of their contents: names of files and their order change nothing. A correlation of n images has a variance
of about (1 - r^2) / (n - 2), which is taken off the squares, so that small samples are not favoured. Where sum s^2 lies
within three standard errors of what independent cells would give, there is nothing to keep and the value is 0, that of
the floor too. Correlations know nothing of the size of what they relate: how well each cell looks by itself does not
enter.
"""

from dataclasses import dataclass
from itertools import combinations
from typing import ClassVar

import numpy as np
import numpy.typing as npt
from typing_extensions import override

from prism_bench.prism.images import Pixels, content_order
from prism_bench.prism.metrics.base import Facts, ImageMetric, MetricInputs, Value
from prism_bench.prism.rng import numpy_rng

Array = npt.NDArray[np.float64]
CELLS = 4
"""Cells along a side."""
FINEST = 8
"""Pixels along the side of a cell at most; larger cells are averaged down."""
FAR = tuple(
    (one, other)
    for one, other in combinations(range(CELLS * CELLS), 2)
    if CELLS - 1 in (abs(one // CELLS - other // CELLS), abs(one % CELLS - other % CELLS))
)
"""Pairs of cells at opposite ends of the image."""
FLAT = 1e-6
"""Below this share of a cell's variance a component is rounding."""


@dataclass(frozen=True, kw_only=True)
class FarDependence(ImageMetric, name="far-dependence"):
    """Dependence of far-apart cells, as a share of what real images show: 1 as in real images, 0 for none.

    components: principal components of each cell.
    """

    version: ClassVar[int] = 2
    outcome: ClassVar[str] = "far_dependence"
    """The name of the number that claims are judged by."""
    components: int = 8

    def __post_init__(self) -> None:
        self.check_least("metric", components=1)

    @property
    def fewest(self) -> int:
        """A correlation needs more images than it has degrees of freedom."""
        return max(self.min_samples, 2 * self.components)

    shares_reference: ClassVar[bool] = True

    @override
    def reference_facts(self, inputs: MetricInputs) -> Facts:
        return patterns_of(inputs.reference, self.components)

    @override
    def values(self, inputs: MetricInputs) -> tuple[Value, ...]:
        share = far_dependence(inputs.generated, inputs.reference, components=self.components, known=inputs.facts)
        n, reference_n = len(inputs.generated), len(inputs.reference)
        return (Value(self.outcome, share, n, reference_n, "higher", "far dependence"),)


def patterns_of(reference: Pixels, components: int) -> Facts:
    """What the real images say alone: mean and axes of each cell; directions and correlations of each far pair.

    compared: the number of images that the correlations are of.
    """
    drawn, order = numpy_rng(0, "halves of the reference").permutation(len(reference)), content_order(reference)
    one, other = (order[np.sort(half)] for half in np.array_split(drawn, 2))
    fitted_cells = _cells(reference, one)
    bases = [_basis(cell, components) for cell in fitted_cells]
    fitted = _covariance(fitted_cells, bases)
    compared = _covariance(_cells(reference, other), bases)
    facts = {"compared": np.asarray(len(other))}
    for cell, (mean, axes) in enumerate(bases):
        facts |= {f"mean_{cell}": mean, f"axes_{cell}": axes}
    for pair, (rows, columns) in enumerate(_far(bases)):
        left, _, right = np.linalg.svd(fitted[rows, columns], full_matrices=False)
        real = _correlations(compared, rows, columns, left, right.T)
        facts |= {f"left_{pair}": left, f"right_{pair}": right.T, f"real_{pair}": real}
    return facts


def _far(bases: list[tuple[Array, Array]]) -> list[tuple[slice, slice]]:
    """Where the components of each far pair of cells stand among all."""
    starts = np.cumsum([0, *(axes.shape[1] for _, axes in bases)])
    return [(slice(*starts[first : first + 2]), slice(*starts[second : second + 2])) for first, second in FAR]


def far_dependence(generated: Pixels, reference: Pixels, *, components: int, known: Facts | None = None) -> float:
    """The share defined above, for uint8 [n, 3, R, R] and [m, 3, R, R], R a multiple of 4.

    known: what `patterns_of` says of the reference, where it has been asked before.
    """
    facts = patterns_of(reference, components) if known is None else known
    bases = [(facts[f"mean_{cell}"], facts[f"axes_{cell}"]) for cell in range(CELLS * CELLS)]
    made = _covariance(_cells(generated, content_order(generated)), bases)
    compared = int(facts["compared"])
    product = real_square = made_square = 0.0
    entries = 0
    for pair, (rows, columns) in enumerate(_far(bases)):
        r, s = _correlations(made, rows, columns, facts[f"left_{pair}"], facts[f"right_{pair}"]), facts[f"real_{pair}"]
        product += float((r * s).sum())
        made_square += _squares(r, len(generated))
        real_square += _squares(s, compared)
        entries += s.size
    # The square of one correlation of m independent pairs has a standard deviation of about sqrt(2) / m.
    if real_square <= 3 * np.sqrt(2 * entries) / compared:
        return 0.0
    return 2 * product / (max(made_square, 0.0) + real_square)


def _cells(images: Pixels, rows: npt.NDArray[np.int64]) -> list[Array]:
    """Each cell of some images as vectors in [0, 1], row by row: 16 arrays of float64 [n, d]."""
    side = images.shape[-1] // CELLS
    step = max(1, side // FINEST)
    used = side // step * step
    found = []
    for top in range(0, CELLS * side, side):
        for left in range(0, CELLS * side, side):
            cell = np.asarray(images[rows, :, top : top + used, left : left + used], np.float64) / 255
            blocks = cell.reshape(len(rows), 3, used // step, step, used // step, step).mean(axis=(3, 5))
            found.append(blocks.reshape(len(rows), -1))
    return found


def _basis(cell: Array, components: int) -> tuple[Array, Array]:
    """Mean [d] and whitening directions [d, c] of a cell's first components; none of a cell that does not vary."""
    mean = cell.mean(axis=0)
    centred = cell - mean
    variances, directions = np.linalg.eigh(centred.T @ centred / (len(cell) - 1))
    kept = np.argsort(variances)[::-1][:components]
    kept = kept[variances[kept] > max(FLAT * float(variances.sum()), 1e-12)]
    return mean, directions[:, kept] / np.sqrt(variances[kept])


def _covariance(cells: list[Array], bases: list[tuple[Array, Array]]) -> Array:
    """The covariance of the whitened components of all cells together."""
    together = np.concatenate(
        [(cell - mean) @ directions for cell, (mean, directions) in zip(cells, bases, strict=True)], axis=1
    )
    centred = together - together.mean(axis=0)
    covariance: Array = centred.T @ centred / (len(together) - 1)
    return covariance


def _correlations(covariance: Array, rows: slice, columns: slice, left: Array, right: Array) -> Array:
    """corr(u . a, v . b) [i, j] for every column u of `left` and v of `right`; 0 where a side does not vary."""
    shared = left.T @ covariance[rows, columns] @ right
    spreads = (
        np.einsum("ik,ij,jk->k", side, covariance[cell, cell], side) for side, cell in ((left, rows), (right, columns))
    )
    spread = np.sqrt(np.outer(*(np.clip(each, 0, None) for each in spreads)))
    found: Array = np.divide(shared, spread, out=np.zeros_like(shared), where=spread > 1e-10)
    return found


def _squares(correlations: Array, n: int) -> float:
    """The sum of squared correlations, less what sampling n images adds to it."""
    squares = np.square(correlations)
    return float((squares - (1 - squares) / (n - 2)).sum())
