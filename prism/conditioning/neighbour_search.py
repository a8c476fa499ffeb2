"""Search for the nearest vectors of a gallery by l2: exactly, at any scale and offset, in bounded memory.

faiss proposes in float32, from vectors off which the gallery's mean was taken: distances do not change, but what is
lost to rounding does. float64 decides, from the vectors as they are, for each pair by itself, so that the answer
depends on no batch, thread or library. Equal distances are ordered by id.
"""

import re
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from prism_bench.prism.data.split import Ids
from prism_bench.prism.encoders.base import Vectors
from prism_bench.prism.errors import ComputeError, InputError

if TYPE_CHECKING:
    import faiss

Search = Callable[[Ids], Ids]
"""Rows of the vectors, int64 [b], to their k neighbours, int64 [b, k], ids of the gallery, nearest first."""
Distances = npt.NDArray[np.float64]

QUERY_BATCH = 1024
"""Queries at a time."""
GALLERY_BYTES = 2**29
"""A larger gallery is searched in parts of this size."""
BLOCK = 8192
"""Vectors centred at a time."""
PAIRS = 2**17
"""Pairs of a query and a candidate at a time."""
NUMBERS = 2**16
"""Numbers of float64 at a time where pairs are compared exactly: as many as a processor's cache holds."""
SPARE = 4
"""Candidates beyond k: one for the query itself, the others for what float32 takes for farther than it is."""
APPROXIMATE = 256
"""Candidates that an index is asked for, whatever k, so that top-k lists are nested."""
TRAINED_ON = 2**18
"""At most this many vectors, evenly spaced, shape an index."""


def check_k(k: int, gallery: int, *, exclude_self: bool = False) -> None:
    """Raise InputError where k neighbours cannot be had from a gallery of that size."""
    largest = gallery - 1 if exclude_self else gallery
    if k > largest:
        raise InputError(
            f"{k} neighbours are asked for but the retrieval set D holds {gallery} images"
            f"{' and excludes the query itself' if exclude_self else ''}; ask for k <= {largest} "
            "(schedule.k_max, schedule.k_train, k_sample), use more images, or a larger --retrieval-fraction"
        )


