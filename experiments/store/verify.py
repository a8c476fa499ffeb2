"""Checksums of everything in a store, and the commands that make again what fails them."""

import contextlib
import json
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from prism_bench.analysis.errors import AnalysisError
from prism_bench.analysis.schema.document import REMEDY
from prism_bench.analysis.schema.records import load_plan
from prism_bench.analysis.schema.stored_plans import LATEST, latest_plans
from prism_bench.experiments.store.inventory import Inventory, stages_of
from prism_bench.experiments.store.work_folders import bytes_in
from prism_bench.prism.engine.runtime import write_json
from prism_bench.prism.engine.store import Address, Store
from prism_bench.prism.errors import ComputeError
from prism_bench.sealed import sealed


@dataclass(frozen=True, kw_only=True)
class Checked:
    """One stage: what is wrong with its files, or None."""

    address: Address
    bytes: int
    fault: str | None


def check(inventory: Inventory) -> Iterator[Checked]:
    """Read every file of every finished stage and compare checksums; a stage removed meanwhile is passed over.

    In an unpacked bundle, a file that the bundle left out is no fault.
    """
    store, packed = inventory.store, bundled(inventory)
    for address in [*inventory.stages, *inventory.broken]:
        held = inventory.stages.get(address)
        names = held.files if packed is not None and held is not None else ()
        left_out = {name for name in names if f"stages/{address.kind}/{address.key}/{name}" not in (packed or ())}
        fault = next(store.faults(address, left_out), None)
        if store.folder(address).exists():
            count = bytes_in(store.folder(address)) if held is None else held.bytes
            yield Checked(address=address, bytes=count, fault=fault)


def bundled(inventory: Inventory) -> frozenset[str] | None:
    """The files that a bundle held, where this store is an unpacked one."""
    try:
        manifest = json.loads((inventory.store.root / "MANIFEST.json").read_text())
    except (OSError, ValueError):
        return None
    return frozenset(manifest.get("members", ()))


def wrong_documents(inventory: Inventory) -> Iterator[tuple[Path, str]]:
    """Plans, records and lists of latest plans that cannot be read, and records that say other than their stages do."""
    yield from inventory.unreadable.items()
    for name, record in inventory.records.items():
        path = inventory.store.record_path(name)
        if record.record != name:
            yield path, f"{path}: holds the record {record.record}; {REMEDY}"
        for stage, address in stages_of(record).items():
            measured = _measured(inventory, address) if address.kind == "metric" else {}
            for value in record.values:
                if value.name in measured and value.value != measured[value.name]:
                    there = f"{value.value} for {value.name}, and its stage {stage} {measured[value.name]}"
                    yield path, f"{path}: says {there}; {REMEDY}"


def _measured(inventory: Inventory, address: Address) -> dict[str, float]:
    """What a metric's stage measured, by name; nothing where it has gone, or is wrong itself."""
    try:
        path = inventory.store.file(address, "values.json")
    except ComputeError:
        return {}
    return {} if path is None else {row["name"]: row["value"] for row in json.loads(path.read_bytes())}


def set_aside_document(path: Path, store: Store) -> Path:
    """Move a wrong document out of the way, keeping it; returns where."""
    target = store.root / "corrupted" / f"{path.parent.name}-{path.stem}-{uuid.uuid4().hex[:8]}{path.suffix}"
    target.parent.mkdir(exist_ok=True)
    path.rename(target)
    return target


def restore_latest(store: Store) -> Iterator[str]:
    """Where an experiment's list of latest plans is missing, or names what is, write it: each panel's newest plan.

    Yields what was done, in words.
    """
    for folder in sorted(store.root.glob("experiments/*")):
        with contextlib.suppress(AnalysisError):
            if all((folder / f"{digest}.json").is_file() for digest in latest_plans(folder)):
                continue
        newest: dict[str, str] = {}
        for path in sorted(folder.glob("*.json"), key=lambda path: path.stat().st_mtime):
            newest[load_plan(path).panel] = path.stem
        if newest:
            write_json(folder / LATEST, sealed({"plans": list(newest.values())}))
            yield f"written again, from the newest plans: {folder / LATEST}"
        elif (folder / LATEST).exists():
            yield f"set aside, for no plan is left: {set_aside_document(folder / LATEST, store)}"


def amount(inventory: Inventory) -> int:
    """Bytes that `check` reads."""
    broken = sum(bytes_in(inventory.store.folder(address)) for address in inventory.broken)
    return broken + sum(held.bytes for held in inventory.stages.values())


def remedies(inventory: Inventory, bad: Sequence[Address]) -> dict[str, list[Address]]:
    """The command of each plan that needs a bad stage, latest plans first; "" for stages that none is known to need."""
    found: dict[str, list[Address]] = {}
    for address in bad:
        records = set(inventory.records_with(address))
        plans = [plan for plan in inventory.plans if records.intersection(plan.records)]
        plans.sort(key=lambda plan: not plan.latest)
        command = plans[0].document.command if plans else ""
        found.setdefault(command, []).append(address)
    return found
