"""The tracker of one plan: tells a program that shows runs what happens, and never lets it stop the run."""

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal, Protocol

from prism_bench.analysis.schema.records import Cell, Plan, PlanRow, Record
from prism_bench.experiments.tracking.payload import now_ms
from prism_bench.prism.errors import first_line

Ending = Literal["FINISHED", "FAILED", "KILLED"]
PAUSE_SECONDS = 60.0


class View(Protocol):
    """A plan in a program that shows runs. Every call may raise whatever that program raises."""

    def begin(self) -> None:
        """The plan runs in this process."""

    def start_cell(self, row: PlanRow, cell: Cell, config: Mapping[str, Any], training_key: str | None) -> None:
        """A cell's training begins, or goes on where an earlier process stopped."""

    def progress(self, record: str, log: Path) -> None:
        """Show what a training log (JSON lines) holds beyond what is shown."""

    def finish_cell(self, record: Record) -> None:
        """Show a record and the picture of its samples; a second time it adds only what is new."""

    def finish(self, status: str, ended: int) -> None:
        """The plan has ended (ms since 1970); its tables and pictures lie in the folder of its report."""


class Tracker:
    """Used by the parent process only; workers write files and never talk to such a program.

    Whatever a view raises is said once; after a failure it is left in peace for a minute, so that a dead server costs
    a few seconds a minute and not a few per call. Cells that finish meanwhile are shown at the end.
    """

    def __init__(
        self, where: str, view_of: Callable[[Plan], View] | None, say: Callable[[str], None], *, remedy: str
    ) -> None:
        """where: what is said to have failed. view_of: None where it is known not to answer."""
        self._where, self._remedy, self._say = where, remedy, say
        self._view_of = view_of
        self._view: View | None = None
        self._logs: dict[str, tuple[int, int]] = {}
        self._unlogged: list[Record] = []
        self._warned = False
        self._rest_until = 0.0

    def another(self) -> "Tracker":
        """A tracker for another plan, over the same connection."""
        tracker = Tracker(self._where, self._view_of, self._say, remedy=self._remedy)
        tracker._warned = self._warned
        return tracker

    @property
    def complete(self) -> bool:
        """Whether all that it was told is shown."""
        return self._view is not None and not self._warned and not self._unlogged

    def begin(self, plan: Plan) -> None:
        """Make what shows the plan, or go on with that of an earlier time."""
        if self._view_of is not None:
            self._view = self._view_of(plan)
        self._attempt(lambda view: view.begin())

    def cell_started(self, row: PlanRow, cell: Cell, config: Mapping[str, Any], training_key: str | None) -> None:
        """Make what shows the cell, or go on with that of an earlier time."""
        self._attempt(lambda view: view.start_cell(row, cell, config, training_key))

    def log_progress(self, record: str, log: Path) -> None:
        """Add what a training log holds beyond the last step shown; cheap where the file has not changed."""
        try:
            state = log.stat()
        except OSError:
            return
        seen = (state.st_mtime_ns, state.st_size)
        if self._logs.get(record) == seen:
            return
        if self._attempt(lambda view: view.progress(record, log)):
            self._logs[record] = seen

    def cell_finished(self, record: Record) -> None:
        """Show the record and the picture of its samples."""
        if self._view is not None and not self._attempt(lambda view: view.finish_cell(record)):
            self._unlogged.append(record)

    def finish(self, status: Ending) -> None:
        """Close what shows the plan, and as KILLED its cells that still run."""
        self._rest_until = 0.0
        while self._unlogged and self._attempt(lambda view: view.finish_cell(self._unlogged[0])):
            self._unlogged.pop(0)
        self._attempt(lambda view: view.finish(status, now_ms()))

    def warn(self, error: Exception) -> None:
        """Say that it failed, and what to do later; only the first time."""
        if not self._warned:
            self._warned = True
            self._say(f"{self._where}: {first_line(error)}. The records are complete; {self._remedy}.")

    def _attempt(self, action: Callable[[View], None]) -> bool:
        """Whether the action was done. Such programs raise errors of their own libraries, hence `Exception`."""
        if self._view is None or time.monotonic() < self._rest_until:
            return False
        try:
            action(self._view)
        except Exception as error:
            self._rest_until = time.monotonic() + PAUSE_SECONDS
            self.warn(error)
            return False
        return True
