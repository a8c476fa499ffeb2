"""`prism-bench cache ls`: how many stages of each kind there are, how large, and what they are for."""

import shutil
from collections.abc import Iterator, Sequence
from typing import Any

from prism_bench.experiments.formatting import columns, counted, duration, size
from prism_bench.experiments.store.inventory import KINDS, Inventory, StoredPlan, StoredStage, rank
from prism_bench.experiments.store.work_folders import bytes_in, work_folders
from prism_bench.prism.errors import InputError, closest

BESIDES = ("records", "reports", "logs", "imports", "mlflow-artifacts", "tensorboard", "wandb")
"""Folders of a store that hold no stages."""


def overview(inventory: Inventory) -> Iterator[str]:
    """Stages by kind, interrupted work, corrupted ones, what experiments need, and totals."""
    root, stages = inventory.store.root, list(inventory.stages.values())
    rows: list[tuple[str, ...]] = [("kind", "stages", "size", "made in")]
    for kind in sorted({held.address.kind for held in stages}, key=rank):
        rows.append(_sum(kind, [held for held in stages if held.address.kind == kind]))
    yield from columns([*rows, _sum("total", stages)], right=(1, 2, 3))
    yield from _odd(inventory)
    for name in sorted({plan.experiment for plan in inventory.plans}):
        yield _needs(name, [plan for plan in inventory.plans if plan.experiment == name], inventory)
    besides = sum(bytes_in(root / name) for name in BESIDES)
    besides += sum(path.stat().st_size for path in root.glob("mlflow.db*") if path.is_file())
    yield f"{counted(len(inventory.records), 'record')}, reports, logs, MLflow: {size(besides)}"
    total = sum(bytes_in(path) for path in root.iterdir() if path.is_dir())
    yield f"{size(total)} in {root}, {size(shutil.disk_usage(root).free)} free on its disk"


def stages_of_kind(kind: str, inventory: Inventory) -> Iterator[str]:
    """Every stage of a kind: key, size, seconds, when it was made, label.

    Raises:
        InputError: there is no such kind.
    """
    _check(kind, inventory)
    own = sorted((held for held in inventory.stages.values() if held.address.kind == kind), key=lambda it: it.label)
    if own:
        rows: list[tuple[str, ...]] = [("key", "size", "made in", "made", "label")]
        for held in own:
            made = held.created[:16].replace("T", " ")
            rows.append((held.address.key, size(held.bytes), duration(held.seconds), made, held.label))
        yield from columns(rows, right=(1, 2))
    for address in inventory.broken:
        if address.kind == kind:
            yield f"{address.key}  its manifest cannot be read; see `prism-bench cache verify`"
    total = size(sum(held.bytes for held in own))
    yield f"{counted(len(own), 'stage')} of kind {kind}, {total} in {inventory.store.root}"


def as_document(inventory: Inventory, kind: str | None) -> dict[str, Any]:
    """The same in plain values: `stages` (of one kind, or all) by kind and label, and `broken` ones.

    Raises:
        InputError: there is no such kind.
    """
    if kind is not None:
        _check(kind, inventory)
    held = sorted(inventory.stages.values(), key=lambda it: (rank(it.address.kind), it.label, it.address.key))
    own = [it for it in held if kind in {None, it.address.kind}]
    return {
        "store": str(inventory.store.root.absolute()),
        "free_bytes": shutil.disk_usage(inventory.store.root).free,
        "stages": [
            {
                "kind": it.address.kind,
                "key": it.address.key,
                "label": it.label,
                "bytes": it.bytes,
                "seconds": it.seconds,
                "created": it.created,
            }
            for it in own
        ],
        "broken": [str(address) for address in inventory.broken if kind in {None, address.kind}],
    }


def _check(kind: str, inventory: Inventory) -> None:
    known = {*KINDS, *(held.address.kind for held in inventory.stages.values())}
    if kind not in known:
        raise InputError(f"there are no stages of kind {kind!r}; {closest(kind, known)}")


def _sum(name: str, stages: Sequence[StoredStage]) -> tuple[str, ...]:
    seconds = sum(held.seconds for held in stages)
    return (name, f"{len(stages):,}", size(sum(held.bytes for held in stages)), duration(seconds))


def _odd(inventory: Inventory) -> Iterator[str]:
    """Work in progress and what is broken."""
    works = work_folders(inventory.store)
    for running, words in ((True, "being made now"), (False, "interrupted: the same command goes on from there")):
        some = [work for work in works if work.running is running]
        if some:
            yield f"{counted(len(some), 'stage')} {words}, {size(sum(work.bytes for work in some))}"
            yield from (f"  {work.address.kind} {work.address.key}  {size(work.bytes)}" for work in some)
    aside = list(inventory.store.root.glob("corrupted/*"))
    if aside:
        yield f"{counted(len(aside), 'corrupted stage')} set aside, {size(sum(map(bytes_in, aside)))}"
    if inventory.broken:
        yield f"{counted(len(inventory.broken), 'stage')} without a readable manifest; see `prism-bench cache verify`"


def _needs(name: str, plans: Sequence[StoredPlan], inventory: Inventory) -> str:
    latest = [plan for plan in plans if plan.latest]
    needed = inventory.needed(record for plan in latest for record in plan.records)
    there = [inventory.stages[address] for address in needed if address in inventory.stages]
    older = f", {counted(len(plans) - len(latest), 'older plan')}" if len(plans) > len(latest) else ""
    return f"{name}: {counted(len(there), 'stage')}, {size(sum(held.bytes for held in there))}{older}"
