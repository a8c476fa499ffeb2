"""The seeded, stratified partition of X into the retrieval set D and the training set X_train (paper section 4.1)."""

from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import numpy as np
import numpy.typing as npt

from prism_bench.prism.component import Component
from prism_bench.prism.data.base import PAPER_RETRIEVAL_FRACTION
from prism_bench.prism.errors import InputError
from prism_bench.prism.rng import numpy_rng
from prism_bench.prism.sources import Sources, given, left_open

Ids = npt.NDArray[np.int64]


class Parts(NamedTuple):
    """Image ids. `train` is ordered so that every prefix is itself stratified: smaller sets are nested."""

    retrieval: Ids
    train: Ids


@dataclass(frozen=True, kw_only=True)
class Split(Component, family="split", name="stratified"):
    """D and X_train by class, proportions kept to within one image; depends on the data and this seed alone."""

    sources: ClassVar[Sources] = {
        "retrieval_fraction": given("section 5.1, Table 1"),
        "seed": left_open("one random partition, whose seed is not named"),
        "by_class": given("section 4.1", True, otherwise="the paper's partition is stratified by class"),
    }

    retrieval_fraction: float = PAPER_RETRIEVAL_FRACTION
    seed: int = 0
    by_class: bool = True

    def __post_init__(self) -> None:
        if not 0 < self.retrieval_fraction < 1:
            raise InputError(f"--retrieval-fraction must lie strictly between 0 and 1, not {self.retrieval_fraction}")

    def parts(self, labels: npt.NDArray[np.int64], classes: tuple[str, ...] = ()) -> Parts:
        """Partition the ids 0..N-1.

        Raises:
            InputError: a class has one image only, so that it cannot stand in both parts.
        """
        groups = labels if self.by_class else np.zeros_like(labels)
        kinds, sizes = np.unique(groups, return_counts=True)
        for kind, size in zip(kinds, sizes, strict=True):
            if size < 2:
                name = repr(classes[kind]) if self.by_class and int(kind) < len(classes) else str(kind)
                raise InputError(
                    f"class {name} has {size} image; a stratified split needs at least 2 in each class: "
                    "add images, remove or merge that class, or pass --no-stratify"
                )
        quota = _largest_remainder(sizes.astype(np.float64) * self.retrieval_fraction)
        # Both parts must keep at least one image of each class.
        quota = np.clip(quota, 1, sizes - 1)
        retrieval: list[Ids] = []
        train: list[Ids] = []
        rank: list[npt.NDArray[np.float64]] = []
        for kind, take in zip(kinds, quota, strict=True):
            rng = numpy_rng(self.seed, "split", int(kind))
            ids = rng.permutation(np.flatnonzero(groups == kind))
            retrieval.append(ids[:take])
            train.append(ids[take:])
            left = len(ids) - take
            rank.append((np.arange(left) + rng.random()) / left)
        order = np.argsort(np.concatenate(rank), kind="stable")
        return Parts(np.sort(np.concatenate(retrieval)), np.concatenate(train)[order])


def _largest_remainder(shares: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
    """Round shares to integers that sum to the rounded total, each within one of its share."""
    floors = np.floor(shares).astype(np.int64)
    missing = round(float(shares.sum())) - int(floors.sum())
    floors[np.argsort(floors - shares, kind="stable")[:missing]] += 1
    return floors
