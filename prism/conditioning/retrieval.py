"""Which images of the retrieval set D stand as neighbours: the nearest by l2 (paper sections 4.1, 4.2), or others."""

from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from typing_extensions import override

from prism_bench.prism.component import Component
from prism_bench.prism.conditioning.neighbour_search import (
    ExactSearch,
    IndexSearch,
    Search,
    check_index,
    check_k,
    new_index,
)
from prism_bench.prism.data.split import Ids
from prism_bench.prism.encoders.base import Encoder, Vectors
from prism_bench.prism.encoders.pca import PixelsPCA
from prism_bench.prism.errors import ComputeError
from prism_bench.prism.rng import numpy_rng
from prism_bench.prism.sources import Sources, differs, given, left_open

DIVISIBLE = 20_160
"""A dimension that most numbers of parts divide, to try an index's string on."""


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

    approximate: ClassVar[bool] = False
    """True where nearest neighbours may be missed: how many are found is measured and told."""

    def prepare(self, embeddings: Vectors, first: int = 0) -> Vectors:
        """The vectors that are searched and that condition the network, float32 [n, d], checked to be finite.

        Each row by itself: large sets are prepared in parts. first: which image the first row is.
        """
        if not np.isfinite(embeddings).all():
            row = first + int(np.flatnonzero(~np.isfinite(embeddings).all(axis=1))[0])
            raise ComputeError(f"the embedding of image {row} by {self.encoder.name} is not finite")
        if not self.normalise:
            return np.ascontiguousarray(embeddings, np.float32)
        norms = np.linalg.norm(embeddings, axis=1, keepdims=True)
        return np.ascontiguousarray(embeddings / np.maximum(norms, 1e-12), np.float32)

    def check(self, k: int, gallery: int) -> None:
        """Raise InputError where it is known beforehand that k neighbours cannot be had from so many images."""
        check_k(k, gallery, exclude_self=self.exclude_self)

    @abstractmethod
    def search(self, vectors: Vectors, gallery: Ids, k: int, threads: int = 1) -> Search:
        """Make ready to say the k neighbours of any rows of `vectors`, ids of the gallery: the same in any order.

        Raises:
            InputError: k exceeds the gallery.
        """


@dataclass(frozen=True, kw_only=True)
class Nearest(Retrieval, name="nearest"):
    """The nearest images of D in the encoder's space, by l2, exactly (paper sections 4.1 and 4.2)."""

    @override
    def search(self, vectors: Vectors, gallery: Ids, k: int, threads: int = 1) -> Search:
        return ExactSearch(vectors, gallery, k, exclude_self=self.exclude_self, threads=threads)


@dataclass(frozen=True, kw_only=True)
class FaissIndex(Retrieval, name="faiss-index"):
    """The nearest images of D that an index of faiss finds, for a D too large to be searched whole.

    Attributes: factory (faiss's string for an index: IVF256,Flat, HNSW32, ...), parameters (parameters of its searches:
    nprobe=16; empty: its own). What it proposes is ordered by exact l2.
    """

    sources: ClassVar[Sources] = {
        "factory": differs("an index of faiss in place of an exact search"),
        "parameters": differs("an index of faiss in place of an exact search"),
    }

    approximate: ClassVar[bool] = True
    factory: str = "HNSW32"
    parameters: str = ""

    def __post_init__(self) -> None:
        new_index(DIVISIBLE, self.factory, self.parameters)

    @override
    def check(self, k: int, gallery: int) -> None:
        super().check(k, gallery)
        check_index(new_index(self.encoder.features or DIVISIBLE, self.factory, self.parameters), k, gallery)

    @override
    def search(self, vectors: Vectors, gallery: Ids, k: int, threads: int = 1) -> Search:
        return IndexSearch(
            vectors,
            gallery,
            k,
            factory=self.factory,
            parameters=self.parameters,
            exclude_self=self.exclude_self,
            threads=threads,
        )


@dataclass(frozen=True, kw_only=True)
class RandomNeighbours(Retrieval, name="random"):
    """Control: k images of D drawn at random, without replacement, once for each image."""

    def search(self, vectors: Vectors, gallery: Ids, k: int, threads: int = 1) -> Search:
        """A function of the image's id and of the gallery alone."""
        check_k(k, len(gallery), exclude_self=self.exclude_self)
        return lambda rows: np.stack([self._drawn(int(row), gallery, k) for row in rows])

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

    The sets look as they should, alike among themselves, but say nothing of the image they condition. Of all images
    the permutation leaves one in its place, on average; `exclude_self` leaves out the other image, not the one that is
    conditioned.
    """

    def search(self, vectors: Vectors, gallery: Ids, k: int, threads: int = 1) -> Search:
        """The nearest neighbours of the image that stands in its place."""
        nearest = ExactSearch(vectors, gallery, k, exclude_self=self.exclude_self, threads=threads)
        others = numpy_rng(0, "shuffled neighbours").permutation(len(vectors))
        return lambda rows: nearest(others[rows])
