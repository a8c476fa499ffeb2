"""The observer that keeps trackers up to date while a plan runs. Only the parent process talks to them."""

import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from prism_bench.analysis.schema import records as schema
from prism_bench.analysis.schema.bare_labels import with_bare_labels
from prism_bench.experiments.planning.cells import Cell
from prism_bench.experiments.planning.plan import Plan
from prism_bench.experiments.reports.places import report_folder
from prism_bench.experiments.reports.sample_grids import write_cell_grid
from prism_bench.experiments.tracking.tracker import Ending, Tracker
from prism_bench.prism.engine.pool import Answer
from prism_bench.prism.engine.stage import Stage
from prism_bench.prism.engine.store import Store

EVERY_SECONDS = 10.0
"""Between two looks at the log of one training."""


class LiveView:
    """Feeds a plan's trackers from stages and records."""

    def __init__(self, trackers: Sequence[Tracker], plan: Plan, store: Store) -> None:
        self.trackers, self.plan, self.store = trackers, plan, store
        document = with_bare_labels(plan.document)
        self._rows = {row.id: row for row in document.rows}
        for tracker in trackers:
            tracker.begin(document)
        self._by_training: dict[str, list[Cell]] = {}
        for cell in plan.cells:
            self._by_training.setdefault(str(cell.training.address), []).append(cell)
        self._looked: dict[str, float] = {}
        self._begun: set[str] = set()

    @property
    def complete(self) -> bool:
        """Whether every tracker shows all that it was told."""
        return all(tracker.complete for tracker in self.trackers)

    def started(self, stage: Stage) -> None:
        """See `StageObserver`."""
        for cell in self._by_training.get(str(stage.address), []):
            self._begin(cell)

    def elsewhere(self, stage: Stage, who: str) -> None:
        """See `StageObserver`."""

    def put_back(self, stage: Stage, answer: Answer) -> None:
        """See `StageObserver`."""

    def waits(self, stage: Stage, where: str) -> None:
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
        # Without trackers too: what shows the run later (`sync`) finds it there.
        with suppress(OSError):
            write_cell_grid(cell, self.store, report_folder(plan.document, self.store.root))
        for tracker in self.trackers:
            tracker.cell_finished(record)

    def finish(self, ending: Ending) -> None:
        """The plan has ended."""
        for tracker in self.trackers:
            tracker.finish(ending)

    def _begin(self, cell: Cell) -> None:
        if cell.record in self._begun:
            return
        self._begun.add(cell.record)
        # As in the record: the precision of sampling is the method's, and stands there.
        fields = schema.Sampling.model_fields
        sampling = {name: value for name, value in cell.samples.parameters().items() if name in fields}
        config = {"method": cell.training.method.to_json(), "sampling": sampling}
        entry = schema.Cell(seed=cell.seed, record=cell.record, k_sample=cell.samples.k_sample)
        for tracker in self.trackers:
            tracker.cell_started(self._rows[cell.row], entry, config, cell.training.address.key)

    def _log(self, address: str, folder: Path) -> None:
        for cell in self._by_training[address]:
            self._begin(cell)
            for tracker in self.trackers:
                tracker.log_progress(cell.record, folder / "metrics.jsonl")
