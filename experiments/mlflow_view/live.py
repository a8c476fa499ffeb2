"""The observer that keeps MLflow up to date while a plan runs. Only the parent process talks to MLflow."""

import time
from pathlib import Path
from typing import Any

from prism_bench.analysis.schema import records as schema
from prism_bench.experiments.mlflow_view.tracker import Tracker
from prism_bench.experiments.planning.cells import Cell
from prism_bench.experiments.planning.plan import Plan
from prism_bench.experiments.reports.sample_grids import write_cell_grid
from prism_bench.prism.engine.local_pool import Answer
from prism_bench.prism.engine.stage import Stage
from prism_bench.prism.engine.store import Store

EVERY_SECONDS = 10.0
"""Between two looks at the log of one training."""


class MlflowView:
    """Feeds a tracker from stages and records."""

    def __init__(self, tracker: Tracker, plan: Plan, store: Store) -> None:
        self.tracker, self.plan, self.store = tracker, plan, store
        self._rows = {row.id: row for row in plan.document.rows}
        self._by_training: dict[str, list[Cell]] = {}
        for cell in plan.cells:
            self._by_training.setdefault(str(cell.training.address), []).append(cell)
        self._looked: dict[str, float] = {}
        self._begun: set[str] = set()

    def started(self, stage: Stage) -> None:
        """See `StageObserver`."""
        for cell in self._by_training.get(str(stage.address), []):
            self._begin(cell)

    def elsewhere(self, stage: Stage, who: str) -> None:
        """See `StageObserver`."""

    def put_back(self, stage: Stage) -> None:
        """See `StageObserver`."""

    def progressed(self, stage: Stage, progress: dict[str, Any]) -> None:
        """See `StageObserver`."""
        address, now = str(stage.address), time.monotonic()
        if address in self._by_training and now - self._looked.get(address, -EVERY_SECONDS) >= EVERY_SECONDS:
            self._looked[address] = now
            self._log(address, self.store.work_folder(stage.address))

    def finished(self, stage: Stage, answer: Answer) -> None:
        """See `StageObserver`."""
        address = str(stage.address)
        if address in self._by_training and answer.outcome == "done":
            self._log(address, self.store.folder(stage.address))

    def recorded(self, plan: Plan, cell: Cell, record: schema.Record) -> None:
        """A cell's record has been written; cells of other plans are theirs to tell."""
        if plan is not self.plan:
            return
        self._begin(cell)
        self.tracker.cell_finished(record, {})

    def finish_cells(self, records: dict[str, schema.Record], folder: Path) -> None:
        """Add the sample grid of every cell to its run."""
        for cell in self.plan.cells:
            picture = write_cell_grid(cell, self.store, folder)
            if picture is not None:
                self.tracker.cell_finished(records[cell.name], {"samples.png": picture})

    def _begin(self, cell: Cell) -> None:
        if cell.record in self._begun:
            return
        self._begun.add(cell.record)
        config = {"method": cell.training.method.to_json(), "sampling": cell.samples.parameters()}
        entry = schema.Cell(seed=cell.seed, record=cell.record, k_sample=cell.samples.k_sample)
        self.tracker.cell_started(self._rows[cell.row], entry, config, cell.training.address.key)

    def _log(self, address: str, folder: Path) -> None:
        for cell in self._by_training[address]:
            self._begin(cell)
            self.tracker.log_progress(cell.record, folder / "metrics.jsonl")
