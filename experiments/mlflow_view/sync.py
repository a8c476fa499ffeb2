"""Rebuild MLflow from the files of a store."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from prism_bench.analysis.errors import AnalysisError, NewerSchemaError
from prism_bench.analysis.schema.document import D, read
from prism_bench.analysis.schema.records import Plan, Record
from prism_bench.experiments.mlflow_view.client import RunWriter
from prism_bench.experiments.mlflow_view.connection import check_tracking, failure
from prism_bench.experiments.mlflow_view.mirror import PlanView
from prism_bench.experiments.mlflow_view.tracker import open_writer
from prism_bench.prism.errors import InputError


@dataclass(frozen=True, kw_only=True)
class SyncCount:
    """What `sync` found in the store (plans with results, cells) and what it added to MLflow (runs, metric points)."""

    plans: int
    cells: int
    runs_added: int
    points_added: int


def sync(store: Path, say: Callable[[str], None]) -> SyncCount:
    """Bring MLflow up to the store's plans, records and training logs; a second call adds nothing.

    Plans that a living process is running are left to it.

    Raises:
        NewerSchemaError: a newer program wrote a plan or a record.
        InputError: the store's own database cannot be used, or there is no driver for the one that is named.
        ComputeError: MLflow does not answer or fails; what was written stays and the next call goes on from there.
    """
    check_tracking(store)
    plans = cells = 0
    try:
        writer = open_writer(store, say)
        for path in sorted((store / "experiments").glob("*/*.json")):
            count = sync_plan(writer, path, say)
            plans += count > 0
            cells += count
    except (InputError, NewerSchemaError):
        raise
    except Exception as error:
        raise failure(store, error) from error
    return SyncCount(plans=plans, cells=cells, runs_added=writer.runs_added, points_added=writer.points_added)


def sync_plan(writer: RunWriter, path: Path, say: Callable[[str], None]) -> int:
    """Bring the runs of one plan's file up to date; returns the number of its cells that have a record."""
    plan = _read(Plan, path, say)
    if plan is None:
        return 0
    asked = list(dict.fromkeys(cell.record for row in plan.rows for cell in row.cells))
    files = [writer.store / "records" / f"{record}.json" for record in asked]
    records = [record for file in files if file.exists() and (record := _read(Record, file, say)) is not None]
    if not records:
        return 0
    view = PlanView(writer, plan)
    known = view.find()
    if known is not None and known.status == "RUNNING":
        say(f"{plan.experiment} ({plan.plan[:8]}) is running and left alone")
        return 0
    written = [int(file.stat().st_mtime * 1000) for file in (path, *files) if file.exists()]
    view.run(started=min(written))
    for record in records:
        view.finish_cell(record)
    statuses = {record.status for record in records}
    done = "FINISHED" if len(records) == len(asked) and statuses == {"done"} else "KILLED"
    status = "FAILED" if statuses & {"failed", "blocked"} else done
    # Also where nothing is new: it adds what is.
    view.finish(status, max(written))
    return len(records)


def _read(document: type[D], path: Path, say: Callable[[str], None]) -> D | None:
    try:
        return read(document, path)
    except NewerSchemaError:
        raise
    except AnalysisError as error:
        say(f"{error}; passed over")
        return None
