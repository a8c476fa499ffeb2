"""What RISSOLE retrieves from: the codes of its database, and the neighbours of every image in the space of latents."""

from pathlib import Path
from typing import NamedTuple, Self

import numpy as np
import torch

from prism_bench.baselines.rissole.blocks import split
from prism_bench.baselines.rissole.first_stage.first_stage import BATCH, Autoencoder, Codes
from prism_bench.prism.conditioning.neighbour_search import ExactSearch
from prism_bench.prism.data.split import Ids
from prism_bench.prism.encoders.base import Vectors


class Database(NamedTuple):
    """ids: int64 [m], images of X. codes: [m, ...], theirs. neighbours: int64 [m, k], rows, each its own first."""

    ids: Ids
    codes: Codes
    neighbours: Ids

    def save(self, folder: Path) -> None:
        """A file each."""
        for name, values in self._asdict().items():
            np.save(folder / f"database_{name}.npy", values)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Memory-mapped."""
        return cls(*(np.load(folder / f"database_{name}.npy", mmap_mode="r") for name in cls._fields))

    def row(self, ids: Ids) -> Ids:
        """Where images stand; every id must be there."""
        order = np.argsort(self.ids)
        found: Ids = order[np.searchsorted(self.ids, ids, sorter=order)]
        return found


@torch.inference_mode()
def keys(module: Autoencoder, codes: Codes, factor: int, device: str, *, whole: bool) -> Vectors:
    """What is searched: whole latents, or their first block alone, flattened, float32, of unit length."""
    found = []
    for start in range(0, len(codes), BATCH):
        part = torch.from_numpy(np.ascontiguousarray(codes[start : start + BATCH])).to(device)
        latents = module.latents(part)
        flat = (latents if whole else split(latents, factor)[:, 0]).flatten(1)
        found.append(torch.nn.functional.normalize(flat, dim=1).cpu().numpy())
    return np.concatenate(found).astype(np.float32)


def rows_of(images: Ids, held: Ids) -> Ids | None:
    """Where each of some images stands in a database of others, -1 where it does not; None where none does."""
    places = {image: row for row, image in enumerate(held.tolist())}
    rows = np.array([places.get(image, -1) for image in images.tolist()], np.int64)
    return rows if (rows >= 0).any() else None


def retrieve(queries: Vectors, database: Vectors, k: int, *, threads: int, own: Ids | None = None) -> Ids:
    """Rows of the k nearest of the database by cosine, nearest first; without row own[i] for query i where given."""
    gallery = np.arange(len(database))
    wide = k if own is None else k + 1
    both = np.concatenate([database, queries])
    found = ExactSearch(both, gallery, wide, threads=threads)(np.arange(len(database), len(both)))
    if own is None:
        return found
    # A stable sort moves the row itself to the end; where it is not among them, the last one goes.
    order = np.argsort(found == own[:, None], axis=1, kind="stable")[:, :k]
    return np.take_along_axis(found, order, axis=1)
