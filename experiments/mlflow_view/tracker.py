"""MLflow's tracker: a connection that is known to answer, before any worker starts."""

from collections.abc import Callable
from pathlib import Path

from prism_bench.analysis.schema.records import Plan
from prism_bench.experiments.mlflow_view.client import RunWriter
from prism_bench.experiments.mlflow_view.connection import check_tracking, connect, tracking_uri
from prism_bench.experiments.mlflow_view.mirror import PlanView
from prism_bench.experiments.mlflow_view.process_owner import close_stale
from prism_bench.experiments.tracking.tracker import Tracker, View
from prism_bench.prism.errors import without_passwords


def open_writer(store: Path, say: Callable[[str], None]) -> RunWriter:
    """A writer whose MLflow answers, after closing what dead processes left RUNNING; raises what MLflow raises."""
    client = connect(store, say)
    closed = close_stale(client, store)
    if closed:
        say(f"MLflow: closed {closed} run(s) that an ended process had left RUNNING")
    return RunWriter(client, store)


def open_tracker(store: Path, say: Callable[[str], None]) -> Tracker:
    """Connect, before any worker starts; makes the store's database where there is none (seconds, said).

    Raises:
        InputError: the database that MLFLOW_TRACKING_URI names has no driver here.
    """
    check_tracking(store)
    # Also where mlflow itself cannot be imported: MLflow is a view, and no fault of a view may stop a training.
    try:
        writer = open_writer(store, say)
    except Exception as error:
        tracker = tracker_at(store, None, say)
        tracker.warn(error)
        return tracker
    return tracker_at(store, lambda plan: PlanView(writer, plan), say)


def tracker_at(store: Path, view_of: Callable[[Plan], View] | None, say: Callable[[str], None]) -> Tracker:
    """A tracker of MLflow; view_of: see `Tracker`."""
    where = f"MLflow at {without_passwords(tracking_uri(store))}"
    return Tracker(where, view_of, say, remedy="run `prism-bench sync` later")
