"""From what a user types to a trained variant in the store: its stages, rebuilt from their manifests."""

from collections.abc import Container
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from prism_bench.analysis.schema.records import Cell, Record, load_record
from prism_bench.analysis.schema.stored_plans import load_tables
from prism_bench.experiments.store.inventory import check_store, lineage_of
from prism_bench.prism.component import from_json
from prism_bench.prism.engine.store import Address, Store
from prism_bench.prism.errors import InputError, closest
from prism_bench.prism.methods.sampling import Heun, Sampler
from prism_bench.prism.patch_diffusion.patch_method import PatchMethod
from prism_bench.prism.stages.data import DatasetStage, EmbeddingsStage, NeighboursStage, SplitStage
from prism_bench.prism.stages.model import TrainingStage

SHOWN = 5


@dataclass(frozen=True)
class Trained:
    """A training in the store; `record` is that of the table cell it was asked for by, None where by its own key."""

    stage: TrainingStage
    label: str
    record: Record | None

    @property
    def sampler(self) -> Sampler:
        """The sampler of its table cell, the paper's otherwise."""
        if self.record is None:
            return Heun()
        sampler: Sampler = from_json(self.record.config.sampling.sampler)
        return sampler

    @property
    def k_sample(self) -> int:
        """The number of neighbours of its table cell; otherwise that at the end of its training."""
        if self.record is not None:
            return self.record.config.sampling.k_sample
        method = self.stage.method
        if method.conditioning is None or not isinstance(method, PatchMethod):
            return 0
        return method.schedule.k(1.0)


def find_trained(store: Store, name: str, seed: int) -> Trained:
    """The training called `name`: the first characters of its key or of a record, or EXPERIMENT/ROW (at a seed).

    Raises:
        InputError: nothing or several things are called so, or its files are not there.
    """
    check_store(store.root, "train something first, or name its store with --store")
    records = {path.stem: path for path in sorted(store.root.glob("records/*.json"))}
    if "/" in name:
        return _open_record(store, records[_cell(store, name, seed, records)])
    trainings = sorted(path.name for path in store.root.glob("stages/training/*"))
    found = [key for key in (*trainings, *records) if name and key.startswith(name)]
    if not found:
        raise InputError(f"no training or record begins with {name!r}; {_there(store, trainings)}")
    if len(found) > 1:
        raise InputError(f"{name!r} may be any of {', '.join(found[:SHOWN])}; write more of it")
    if found[0] in records:
        return _open_record(store, records[found[0]])
    return _open(store, found[0], None)


def _cell(store: Store, name: str, seed: int, records: Container[str]) -> str:
    experiment, _, row = name.partition("/")
    _, cells = row_of(store, experiment, row)
    of_seed = [cell for cell in cells if cell.seed == seed]
    if not of_seed:
        seeds = ", ".join(str(cell.seed) for cell in cells)
        raise InputError(f"{name} has no seed {seed}; it has {seeds or 'none'} (--train-seed)")
    digest = of_seed[0].record
    if digest not in records:
        raise InputError(f"{name}, seed {seed} has not been computed yet; run {experiment} first")
    return digest


def row_of(store: Store, experiment: str, row: str) -> tuple[str, list[Cell]]:
    """A row's label and its cells, in the first table of each panel that has it, the latest tables first.

    Raises:
        InputError: there is no such row.
    """
    labels: dict[str, str] = {}
    cells: dict[str, dict[str, list[Cell]]] = {}
    for table in load_tables(experiment, store.root):
        # As the plans have them, with their settings: other tables may have others.
        named = {entry.id: entry.label for plan in reversed(table.sources) for entry in plan.rows}
        for entry in table.rows:
            labels.setdefault(entry.id, named[entry.id])
            cells.setdefault(entry.id, {}).setdefault(table.panel, list(entry.cells))
    if row not in cells:
        raise InputError(f"{experiment} has no row {row!r}; {closest(row, cells)}")
    return labels[row], [cell for own in cells[row].values() for cell in own]


def _there(store: Store, trainings: list[str]) -> str:
    labels = [f"{key[:8]} ({_label(store, key)})" for key in trainings[:SHOWN]]
    more = f" and {len(trainings) - SHOWN} more (prism-bench cache ls training)" if len(trainings) > SHOWN else ""
    return f"there are {', '.join(labels)}{more}" if labels else "the store holds no training yet"


def _label(store: Store, key: str) -> str:
    manifest = store.manifest(Address("training", key))
    return "unreadable" if manifest is None else manifest.label


def _open_record(store: Store, path: Path) -> Trained:
    record = load_record(path)
    return _open(store, record.stages["training"], record)


def _open(store: Store, key: str, record: Record | None) -> Trained:
    address = Address("training", key)
    manifest = store.manifest(address)
    if manifest is None or not (store.folder(address) / "model.safetensors").exists():
        raise InputError(
            f"the training {key[:12]} is not in the store {store.root} any more; type the command that computed it "
            "again (prism-bench cache why shows what it was)"
        )
    stage = training_stage(manifest.identity, manifest.label, store)
    if stage.address != address:
        raise InputError(
            f"the training {key[:12]} was made by another version of prism-bench, whose stages this one cannot use; "
            "train it again"
        )
    return Trained(stage, manifest.label, record)


def training_stage(identity: dict[str, Any], label: str, store: Store) -> TrainingStage:
    """The stage of a manifest's identity. Its neighbours are the widest table of their kind that the store holds."""
    inputs = identity["inputs"]
    data = _dataset(inputs["data"], "data")
    split = SplitStage(data=data, split=from_json(inputs["split"]["parameters"]["split"]), label="split")
    method = from_json(identity["parameters"]["method"])
    neighbours = None
    if "neighbours" in inputs:
        retrieval = from_json(inputs["neighbours"]["retrieval"])
        widths = [
            int(manifest.identity["parameters"]["width"])
            for manifest in store.manifests("neighbours")
            if lineage_of(manifest.identity) == inputs["neighbours"]
        ]
        embeddings = EmbeddingsStage(data=data, split=split, encoder=retrieval.encoder, label=retrieval.encoder.name)
        neighbours = NeighboursStage(
            embeddings=embeddings,
            split=split,
            retrieval=retrieval,
            width=max(widths, default=max(method.largest_k, 1)),
            label=retrieval.encoder.name,
        )
    return TrainingStage(
        data=data,
        split=split,
        neighbours=neighbours,
        method=method,
        seed=int(identity["parameters"]["train_seed"]),
        first=training_stage(inputs["first"], method.first.name, store) if "first" in inputs else None,
        held_out=_dataset(inputs["held_out"], "held out") if "held_out" in inputs else None,
        label=label,
    )


def _dataset(identity: dict[str, Any], label: str) -> DatasetStage:
    return DatasetStage(dataset=from_json(identity["parameters"]["dataset"]), label=label)
