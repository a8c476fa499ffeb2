"""The data of a run: a dataset by name, or the user's own files, decoded once and published in the store."""

import json
from pathlib import Path

import numpy as np
from prism_bench.experiments.data.prepare import Ticker, prepared
from prism_bench.experiments.data.source import ImageSource
from prism_bench.prism.component import Json
from prism_bench.prism.data.base import Dataset
from prism_bench.prism.data.official.paper_dataset import PaperDataset
from prism_bench.prism.data.user_images.image_files import ImageFiles, ingest, listing_digest
from prism_bench.prism.engine.runtime import Runtime, write_json
from prism_bench.prism.engine.stage import perform
from prism_bench.prism.engine.store import Store
from prism_bench.prism.errors import InputError
from prism_bench.prism.stages.data import DatasetStage, publish_images
from rich.console import Console


def named_dataset(name: str | None, default: Dataset, resolution: int | None) -> Dataset:
    """The dataset called `name` (the scale's own where None), at `resolution` where given.

    Raises:
        InputError: no such dataset, or one that needs files.
    """
    if name is None or name == default.name:
        chosen = default
    elif name == ImageFiles.name:
        raise InputError("--dataset files needs the files: give --data PATH (a folder, a .zip or an .npz)")
    else:
        chosen = Dataset.called(name)
    return chosen if resolution is None else chosen.replace(resolution=resolution)


def open_dataset(dataset: Dataset, store: Store, console: Console) -> ImageSource:
    """Draw or load a named dataset, or take it from the store."""
    if isinstance(dataset, PaperDataset):
        dataset = prepared(dataset, store) or dataset
    stage = DatasetStage(dataset=dataset, label=dataset.label)
    _mend(stage, store, console)
    if store.manifest(stage.address) is None:
        if not dataset.declared:
            console.print(
                f"Preparing {dataset.label} at {dataset.resolution}x{dataset.resolution} ...", highlight=False
            )
        try:
            perform(stage, store, Runtime())
        except InputError as error:
            if not dataset.declared:
                raise
            return declared(stage, str(error))
    return _source(stage, dataset.label, store)


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
        InputError: both were given; see `open_files` and `named_dataset`.
    """
    if path is None:
        return open_dataset(named_dataset(name, default, resolution), store, console)
    if name is not None:
        raise InputError(f"--data {path} and --dataset {name} exclude each other; give one")
    side = resolution or default.resolution
    return open_files(path, resolution=side, skip_bad=skip_bad, store=store, console=console)


def declared(stage: DatasetStage, missing: str) -> ImageSource:
    """A dataset whose files are not there, as far as it is known: enough to plan with."""
    counts = stage.dataset.declared
    labels = np.repeat(np.arange(len(counts)), counts)
    return ImageSource(
        stage, stage.dataset.label, labels, tuple(str(index) for index in range(len(counts))), missing=missing
    )


def open_files(path: Path, *, resolution: int, skip_bad: bool, store: Store, console: Console) -> ImageSource:
    """Decode the user's files, or find them in the store by the digest of their listing.

    Raises:
        InputError: see `prism.data.user_images.image_files.ingest`.
    """
    listing = listing_digest(path, resolution=resolution, skip_bad=skip_bad)
    note = store.root / "imports" / f"{listing}.json"
    if note.exists():
        known = json.loads(note.read_text())
        stage = _stage(ImageFiles(resolution=resolution, content=known["content"]), known["title"])
        _mend(stage, store, console)
        if store.manifest(stage.address) is not None:
            return _source(stage, known["title"], store, skipped=known["skipped"])
    console.print(f"Decoding the images of {path} at {resolution}x{resolution} ...", highlight=False, soft_wrap=True)
    report = Ticker(console)
    found = ingest(path, resolution=resolution, skip_bad=skip_bad, progress=report)
    stage = _stage(found.dataset, found.title)
    publish_images(stage, found.images, store)
    for name, reason in found.skipped:
        console.print(f"  skipped {name}: {reason}", highlight=False, markup=False, soft_wrap=True)
    note.parent.mkdir(exist_ok=True)
    facts: Json = {"content": found.dataset.content, "title": found.title, "skipped": len(found.skipped)}
    write_json(note, facts)
    return _source(stage, found.title, store, skipped=len(found.skipped))


def _stage(dataset: Dataset, title: str) -> DatasetStage:
    return DatasetStage(dataset=dataset, label=title)


def _mend(stage: DatasetStage, store: Store, console: Console) -> None:
    """A corrupted copy of the data is set aside here, before anything reads it."""
    fault = store.fault(stage.address)
    if fault is not None:
        kept = store.set_aside(stage.address)
        text = f"{stage.title} was corrupted ({fault}); it is made again, the old files are in {kept}"
        console.print(text, highlight=False, markup=False, soft_wrap=True)


def _source(stage: DatasetStage, title: str, store: Store, *, skipped: int = 0) -> ImageSource:
    folder = store.folder(stage.address)
    classes = tuple(json.loads((folder / "classes.json").read_text()))
    return ImageSource(stage, title, np.load(folder / "labels.npy"), classes, skipped)
