"""Plans carried out: their missing stages in a good order, and a record of each cell as soon as it is settled."""

import signal
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console

from prism_bench.analysis.schema.records import Record
from prism_bench.experiments.execution.cell_record import cell_record, stored_record, write_record
from prism_bench.experiments.execution.progress_display import Display
from prism_bench.experiments.planning.cells import Cell
from prism_bench.experiments.planning.plan import Plan
from prism_bench.prism.engine.local_pool import Pool
from prism_bench.prism.engine.scheduler import Scheduler, StageObserver
from prism_bench.prism.engine.slots import Slots
from prism_bench.prism.engine.stage import Stage
from prism_bench.prism.engine.store import Store

COST = {"training": 100.0, "samples": 20.0, "embeddings": 10.0, "features": 8.0}
"""Rough relative cost by kind, for the order of work only; other kinds count 1."""


@contextmanager
def interruptible() -> Iterator[None]:
    """A polite kill (SIGTERM, as batch systems send) is treated as Ctrl-C: workers save, MLflow is told."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def working(
    todo: Mapping[str, Stage],
    store: Store,
    slots: Slots,
    plugins: tuple[Path, ...],
    console: Console,
    observers: Sequence[StageObserver] = (),
) -> Iterator[Scheduler]:
    """A scheduler for some stages with its workers and a display of their progress, for as long as it is used."""
    with (
        interruptible(),
        Pool(store, slots, plugins) as pool,
        Display(todo, len(slots.places), console) as display,
    ):
        yield Scheduler(store, pool, (display, *observers))


def run_plans(
    plans: Sequence[Plan],
    todo: dict[str, Stage],
    scheduler: Scheduler,
    recorded: Callable[[Plan, Cell, Record], None] = lambda *_: None,
) -> dict[str, dict[str, Record]]:
    """Work until every cell has its record; see `Scheduler.run`. What plans share is done once.

    recorded: called with each record that has been written.

    Returns:
        The records by plan, then by the cell's name.
    """
    store = scheduler.store
    records: dict[str, dict[str, Record]] = {plan.digest: {} for plan in plans}

    def settle() -> None:
        """Write the record of every cell whose stages are all done or failed."""
        for plan in plans:
            settled = records[plan.digest]
            for cell in plan.cells:
                if cell.name in settled or any(scheduler.is_open(target) for target in cell.targets):
                    continue
                record = stored_record(cell, store) or cell_record(cell, plan, store, scheduler.failed)
                write_record(record, store)
                settled[cell.name] = record
                recorded(plan, cell, record)

    scheduler.run(_in_order(plans, todo), settle)
    return records


def _in_order(plans: Sequence[Plan], todo: dict[str, Stage]) -> dict[str, Stage]:
    """Earlier seeds first, so that a first table is complete early; then the longest way to a number first."""
    seeds = {seed: index for index, seed in enumerate(plans[0].document.seeds)}
    turn: dict[str, int] = {}
    path: dict[str, float] = {}

    def visit(stage: Stage, seed: int, behind: float) -> None:
        address = str(stage.address)
        length = behind + COST.get(stage.kind, 1.0)
        if address in turn and turn[address] <= seed and path[address] >= length:
            return
        turn[address] = min(turn.get(address, seed), seed)
        path[address] = max(path.get(address, 0.0), length)
        for needed in stage.inputs().values():
            visit(needed, seed, length)

    for plan in plans:
        for cell in plan.cells:
            for target in cell.targets:
                visit(target, seeds[cell.seed], 0.0)
    return dict(sorted(todo.items(), key=lambda item: (turn[item[0]], -path[item[0]])))
