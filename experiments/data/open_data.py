"""The data of a run: a dataset by name, or the user's own files, decoded once and published in the store."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, get_args

import numpy as np
import numpy.typing as npt
from rich.console import Console

from prism_bench.experiments.data.prepare import Ticker, prepared
from prism_bench.experiments.data.source import ImageSource
from prism_bench.prism.data.base import Dataset
from prism_bench.prism.data.colour import Remark
from prism_bench.prism.data.decode import Fit, check_resolution
from prism_bench.prism.data.official.paper_dataset import PaperDataset
from prism_bench.prism.data.user_images.image_files import ImageFiles, Ingested, ingest, listing_digest
from prism_bench.prism.engine.runtime import Runtime, write_json
from prism_bench.prism.engine.stage import perform
from prism_bench.prism.engine.store import Store
from prism_bench.prism.errors import InputError, closest
from prism_bench.prism.stages.data import DatasetStage, publish_images
from prism_bench.sealed import DamagedError, sealed, unsealed

NOTED = {"content": str, "title": str, "skipped": int, "remarks": list}
"""What the note of an import holds."""
SHOWN_CLASSES = 10


def open_data(
    path: Path | None,
    name: str | None,
    default: Dataset,
    *,
    resolution: int | None,
    skip_bad: bool,
    fit: Fit,
    store: Store,
    console: Console,
) -> ImageSource:
    """The files at `path` where it is given, or else the dataset called `name`, or else the default.

    Raises:
        InputError: both were given, there is no such dataset, or it needs files; or see `open_files`.
    """
    dataset = dataset_meant(path, name, default, resolution)
    if path is None:
        return _open_dataset(dataset, store, console)
    side = dataset.resolution
    return open_files(path, resolution=side, skip_bad=skip_bad, fit=fit, store=store, console=console)


def dataset_meant(path: Path | None, name: str | None, default: Dataset, resolution: int | None) -> Dataset:
    """Which dataset these options are about, before anything is read; the user's own files without their content.

    Raises:
        InputError: files and a name were given, there is no such dataset, or it has no such resolution.
    """
    if path is not None:
        if ":/" in str(path) and not path.exists():
            raise InputError(f"--data {path}: addresses are not read; download it, and give the path of what came")
        if name is not None:
            raise InputError(f"--data {path} and --dataset {name} exclude each other; give one")
        return ImageFiles(resolution=default.resolution if resolution is None else resolution)
    if name is None or name == default.name:
        dataset = default
    elif name == ImageFiles.name:
        raise InputError("--dataset files needs the files: give --data PATH (a folder, a .zip, an .npz or a .parquet)")
    else:
        dataset = Dataset.called(name)
    return dataset if resolution is None else dataset.replace(resolution=resolution)


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


def fit_called(name: str, *, files: bool) -> Fit:
    """What `--fit` names; InputError for another name, or where there are no files that it could be about."""
    found = next((one for one in get_args(Fit) if one == name), None)
    if found is None:
        raise InputError(f"--fit {name}: {closest(name, get_args(Fit))}")
    if found != "crop" and not files:
        raise InputError(f"--fit {name} is about pictures of your own; give them with --data PATH, or leave it out")
    fit: Fit = found
    return fit


def open_files(path: Path, *, resolution: int, skip_bad: bool, fit: Fit, store: Store, console: Console) -> ImageSource:
    """Decode the user's files, or find them in the store by the digest of their listing.

    Raises:
        InputError: see `prism.data.user_images.image_files.ingest`.
    """
    check_resolution(resolution)
    listing = listing_digest(path, resolution=resolution, skip_bad=skip_bad, fit=fit)
    note = store.root / "imports" / f"{listing}.json"
    known = _imported(note, resolution, store, console)
    if known is not None:
        return known
    with store.scratch("import", listing) as folder:
        # Another process may have decoded them while this one waited for it.
        known = _imported(note, resolution, store, console)
        if known is not None:
            return known
        where = f"{path} at {resolution}x{resolution}"
        console.print(f"Decoding the images of {where} ...", highlight=False, soft_wrap=True)
        file, progress = folder / "images.npy", Ticker(console)
        decoded = ingest(path, resolution=resolution, skip_bad=skip_bad, fit=fit, progress=progress, file=file)
        stage = DatasetStage(dataset=decoded.dataset, label=decoded.title)
        publish_images(stage, decoded.images, store, file)
        for name, reason in decoded.skipped:
            console.print(f"  skipped {name}: {reason}", highlight=False, markup=False, soft_wrap=True)
        skipped, remarks = len(decoded.skipped), [*decoded.remarks, *what_was_done(decoded)]
        # Files that changed while they were read are read again the next time.
        if listing_digest(path, resolution=resolution, skip_bad=skip_bad, fit=fit) == listing:
            note.parent.mkdir(exist_ok=True)
            content, title = decoded.dataset.content, decoded.title
            facts = {"content": content, "title": title, "skipped": skipped, "remarks": remarks}
            write_json(note, sealed(facts))
        return _source(stage, store, skipped=skipped, remarks=remarks)


def _imported(note: Path, resolution: int, store: Store, console: Console) -> ImageSource | None:
    """What was decoded before, where the store still holds it."""
    known = _noted(note)
    if known is None:
        return None
    files = ImageFiles(resolution=resolution, content=known["content"])
    stage = DatasetStage(dataset=files, label=known["title"])
    _set_aside_corrupted(stage, store, console)
    if store.manifest(stage.address) is None:
        return None
    return _source(stage, store, skipped=known["skipped"], remarks=known["remarks"])


def what_was_done(found: Ingested) -> Iterator[str]:
    """How many pictures were turned, cropped, converted ..., a line for each."""
    count = len(found.images.images)
    for remark in Remark:
        if found.done[remark] and remark is not Remark.RESIZED:
            other = " (--fit has other ways)" if remark is Remark.CROPPED else ""
            yield f"{found.done[remark]:,} of {count:,} pictures: {remark}{other}"


def _noted(path: Path) -> dict[str, Any] | None:
    """What was found the last time; None where nothing was, or the note is damaged: then all is read again."""
    try:
        known = unsealed(path.read_bytes())
    except (OSError, DamagedError):
        return None
    return known if NOTED.items() <= {name: type(value) for name, value in known.items()}.items() else None


def _set_aside_corrupted(stage: DatasetStage, store: Store, console: Console) -> None:
    """A corrupted copy of the data is set aside here, before anything reads it."""
    cleared = store.clear(stage.address)
    if cleared is not None:
        fault, kept = cleared
        text = f"{stage.title} was damaged ({fault}); it is made again, the old files are in {kept}"
        console.print(text, highlight=False, markup=False, soft_wrap=True)


def _classes(labels: npt.NDArray[np.int64], classes: Sequence[str]) -> str:
    """Their names and sizes, in a line."""
    counts = [f"{name} {count:,}" for name, count in zip(classes, np.bincount(labels), strict=True)]
    more = f" and {len(counts) - SHOWN_CLASSES} more" if len(counts) > SHOWN_CLASSES else ""
    return f"{len(counts):,} class{'' if len(counts) == 1 else 'es'}: {', '.join(counts[:SHOWN_CLASSES])}{more}"


def _source(
    stage: DatasetStage, store: Store, *, skipped: int = 0, remarks: Sequence[str] | None = None
) -> ImageSource:
    """A dataset in the store; remarks: of files of the user's, whose classes are named too."""
    folder = store.folder(stage.address)
    classes = tuple(json.loads((folder / "classes.json").read_text()))
    labels = np.load(folder / "labels.npy")
    told = () if remarks is None else (_classes(labels, classes), *remarks)
    return ImageSource(stage, stage.label, labels, classes, skipped, told)
