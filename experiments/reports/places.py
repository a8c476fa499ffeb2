"""Where the files of each table of a store are."""

import hashlib
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from prism_bench.analysis.errors import AnalysisError, NewerSchemaError
from prism_bench.analysis.schema.stored_plans import SHORT, experiments_in, load_tables

if TYPE_CHECKING:
    from prism_bench.analysis.schema.join_plans import JoinedPlan
    from prism_bench.analysis.schema.records import Plan
    from prism_bench.analysis.schema.study import Study

Placed = tuple["Plan", Path]
"""A table, and the folder of its files."""


def placed_tables(
    experiment: str, store: Path, only: Sequence[str] = (), say: Callable[[str], None] = lambda _: None
) -> "list[tuple[JoinedPlan, Path]]":
    """The tables of an experiment, the latest first; see `load_tables`."""
    found: "list[tuple[JoinedPlan, Path]]" = []
    for table in load_tables(experiment, store, only, say):
        folder = report_folder(table, store)
        if any(folder == taken for _, taken in found):
            # What differs is neither data, resolution, scale nor a setting.
            folder = folder.with_name(f"{folder.name}-{table.sources[-1].plan[:SHORT]}")
        found.append((table, folder))
    return found


def table_with(plan: "Plan", store: Path) -> Placed:
    """The table that shows a plan; itself where the store keeps nothing of it, as after a dry run.

    Itself too where the others cannot be read, or another process is about to write them: `report` says what is wrong.
    """
    try:
        tables = placed_tables(plan.experiment, store) if plan.experiment in experiments_in(store) else []
    except NewerSchemaError:
        raise
    except AnalysisError:
        tables = []
    for table, folder in tables:
        if table.shows(plan.plan):
            return table, folder
    return plan, report_folder(plan, store)


def report_folder(plan: "Plan", store: Path) -> Path:
    """Where the tables and pictures of a plan go; one whose settings are not the scale's has a folder of its own."""
    from prism_bench.analysis.schema.join_plans import own_settings

    name = f"{plan.dataset.label}-{plan.dataset.resolution}px-{plan.scale}"
    settings = own_settings(plan)
    if settings:
        name += f"-{hashlib.sha256(chr(10).join(settings).encode()).hexdigest()[:SHORT]}"
    return store / "reports" / plan.experiment / re.sub(r"[/\\ ]", "_", name)


def study_folder(study: "Study", reports: Path) -> Path:
    """Where the files of a study go, in the folder of all reports."""
    return reports / f"tune-{study.target}" / study_file(study.study)


def study_file(name: str) -> str:
    """The name of a study as that of a file."""
    return name.replace("/", "_")


def place_name(plan: "Plan") -> str:
    """An experiment, with its panel where it has several, as the name of one folder, whatever the document says."""
    return "-".join(re.sub(r"[/\\]", "_", f"{plan.experiment} {plan.panel}").split()).lower()
