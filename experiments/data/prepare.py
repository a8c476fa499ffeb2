"""The paper's datasets from their official files into the store, once; and what is known of them before."""

import time
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from prism_bench.experiments.formatting import duration
from prism_bench.experiments.options.data import PrepareOptions
from prism_bench.prism.component import Json, from_json
from prism_bench.prism.data.base import Dataset
from prism_bench.prism.data.official.cifar10 import ARCHIVE, Cifar10
from prism_bench.prism.data.official.imagenet100 import ImageNet100, read_class_list
from prism_bench.prism.data.official.paper_dataset import PaperDataset
from prism_bench.prism.data.user_images.image_files import content_of
from prism_bench.prism.engine.runtime import write_json
from prism_bench.prism.engine.store import Store, file_digest
from prism_bench.prism.errors import InputError
from prism_bench.prism.stages.data import DatasetStage, publish_images
from prism_bench.sealed import DamagedError, sealed, unsealed

NOTED = {"dataset", "images", "classes", "source"}
"""What the note of a preparation holds."""
BIG = 2**30
"""A file of more bytes is known by its name and size alone: its checksum would take as long as reading it."""


def paper_dataset(name: str) -> PaperDataset:
    """The paper's dataset of that name; InputError for another one."""
    found = Dataset.called(name)
    if not isinstance(found, PaperDataset):
        raise InputError(f"{name} needs no preparing; give it with --dataset {name}, or your images with --data PATH")
    return found


def prepare(options: PrepareOptions, console: Console) -> Path:
    """Read the official files, publish the images in the store, and return their folder.

    Raises:
        InputError: an unknown name, files that are not the official ones, or nothing to read from.
    """
    dataset = _wanted(options)
    store = Store.create(options.store)
    known = prepared(dataset, store)
    if known is not None and known == dataset.replace(content=known.content, held_out_content=known.held_out_content):
        console.print(f"{dataset.title} is prepared already", markup=False)
        return store.folder(DatasetStage(dataset=known).address)
    path = options.source if options.source is not None else _downloaded(dataset, store, console, options.download)
    if not path.exists():
        raise InputError(f"--from {path}: no such file or folder; {dataset.title} is {dataset.supply.files}")
    console.print(f"Reading {dataset.title} from {path} ...", markup=False, soft_wrap=True)
    with store.scratch("prepare", dataset.digest()) as folder:
        return _read(dataset, path, store, folder / "images.npy", console)


def _read(dataset: PaperDataset, path: Path, store: Store, file: Path, console: Console) -> Path:
    """Read the official files at `path`, the pixels into `file`, and publish what they hold."""
    try:
        images = dataset.read(path, Ticker(console), file)
        unseen = dataset.read_held_out(path)
    except InputError as error:
        # What reads pictures of the user's own speaks of the option that gives those.
        raise InputError(str(error).replace(f"--data {path}", f"--from {path}")) from None
    except OSError as error:
        raise InputError(f"--from {path}: cannot be read ({error.strerror}); check its permissions") from None
    found = dataset.replace(content=content_of(images), held_out_content="" if unseen is None else content_of(unseen))
    if unseen is not None and found.held_out is not None:
        publish_images(DatasetStage(dataset=found.held_out, label=f"{dataset.title}, held out"), unseen, store)
    stage = DatasetStage(dataset=found, label=dataset.title)
    publish_images(stage, images, store, file)
    counts: dict[str, Json] = {
        name: int(count) for name, count in zip(images.classes, np.bincount(images.labels), strict=True)
    }
    note: dict[str, Json] = {"dataset": found.to_json(), "images": len(images.labels), "classes": counts}
    _note(dataset, store).parent.mkdir(exist_ok=True)
    write_json(_note(dataset, store), sealed({**note, "source": _stamp(path)}))
    return store.folder(stage.address)


