"""Plans carried out: their missing stages in a good order, and a record of each cell as soon as it is settled."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache

from prism_bench.analysis.schema.records import Record
from prism_bench.experiments.execution.cell_record import Origin, cell_record, stored_record, write_record
from prism_bench.experiments.execution.progress_display import Display
from prism_bench.experiments.execution.work import usual_share
from prism_bench.experiments.interrupt import interruptible
from prism_bench.experiments.planning.cells import Cell
from prism_bench.experiments.planning.plan import Plan
from prism_bench.experiments.screen import Screen
from prism_bench.experiments.store.in_use import in_use
from prism_bench.prism.engine.pool import Pool
from prism_bench.prism.engine.scheduler import Scheduler, StageObserver
from prism_bench.prism.engine.stage import Stage
from prism_bench.prism.engine.store import Store


@contextmanager
def working(
    todo: Mapping[str, Stage],
    store: Store,
    pool: Pool,
    screen: Screen,
    observers: Sequence[StageObserver] = (),
) -> Iterator[Scheduler]:
    """A scheduler for some stages with its workers and a display of their progress, for as long as it is used."""
    with (
        interruptible(),
        in_use(todo.values(), store),
        pool as entered,
        Display(todo, pool.places, screen) as display,
    ):
        try:
            yield Scheduler(store, entered, (display, *observers))
        except KeyboardInterrupt:
            screen.say(f"\nStopping {entered}: what is being made is saved first.")
            raise


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

    # Each cell by one of its stages that is still open: only where that one is closed the others are looked at.
    waiting: dict[str, list[tuple[Plan, Cell]]] = {"": [(plan, cell) for plan in plans for cell in plan.cells]}
    origin = cache(Origin.here)

    def settle(closed: Sequence[str]) -> None:
        """Write the record of every cell whose stages are all done or failed."""
        for one in ("", *closed):
            for plan, cell in waiting.pop(one, ()):
                if cell.name in records[plan.digest]:
                    continue
                still = next((str(it.address) for it in cell.targets if scheduler.is_open(it)), None)
                if still is not None:
                    waiting.setdefault(still, []).append((plan, cell))
                    continue
                record = stored_record(cell, store) or cell_record(cell, plan, store, scheduler.failed, origin())
                write_record(record, store)
                records[plan.digest][cell.name] = record
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
        length = behind + usual_share(stage.kind)
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
