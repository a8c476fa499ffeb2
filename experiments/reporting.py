"""From a store's records to tables on disk and on the screen. Needs no torch."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import typer


def report_folder(document: dict[str, Any], store: Path) -> Path:
    """Where the tables and pictures of a plan go; a plan that is not an experiment in full has a folder of its own."""
    data = document["dataset"]
    name = f"{data['label']}-{data['resolution']}px-{document['scale']}"
    if document["settings"]:
        name += f"-{document['plan'][:8]}"
    return store / "reports" / str(document["experiment"]) / name.replace("/", "_").replace(" ", "_")


def formats_of(document: dict[str, Any]) -> tuple[str, ...]:
    """The files a run leaves: a grid of samples has a page and no numbers."""
    return ("markdown",) if document.get("kind", "table") == "grid" else ("latex", "markdown", "csv")


def load_plans(experiment: str, store: Path) -> list[dict[str, Any]]:
    """The experiment's latest plans in a store: one, or one for each of the paper's datasets."""
    from analysis.errors import AnalysisError

    folder = store / "experiments" / experiment
    if not (folder / "latest").exists():
        known = sorted(path.parent.name for path in store.glob("experiments/*/latest"))
        hint = f"it holds {', '.join(known)}" if known else "it holds no experiment yet"
        raise AnalysisError(f"no run of {experiment!r} in the store {store}: {hint}; run it first, or give --store")
    latest = json.loads((folder / "latest").read_text())
    digests = latest["plans"] if "plans" in latest else [latest["plan"]]
    return [json.loads((folder / f"{digest}.json").read_text()) for digest in digests]


def report_experiments(experiments: tuple[str, ...], formats: tuple[str, ...], out: Path | None, store: Path) -> None:
    """Write and list the tables of each experiment."""
    for experiment in experiments:
        for document in load_plans(experiment, store):
            folder = out or report_folder(document, store)
            for path in write_tables(document, store, folder, formats):
                typer.echo(path)


def write_tables(document: dict[str, Any], store: Path, folder: Path, formats: Sequence[str]) -> list[Path]:
    """Write the plan's table in each format; returns the paths."""
    from analysis.report import write_report

    return write_report(document, store, folder, formats)


def table_text(document: dict[str, Any], store: Path, width: int) -> str:
    """The plan's table as plain text."""
    from analysis.console import table_text as as_text
    from analysis.records import load_plan as read_plan
    from analysis.records import load_records
    from analysis.table import build

    plan = read_plan(document)
    return as_text(build(plan, load_records(store, plan).values()), width)
