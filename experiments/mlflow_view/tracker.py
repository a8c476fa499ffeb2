"""The tracker of one run of the program: tells MLflow what happens, and never lets MLflow stop it."""

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal

from prism_bench.analysis.schema.records import Cell, Plan, PlanRow, Record
from prism_bench.experiments.mlflow_view.client import RunWriter, now_ms
from prism_bench.experiments.mlflow_view.connection import connect, tracking_uri
from prism_bench.experiments.mlflow_view.mirror import PlanView
from prism_bench.experiments.mlflow_view.process_owner import close_stale
from prism_bench.prism.errors import first_line

_PAUSE_SECONDS = 60.0


def open_writer(store: Path, say: Callable[[str], None]) -> RunWriter:
    """A writer whose MLflow answers, after closing what dead processes left RUNNING; raises what MLflow raises."""
    client = connect(store, say)
    closed = close_stale(client, store)
    if closed:
        say(f"MLflow: closed {closed} run(s) that an ended process had left RUNNING")
    return RunWriter(client, store)


class Tracker:
    """Used by the parent process only; workers write files and never talk to MLflow.

    Whatever MLflow raises is said once; after a failure it is left in peace for a minute, so that a dead server
    costs a few seconds a minute and not a few per call. Cells that finish meanwhile are logged at the end.
    """

    def __init__(self, store: Path, say: Callable[[str], None]) -> None:
        """Use `Tracker.open`."""
        self._store = store
        self._say = say
        self._writer: RunWriter | None = None
        self._view: PlanView | None = None
        self._logs: dict[str, tuple[int, int]] = {}
        self._unlogged: list[tuple[Record, Mapping[str, Path]]] = []
        self._warned = False
        self._rest_until = 0.0

    @staticmethod
    def open(store: Path, say: Callable[[str], None]) -> "Tracker":
        """Connect, before any worker starts; makes the store's database where there is none (seconds, said)."""
        tracker = Tracker(store, say)
        # Also where mlflow itself cannot be imported: MLflow is a view, and no fault of a view may stop a training.
        try:
            tracker._writer = open_writer(store, say)
        except Exception as error:
            tracker._warn(error)
        return tracker

    def another(self) -> "Tracker":
        """A tracker for another plan, over the same connection."""
        tracker = Tracker(self._store, self._say)
        tracker._writer, tracker._warned = self._writer, self._warned
        return tracker

    def begin(self, plan: Plan) -> None:
        """Make the plan's parent run, or set the one of an earlier time back to RUNNING."""
        if self._writer is not None:
            self._view = PlanView(self._writer, plan)
        self._attempt(lambda view: view.begin())

    def cell_started(self, row: PlanRow, cell: Cell, config: Mapping[str, Any], training_key: str | None) -> None:
        """Make the cell's nested run, or set the one of an earlier time back to RUNNING."""
        self._attempt(lambda view: view.start_cell(row, cell, config, training_key))

    def log_progress(self, record: str, log: Path) -> None:
        """Add what a training log holds beyond the last step logged; cheap where the file has not changed."""
        try:
            state = log.stat()
        except OSError:
            return
        seen = (state.st_mtime_ns, state.st_size)
        if self._logs.get(record) == seen:
            return
        if self._attempt(lambda view: view.progress(record, log)):
            self._logs[record] = seen

    def cell_finished(self, record: Record, artifacts: Mapping[str, Path]) -> None:
        """Write the record and its pictures (name among the artifacts -> file) and close the cell's run."""
        if self._view is not None and not self._attempt(lambda view: view.finish_cell(record, artifacts)):
            self._unlogged.append((record, artifacts))

    def finish(self, status: Literal["FINISHED", "FAILED", "KILLED"], artifacts: Mapping[str, Path]) -> None:
        """Close the plan's run, and as KILLED its cells that are still RUNNING."""
        self._rest_until = 0.0
        while self._unlogged and self._attempt(lambda view: view.finish_cell(*self._unlogged[0])):
            self._unlogged.pop(0)
        self._attempt(lambda view: view.finish(status, artifacts, now_ms()))

    def _attempt(self, action: Callable[[PlanView], None]) -> bool:
        """Whether the action was done. Artifact stores raise errors of their own libraries, hence `Exception`."""
        if self._view is None or time.monotonic() < self._rest_until:
            return False
        try:
            action(self._view)
        except Exception as error:
            self._rest_until = time.monotonic() + _PAUSE_SECONDS
            self._warn(error)
            return False
        return True

    def _warn(self, error: Exception) -> None:
        if not self._warned:
            self._warned = True
            where = tracking_uri(self._store)
            self._say(
                f"MLflow at {where}: {first_line(error)}. The records are complete; run `prism-bench sync` later."
            )
