"""CIFAR-10 in its version for Python (Krizhevsky 2009)."""

import hashlib
import tarfile
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from prism_bench.prism.data.base import Images
from prism_bench.prism.data.official.paper_dataset import PaperDataset, Supply, resized
from prism_bench.prism.data.official.pickles import read_batch
from prism_bench.prism.data.user_images.image_files import Progress, new_rows
from prism_bench.prism.errors import InputError
from prism_bench.prism.images import Pixels
from prism_bench.prism.sources import WHOLE, Sources, given

ARCHIVE = "cifar-10-python.tar.gz"
FOLDER = "cifar-10-batches-py"
SIDE = 32
LARGEST_BATCH = 10_000
"""Images of a batch."""


@dataclass(frozen=True, kw_only=True)
class Cifar10(PaperDataset, name="cifar10"):
    """CIFAR-10, 50,000 training images in ten classes, 32x32 (Krizhevsky 2009); D 40K, X_train 10K."""

    sources: ClassVar[Sources] = {WHOLE: given("section 5.1")}

    title: ClassVar[str] = "CIFAR-10"
    supply: ClassVar[Supply] = Supply(
        files=f"{ARCHIVE} or its folder {FOLDER}",
        size="163 MB",
        page="https://www.cs.toronto.edu/~kriz/cifar.html",
        licence="none stated; cite Krizhevsky 2009",
    )
    url: ClassVar[str] = f"https://www.cs.toronto.edu/~kriz/{ARCHIVE}"
    md5: ClassVar[str] = "c58f30108f718f92721af3b95e74349a"
    batches: ClassVar[dict[str, str]] = {
        "data_batch_1": "c99cafc152244af753f735de768cd75f",
        "data_batch_2": "d4bba439e000b95fd0a9bffe97cbabec",
        "data_batch_3": "54ebc095f3ab1f0389bbae665268c751",
        "data_batch_4": "634d18415352ddfa80567beed471001a",
        "data_batch_5": "482c414d41f54cd18b22e5b47cb7c3cb",
    }
    """Published MD5 of each batch of X."""
    test_batch: ClassVar[dict[str, str]] = {"test_batch": "40351d587109b95175f43aff81a1287e"}
    """No part of the paper's X: held out."""
    classes: ClassVar[tuple[str, ...]] = (
        "airplane",
        "automobile",
        "bird",
        "cat",
        "deer",
        "dog",
        "frog",
        "horse",
        "ship",
        "truck",
    )
    declared: ClassVar[tuple[int, ...]] = (5000,) * 10
    retrieval_fraction: ClassVar[float] = 40 / 50
    resolution: int = 32

    def read(self, path: Path, progress: Progress, file: Path | None = None) -> Images:
        """The archive, or the folder it unpacks to, with the published checksums."""
        pixels, labels = self._read(path, self.batches, progress, file)
        names = [self.classes[label] for label in labels]
        return Images(pixels, self.counted_labels(names), self.classes)

    def read_held_out(self, path: Path) -> Images | None:
        """The 10,000 test images, where the test batch is there."""
        if path.is_dir() and not (_folder(path) / next(iter(self.test_batch))).is_file():
            return None
        return Images(*self._read(path, self.test_batch, lambda *_: None), self.classes)

    def _read(
        self, path: Path, batches: Mapping[str, str], progress: Progress, file: Path | None = None
    ) -> tuple[Pixels, npt.NDArray[np.int64]]:
        """Images and labels of some batches."""
        labels: list[int] = []
        with closing(new_rows(path, LARGEST_BATCH * len(batches), self.resolution, file)) as rows:
            for number, (name, data) in enumerate(self._batches(path, batches), start=1):
                found, classes = read_batch(data, f"{path}: {name}", SIDE)
                if len(classes) and not 0 <= classes.min() <= classes.max() < len(self.classes):
                    raise InputError(f"{path}: {name} holds labels outside 0..9; fetch {ARCHIVE} again")
                rows.write(len(labels), resized(found, self.resolution))
                labels += classes.tolist()
                progress(number, len(batches))
            rows.shorten(len(labels))
            return rows.array(), np.array(labels, np.int64)

    def _batches(self, path: Path, batches: Mapping[str, str]) -> Iterator[tuple[str, bytes]]:
        """The batches in order, each of the published checksum."""
        members = self._unpacked(path, batches) if path.is_file() else None
        for name, published in batches.items():
            if members is not None:
                data = members.get(name)
            else:
                file = _folder(path) / name
                data = file.read_bytes() if file.is_file() else None
            if data is None:
                raise InputError(f"{path} lacks {name}; give {self.supply.files} from {self.supply.page}")
            _check_md5(data, published, f"{path}: {name}")
            yield name, data

    def _unpacked(self, path: Path, batches: Mapping[str, str]) -> dict[str, bytes]:
        _check_md5(path.read_bytes(), self.md5, str(path))
        found = {}
        try:
            with tarfile.open(path) as archive:
                for name in batches:
                    member = archive.extractfile(f"{FOLDER}/{name}")
                    if member is not None:
                        found[name] = member.read()
        except (tarfile.TarError, KeyError, EOFError, OSError) as error:
            raise InputError(f"{path} cannot be unpacked ({error}); fetch it again from {self.supply.page}") from None
        return found


def _folder(path: Path) -> Path:
    return path / FOLDER if (path / FOLDER).is_dir() else path


def _check_md5(data: bytes, published: str, where: str) -> None:
    found = hashlib.md5(data, usedforsecurity=False).hexdigest()
    if found != published:
        raise InputError(f"{where} has MD5 {found}, the published one is {published}; fetch it again")
