"""Exact l2 neighbours in the retrieval set D (paper sections 4.1, 4.2)."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from prism.component import Component
from prism.data.split import Ids
from prism.encoders.base import Encoder, Vectors
from prism.encoders.pca import PixelsPCA
from prism.errors import ComputeError, InputError

QUERY_BATCH = 1024
"""Queries per search, fixed: faiss distances differ in the last bits between batch sizes."""


@dataclass(frozen=True, kw_only=True)
class Retrieval(Component, family="retrieval", name="nearest"):
    """Which images of D are the neighbours of an image: the nearest in an encoder's space, by l2.

    normalise: unit-norm embeddings first, so that l2 order is cosine order (the paper does not say).
    exclude_self: an image of D is not its own neighbour (excluded by id; the paper's pseudo-query finds itself).
    """

    encoder: Encoder = PixelsPCA()  # noqa: RUF009 - a frozen value
    normalise: bool = True
    exclude_self: bool = False

    def prepare(self, embeddings: Vectors) -> Vectors:
        """The vectors that are searched and that condition the network, float32 [n, d], checked to be finite."""
        if not np.isfinite(embeddings).all():
            row = int(np.flatnonzero(~np.isfinite(embeddings).all(axis=1))[0])
            raise ComputeError(f"the embedding of image {row} by {self.encoder.name} is not finite")
        if not self.normalise:
            return np.ascontiguousarray(embeddings, np.float32)
        norms = np.linalg.norm(embeddings, axis=1, keepdims=True)
        return np.ascontiguousarray(embeddings / np.maximum(norms, 1e-12), np.float32)


def check_k(k: int, gallery: int, *, exclude_self: bool = False) -> None:
    """Raise InputError where k neighbours cannot be had from a gallery of that size."""
    largest = gallery - 1 if exclude_self else gallery
    if k > largest:
        raise InputError(
            f"{k} neighbours are asked for but the retrieval set D holds {gallery} images"
            f"{' and excludes the query itself' if exclude_self else ''}; ask for k <= {largest} "
            "(schedule.k_max, schedule.k_train, k_sample), use more images, or a larger --retrieval-fraction"
        )


def nearest(
    vectors: Vectors, gallery: Ids, k: int, *, exclude_self: bool = False, threads: int = 1
) -> Iterator[tuple[int, Ids]]:
    """The k nearest gallery ids of every row of `vectors`, in blocks: yields (first row, int64 [b, k]).

    Exact search by faiss. Equal distances are ordered by id, so that duplicates cannot depend on the batch or the
    library. Top-k lists are nested: slice one table for any smaller k.

    Raises:
        InputError: k exceeds the gallery.
    """
    import faiss

    check_k(k, len(gallery), exclude_self=exclude_self)
    faiss.omp_set_num_threads(threads)
    index = faiss.IndexFlatL2(vectors.shape[1])
    index.add(vectors[gallery])
    # One more for the query itself, and some more so that ties at the end of the list are seen.
    wide = min(k + 17, len(gallery))
    for start in range(0, len(vectors), QUERY_BATCH):
        queries = vectors[start : start + QUERY_BATCH]
        distances, positions = index.search(queries, wide)
        ids = gallery[positions]
        if exclude_self:
            own = ids == np.arange(start, start + len(queries))[:, None]
            distances = np.where(own, np.inf, distances)
        # Distances that differ by rounding alone count as equal.
        order = np.lexsort((ids, np.round(distances, 6)), axis=1)
        yield start, np.take_along_axis(ids, order, axis=1)[:, :k]
