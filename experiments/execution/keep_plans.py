"""Plans are kept before anything of them is computed, so that a report can be made of whatever comes of them."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from prism_bench.analysis.errors import AnalysisError, NewerSchemaError
from prism_bench.analysis.schema.stored_plans import LATEST, load_plans
from prism_bench.experiments.planning.plan import Plan
from prism_bench.prism.engine.runtime import keep_json
from prism_bench.prism.engine.store import Store
from prism_bench.sealed import sealed


def write_plans(plans: Sequence[Plan], store: Store) -> None:
    """Keep the plans' documents, and note them as their experiments' latest: one for each panel that was asked for.

    A plan narrowed by `--only` is a look at a part: it does not take the place of one that holds all its cells.
    """
    latest: dict[str, list[Plan]] = {}
    for plan in plans:
        latest.setdefault(plan.document.experiment, []).append(plan)
    for experiment, panels in latest.items():
        part = all(plan.document.only for plan in panels) and _cells_of(panels) <= _known(store, experiment)
        for plan in panels:
            _keep(store.plan_path(experiment, plan.digest), plan.document.model_dump(mode="json"))
        if not part:
            _keep(store.root / "experiments" / experiment / LATEST, {"plans": [plan.digest for plan in panels]})


def _keep(path: Path, document: dict[str, Any]) -> None:
    """Write it; where it is there already its time says that it was asked for again, for the last comes first."""
    if not keep_json(path, sealed(document)):
        path.touch()


def _cells_of(plans: Sequence[Plan]) -> set[str]:
    return {cell.record for plan in plans for cell in plan.cells}


def _known(store: Store, experiment: str) -> set[str]:
    """The records of an experiment's latest plans."""
    try:
        plans = load_plans(experiment, store.root)
    except NewerSchemaError:
        raise
    except AnalysisError:  # there are none, or they are damaged
        return set()
    return {cell.record for plan in plans for row in plan.rows for cell in row.cells}
