"""The plans that a store keeps, and which of them are their experiments' latest."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

from prism_bench.analysis.errors import AnalysisError

if TYPE_CHECKING:
    from prism_bench.analysis.schema.records import Plan


def experiments_in(store: Path) -> list[str]:
    """The names of the experiments that a store holds, sorted."""
    return sorted(path.parent.name for path in store.glob("experiments/*/latest"))


def latest_plans(folder: Path) -> list[str]:
    """The digests of an experiment's latest plans, from its folder in a store; earlier versions named one alone.

    Raises:
        OSError: its file is not there. ValueError: the file is no JSON.
    """
    latest = json.loads((folder / "latest").read_text())
    return [str(digest) for digest in (latest["plans"] if "plans" in latest else [latest["plan"]])]


def load_plans(experiment: str, store: Path, *, every_plan: bool = False) -> "list[Plan]":
    """The experiment's latest plans in a store: one, or one for each of the paper's datasets; or all it ever had.

    Raises:
        AnalysisError: the store holds no run of it, or a plan is malformed.
    """
    from prism_bench.analysis.schema.records import load_plan

    folder = store / "experiments" / experiment
    if not (folder / "latest").exists():
        known = experiments_in(store)
        hint = f"it holds {', '.join(known)}" if known else "it holds no experiment yet"
        raise AnalysisError(f"no run of {experiment!r} in the store {store}: {hint}; run it first, or give --store")
    digests = latest_plans(folder)
    if every_plan:
        digests += sorted({path.stem for path in folder.glob("*.json")} - {*digests, "latest"})
    return [load_plan(folder / f"{digest}.json") for digest in digests]
