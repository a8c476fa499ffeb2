"""Plans carried out: their missing stages in a good order, and a record of each cell as soon as it is settled."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from prism_bench.analysis.schema.records import Record
from prism_bench.experiments.execution.cell_record import cell_record, stored_record, write_record
from prism_bench.experiments.planning.cells import Cell
from prism_bench.experiments.planning.plan import Plan
from prism_bench.prism.engine.local_pool import Pool
from prism_bench.prism.engine.scheduler import Scheduler, StageObserver
from prism_bench.prism.engine.stage import Stage
from prism_bench.prism.engine.store import Store

COST = {"training": 100.0, "samples": 20.0, "embeddings": 10.0, "features": 8.0}
"""Rough relative cost by kind, for the order of work only; other kinds count 1."""


class PlanObserver(StageObserver, Protocol):
    """What hears of stages and of records."""

    def recorded(self, plan: Plan, cell: Cell, record: Record) -> None:
        """A cell's record has been written."""
        ...


@dataclass
class PlansRun:
    """One execution of the missing stages of some plans; what they share is done once."""

    plans: Sequence[Plan]
    store: Store
    pool: Pool
    observers: Sequence[PlanObserver]
    todo: dict[str, Stage]
    records: dict[str, dict[str, Record]] = field(default_factory=dict)
    """By plan, then by the cell's name."""

    def execute(self) -> None:
        """Work until every cell has its record; see `Scheduler.run`."""
        scheduler = Scheduler(self.store, self.pool, self.observers)
        scheduler.run(_in_order(self.plans, self.todo), lambda: self._settle_cells(scheduler))

    def _settle_cells(self, scheduler: Scheduler) -> None:
        """Write the record of every cell whose stages are all done or failed."""
        for plan in self.plans:
            records = self.records.setdefault(plan.digest, {})
            for cell in plan.cells:
                if cell.name in records or any(scheduler.is_open(target) for target in cell.targets):
                    continue
                record = stored_record(cell, self.store) or cell_record(cell, plan, self.store, scheduler.failed)
                write_record(record, self.store)
                records[cell.name] = record
                for observer in self.observers:
                    observer.recorded(plan, cell, record)


def _in_order(plans: Sequence[Plan], todo: dict[str, Stage]) -> dict[str, Stage]:
    """Earlier seeds first, so that a first table is complete early; then the longest way to a number first."""
    seeds = {seed: index for index, seed in enumerate(plans[0].request.seeds)}
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
