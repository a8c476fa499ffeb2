"""What can be removed from a store without losing anything a plan needs, and the removal."""

import shutil
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from datetime import datetime
from itertools import chain
from pathlib import Path

from prism_bench.analysis.schema.stored_plans import LATEST
from prism_bench.experiments.formatting import counted, size
from prism_bench.experiments.store.in_use import stages_in_use
from prism_bench.experiments.store.inventory import Inventory, StoredPlan, stages_of
from prism_bench.experiments.store.work_folders import bytes_in, is_locked, work_folders
from prism_bench.prism.engine.lease import HeldError
from prism_bench.prism.engine.runtime import TEMPORARY
from prism_bench.prism.engine.store import MANIFEST, Address, Store
from prism_bench.prism.errors import InputError, is_full

INTERMEDIATE = ("embeddings", "features", "neighbours", "reference")
"""Kinds that no table or picture shows: a finished plan does without them, and they can be made again."""
STAGE_DAYS = 1 / 24
"""Stages younger than this are kept: a run that starts has made its data before its plan is written."""
WORK_DAYS = 30.0
"""Interrupted work younger than this is kept: the same command goes on from it."""
WRITTEN = ("", "records/", "experiments/*/", "reports/**/")
"""Where files are replaced by new ones, which takes no process as long as STAGE_DAYS."""
REMOVED = "removed"
"""Where things go for the moment of their removal, so that a stage is whole or gone, never half."""


@dataclass(frozen=True, kw_only=True)
class Wish:
    """What may go besides stages that no plan needs.

    keep_latest: only each experiment's latest plans count. older_than: in days, for stages and interrupted work alike.
    kinds: intermediate kinds that go even where a finished plan rests on them.
    """

    keep_latest: bool = False
    older_than: float | None = None
    kinds: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for kind in self.kinds:
            if kind not in INTERMEDIATE:
                raise InputError(
                    f"--kind {kind}: only what no table shows can go by its kind: {', '.join(INTERMEDIATE)}; stages of "
                    "other kinds go once no plan needs them"
                )


@dataclass(frozen=True, kw_only=True)
class Item:
    """One folder, or half-written file, that would go.

    address: whose lock guards it; None where nothing can be at work in it.
    """

    path: Path
    address: Address | None
    group: str
    bytes: int
    reason: str


@dataclass(frozen=True)
class Sweep:
    """What would go, and notes on what is kept."""

    items: tuple[Item, ...]
    notes: tuple[str, ...]

    @property
    def bytes(self) -> int:
        """Bytes that would be free."""
        return sum(item.bytes for item in self.items)


def sweep(inventory: Inventory, wish: Wish) -> Sweep:
    """Find what can go. Records, plans, reports, logs and MLflow's files are never among it.

    Raises:
        InputError: a plan cannot be read.
    """
    for path in inventory.unreadable:
        if path.parent.parent.name == "experiments" and (path.name != LATEST or wish.keep_latest):
            raise InputError(f"the plan {path} cannot be read, so what it needs is unknown; mend it or delete it first")
    now = time.time()
    notes: list[str] = []
    items = _stages(inventory, wish, now, notes)
    items += _work(inventory.store, wish, now, notes)
    items += _set_aside(inventory.store, wish, now)
    items += _temporary(inventory.store, now)
    used = stages_in_use(inventory.store)
    free = [
        it for it in items if it.address is None or not (it.address in used or is_locked(inventory.store, it.address))
    ]
    if len(free) < len(items):
        notes.append(f"{counted(len(items) - len(free), 'stage')} in use by a running process: kept")
    return Sweep(tuple(free), tuple(notes))


def remove(store: Store, items: Sequence[Item]) -> Iterator[tuple[Item, bool]]:
    """Remove the items one by one; yields each with whether it went. One whose lock is taken meanwhile stays."""
    for item in items:
        try:
            with nullcontext() if item.address is None else _held(store, item.address):
                _remove(store, item.path)
        except HeldError:
            yield item, False
        else:
            yield item, True


def _held(store: Store, address: Address) -> AbstractContextManager[object]:
    """The lease of a stage, acquired; HeldError where a living process has it."""
    lease = store.lease(address)
    try:
        lease.acquire()
    except OSError as error:
        # On a full disk nobody can write a lease; what goes first makes room for those of the others.
        if not is_full(error) or lease.holder() is not None:
            raise
        return nullcontext()
    return lease


def unfinished(plan: StoredPlan, inventory: Inventory) -> int:
    """Cells of a plan without a finished record, or with one of whose stages is gone."""
    records = [inventory.records.get(cell.record) for _, cell in plan.cells()]
    done = [record for record in records if record is not None and record.status == "done"]
    return len(records) - sum(inventory.stages.keys() >= set(stages_of(record).values()) for record in done)


