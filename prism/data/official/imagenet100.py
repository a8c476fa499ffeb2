"""ImageNet-100: a hundred classes of ImageNet (Russakovsky et al. 2015), at 64x64."""

import re
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path, PurePosixPath
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from prism_bench.prism.data.base import Images, labels_of
from prism_bench.prism.data.official.paper_dataset import PaperDataset, Supply, decode_pictures, resized
from prism_bench.prism.data.official.pickles import read_batch
from prism_bench.prism.data.user_images.image_files import Progress, new_rows
from prism_bench.prism.data.user_images.open_source import open_source
from prism_bench.prism.errors import InputError
from prism_bench.prism.images import Pixels
from prism_bench.prism.sources import WHOLE, Sources, left_open

SIDE = 64
BATCHES = tuple(f"train_data_batch_{number}" for number in range(1, 11))
CLASS_MAP = "map_clsloc.txt"
COUNT = 100
WORDNET_ID = re.compile(r"n\d{8}")
USUAL = tuple(files("prism_bench.prism.data.official").joinpath("imagenet100.txt").read_text().split())
"""The hundred WordNet ids of Contrastive Multiview Coding (Tian et al. 2019, arXiv:1906.05849), the list most work on
"ImageNet-100" uses, sorted. The paper does not say which it used."""


@dataclass(frozen=True, kw_only=True)
class ImageNet100(PaperDataset, name="imagenet100"):
    """ImageNet-100, 100 classes of ImageNet at 64x64, about 130,000 images; D 100K, X_train 30K.

    Read from the downsampled ImageNet 64x64 (Chrabaszcz et al. 2017, arXiv:1707.08819; its ten training batches in one
    folder, beside map_clsloc.txt of the ILSVRC development kit, which says what its labels are), or from ILSVRC's
    training folders, one for each WordNet id: cropped to the central square and reduced by Lanczos' filter.

    Attributes: class_list (100 WordNet ids, sorted).

    Differs from the paper: the classes are not named there, and no hundred classes have exactly 130K images; 1,300 a
    class, the most there are, are declared for planning, and what was found is used.
    """

    sources: ClassVar[Sources] = {
        WHOLE: left_open("which hundred classes; here those that are usual, about 126,000 images of 130K")
    }

    title: ClassVar[str] = "ImageNet-100"
    supply: ClassVar[Supply] = Supply(
        files=f"the unpacked Imagenet64_train_part1.zip and part2.zip with {CLASS_MAP}, or ILSVRC's class folders",
        size="13 GB, or 138 GB",
        page="https://image-net.org/download-images.php",
        licence="non-commercial research, by ImageNet's terms of access",
    )
    declared: ClassVar[tuple[int, ...]] = (1300,) * COUNT
    retrieval_fraction: ClassVar[float] = 100 / 130
    resolution: int = 64
    class_list: tuple[str, ...] = USUAL

    def __post_init__(self) -> None:
        super().__post_init__()
        wrong = [name for name in self.class_list if not WORDNET_ID.fullmatch(name)]
        if wrong:
            raise InputError(f"{wrong[0]!r} is not a WordNet id such as n01558993; write one on each line")
        if len(set(self.class_list)) != COUNT or len(self.class_list) != COUNT:
            raise InputError(f"{len(set(self.class_list))} different classes are named; ImageNet-100 has {COUNT}")

    def read(self, path: Path, progress: Progress, file: Path | None = None) -> Images:
        """Batches where the folder holds them, else pictures."""
        batches = path.is_dir() and any((path / name).is_file() for name in BATCHES)
        pixels, names = (self._from_batches if batches else self._from_pictures)(path, progress, file)
        empty = sorted(set(self.class_list) - set(names))
        if empty:
            raise InputError(
                f"{path} holds no image of {len(empty)} of the {COUNT} classes ({', '.join(empty[:5])}, ...); "
                f"give {self.supply.files} from {self.supply.page}"
            )
        order = tuple(sorted(self.class_list))
        return Images(pixels, labels_of(names, order), order)

    def _from_pictures(self, path: Path, progress: Progress, file: Path | None) -> tuple[Pixels, list[str]]:
        wanted = set(self.class_list)
        source = open_source(path).select(lambda name: PurePosixPath(name).parent.name in wanted)
        names = [PurePosixPath(name).parent.name for name in source.names]
        return (decode_pictures(source, self.resolution, progress, file) if names else np.empty(0, np.uint8)), names

    def _from_batches(self, path: Path, progress: Progress, file: Path | None) -> tuple[Pixels, list[str]]:
        wanted, names = set(self.class_list), list[str]()
        with closing(new_rows(path, sum(self.declared), self.resolution, file)) as rows:
            for images, classes in self._batches(path, progress):
                kept = [index for index, name in enumerate(classes) if name in wanted]
                if kept:
                    rows.write(len(names), resized(images[kept], self.resolution))
                names += [classes[index] for index in kept]
            rows.shorten(len(names))
            return rows.array(), names

    def _batches(self, path: Path, progress: Progress) -> Iterator[tuple[Pixels, list[str]]]:
        """Images and WordNet ids, one batch of about 128,000 at a time."""
        ids = _class_map(path / CLASS_MAP)
        for number, name in enumerate(BATCHES, start=1):
            file = path / name
            if not file.is_file():
                raise InputError(f"{path} lacks {name} of the {len(BATCHES)} batches; unpack both parts into it")
            images, labels = read_batch(file.read_bytes(), str(file), SIDE)
            yield images, _named(labels, ids, file)
            progress(number, len(BATCHES))


def _class_map(file: Path) -> dict[int, str]:
    """Label -> WordNet id. The labels of the downsampled batches are not in the order of the ids."""
    if not file.is_file():
        raise InputError(
            f"{file} is missing: it says which class a label of the batches is; take it from the ILSVRC development kit"
        )
    found = {}
    for line in file.read_text().splitlines():
        name, number, *_ = [*line.split(), "", ""]
        if not WORDNET_ID.fullmatch(name) or not number.isdigit():
            raise InputError(f"{file}: the line {line!r} is not of the form 'n02119789 1 kit_fox'; fetch it again")
        found[int(number)] = name
    return found


def _named(labels: npt.NDArray[np.int64], ids: dict[int, str], file: Path) -> list[str]:
    unknown = sorted(set(labels.tolist()) - ids.keys())
    if unknown:
        raise InputError(f"{file} holds the label {unknown[0]}, which {CLASS_MAP} does not name; fetch both again")
    return [ids[label] for label in labels.tolist()]


def read_class_list(file: Path) -> tuple[str, ...]:
    """The WordNet ids of a text file, one at the beginning of each line, sorted.

    Raises:
        InputError: the file cannot be read.
    """
    try:
        lines = file.read_text().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(
            f"--classes {file} cannot be read ({error}); give a text file of {COUNT} WordNet ids"
        ) from None
    return tuple(sorted(line.split()[0] for line in lines if line.strip()))
