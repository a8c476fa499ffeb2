"""Writes a trained row as a folder to hand on: weights, what guides samples, config.json, and a model card."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from safetensors import safe_open
from safetensors.numpy import save_file as save_arrays
from safetensors.torch import save_file

from prism_bench import __version__
from prism_bench.experiments.options.exchange import FORMS, HandOnOptions
from prism_bench.experiments.screen import Screen
from prism_bench.experiments.tools.complete import complete
from prism_bench.experiments.tools.exchange.card import card
from prism_bench.experiments.tools.exchange.push import Target, push, target_of
from prism_bench.experiments.tools.exchange.row_results import RowResults, results_of
from prism_bench.experiments.tools.find import Trained, find_trained
from prism_bench.experiments.tools.sample import runtime_of
from prism_bench.prism.component import digest_of, load
from prism_bench.prism.engine.manifest import FileFacts
from prism_bench.prism.engine.runtime import as_json, write_bytes
from prism_bench.prism.engine.stage import Stage
from prism_bench.prism.engine.store import Store, file_digest
from prism_bench.prism.errors import InputError, closest
from prism_bench.prism.executors.local_pool import LocalPool
from prism_bench.prism.plugin_code import plugins_of
from prism_bench.prism.stages.data import open_parts
from prism_bench.prism.stages.model import TrainingStage
from prism_bench.prism.weights.export_folder import CONFIG, RETRIEVAL, WEIGHTS, DataFacts, ExportConfig
from prism_bench.sealed import sealed

CARD = "README.md"
LOG = "metrics.jsonl"


@dataclass(frozen=True)
class Exported:
    """What was written, and where it was uploaded to."""

    folder: Path
    config: ExportConfig
    address: str | None

    @property
    def files(self) -> list[str]:
        """By name."""
        return sorted([*self.config.files, CONFIG, CARD])


def run_export(options: HandOnOptions, screen: Screen) -> Exported:
    """Write the folder, and upload it where that is asked for: what is there is whole or not there at all.

    Raises:
        InputError: no such row, one that has not been trained or is damaged or learns nothing; a folder that holds
            something; a repository that cannot be uploaded to.
        ComputeError: the upload failed; the folder stays.
    """
    load(options.plugins)
    target = _check(options)
    store = Store(options.store.absolute())
    trained = find_trained(store, options.run, options.train_seed)
    check_whole(trained.stage, store)
    _make_inputs(trained.stage, options, store, screen)
    results = results_of(options.run, trained, store)
    screen.say(f"{trained.label}: training {trained.stage.address.key[:12]}")
    config = write_folder(trained, results, store, options)
    address = None if target is None else push(options.out, [*config.files, CONFIG, CARD], target)
    return Exported(options.out.absolute(), config, address)


def _check(options: HandOnOptions) -> Target | None:
    if options.to not in FORMS:
        raise InputError(f"--to {options.to}: {closest(options.to, FORMS)}")
    if options.push is not None and options.to != "hf":
        raise InputError(f"--push {options.push} uploads what --to hf writes; add --to hf")
    if options.out.is_dir() and any(options.out.iterdir()) and not options.force:
        raise InputError(f"{options.out} is not empty; name another folder, or write over it with --force")
    return None if options.push is None else target_of(options.push, options.endpoint, public=options.public)


def check_whole(stage: TrainingStage, store: Store) -> None:
    """Raise InputError where files of the training are not what was written, or hold no weights."""
    fault = store.fault(stage.address)
    if fault is not None:
        raise InputError(
            f"the training {stage.address.key[:12]} is damaged ({fault}); prism-bench cache verify --set-aside moves "
            "it out of the way, and the command that computed it makes it again"
        )
    with safe_open(store.folder(stage.address) / WEIGHTS, "pt") as weights:
        if not weights.keys():
            raise InputError(f"{stage.label} learns nothing: there are no weights to export; name another row")


def _make_inputs(stage: TrainingStage, options: HandOnOptions, store: Store, screen: Screen) -> None:
    """See that the list of D, and the table of neighbours where there is one, are there."""
    targets: list[Stage] = [stage.split, *([] if stage.neighbours is None else [stage.neighbours])]
    pool = LocalPool.one(store, runtime_of(options.device), options.plugins, here=not options.workers)
    complete(targets, store, pool, screen)


def write_folder(trained: Trained, results: RowResults | None, store: Store, options: HandOnOptions) -> ExportConfig:
    """Write everything, config.json last: without it the folder is no export."""
    with _beside(options.out) as work:
        _write_files(trained.stage, store, work)
        config = _config(trained, store, work)
        text = card(config, trained, results, licence=options.licence, hub=options.to == "hf")
        write_bytes(work / CARD, text.encode())
        write_bytes(work / CONFIG, as_json(sealed(config.model_dump(mode="json"))))
        (options.out / CONFIG).unlink(missing_ok=True)
        for file in (*config.files, CARD, CONFIG):
            (work / file).replace(options.out / file)
    return config


@contextmanager
def _beside(out: Path) -> Iterator[Path]:
    """A folder in `out`, on the same disk, that is gone afterwards; where work in it fails, `out` is as it was."""
    there = out.exists()
    out.mkdir(parents=True, exist_ok=True)
    try:
        with tempfile.TemporaryDirectory(prefix=".export-", dir=out) as name:
            yield Path(name)
    except BaseException:
        if not there:
            with suppress(OSError):
                out.rmdir()
        raise


def _write_files(stage: TrainingStage, store: Store, folder: Path) -> None:
    """What the method's `load` reads, and of D what sampling looks at."""
    source = store.folder(stage.address)
    manifest = store.manifest(stage.address)
    for name in () if manifest is None else manifest.files:
        if name == WEIGHTS:
            _copy_weights(source / name, folder / name)
        elif name != LOG:
            shutil.copyfile(source / name, folder / name)
    if not stage.method.guided:
        return
    ids = open_parts(store.folder(stage.split.address)).retrieval
    arrays = {"ids": np.ascontiguousarray(ids)}
    if stage.neighbours is not None:
        tables = store.folder(stage.neighbours.address)
        for name in ("vectors", "neighbours"):
            arrays[name] = np.ascontiguousarray(np.load(tables / f"{name}.npy", mmap_mode="r")[ids])
    save_arrays(arrays, folder / RETRIEVAL, {"format": "pt"})


