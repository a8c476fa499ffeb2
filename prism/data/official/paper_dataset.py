"""The paper's datasets: what is known before their files are there, and what their official files must hold."""

from abc import abstractmethod
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import numpy.typing as npt
from typing_extensions import override

from prism_bench.prism.data.base import Dataset, Images, labels_of
from prism_bench.prism.data.decode import check_resolution, from_array
from prism_bench.prism.data.held_out import HeldOutImages
from prism_bench.prism.data.user_images.image_files import Progress, complaint, decode_all
from prism_bench.prism.data.user_images.picture_sources import Source
from prism_bench.prism.errors import InputError
from prism_bench.prism.images import Pixels


@dataclass(frozen=True)
class Supply:
    """Where a dataset is had: the official files, their size, the page that offers them, and the licence."""

    files: str
    size: str
    page: str
    licence: str


@dataclass(frozen=True, kw_only=True)
class PaperDataset(Dataset):
    """A dataset that plans can be made for without its files; `prism-bench data prepare` reads them once.

    Attributes: resolution (a positive multiple of 4), content and held_out_content (SHA-256, hex, of what was read from
    the official files as X and as test set; empty until they have been, or where there is no test set).
    """

    title: ClassVar[str]
    supply: ClassVar[Supply]
    classes: ClassVar[tuple[str, ...]]
    content: str = ""
    held_out_content: str = ""

    def __post_init__(self) -> None:
        check_resolution(self.resolution)

    @property
    def held_out(self) -> Dataset | None:
        """The published test set, where it was read with the rest."""
        if not self.held_out_content:
            return None
        return HeldOutImages(of=self.name, resolution=self.resolution, content=self.held_out_content)

    @property
    def label(self) -> str:
        """The dataset's own name."""
        return self.title

    @property
    @override
    def preparation(self) -> str:
        return (
            f"the pictures of {self.title} are not here; prism-bench data prepare {self.name} --from PATH --resolution "
            f"{self.resolution} reads {self.supply.files} ({self.supply.size}, {self.supply.page}) once, or give any "
            f"folder, .zip, .npz or .parquet of images: --data {self.name}=PATH"
        )

    @abstractmethod
    def read(self, path: Path, progress: Progress, file: Path | None = None) -> Images:
        """Check and decode the official files at `path`, uint8 [N, 3, R, R]; `progress` hears (done, total).

        file: an .npy file that takes the pixels, which are then memory-mapped (`new_rows`).

        Raises:
            InputError: other files, damaged or missing ones, or not as many images as there should be.
        """

    def read_held_out(self, path: Path) -> Images | None:
        """The published test set from the same files; None where it is not part of them, or is part of X."""
        return None

    def counted_labels(self, names: Sequence[str]) -> npt.NDArray[np.int64]:
        """A label for each class name, int64 [N]; the counts must be the declared ones.

        Raises:
            InputError: a class with another number of images than the official files have.
        """
        found = Counter(names)
        wrong = [
            f"{name} {found[name]:,} instead of {count:,}"
            for name, count in zip(self.classes, self.declared, strict=True)
            if found[name] != count
        ]
        if wrong:
            shown = ", ".join(wrong[:5]) + (f" and {len(wrong) - 5} more" if len(wrong) > 5 else "")
            raise InputError(
                f"{self.title}: wrong numbers of images: {shown}; fetch {self.supply.files} again from "
                f"{self.supply.page}, or run on what you have as images of your own: --data {self.name}=PATH"
            )
        return labels_of(names, self.classes)


def decode_pictures(source: Source, resolution: int, progress: Progress, file: Path | None = None) -> Pixels:
    """Every picture of an official archive; a single bad one is an error, for then the archive is not the official one.

    Raises:
        InputError: pictures that cannot be decoded.
    """
    pixels, bad = decode_all(source, resolution, progress, file=file)
    if bad:
        named = tuple((source.names[index], reason) for index, reason in sorted(bad.items()))
        remedy = "Fetch the archive again; this one is damaged"
        raise InputError(complaint(source.path, named, len(source.names), remedy))
    return pixels


def resized(pixels: Pixels, resolution: int) -> Pixels:
    """uint8 [n, 3, S, S] at another side, each picture by the filters of `prism.data.decode`."""
    if pixels.shape[-1] == resolution:
        return pixels
    return np.stack([from_array(image.transpose(1, 2, 0), resolution) for image in pixels])