class _Candidates:
    """The vectors as faiss sees them, and the order of what it proposes."""

    def __init__(self, vectors: Vectors, gallery: Ids, k: int, *, exclude_self: bool, threads: int) -> None:
        check_k(k, len(gallery), exclude_self=exclude_self)
        self.vectors, self.gallery, self.k = vectors, gallery, k
        self.exclude_self, self.threads = exclude_self, threads
        parts = [gallery[start : start + BLOCK] for start in range(0, len(gallery), BLOCK)]
        total, low, high = np.zeros(vectors.shape[1]), np.inf, -np.inf
        for part in parts:
            taken = vectors[part]
            total += taken.sum(axis=0, dtype=np.float64)
            low, high = np.minimum(low, taken.min(axis=0)), np.maximum(high, taken.max(axis=0))
        self.mean = total / len(gallery)
        largest = float(np.maximum(high - self.mean, self.mean - low).max())
        # A power of two, which rounds nothing: squares of very large and very small numbers stay within float32.
        self.scale = float(np.ldexp(1.0, -int(np.frexp(largest)[1])))

    def seen(self, rows: Ids) -> Vectors:
        """Rows of the vectors around the gallery's mean, of a size near 1, float32."""
        found = np.empty((len(rows), self.vectors.shape[1]), np.float32)
        for start in range(0, len(rows), BLOCK):
            found[start : start + BLOCK] = (self.vectors[rows[start : start + BLOCK]] - self.mean) * self.scale
        return found

    def ordered(self, rows: Ids, positions: Ids) -> tuple[Ids, Distances]:
        """The k nearest of the proposed positions in the gallery for each row, and their squared distances.

        A position of -1 proposes nothing; its distance is infinite, as the query's own where it is excluded.
        """
        ids = self.gallery[positions]
        squared = self.squared(np.repeat(rows, ids.shape[1]), ids.ravel()).reshape(ids.shape)
        squared[(positions < 0) | self._excluded(rows, ids)] = np.inf
        return self._first(ids, squared)

    def _excluded(self, rows: Ids, ids: Ids) -> npt.NDArray[np.bool_]:
        return (ids == rows[:, None]) if self.exclude_self else np.zeros(ids.shape, bool)

    def _first(self, ids: Ids, distances: Distances) -> tuple[Ids, Distances]:
        """The k nearest, equal ones by id."""
        order = np.lexsort((ids, distances), axis=1)[:, : self.k]
        return np.take_along_axis(ids, order, axis=1), np.take_along_axis(distances, order, axis=1)

    def squared(self, rows: Ids, ids: Ids) -> Distances:
        """Squared distances of rows to as many others, float64 [p]; those that differ by rounding alone are equal."""
        squared = np.empty(len(rows))
        step = max(1, NUMBERS // self.vectors.shape[1])
        for start in range(0, len(rows), step):
            part = slice(start, start + step)
            apart = np.subtract(self.vectors[rows[part]], self.vectors[ids[part]], dtype=np.float64)
            squared[part] = np.einsum("pd,pd->p", apart, apart)
        mantissa, exponent = np.frexp(squared)
        rounded: Distances = np.ldexp(np.round(np.ldexp(mantissa, 40)), exponent - 40)
        return rounded


class ExactSearch(_Candidates):
    """The k nearest of the gallery, for any row of the vectors.

    vectors: float32 [n, d], finite, memory-mapped if they are large. gallery: int64, rows of them. Where what float32
    leaves open could change the answer for a query, more candidates are compared, all of the gallery if need be.

    Raises:
        InputError: k exceeds the gallery.
    """

    def __init__(self, vectors: Vectors, gallery: Ids, k: int, *, exclude_self: bool = False, threads: int = 1) -> None:
        super().__init__(vectors, gallery, k, exclude_self=exclude_self, threads=threads)
        size = max(1, GALLERY_BYTES // (4 * vectors.shape[1]))
        self._starts = range(0, len(gallery), size)
        self._whole = self.seen(gallery) if len(self._starts) == 1 else None
        self._longest = np.inf if self._whole is None else float(np.linalg.norm(self._whole, axis=1).max()) * (1 + 1e-6)

    def __call__(self, rows: Ids) -> Ids:
        """The k nearest of some rows, int64 [b, k], nearest first."""
        found = np.empty((len(rows), self.k), np.int64)
        wide, left = min(self.k + SPARE, len(self.gallery)), np.arange(len(rows))
        while len(left):
            step = max(1, min(QUERY_BATCH, PAIRS // wide))
            certain = np.empty(len(left), bool)
            for start in range(0, len(left), step):
                part = left[start : start + step]
                found[part], certain[start : start + step] = self._nearest(rows[part], wide)
            wide, left = min(4 * wide, len(self.gallery)), left[~certain]
        return found

    def _nearest(self, rows: Ids, wide: int) -> tuple[Ids, npt.NDArray[np.bool_]]:
        """The k nearest by `wide` candidates, and whether no other can be among them.

        float64 decides between those alone that float32 cannot tell apart, or not from the k-th.
        """
        queries = self.seen(rows)
        distances, positions = self._proposed(queries, wide)
        ids, unlisted = self.gallery[positions], distances[:, -1].astype(np.float64)
        near = np.where(self._excluded(rows, ids), np.inf, distances.astype(np.float64))
        if self.exclude_self:
            order = np.argsort(near, axis=1, kind="stable")
            ids, near = np.take_along_axis(ids, order, axis=1), np.take_along_axis(near, order, axis=1)
        apart = 2 * self._rounding(queries, near[:, self.k - 1])[:, None]
        close = np.pad(np.diff(near, axis=1) <= apart, ((0, 0), (1, 1)))
        unclear = (close[:, :-1] | close[:, 1:]) & (near <= near[:, self.k - 1, None] + apart)
        row, column = np.nonzero(unclear)
        near[row, column] = self.squared(rows[row], ids[row, column]) * self.scale**2
        again = unclear.any(axis=1)
        ids[again, : self.k], near[again, : self.k] = self._first(ids[again], near[again])
        return ids[:, : self.k], (wide == len(self.gallery)) | (near[:, self.k - 1] + apart[:, 0] < unlisted)

    def _rounding(self, queries: Vectors, farthest: Distances) -> Distances:
        """How far a squared distance in float32 may be off, for what is no farther from a query than its k-th nearest.

        Of sums of d products by way of |q|^2 - 2qx + |x|^2, and of the vectors themselves, [b].
        """
        share, lengths = (queries.shape[1] + 8) * 2.0**-24, np.linalg.norm(queries.astype(np.float64), axis=1)
        known, found = np.clip(farthest, 0, None), np.zeros(len(queries))
        # The farthest is known up to rounding itself, and lies no further from the mean than this.
        for _ in range(2):
            reach = np.minimum(2 * lengths + np.sqrt(known + 2 * found), lengths + self._longest)
            found = share * reach**2
        return found

    def _proposed(self, queries: Vectors, wide: int) -> tuple[Vectors, Ids]:
        """The nearest `wide` in float32: squared distances and positions in the gallery."""
        import faiss

        faiss.omp_set_num_threads(self.threads)
        if self._whole is not None:
            distances, positions = faiss.knn(queries, self._whole, wide)
            return distances, positions
        distances, positions = np.empty((len(queries), 0), np.float32), np.empty((len(queries), 0), np.int64)
        for start, part in self._parts():
            near, where = faiss.knn(queries, part, min(wide, len(part)))
            distances, positions = np.hstack([distances, near]), np.hstack([positions, where + start])
            order = np.argsort(distances, axis=1, kind="stable")[:, :wide]
            distances = np.take_along_axis(distances, order, axis=1)
            positions = np.take_along_axis(positions, order, axis=1)
        return distances, positions

    def _parts(self) -> Iterator[tuple[int, Vectors]]:
        for start in self._starts:
            yield start, self.seen(self.gallery[start : start + self._starts.step])


class IndexSearch(_Candidates):
    """The k nearest of those that an index of faiss proposes, in their exact order.

    factory, parameters: see `new_index`.

    Raises:
        InputError: k exceeds the gallery, or what an index is asked for; vectors or gallery do not suit the index.
    """

    def __init__(
        self,
        vectors: Vectors,
        gallery: Ids,
        k: int,
        *,
        factory: str,
        parameters: str,
        exclude_self: bool = False,
        threads: int = 1,
    ) -> None:
        super().__init__(vectors, gallery, k, exclude_self=exclude_self, threads=threads)
        import faiss

        # One thread builds it: graphs that several build differ from run to run.
        faiss.omp_set_num_threads(1)
        self._index, self._words = new_index(vectors.shape[1], factory, parameters), f"the index {factory}"
        check_index(self._index, k, len(gallery))
        try:
            self._index.train(self.seen(gallery[:: max(1, -(-len(gallery) // TRAINED_ON))]))
            for start in range(0, len(gallery), BLOCK):
                self._index.add(self.seen(gallery[start : start + BLOCK]))
        except RuntimeError as error:
            raise InputError(
                f"{self._words} cannot be built over the {len(gallery)} images of D, {vectors.shape[1]} numbers each "
                f"({reason(error)}); ask for fewer cells (IVF256 needs at least 256 images), or use nearest"
            ) from None

    def __call__(self, rows: Ids) -> Ids:
        """The k nearest of some rows, int64 [b, k], nearest first; ComputeError where fewer were proposed."""
        import faiss

        faiss.omp_set_num_threads(self.threads)
        wide, found = min(APPROXIMATE, len(self.gallery)), np.empty((len(rows), self.k), np.int64)
        step = max(1, PAIRS // wide)
        for start in range(0, len(rows), step):
            part = rows[start : start + step]
            _, positions = self._index.search(self.seen(part), wide)
            found[start : start + step], squared = self.ordered(part, positions)
            if not np.isfinite(squared).all():
                which = int(np.flatnonzero(~np.isfinite(squared).all(axis=1))[0])
                raise ComputeError(
                    f"{self._words} finds only {int(np.isfinite(squared[which]).sum())} of {self.k} neighbours of "
                    f"image {part[which]}; let it look further (retrieval.parameters: nprobe=16), or use nearest"
                )
        return found


def new_index(dim: int, factory: str, parameters: str = "") -> "faiss.Index":
    """An empty index of faiss over `dim` numbers, by its factory string and the parameters of its searches.

    Raises:
        InputError: faiss knows no such index or parameter, or it does not suit `dim`.
    """
    import faiss

    try:
        index: faiss.Index = faiss.index_factory(dim, factory)
    except RuntimeError as error:
        raise InputError(
            f"retrieval.factory={factory!r} is no index that faiss can make ({reason(error)}); give one such as "
            "IVF256,Flat or HNSW32 (https://github.com/facebookresearch/faiss/wiki/The-index-factory)"
        ) from None
    try:
        faiss.ParameterSpace().set_index_parameters(index, parameters)  # type: ignore[arg-type]  # its stubs know one overload
    except RuntimeError as error:
        raise InputError(
            f"retrieval.parameters={parameters!r} does not go with {factory} ({reason(error)}); give such as nprobe=16 "
            "for IVF, efSearch=128 for HNSW, or nothing"
        ) from None
    return index


def check_index(index: "faiss.Index", k: int, gallery: int) -> None:
    """Raise InputError where the index cannot answer for k neighbours, or cannot be trained on so many images."""
    import faiss

    if k >= APPROXIMATE:
        raise InputError(f"{k} neighbours are more than an index is asked for ({APPROXIMATE - 1}); use nearest")
    cells = faiss.try_extract_index_ivf(index)
    if cells is not None and cells.nlist > gallery:
        raise InputError(
            f"retrieval.factory asks for {cells.nlist} cells, and the retrieval set D holds {gallery} images; ask for "
            "fewer, or use nearest"
        )


def reason(error: RuntimeError) -> str:
    """What faiss means, without where in its code it says so."""
    return re.split(r"\.cpp:\d+: (?:Error: '.*' failed: )?", str(error), maxsplit=1)[-1].strip()


def recall(found: Ids, exact: Ids) -> float:
    """The share of the exact neighbours that were found, [n, k] each, whatever the order."""
    return float(np.mean([np.isin(one, other).mean() for one, other in zip(exact, found, strict=True)]))