def _copy_weights(source: Path, target: Path) -> None:
    """The same tensors, in a file that says of what library they are, as other programs want it."""
    with safe_open(source, "pt") as file:
        metadata = file.metadata() or {}
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a dict
    save_file(tensors, target, {**metadata, "format": "pt"})


def _config(trained: Trained, store: Store, folder: Path) -> ExportConfig:
    stage = trained.stage
    dataset, parts = stage.data.dataset, open_parts(store.folder(stage.split.address))
    dim = width = 0
    if stage.neighbours is not None:
        tables = store.folder(stage.neighbours.address)
        dim, width = (np.load(tables / name, mmap_mode="r").shape[1] for name in ("vectors.npy", "neighbours.npy"))
    method, sampler = stage.method.to_json(), trained.sampler.to_json()
    files = {
        path.name: FileFacts(sha256=file_digest(path), bytes=path.stat().st_size) for path in sorted(folder.iterdir())
    }
    return ExportConfig(
        version=__version__,
        label=trained.label,
        method=method,
        method_digest=digest_of(method),
        resolution=dataset.resolution,
        embedding_dim=dim,
        width=width,
        sampler=sampler,
        k_sample=trained.k_sample,
        training=stage.address.key,
        train_seed=stage.seed,
        data=DataFacts(
            label=dataset.label if trained.record is None else trained.record.dataset.label,
            digest=stage.data.address.key,
            dataset=dataset.to_json(),
            split=stage.split.split.to_json(),
            images=len(parts.retrieval) + len(parts.train),
            retrieval=len(parts.retrieval),
            train=len(parts.train),
        ),
        plugins=tuple(sorted(set(plugins_of([method, sampler])))),
        files=files,
    )
