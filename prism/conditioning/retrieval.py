"""Exact l2 neighbours in the retrieval set D (paper sections 4.1, 4.2)."""

from abc import abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from typing_extensions import override

from prism_bench.prism.component import Component
from prism_bench.prism.data.split import Ids
from prism_bench.prism.encoders.base import Encoder, Vectors
from prism_bench.prism.encoders.pca import PixelsPCA
from prism_bench.prism.errors import ComputeError, InputError
from prism_bench.prism.rng import numpy_rng
from prism_bench.prism.sources import Sources, given, left_open

QUERY_BATCH = 1024
"""Queries per search, fixed: faiss distances differ in the last bits between batch sizes."""


@dataclass(frozen=True, kw_only=True)
class Retrieval(Component, family="retrieval"):
    """Which images of D stand as the neighbours of an image, and the embeddings that speak for them.

    normalise: unit-norm embeddings first, so that l2 order is cosine order (the paper does not say).
    exclude_self: an image of D is not its own neighbour (excluded by id; the paper's pseudo-query finds itself).
    Law: top-k lists are nested, so that one table serves every smaller k.
    """

    sources: ClassVar[Sources] = {
        "encoder": given("section 4.1: CLIP ViT-B/32"),
        "normalise": left_open("whether embeddings have unit length when neighbours are searched"),
        "exclude_self": left_open("whether a pseudo-query is its own first neighbour; excluded it is not"),
    }

    encoder: Encoder = PixelsPCA()
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

    @abstractmethod
    def blocks(self, vectors: Vectors, gallery: Ids, k: int, threads: int = 1) -> Iterator[tuple[int, Ids]]:
        """The k neighbours of every row of `vectors`, ids of the gallery, in blocks: (first row, int64 [b, k]).

        Raises:
            InputError: k exceeds the gallery.
        """


@dataclass(frozen=True, kw_only=True)
class Nearest(Retrieval, name="nearest"):
    """The nearest images of D in the encoder's space, by l2, exactly (paper sections 4.1 and 4.2)."""

    @override
    def blocks(self, vectors: Vectors, gallery: Ids, k: int, threads: int = 1) -> Iterator[tuple[int, Ids]]:
        return nearest(vectors, gallery, k, exclude_self=self.exclude_self, threads=threads)


@dataclass(frozen=True, kw_only=True)
class RandomNeighbours(Retrieval, name="random"):
    """Control: k images of D drawn at random, without replacement, once for each image."""

    def blocks(self, vectors: Vectors, gallery: Ids, k: int, threads: int = 1) -> Iterator[tuple[int, Ids]]:
        """A function of the image's id and of the gallery alone."""
        check_k(k, len(gallery), exclude_self=self.exclude_self)
        for start in range(0, len(vectors), QUERY_BATCH):
            rows = range(start, min(start + QUERY_BATCH, len(vectors)))
            yield start, np.stack([self._drawn(row, gallery, k) for row in rows])

    def _drawn(self, row: int, gallery: Ids, k: int) -> Ids:
        """The first k distinct ids of an endless stream of draws, which is why smaller k are prefixes."""
        rng = numpy_rng(0, "random neighbours", row)
        chosen: dict[int, None] = {}
        while len(chosen) < k:
            drawn = int(gallery[int(rng.random() * len(gallery))])
            if not (self.exclude_self and drawn == row):
                chosen[drawn] = None
        return np.fromiter(chosen, np.int64, k)


@dataclass(frozen=True, kw_only=True)
class ShuffledNeighbours(Retrieval, name="shuffled"):
    """Control: every image gets the nearest neighbours of another image, by one fixed permutation of all images.

    The sets look as they should, alike among themselves, but say nothing of the image they condition.
    """

    def blocks(self, vectors: Vectors, gallery: Ids, k: int, threads: int = 1) -> Iterator[tuple[int, Ids]]:
        """The rows of the nearest neighbours, permuted."""
        found = nearest(vectors, gallery, k, exclude_self=self.exclude_self, threads=threads)
        table = np.concatenate([block for _, block in found])
        yield 0, table[numpy_rng(0, "shuffled neighbours").permutation(len(table))]


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
    vectors: Vectors, gallery: Ids, k: int, *, first: int = 0, exclude_self: bool = False, threads: int = 1
) -> Iterator[tuple[int, Ids]]:
    """The k nearest gallery ids of every row of `vectors` from `first` on, in blocks: yields (row, int64 [b, k]).

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
    for start in range(first, len(vectors), QUERY_BATCH):
        queries = vectors[start : start + QUERY_BATCH]
        distances, positions = index.search(queries, wide)
        ids = gallery[positions]
        if exclude_self:
            own = ids == np.arange(start, start + len(queries))[:, None]
            distances = np.where(own, np.inf, distances)
        # Distances that differ by rounding alone count as equal.
        order = np.lexsort((ids, np.round(distances, 6)), axis=1)
        yield start, np.take_along_axis(ids, order, axis=1)[:, :k]
