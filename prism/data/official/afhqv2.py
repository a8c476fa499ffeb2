"""AFHQv2, animal faces (Choi et al. 2020)."""

from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import ClassVar

import numpy as np
from typing_extensions import override

from prism_bench.prism.data.base import Images
from prism_bench.prism.data.official.paper_dataset import PaperDataset, Supply, decode_pictures
from prism_bench.prism.data.user_images.image_files import Progress
from prism_bench.prism.data.user_images.open_source import open_source
from prism_bench.prism.errors import InputError
from prism_bench.prism.sources import WHOLE, Sources, differs

PARTITIONS = ("train", "test")


@dataclass(frozen=True, kw_only=True)
class AFHQv2(PaperDataset, name="afhqv2"):
    """AFHQv2, 15,803 animal faces (cat, dog, wild; train and test) at 64x64 (Choi et al. 2020); D 10K, X_train 5K.

    The 512x512 pictures are reduced by Lanczos' filter. The partition is kept: 0 train, 1 test.
    """

    sources: ClassVar[Sources] = {WHOLE: differs("15K images in the paper, 15,803 in the release with its test part")}

    title: ClassVar[str] = "AFHQv2"
    supply: ClassVar[Supply] = Supply(
        files="afhq_v2.zip or its folder (train and test, each with cat, dog and wild)",
        size="6.5 GB",
        page="https://github.com/clovaai/stargan-v2",
        licence="CC BY-NC 4.0",
    )
    classes: ClassVar[tuple[str, ...]] = ("cat", "dog", "wild")
    declared: ClassVar[tuple[int, ...]] = (5558, 5169, 5076)
    retrieval_fraction: ClassVar[float] = 10 / 15
    resolution: int = 64

    @override
    def read(self, path: Path, progress: Progress, file: Path | None = None) -> Images:
        source = open_source(path).select(lambda name: _places(name) is not None)
        places = [place for place in map(_places, source.names) if place is not None]
        if not places:
            raise InputError(
                f"{path} holds no pictures in train/cat, train/dog, train/wild, test/cat, ...; "
                f"give {self.supply.files} from {self.supply.page}"
            )
        # Counted before anything is decoded.
        labels = self.counted_labels([animal for _, animal in places])
        pixels = decode_pictures(source, self.resolution, progress, file)
        partition = np.array([PARTITIONS.index(part) for part, _ in places], np.float32)
        return Images(pixels, labels, self.classes, {"partition": partition})


def _places(name: str) -> tuple[str, str] | None:
    """(train or test, animal) by the last two folders of a name; None where they are others."""
    folders = PurePosixPath(name).parts[-3:-1]
    known = len(folders) == 2 and folders[0] in PARTITIONS and folders[1] in AFHQv2.classes
    return (folders[0], folders[1]) if known else None
