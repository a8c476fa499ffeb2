"""Do generated images copy real ones: those trained on, those retrieved, or the one that guided them?

The measure of "close" is taken from real images. d(x, S) is the distance of the features of x to the nearest of S.
The images of X_train are no part of D, and the other way round, so

    t_D     = the 1% quantile of d(x, D)       over the real x in X_train
    t_train = the 1% quantile of d(x, X_train) over the real x in D

are distances below which one real image in a hundred comes to an image that it is not a copy of, near-duplicates of
the dataset included. A generated image is called a copy of D where d(g, D) < t_D, of X_train where
d(g, X_train) < t_train, and of its pseudo-query q where d(g, q) < t_D. Images drawn from the true distribution would
give 1% for the first two. A sample that is far from every real image cannot be a copy, whatever the method does, so
the share that comes as near to D as the median real image of X_train stands beside, 50% for the true distribution:
where it is small, no copies prove nothing.

AuthPct (Alaa et al. 2022, arXiv:2102.08921, section 3.3): the share of generated images that are farther from their
nearest real image than that image is from its own nearest real neighbour, over all of X.
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt
from typing_extensions import override

from prism_bench.prism.data.split import Ids, Parts
from prism_bench.prism.encoders.base import Vectors
from prism_bench.prism.errors import ComputeError, InputError
from prism_bench.prism.metrics.base import Better, Facts, Measurement, MetricInputs, SplitMetric, Value

Distances = npt.NDArray[np.float64]
GROUP = "Memorisation"
COPIED_QUERY = "copied_query"
"""The start of the name of the share that copies its own pseudo-query."""
NEAR_D = "near_d"
"""The start of the name of the share that comes as near to D as the median real image does."""
AUTHPCT = "AuthPct: samples farther from their nearest real image than that one is from its own nearest real neighbour"


@dataclass(frozen=True)
class Resemblance:
    """Distances of features, float64, and the rows of the reference that they lead to.

    to_retrieval, to_train: [n], of each generated image to its nearest in D and in X_train.
    nearest_retrieval, nearest_train: int64 [n], which these are. to_query: [n], to its own pseudo-query.
    real_to_retrieval: of each image of X_train to its nearest in D. real_to_train: of each of D to X_train.
    authentic: bool [n].
    """

    to_retrieval: Distances
    to_train: Distances
    nearest_retrieval: Ids
    nearest_train: Ids
    to_query: Distances
    real_to_retrieval: Distances
    real_to_train: Distances
    authentic: npt.NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True)
class Memorisation(SplitMetric, name="memorisation"):
    """Shares of generated images that copy D, X_train or their own pseudo-query, and AuthPct.

    quantile: of the real images' distances, below which a generated image counts as a copy. The shares are in percent;
    of images drawn from the true distribution, 100 * quantile percent count as copies of D and as copies of X_train.
    """

    quantile: float = 0.01

    def __post_init__(self) -> None:
        if not 0 < self.quantile < 1:
            raise InputError(f"metric.quantile must lie strictly between 0 and 1, not {self.quantile}")

    shares_reference: ClassVar[bool] = True

    @override
    def reference_facts(self, inputs: MetricInputs) -> Facts:
        if inputs.parts is None:
            raise ComputeError(f"metric {self.name} needs the split of the real images")
        return distances_of(self._checked(inputs.reference_features, len(inputs.reference), "reference"), inputs.parts)

    @override
    def among(self, generated: Vectors, reference: Vectors, parts: Parts, inputs: MetricInputs) -> Measurement:
        if inputs.pseudo_queries is None:
            raise ComputeError(f"metric {self.name} needs the pseudo-query of each generated image")
        found = resemblance(generated, reference, parts, inputs.pseudo_queries, inputs.facts)
        near_d, near_train = (
            np.quantile(real, self.quantile) for real in (found.real_to_retrieval, found.real_to_train)
        )
        usual = np.median(found.real_to_retrieval)
        percent = f"{100 * (1 - self.quantile):g}%"
        about = (
            f"A sample counts as a copy of D where its nearest image of D is nearer than that of {percent} of the real "
            "images outside D, of X_train likewise, and of its pseudo-query where that is within the distance for D. "
            "It is near to D where that distance is at most the median of real images outside D"
        )
        shares: tuple[tuple[str, str, float, Better], ...] = (
            (COPIED_QUERY, "copies of their pseudo-query", (found.to_query < near_d).mean(), "lower"),
            ("copied_d", "copies of images of D", (found.to_retrieval < near_d).mean(), "lower"),
            ("copied_train", "copies of images of X_train", (found.to_train < near_train).mean(), "lower"),
            (NEAR_D, "as near to D as the median real image", (found.to_retrieval <= usual).mean(), "higher"),
            ("authpct", "AuthPct", found.authentic.mean(), "higher"),
        )
        values = tuple(
            Value(
                name=f"{name}_{self.encoder.slug}",
                value=100 * float(share),
                n=len(generated),
                reference_n=len(reference),
                better=better,
                label=f"{label} ({self.encoder.name})",
                unit="%",
                group=GROUP,
                about=about if name != "authpct" else AUTHPCT,
            )
            for name, label, share, better in shares
        )
        thresholds = {"threshold_retrieval": np.asarray(near_d), "threshold_train": np.asarray(near_train)}
        return Measurement(values, vars(found) | thresholds)


def distances_of(reference: Vectors, parts: Parts) -> Facts:
    """The middle of the real images, and how far those of X_train lie from D and those of D from X_train."""
    origin = np.asarray(reference, np.float64).mean(axis=0)
    real = _around(origin, reference)
    return {
        "origin": origin,
        "real_to_retrieval": _nearest(real[parts.train], real, parts.retrieval)[0],
        "real_to_train": _nearest(real[parts.retrieval], real, parts.train)[0],
    }


def _around(origin: Distances, features: Vectors) -> Vectors:
    """Moving the origin to the middle keeps the digits of float32."""
    return np.ascontiguousarray(features - origin, np.float32)


def resemblance(
    generated: Vectors, reference: Vectors, parts: Parts, queries: Ids, known: Facts | None = None
) -> Resemblance:
    """Exact distances of float32 [n, d] to rows of [m, d]. Both parts hold at least one row, the reference two.

    known: what `distances_of` says of the reference, where it has been asked before.
    """
    facts = distances_of(reference, parts) if known is None else known
    made, real = (_around(facts["origin"], features) for features in (generated, reference))
    to_retrieval, nearest_retrieval = _nearest(made, real, parts.retrieval)
    to_train, nearest_train = _nearest(made, real, parts.train)
    everyone = np.arange(len(real))
    to_any, nearest_any = _nearest(made, real, everyone)
    return Resemblance(
        to_retrieval=to_retrieval,
        to_train=to_train,
        nearest_retrieval=nearest_retrieval,
        nearest_train=nearest_train,
        to_query=np.linalg.norm((made - real[queries]).astype(np.float64), axis=1),
        real_to_retrieval=facts["real_to_retrieval"],
        real_to_train=facts["real_to_train"],
        authentic=to_any > _second(real, nearest_any),
    )


def _nearest(queries: Vectors, real: Vectors, rows: Ids) -> tuple[Distances, Ids]:
    """The distance of each query to the nearest of some rows, and which that is."""
    import faiss

    squares, positions = faiss.knn(queries, np.ascontiguousarray(real[rows]), 1)
    return np.sqrt(np.clip(squares[:, 0].astype(np.float64), 0, None)), rows[positions[:, 0]]


def _second(real: Vectors, chosen: Ids) -> Distances:
    """The distance of the chosen rows to their nearest other row."""
    import faiss

    rows, back = np.unique(chosen, return_inverse=True)
    # The nearest of all is the row itself, or one that equals it: then the distance is 0 either way.
    squares, _ = faiss.knn(np.ascontiguousarray(real[rows]), real, 2)
    return np.sqrt(np.clip(squares[:, 1].astype(np.float64), 0, None))[back]
