"""The data of a run: a dataset by name, or the user's own files, decoded once and published in the store."""

import json
from pathlib import Path

import numpy as np
from rich.console import Console

from prism_bench.experiments.data.prepare import Ticker, prepared
from prism_bench.experiments.data.source import ImageSource
from prism_bench.prism.data.base import Dataset
from prism_bench.prism.data.official.paper_dataset import PaperDataset
from prism_bench.prism.data.user_images.image_files import ImageFiles, ingest, listing_digest
from prism_bench.prism.engine.runtime import Runtime, write_json
from prism_bench.prism.engine.stage import perform
from prism_bench.prism.engine.store import Store
from prism_bench.prism.errors import InputError
from prism_bench.prism.stages.data import DatasetStage, publish_images


def open_data(
    path: Path | None,
    name: str | None,
    default: Dataset,
    *,
    resolution: int | None,
    skip_bad: bool,
    store: Store,
    console: Console,
) -> ImageSource:
    """The files at `path` where it is given, or else the dataset called `name`, or else the default.

    Raises:
        InputError: both were given, there is no such dataset, or it needs files; or see `open_files`.
    """
    if path is not None:
        if name is not None:
            raise InputError(f"--data {path} and --dataset {name} exclude each other; give one")
        side = resolution or default.resolution
        return open_files(path, resolution=side, skip_bad=skip_bad, store=store, console=console)
    if name is None or name == default.name:
        dataset = default
    elif name == ImageFiles.name:
        raise InputError("--dataset files needs the files: give --data PATH (a folder, a .zip or an .npz)")
    else:
        dataset = Dataset.called(name)
    if resolution is not None:
        dataset = dataset.replace(resolution=resolution)
    return _open_dataset(dataset, store, console)


def _open_dataset(dataset: Dataset, store: Store, console: Console) -> ImageSource:
    """Draw or load a named dataset, or take it from the store."""
    if isinstance(dataset, PaperDataset):
        dataset = prepared(dataset, store) or dataset
    stage = DatasetStage(dataset=dataset, label=dataset.label)
    _set_aside_corrupted(stage, store, console)
    if store.manifest(stage.address) is None:
        if not dataset.declared:
            side = f"{dataset.resolution}x{dataset.resolution}"
            console.print(f"Preparing {dataset.label} at {side} ...", highlight=False)
        try:
            perform(stage, store, Runtime())
        except InputError as error:
            if not dataset.declared:
                raise
            # As far as it is known without its files: enough to plan with.
            counts = np.arange(len(dataset.declared))
            labels, classes = np.repeat(counts, dataset.declared), tuple(map(str, counts))
            return ImageSource(stage, dataset.label, labels, classes, missing=str(error))
    return _source(stage, store)


def open_files(path: Path, *, resolution: int, skip_bad: bool, store: Store, console: Console) -> ImageSource:
    """Decode the user's files, or find them in the store by the digest of their listing.

    Raises:
        InputError: see `prism.data.user_images.image_files.ingest`.
    """
    listing = listing_digest(path, resolution=resolution, skip_bad=skip_bad)
    note = store.root / "imports" / f"{listing}.json"
    if note.exists():
        known = json.loads(note.read_text())
        files = ImageFiles(resolution=resolution, content=known["content"])
        stage = DatasetStage(dataset=files, label=known["title"])
        _set_aside_corrupted(stage, store, console)
        if store.manifest(stage.address) is not None:
            return _source(stage, store, skipped=known["skipped"])
    console.print(f"Decoding the images of {path} at {resolution}x{resolution} ...", highlight=False, soft_wrap=True)
    decoded = ingest(path, resolution=resolution, skip_bad=skip_bad, progress=Ticker(console))
    stage = DatasetStage(dataset=decoded.dataset, label=decoded.title)
    publish_images(stage, decoded.images, store)
    for name, reason in decoded.skipped:
        console.print(f"  skipped {name}: {reason}", highlight=False, markup=False, soft_wrap=True)
    note.parent.mkdir(exist_ok=True)
    skipped = len(decoded.skipped)
    write_json(note, {"content": decoded.dataset.content, "title": decoded.title, "skipped": skipped})
    return _source(stage, store, skipped=skipped)


def _set_aside_corrupted(stage: DatasetStage, store: Store, console: Console) -> None:
    """A corrupted copy of the data is set aside here, before anything reads it."""
    fault = store.fault(stage.address)
    if fault is not None:
        kept = store.set_aside(stage.address)
        text = f"{stage.title} was corrupted ({fault}); it is made again, the old files are in {kept}"
        console.print(text, highlight=False, markup=False, soft_wrap=True)


def _source(stage: DatasetStage, store: Store, *, skipped: int = 0) -> ImageSource:
    folder = store.folder(stage.address)
    classes = tuple(json.loads((folder / "classes.json").read_text()))
    return ImageSource(stage, stage.label, np.load(folder / "labels.npy"), classes, skipped)
