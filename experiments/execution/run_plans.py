"""Executes a plan: which stages are needed, in what order, and what became of the cells."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from prism_bench.analysis.schema.records import Record
from prism_bench.experiments.execution.cell_record import cell_record, stored_record, write_record
from prism_bench.experiments.planning.cells import Cell
from prism_bench.experiments.planning.plan import Plan
from prism_bench.prism.engine.local_pool import Answer, Pool
from prism_bench.prism.engine.stage import Stage
from prism_bench.prism.engine.store import Store

COST = {"training": 100.0, "samples": 20.0, "embeddings": 10.0, "features": 8.0}
"""Rough relative cost by kind, for the order of work only; other kinds count 1."""


class Observer(Protocol):
    """Whoever wants to know: the display, MLflow."""

    def started(self, stage: Stage) -> None:
        """A stage was given to a worker."""
        ...

    def progressed(self, stage: Stage, progress: dict[str, Any]) -> None:
        """The stage's `progress.json` as it stands; called about twice a second."""
        ...

    def finished(self, stage: Stage, answer: Answer) -> None:
        """A stage is done or has failed."""
        ...

    def recorded(self, plan: Plan, cell: Cell, record: Record) -> None:
        """A cell's record has been written."""
        ...


@dataclass
class Run:
    """One execution of the missing stages of some plans; what they share is done once."""

    plans: Sequence[Plan]
    store: Store
    pool: Pool
    observers: Sequence[Observer]
    todo: dict[str, Stage]
    failed: dict[str, str] = field(default_factory=dict)
    running: dict[str, Stage] = field(default_factory=dict)
    records: dict[str, dict[str, Record]] = field(default_factory=dict)
    """By plan, then by the cell's name."""

    def execute(self) -> None:
        """Work until nothing more can be done; failures stop only what rests on them."""
        order = _order(self.plans, self.todo)
        waiting = dict(sorted(self.todo.items(), key=lambda item: order[item[0]]))
        self._settle_cells(waiting)
        while waiting or self.running:
            self._block(waiting)
            for address in self._ready(waiting)[: self.pool.free]:
                stage = self.running[address] = waiting.pop(address)
                self.pool.submit(stage)
                for observer in self.observers:
                    observer.started(stage)
            for answer in self.pool.answers(timeout=0.5):
                self._take(answer)
            for stage in list(self.running.values()):
                self._look(stage)
            self._settle_cells(waiting)

    def _ready(self, waiting: dict[str, Stage]) -> list[str]:
        open_ = waiting.keys() | self.running.keys()
        return [a for a, stage in waiting.items() if not any(str(n.address) in open_ for n in stage.inputs().values())]

    def _block(self, waiting: dict[str, Stage]) -> None:
        """Drop what rests on a failed stage, with the reason."""
        for address, stage in list(waiting.items()):
            for needed in stage.inputs().values():
                if str(needed.address) in self.failed:
                    reason = self.failed[str(needed.address)]
                    self.failed[address] = (
                        reason if reason.startswith("needs ") else f"needs {needed.title}, which failed: {reason}"
                    )
                    waiting.pop(address, None)

    def _take(self, answer: Answer) -> None:
        stage = self.running.pop(answer.address)
        if answer.outcome != "done":
            self.failed[answer.address] = answer.reason or "stopped"
        for observer in self.observers:
            observer.finished(stage, answer)

    def _look(self, stage: Stage) -> None:
        path = self.store.root / "work" / str(stage.address) / "progress.json"
        try:
            progress = json.loads(path.read_text())
        except (OSError, json.JSONDecodeError):
            return
        for observer in self.observers:
            observer.progressed(stage, progress)

    def _settle_cells(self, waiting: dict[str, Stage]) -> None:
        """Write the record of every cell whose stages are all done or failed."""
        open_ = waiting.keys() | self.running.keys()
        for plan in self.plans:
            records = self.records.setdefault(plan.digest, {})
            for cell in plan.cells:
                if cell.name in records or any(str(t.address) in open_ for t in cell.targets):
                    continue
                record = stored_record(cell, self.store) or cell_record(cell, plan, self.store, self.failed)
                write_record(record, self.store)
                records[cell.name] = record
                for observer in self.observers:
                    observer.recorded(plan, cell, record)


def _order(plans: Sequence[Plan], todo: dict[str, Stage]) -> dict[str, tuple[int, float]]:
    """Earlier seeds first, so that a first table is complete early; then the longest way to a number first.

    Work that belongs to no plan keeps its order.
    """
    if not plans:
        return {address: (0, float(index)) for index, address in enumerate(todo)}
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
    return {address: (turn[address], -path[address]) for address in todo}
