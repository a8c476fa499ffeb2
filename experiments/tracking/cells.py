"""A plan as runs of its cells, one beside the other, in a program that keeps each in files of its own."""

import json
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

from prism_bench.analysis.schema.records import Cell, Plan, PlanRow, Record
from prism_bench.experiments.reports.cell_picture import cell_picture
from prism_bench.experiments.reports.places import report_folder
from prism_bench.experiments.tracking import payload
from prism_bench.experiments.tracking.commit import project_commit
from prism_bench.experiments.tracking.payload import Point
from prism_bench.prism.engine.lease import HeldError, Lease

Key = tuple[str, str]
"""A cell by its row and its record."""


class CellRun(ABC):
    """One cell's run while it is written."""

    seen = -1
    """The last step that is shown; images trained on."""

    @abstractmethod
    def points(self, points: Sequence[Point]) -> None:
        """Show points of the training, in order, all beyond `seen`."""

    @abstractmethod
    def final(self, values: Mapping[str, float], step: int, picture: Path | None) -> None:
        """Show the record's values, and the picture of its samples where there is one."""

    @abstractmethod
    def close(self, *, ok: bool) -> None:
        """Nothing more is shown; ok: whether the cell has its numbers."""


class CellsView(ABC):
    """Shows each cell once: a file beside its run says which record it shows, and another record is shown anew."""

    name: ClassVar[str]

    def __init__(self, store: Path, plan: Plan) -> None:
        self.store, self.plan = store, plan
        self.names = payload.cell_names(plan)
        self._open: dict[Key, CellRun] = {}
        self._configs: dict[Key, Mapping[str, Any]] = {}

    @abstractmethod
    def open(self, key: Key, params: Mapping[str, str]) -> CellRun:
        """A run of a cell, with its parameters, in place of one that was not finished."""

    @abstractmethod
    def shown(self, key: Key) -> Path:
        """The file that says which record the run of a cell shows."""

    def begin(self) -> None:  # noqa: B027 - there is nothing to do
        """See `View`: runs begin with their first number."""

    def start_cell(self, row: PlanRow, cell: Cell, config: Mapping[str, Any], training_key: str | None) -> None:
        """See `View`."""
        self._configs[row.id, cell.record] = config

    def progress(self, record: str, log: Path) -> None:
        """See `View`."""
        points = list(payload.training_points(log))
        for row, cell in self._cells(record):
            key = (row.id, record)
            # A cell that has not begun here is another process's; one that is shown waits for its record.
            if points and key in self._configs and (key in self._open or not self.shown(key).is_file()):
                _show(self._run(row, cell), points)

    def finish_cell(self, record: Record) -> None:
        """See `View`."""
        for row, cell in self._cells(record.record):
            key = (row.id, record.record)
            lease = Lease(self.store / "locks" / f"{self.name}-{payload.fingerprint([self.plan.plan, *key])[:16]}")
            try:
                lease.acquire()
            except HeldError:  # who has it shows the same
                continue
            with lease:
                self._finish(row, cell, record)

    def finish(self, status: str, ended: int) -> None:
        """See `View`."""
        for run in self._open.values():
            run.close(ok=False)
        self._open.clear()

    def _cells(self, record: str) -> list[tuple[PlanRow, Cell]]:
        return [(row, cell) for row in self.plan.rows for cell in row.cells if cell.record == record]

    @cached_property
    def _commit(self) -> str | None:
        return project_commit()

    def _run(self, row: PlanRow, cell: Cell) -> CellRun:
        key = (row.id, cell.record)
        if key not in self._open:
            params = payload.cell_params(self.plan, row, cell, self._configs.get(key, {}))
            self._open[key] = self.open(key, params | ({"commit": self._commit} if self._commit else {}))
        return self._open[key]

    def _finish(self, row: PlanRow, cell: Cell, record: Record) -> None:
        key, path = (row.id, record.record), cell_picture(report_folder(self.plan, self.store), row.id, record)
        picture = path if path.is_file() else None
        facts = record.model_dump(mode="json", exclude={"row", "variant", "schema_version"})
        shown = payload.fingerprint([facts, payload.files_fingerprint({} if picture is None else {path.name: path})])
        mark = self.shown(key)
        if mark.is_file() and mark.read_text(encoding="utf-8").strip() == json.dumps(shown):
            return
        self._configs[key] = record.config.model_dump(mode="json")
        run = self._run(row, cell)
        training = record.stages.get("training")
        if training:
            _show(run, list(payload.training_points(self.store / "stages" / "training" / training / "metrics.jsonl")))
        step = max(record.cost.images or 0, run.seen, 0)
        run.final(payload.final_metrics(record), step, picture)
        del self._open[key]
        run.close(ok=record.status == "done")
        if record.status != "done":
            return  # what fails is tried again
        # Last, so that a process killed before this line does the whole again.
        mark.parent.mkdir(parents=True, exist_ok=True)
        mark.write_text(json.dumps(shown) + "\n", encoding="utf-8")


def _show(run: CellRun, points: Sequence[Point]) -> None:
    news, seen = [], run.seen
    for point in points:
        if point.step > seen:
            seen = point.step
            news.append(point)
    if news:
        run.points(news)
        run.seen = seen