def _needed(plans: Sequence[StoredPlan], inventory: Inventory, notes: list[str]) -> tuple[set[Address], set[Address]]:
    """(what finished plans need, what unfinished plans may need).

    A plan does not name the stages of a cell that has no record yet, so that everything on its data may be needed.
    """
    finished = inventory.needed(name for plan in plans for name in plan.records)
    maybe: set[Address] = set()
    for plan in plans:
        left = unfinished(plan, inventory)
        if left:
            data = Address("dataset", plan.document.dataset.digest)
            maybe |= {data, *(held.address for held in inventory.users(data))}
            notes.append(f"{plan.title} has {counted(left, 'unfinished cell')}: everything on its data is kept")
    return finished, maybe


def _stages(inventory: Inventory, wish: Wish, now: float, notes: list[str]) -> list[Item]:
    plans = [plan for plan in inventory.plans if plan.latest or not wish.keep_latest]
    finished, maybe = _needed(plans, inventory, notes)
    days = STAGE_DAYS if wish.older_than is None else wish.older_than
    items, young = [], 0
    for address, held in inventory.stages.items():
        if address in maybe or (address in finished and address.kind not in wish.kinds):
            continue
        if _age(held.created, inventory.store.folder(address), now) < days:
            young += 1
            continue
        reason = "can be made again; finished tables do without" if address in finished else "no plan needs it"
        items.append(_item(inventory.store.folder(address), address, address.kind, reason))
    for address in inventory.broken:
        folder = inventory.store.folder(address)
        if _age("", folder, now) >= days:
            items.append(_item(folder, address, address.kind, "its manifest cannot be read"))
    if young:
        notes.append(
            f"{counted(young, 'stage')} that no plan needs, younger than {_days(days)}: kept (--older-than 0 lets go)"
        )
    return items


def _work(store: Store, wish: Wish, now: float, notes: list[str]) -> list[Item]:
    days = WORK_DAYS if wish.older_than is None else wish.older_than
    items, kept = [], 0
    for work in work_folders(store):
        if work.running or now - work.touched >= days * 86400:
            items.append(_item(work.path, work.address, "interrupted work", f"untouched for {_days(days)}"))
        else:
            kept += work.bytes
    if kept:
        notes.append(
            f"{size(kept)} of interrupted work younger than {_days(days)}: kept, the same command goes on from it"
        )
    return items


def _set_aside(store: Store, wish: Wish, now: float) -> list[Item]:
    days = STAGE_DAYS if wish.older_than is None else wish.older_than
    aside = (("corrupted", "corrupted", "was set aside"), (REMOVED, "half removed", "its removal was cut short"))
    return [
        _item(path, None, group, reason)
        for folder, group, reason in aside
        for path in sorted(store.root.glob(f"{folder}/*"))
        if _age("", path, now) >= days
    ]


def _temporary(store: Store, now: float) -> list[Item]:
    """Half-written files of processes that were killed; those below work/ go when its stage is taken up again."""
    paths = chain.from_iterable(store.root.glob(f"{folder}.*{TEMPORARY}") for folder in WRITTEN)
    old = [path for path in sorted(paths) if _age("", path, now) >= STAGE_DAYS]
    return [_item(path, None, "half written", "its process is gone") for path in old]


def _item(path: Path, address: Address | None, group: str, reason: str) -> Item:
    return Item(path=path, address=address, group=group, bytes=bytes_in(path), reason=reason)


def _age(created: str, folder: Path, now: float) -> float:
    """Days since a stage was made; by its folder's time where the manifest does not say."""
    try:
        made = datetime.strptime(created, "%Y-%m-%dT%H:%M:%S%z").timestamp()
    except ValueError:
        made = folder.stat().st_mtime
    return (now - made) / 86400


def _days(days: float) -> str:
    return counted(round(days), "day") if days >= 1 else counted(round(days * 24), "hour")


def _remove(store: Store, path: Path) -> None:
    if path.is_file():
        path.unlink(missing_ok=True)
        return
    target = store.root / REMOVED / f"{path.parent.name}-{path.name}-{uuid.uuid4().hex}"
    if path.parent.name != REMOVED:
        try:
            target.parent.mkdir(exist_ok=True)
            path.rename(target)
            path = target
        except OSError as error:
            if not is_full(error):
                raise
            # No room even for a name: without its manifest a stage is none, however much of it is left.
            (path / MANIFEST).unlink(missing_ok=True)
    shutil.rmtree(path)
