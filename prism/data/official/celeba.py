"""CelebA, the aligned and cropped pictures (Liu et al. 2015)."""

from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from prism_bench.prism.data.base import Images
from prism_bench.prism.data.official.paper_dataset import PaperDataset, Supply, decode_pictures
from prism_bench.prism.data.user_images.class_folders import ONE_CLASS
from prism_bench.prism.data.user_images.image_files import Progress
from prism_bench.prism.data.user_images.open_source import open_source
from prism_bench.prism.errors import InputError
from prism_bench.prism.sources import WHOLE, Sources, differs

PARTITIONS = "list_eval_partition.txt"
ATTRIBUTES = "list_attr_celeba.txt"
SHOWN = 3


@dataclass(frozen=True, kw_only=True)
class CelebA(PaperDataset, name="celeba"):
    """CelebA, 202,599 aligned faces at 64x64 (Liu et al. 2015); D and X_train as 162 : 70.

    The 178x218 pictures are cropped to their central 178x178 and reduced by Lanczos' filter, as the dataset tools of
    EDM and Patch Diffusion do with `--transform=center-crop`. Where list_eval_partition.txt and list_attr_celeba.txt
    lie beside the pictures, the partition (0 train, 1 validation, 2 test) and the forty attributes (-1 or 1) are kept.

    Differs from the paper: it counts 232K images, the aligned release has 202,599 (with CelebA-HQ's 30,000: 232,599).
    """

    sources: ClassVar[Sources] = {
        WHOLE: differs(
            "232K images in the paper, likely with CelebA-HQ: 202,599 + 30,000; here the 202,599 of the aligned release"
        )
    }

    title: ClassVar[str] = "CelebA"
    supply: ClassVar[Supply] = Supply(
        files="img_align_celeba.zip or its folder",
        size="1.4 GB",
        page="https://mmlab.ie.cuhk.edu.hk/projects/CelebA.html",
        licence="non-commercial research only",
    )
    classes: ClassVar[tuple[str, ...]] = (ONE_CLASS,)
    declared: ClassVar[tuple[int, ...]] = (202_599,)
    resolution: int = 64

    def read(self, path: Path, progress: Progress, file: Path | None = None) -> Images:
        """Every picture from 000001.jpg to the last must be there."""
        wanted = {f"{number:06d}.jpg": number - 1 for number in range(1, self.declared[0] + 1)}
        source = open_source(path).select(lambda name: PurePosixPath(name).name in wanted)
        held = {PurePosixPath(name).name for name in source.names}
        missing = [name for name in wanted if name not in held]
        if missing:
            more = f" and {len(missing) - SHOWN:,} more" if len(missing) > SHOWN else ""
            raise InputError(
                f"{path} lacks {', '.join(missing[:SHOWN])}{more} of {len(wanted):,} pictures; fetch "
                f"{self.supply.files} again from {self.supply.page}"
            )
        if len(source.names) != len(wanted):
            raise InputError(f"{path} holds some pictures twice; give the folder img_align_celeba alone")
        # Sorted by name is sorted by number.
        tables, labels = _tables(path, wanted), self.counted_labels([ONE_CLASS] * len(wanted))
        return Images(decode_pictures(source, self.resolution, progress, file), labels, self.classes, tables)


def _tables(path: Path, wanted: dict[str, int]) -> dict[str, npt.NDArray[np.float32]]:
    """The partition and the attributes, float32 [N] each, from the files beside the pictures."""
    places = [path, path.parent] if path.is_dir() else [path.parent]
    found: dict[str, npt.NDArray[np.float32]] = {}
    for name, heads in ((PARTITIONS, 0), (ATTRIBUTES, 2)):
        file = next((place / name for place in places if (place / name).is_file()), None)
        if file is not None:
            lines = file.read_text().splitlines()
            columns = lines[1].split() if heads else ["partition"]
            found |= _columns(file, lines[heads:], columns, wanted)
    return found


def _columns(
    file: Path, lines: list[str], columns: list[str], wanted: dict[str, int]
) -> dict[str, npt.NDArray[np.float32]]:
    table = np.full((len(wanted), len(columns)), np.nan, np.float32)
    for line in lines:
        name, *values = line.split() or [""]
        if name in wanted and len(values) == len(columns):
            table[wanted[name]] = [float(value) for value in values]
    if np.isnan(table).any():
        row = int(np.flatnonzero(np.isnan(table).any(axis=1))[0])
        raise InputError(f"{file} says nothing of {row + 1:06d}.jpg; fetch it again, or move it away to go without it")
    return {column: table[:, index] for index, column in enumerate(columns)}
