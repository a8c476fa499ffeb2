"""Executes a plan: which stages are needed, in what order, and what became of the cells."""

import json
from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from prism_bench.experiments.layout import Cell
from prism_bench.experiments.plan import Plan
from prism_bench.experiments.recording import cell_record, stored_record, write_record
from prism_bench.experiments.reporting import load_plans
from prism_bench.experiments.workers import Answer, Pool
from prism_bench.prism.runtime import write_json
from prism_bench.prism.stages.base import Stage
from prism_bench.prism.stages.data import EmbeddingsStage
from prism_bench.prism.stages.measure import FeaturesStage
from prism_bench.prism.store import Store

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

    def recorded(self, plan: Plan, cell: Cell, record: dict[str, Any]) -> None:
        """A cell's record has been written."""
        ...


@dataclass(frozen=True)
class Survey:
    """What a plan needs, given what the store holds."""

    todo: dict[str, Stage]
    cached: dict[str, Stage]
    faults: dict[str, str] = field(default_factory=dict)


def survey(plans: Sequence[Plan], store: Store) -> Survey:
    """Verify the plans' finished stages by checksum, set corrupted ones aside, and find what must be computed.

    A stage is computed only if it is a target of a cell, or an input of one that is computed.
    """
    stages = {address: stage for plan in plans for address, stage in plan.stages.items()}
    cached, faults = _verified(stages, store)
    targets = [target for plan in plans for cell in plan.cells for target in cell.targets]
    todo = missing((*targets, *(stages[address] for address in faults)), cached)
    return Survey(todo, cached, faults)


def check_weights(todo: Iterable[Stage]) -> None:
    """Every encoder that is still needed says now, not hours later, whether its weights can be had.

    Embeddings that are there, computed or imported, need none.

    Raises:
        InputError: weights that are missing or wrong.
    """
    for encoder in dict.fromkeys(stage.encoder for stage in todo if isinstance(stage, EmbeddingsStage | FeaturesStage)):
        encoder.check()


def missing(targets: Iterable[Stage], cached: Container[str]) -> dict[str, Stage]:
    """What has to be computed for some stages, inputs first: those that are not there, and the inputs of such."""
    todo: dict[str, Stage] = {}

    def need(stage: Stage) -> None:
        address = str(stage.address)
        if address in cached or address in todo:
            return
        for needed in stage.inputs().values():
            need(needed)
        todo[address] = stage

    for target in targets:
        need(target)
    return todo


def _verified(stages: dict[str, Stage], store: Store) -> tuple[dict[str, Stage], dict[str, str]]:
    """The stages that are there and whole, and what is said of those that were not whole."""
    cached: dict[str, Stage] = {}
    faults: dict[str, str] = {}
    for address, stage in stages.items():
        fault = store.fault(stage.address)
        if fault is not None:
            kept = store.set_aside(stage.address)
            faults[address] = (
                f"{stage.title} was corrupted ({fault}); it is computed again, the old files are in {kept}"
            )
        elif store.manifest(stage.address) is not None:
            cached[address] = stage
    return cached, faults


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
    records: dict[str, dict[str, dict[str, Any]]] = field(default_factory=dict)
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


def write_plans(plans: Sequence[Plan], store: Store) -> None:
    """Keep the plans' documents, and note them as their experiments' latest: one for each panel that was asked for.

    A plan narrowed by `--only` is a look at a part: it does not take the place of one that holds all its cells.
    """
    latest: dict[str, list[Plan]] = {}
    for plan in plans:
        latest.setdefault(plan.request.experiment.slug, []).append(plan)
    for experiment, own in latest.items():
        part = all(plan.request.only for plan in own) and _cells_of(own) <= _known(store, experiment)
        for plan in own:
            write_json(store.plan_path(experiment, plan.digest), plan.document)
        if not part:
            write_json(store.root / "experiments" / experiment / "latest", {"plans": [plan.digest for plan in own]})


def _cells_of(plans: Sequence[Plan]) -> set[str]:
    return {cell.record for plan in plans for cell in plan.cells}


def _known(store: Store, experiment: str) -> set[str]:
    """The records of an experiment's latest plans."""
    if not (store.root / "experiments" / experiment / "latest").exists():
        return set()
    return {
        str(cell["record"])
        for document in load_plans(experiment, store.root)
        for row in document["rows"]
        for cell in row["cells"]
    }
