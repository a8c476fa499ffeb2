"""The dataset family and what a dataset delivers."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np
import numpy.typing as npt

from prism_bench.prism.component import Component
from prism_bench.prism.errors import InputError
from prism_bench.prism.images import Pixels

PAPER_RETRIEVAL_FRACTION = 162 / 232
"""CelebA's |D| : |X| in the paper (section 5.1, Table 1), our default for data the paper does not name."""


@dataclass(frozen=True)
class Images:
    """A decoded dataset in memory or memory-mapped.

    images: uint8 [N, 3, R, R]. labels: int64 [N], indices into `classes`.
    attributes: ground truth per image where it is known, name -> array [N, ...].
    """

    images: Pixels
    labels: npt.NDArray[np.int64]
    classes: tuple[str, ...]
    attributes: dict[str, npt.NDArray[np.float32]] = field(default_factory=dict)


def labels_of(names: Sequence[str], classes: Sequence[str]) -> npt.NDArray[np.int64]:
    """The index of each name in `classes`, int64 [N]."""
    number = {name: index for index, name in enumerate(classes)}
    return np.array([number[name] for name in names], np.int64)


@dataclass(frozen=True)
class Box:
    """A rectangle in fractions of the image's side: left <= x < right, top <= y < bottom."""

    left: float
    top: float
    right: float
    bottom: float

    def pixels(self, resolution: int) -> tuple[slice, slice]:
        """The (rows, columns) of the pixels that lie wholly inside; at least one pixel each way."""
        top, left = int(np.ceil(self.top * resolution)), int(np.ceil(self.left * resolution))
        bottom = max(int(self.bottom * resolution), top + 1)
        right = max(int(self.right * resolution), left + 1)
        return slice(top, bottom), slice(left, right)


@dataclass(frozen=True)
class AgreeingRegions:
    """Two regions that show the same colour in every real image; `far` ones never meet in one training patch."""

    name: str
    distance: Literal["far", "near"]
    one: Box
    other: Box


@dataclass(frozen=True, kw_only=True)
class Dataset(Component, family="dataset"):
    """A source of images. Its fields (and, for files, the digest of the decoded bytes) are its identity."""

    retrieval_fraction: ClassVar[float] = PAPER_RETRIEVAL_FRACTION
    agreeing: ClassVar[tuple[AgreeingRegions, ...]] = ()
    declared: ClassVar[tuple[int, ...]] = ()
    """Images of each class where they are known before the files are there: enough to plan, not to run."""
    resolution: int

    def build(self) -> Images:
        """Draw all images. Images that are read from files of the user's have `preparation` in its place.

        Raises:
            InputError: the source is missing, or images read from files are not in the store.
        """
        raise InputError(self.preparation)

    def write(self, file: Path) -> Images:
        """The same, the pixels written to an .npy file. For a set larger than memory: some rows at a time (`RowsFile`).

        Raises:
            InputError: see `build`.
        """
        drawn = self.build()
        np.save(file, drawn.images)
        return drawn

    @property
    def preparation(self) -> str:
        """What a user does whose store lacks images that are read from files."""
        raise NotImplementedError(f"{type(self).__name__} has neither `build` nor `preparation`; write one of them")

    @property
    def label(self) -> str:
        """What captions call it."""
        return self.name

    @property
    def held_out(self) -> "Dataset | None":
        """Images of the same kind that are no part of X; None where there are none."""
        return None
