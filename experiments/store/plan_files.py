"""The plans that a store keeps, and which of them are their experiments' latest."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from prism_bench.analysis.schema.records import Plan


def load_plans(experiment: str, store: Path) -> "list[Plan]":
    """The experiment's latest plans in a store: one, or one for each of the paper's datasets."""
    from prism_bench.analysis.errors import AnalysisError
    from prism_bench.analysis.schema.records import load_plan

    folder = store / "experiments" / experiment
    if not (folder / "latest").exists():
        known = sorted(path.parent.name for path in store.glob("experiments/*/latest"))
        hint = f"it holds {', '.join(known)}" if known else "it holds no experiment yet"
        raise AnalysisError(f"no run of {experiment!r} in the store {store}: {hint}; run it first, or give --store")
    latest = json.loads((folder / "latest").read_text())
    digests = latest["plans"] if "plans" in latest else [latest["plan"]]
    return [load_plan(folder / f"{digest}.json") for digest in digests]
