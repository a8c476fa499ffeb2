"""`prism-bench run`: from options to plans, from plans to one run, from the run to tables."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from rich.console import Console

from prism_bench.experiments.execution.keep_plans import write_plans
from prism_bench.experiments.execution.run_plans import run_plans, working
from prism_bench.experiments.execution.run_result import RunResult
from prism_bench.experiments.mlflow_view.live import MlflowView
from prism_bench.experiments.mlflow_view.tracker import Tracker
from prism_bench.experiments.options.stored import DEFAULT_STORE
from prism_bench.experiments.options.training import RunOptions
from prism_bench.experiments.planning.cells import Cell
from prism_bench.experiments.planning.plan import Plan
from prism_bench.experiments.planning.plan_summary import announce
from prism_bench.experiments.planning.prepare import Prepared, prepare
from prism_bench.experiments.reports.memorisation_figures import write_resemblances
from prism_bench.experiments.reports.reporting import report_folder, table_text, write_tables
from prism_bench.experiments.reports.sample_grids import write_figures, write_pictures
from prism_bench.prism.engine.store import Store

if TYPE_CHECKING:
    from prism_bench.analysis.schema.records import Record
    from prism_bench.analysis.table.results import Results

Outcome = Literal["FINISHED", "FAILED", "KILLED"]
LEAST_WIDTH = 100
"""Columns of the printed table where the output is a narrow terminal or a file."""
NAMED = 3
"""Experiments named one by one in a command that is suggested."""


def run_experiments(options: RunOptions, console: Console) -> RunResult:
    """Plan, compute what is missing, and print each table; a dry run says what would be done.

    Raises:
        InputError: as `prepare`.
        KeyboardInterrupt: as `carry_out`.
    """
    return carry_out(prepare(options, console))


def carry_out(prepared: Prepared) -> RunResult:
    """Compute what is missing, and print each table. A cell that fails stops nothing: its record says why.

    Raises:
        KeyboardInterrupt: stopped; everything computed is kept.
    """
    announce(prepared)
    ok = prepared.options.dry_run or _run(prepared)
    return RunResult(tuple(plan.document for plan in prepared.plans), prepared.store.root, ok=ok)


def _run(prepared: Prepared) -> bool:
    """Compute, write tables and pictures, print them; True where every cell has its numbers.

    Shared work is done once; a table, a folder and an MLflow experiment are each plan's own.
    """
    plans, store = prepared.plans, prepared.store
    write_plans(plans, store)
    views = _views(prepared)
    outcome: Outcome = "KILLED"
    results: "list[Results]" = []
    files: dict[str, list[Path]] = {}
    try:
        records = _compute(prepared, views)
        ok = all(record.status == "done" for of_plan in records.values() for record in of_plan.values())
        outcome = "FINISHED" if ok else "FAILED"
        for view in views:
            tables, files[view.plan.digest] = _write(view.plan, store, pool=prepared.options.pool)
            results.append(tables)
            view.finish_cells(records[view.plan.digest], report_folder(view.plan.document, store.root))
    except KeyboardInterrupt:
        prepared.console.print("\nStopped. What was computed is kept; the same command goes on from here.")
        raise
    finally:
        for view in views:
            view.tracker.finish(outcome, {path.name: path for path in files.get(view.plan.digest, [])})
    _conclude(prepared, results, failed=not ok)
    return ok


def _views(prepared: Prepared) -> list[MlflowView]:
    """An MLflow experiment for each plan, over one connection."""
    say = partial(prepared.console.print, markup=False, soft_wrap=True)
    first = (Tracker.open if prepared.options.mlflow else Tracker)(prepared.store.root, say)
    views: list[MlflowView] = []
    for plan in prepared.plans:
        tracker = first if not views else first.another()
        tracker.begin(plan.document)
        views.append(MlflowView(tracker, plan, prepared.store))
    return views


def _compute(prepared: Prepared, views: Sequence[MlflowView]) -> "dict[str, dict[str, Record]]":
    def recorded(plan: Plan, cell: Cell, record: "Record") -> None:
        for view in views:
            view.recorded(plan, cell, record)

    plugins, todo = prepared.options.plugins, prepared.survey.todo
    with working(todo, prepared.store, prepared.slots, plugins, prepared.console, views) as scheduler:
        return run_plans(prepared.plans, todo, scheduler, recorded)


def _write(plan: Plan, store: Store, *, pool: bool) -> "tuple[Results, list[Path]]":
    folder = report_folder(plan.document, store.root)
    pictures = [write(plan, store, folder) for write in (write_pictures, write_figures, write_resemblances)]
    results, tables = write_tables(plan.document, store.root, folder, pool=pool)
    return results, [*(path for written in pictures for path in written), *tables]


def _conclude(prepared: Prepared, results: "Sequence[Results]", *, failed: bool) -> None:
    say = partial(prepared.console.print, markup=False, soft_wrap=True)
    root = prepared.store.root
    option = "" if root == Path(DEFAULT_STORE).absolute() else f" --store {root}"
    for plan, tables in zip(prepared.plans, results, strict=True):
        say("")
        if plan.document.kind == "table":
            say(table_text(tables, max(prepared.console.width, LEAST_WIDTH)))
        folder = report_folder(plan.document, root)
        say(f"\nPictures and tables of {plan.document.experiment}: {folder}")
        say("  " + "  ".join(sorted(path.name for path in folder.iterdir() if path.is_file())))
        # What a plan without numbers leaves: its trainings.
        trainings = {cell.training.address: cell for cell in plan.cells if plan.document.kind == "grid"}
        for training, cell in trainings.items():
            if prepared.store.folder(training).exists():
                say(f"  {cell.label}, seed {cell.seed}: {prepared.store.folder(training)}")
                say(f"    more samples: prism-bench sample {training.key[:8]} --n 1000 --out samples{option}")
    if failed:
        say("Some cells failed; the reasons stand in the table. The same command tries them again.")
    names = dict.fromkeys(plan.document.experiment for plan in prepared.plans)
    which = " ".join(names) if len(names) <= NAMED else "all"
    pooled = " --pool" if prepared.options.pool else ""
    say(f"\nOne page of everything: prism-bench report {which} --format html{pooled}{option}")
    say(f"Compare the runs: prism-bench ui{option}")
