"""Precision and recall (Kynkäänniemi et al. 2019, arXiv:1904.06991), density and coverage (Naeem et al. 2020,
arXiv:2002.09797): does every generated image lie among the real ones, and every real one among the generated?

Around each image lies a ball whose radius is the distance to its k-th nearest neighbour in its own set, itself not
counted. With r_i real and g_j generated features,

precision = share of g_j that lie in the ball of some r_i
recall    = share of r_i that lie in the ball of some g_j
density   = mean over g_j of (number of balls of r_i that hold g_j) / k
coverage  = share of r_i whose ball holds some g_j
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from typing_extensions import override

from prism_bench.prism.encoders.base import Vectors
from prism_bench.prism.errors import InputError
from prism_bench.prism.metrics.base import Facts, ReferenceMetric, Value

Distances = npt.NDArray[np.float32]
ROWS = 1024
"""Rows of a distance matrix held at once; bounds the memory."""


class PRDC(NamedTuple):
    """Precision, recall and coverage in [0, 1]; density is at least 0 and can exceed 1."""

    precision: float
    recall: float
    density: float
    coverage: float


@dataclass(frozen=True, kw_only=True)
class PrecisionRecall(ReferenceMetric, name="prdc"):
    """Precision, recall, density and coverage by exact nearest neighbours; 1 in expectation at equality, or nearly.

    neighbours: k of the balls' radii. 5, as Naeem et al. recommend; Kynkäänniemi et al. used 3. Recall and coverage
    grow with the number of generated images, so compare at equal n only.
    """

    neighbours: int = 5

    def __post_init__(self) -> None:
        self.check_least("metric", neighbours=1)

    @property
    def fewest(self) -> int:
        """One more than there are neighbours."""
        return max(self.min_samples, self.neighbours + 1)

    @override
    def of_reference(self, reference: Vectors) -> Facts:
        """The mean of the features, and each image's radius around it."""
        self._check_enough(len(reference))
        origin = _mean(reference)
        return {"origin": origin, "radii": _radii(_centred(reference, origin), self.neighbours)}

    @override
    def against(self, generated: Vectors, reference: Vectors, facts: Facts) -> tuple[Value, ...]:
        self._check_enough(min(len(generated), len(reference)))
        found = precision_recall(generated, reference, k=self.neighbours, origin=facts["origin"], radii=facts["radii"])
        n, reference_n, encoder = len(generated), len(reference), self.encoder
        return tuple(
            Value(f"{name}_{encoder.slug}", value, n, reference_n, "higher", f"{name} ({encoder.name})")
            for name, value in found._asdict().items()
        )

    def _check_enough(self, fewest: int) -> None:
        if fewest <= self.neighbours:
            raise InputError(f"metric {self.name} looks at {self.neighbours} neighbours; {fewest} images are too few")


def precision_recall(
    generated: npt.ArrayLike,
    reference: npt.ArrayLike,
    *,
    k: int,
    origin: npt.NDArray[np.float64] | None = None,
    radii: Distances | None = None,
) -> PRDC:
    """The four numbers of [n, d] and [m, d], k below n and m.

    Distances are float32, taken after moving the origin to the mean of the real features, which keeps the digits.
    origin, radii: `PrecisionRecall.of_reference`, where it is known.
    """
    import faiss

    origin = _mean(reference) if origin is None else origin
    one, other = (_centred(features, origin) for features in (generated, reference))
    radius_one, radius_other = _radii(one, k), _radii(other, k) if radii is None else radii
    among, recalled, covered = np.zeros(len(one), np.int64), np.zeros(len(other), bool), np.zeros(len(other), bool)
    for start in range(0, len(one), ROWS):
        rows = slice(start, start + ROWS)
        apart: Distances = faiss.pairwise_distances(one[rows], other)
        in_ball_of_real = apart <= radius_other
        among[rows] = in_ball_of_real.sum(axis=1)
        covered |= in_ball_of_real.any(axis=0)
        recalled |= (apart <= radius_one[rows, None]).any(axis=0)
    return PRDC(
        precision=float((among > 0).mean()),
        recall=float(recalled.mean()),
        density=float(among.mean() / k),
        coverage=float(covered.mean()),
    )


def _mean(features: npt.ArrayLike) -> npt.NDArray[np.float64]:
    mean: npt.NDArray[np.float64] = np.asarray(features).mean(axis=0, dtype=np.float64)
    return mean


def _centred(features: npt.ArrayLike, origin: npt.NDArray[np.float64]) -> Vectors:
    return np.ascontiguousarray(np.asarray(features) - origin, np.float32)


def _radii(features: Vectors, k: int) -> Distances:
    """Squared distance of each row to its k-th nearest other row, float32 [n]."""
    import faiss

    # The nearest of all is the row itself, or one that equals it.
    distances, _ = faiss.knn(features, features, k + 1)
    radii: Distances = distances[:, k]
    return radii
