"""Where MLflow compares the cells that the latest table of an experiment shows."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from prism_bench.analysis.errors import NewerSchemaError
from prism_bench.analysis.schema.join_plans import JoinedPlan
from prism_bench.analysis.schema.stored_plans import LATEST, latest_plans, load_tables
from prism_bench.experiments.mlflow_view import links
from prism_bench.experiments.mlflow_view.connection import check_tracking, failure
from prism_bench.experiments.mlflow_view.mirror import PlanView
from prism_bench.experiments.mlflow_view.sync import sync_plan
from prism_bench.experiments.mlflow_view.tracker import open_writer
from prism_bench.experiments.paper.names import NUMBERED
from prism_bench.prism.errors import InputError


@dataclass(frozen=True)
class Shown:
    """An experiment's pages, as addresses behind that of a server; `cells` counts the runs that are compared."""

    experiment: str
    cells: int
    comparison: str
    curves: str


def shown_in_mlflow(store: Path, experiment: str | None, say: Callable[[str], None]) -> Shown | None:
    """Bring MLflow up to the latest tables of an experiment (default: the one run last), and find their pages.

    Returns:
        None where the store has no cell yet.

    Raises:
        AnalysisError: there is no run of an experiment that is named, or a plan cannot be read.
        InputError: the store's own database cannot be used.
        ComputeError: MLflow does not answer or fails.
    """
    check_tracking(store)
    name = NUMBERED.get(experiment, experiment) if experiment else _last_run(store)
    tables = [] if name is None else _latest_tables(name, store)
    try:
        # Also without a plan: it makes the database before a server does.
        writer = open_writer(store, say)
        runs: list[str] = []
        for table in tables:
            known: dict[tuple[str, str], str] = {}
            for plan in table.sources:
                sync_plan(writer, store / "experiments" / plan.experiment / f"{plan.plan}.json", say)
                view = PlanView(writer, plan)
                view.find()
                known = view.runs | known
            asked = ((row.id, cell.record) for row in table.rows for cell in row.cells)
            runs += [known[key] for key in asked if key in known]
        if name is None or not runs:
            return None
        home = writer.experiment(name)
    except (InputError, NewerSchemaError):
        raise
    except Exception as error:
        raise failure(store, error) from error
    return Shown(name, len(runs), links.comparison(home, runs), links.curves(home, runs))


def _latest_tables(name: str, store: Path) -> list[JoinedPlan]:
    """One, or one for each of the paper's datasets."""
    tables = load_tables(name, store)
    latest = latest_plans(store / "experiments" / name)
    return [table for table in tables if any(map(table.shows, latest))]


def _last_run(store: Path) -> str | None:
    latest = sorted(store.glob(f"experiments/*/{LATEST}"), key=lambda path: path.stat().st_mtime)
    return latest[-1].parent.name if latest else None