def prepared(dataset: PaperDataset, store: Store) -> PaperDataset | None:
    """What was last read as this dataset at this resolution; None where nothing was, or its copy has gone."""
    note = note_of(dataset, store)
    if note is None:
        return None
    known = from_json(note["dataset"])
    if not isinstance(known, PaperDataset) or store.manifest(DatasetStage(dataset=known).address) is None:
        return None
    return known


def note_of(dataset: PaperDataset, store: Store) -> dict[str, Any] | None:
    """What is remembered of the preparation: dataset, images, counts of classes, source; None where that is lost."""
    try:
        found = unsealed(_note(dataset, store).read_bytes())
    except (OSError, DamagedError):
        return None
    return found if found.keys() >= NOTED else None


def verified(dataset: PaperDataset, store: Store) -> str | None:
    """What is wrong with a prepared dataset's copy; None where checksums and numbers of images hold.

    The numbers are those of each class, as they were when the official files were checked.

    Raises:
        InputError: it has not been prepared.
    """
    known = prepared(dataset, store)
    if known is None:
        raise InputError(f"{dataset.title} has not been prepared; prism-bench data prepare {dataset.name} --from PATH")
    stage = DatasetStage(dataset=known)
    fault = store.fault(stage.address)
    if fault is not None:
        return fault
    counts = list((note_of(dataset, store) or {}).get("classes", {}).values())
    found = np.bincount(np.load(store.folder(stage.address) / "labels.npy"), minlength=len(counts)).tolist()
    return None if found == counts else f"it has {found} images in its classes instead of {counts}"


def _wanted(options: PrepareOptions) -> PaperDataset:
    dataset = paper_dataset(options.name)
    if options.resolution is not None:
        dataset = dataset.replace(resolution=options.resolution)
    if options.classes is not None:
        if not isinstance(dataset, ImageNet100):
            raise InputError(f"--classes chooses the classes of imagenet100; {options.name} has its own")
        dataset = dataset.replace(class_list=read_class_list(options.classes))
    return dataset


def _downloaded(dataset: PaperDataset, store: Store, console: Console, download: bool) -> Path:
    if not isinstance(dataset, Cifar10):
        word = "--download fetches CIFAR-10 alone: " if download else ""
        raise InputError(
            f"{word}{dataset.title} is given out by {dataset.supply.page} ({dataset.supply.licence}); "
            f"fetch {dataset.supply.files} ({dataset.supply.size}) and give it with --from PATH"
        )
    if not download:
        raise InputError(f"give {dataset.supply.files} with --from PATH, or let it be fetched with --download")
    from torchvision.datasets.utils import download_url

    folder = store.root / "downloads"
    console.print(f"Fetching {dataset.url} ({dataset.supply.size}) ...", markup=False, soft_wrap=True)
    try:
        # A file of another checksum, an interrupted one among them, is fetched anew.
        download_url(dataset.url, str(folder), ARCHIVE, dataset.md5)
    except (OSError, RuntimeError) as error:
        raise InputError(
            f"{dataset.url} could not be fetched ({error}); fetch it where there is a network and give it with --from"
        ) from None
    return folder / ARCHIVE


def _note(dataset: PaperDataset, store: Store) -> Path:
    return store.root / "prepared" / f"{dataset.name}-{dataset.resolution}px.json"


def _stamp(path: Path) -> dict[str, Json]:
    """Name, size and, for a file of moderate size, checksum."""
    if not path.is_file():
        return {"name": path.resolve().name}
    size = path.stat().st_size
    stamp: dict[str, Json] = {"name": path.name, "bytes": size}
    if size <= BIG:
        stamp["sha256"] = file_digest(path)
    return stamp


class Ticker:
    """Progress of the decoding, a line every ten seconds."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._began = self._told = time.monotonic()

    def __call__(self, done: int, total: int) -> None:
        """Say how far it is, where ten seconds have passed."""
        now = time.monotonic()
        if now - self._told > 10:
            self._told = now
            left = duration((now - self._began) * (total - done) / max(done, 1))
            self._console.print(f"  {done:,}/{total:,}, {left} left", highlight=False)
