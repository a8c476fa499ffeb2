"""`prism-bench run`: from options to plans, from plans to one run, from the run to tables."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from prism_bench.experiments.execution.keep_plans import write_plans
from prism_bench.experiments.execution.run_plans import run_plans, working
from prism_bench.experiments.execution.run_result import RunResult
from prism_bench.experiments.execution.trackers import check_trackers, open_trackers
from prism_bench.experiments.mlflow_view.catch_up import ShownNote, catch_up
from prism_bench.experiments.options.training import RunOptions
from prism_bench.experiments.planning.cells import Cell
from prism_bench.experiments.planning.plan import Plan
from prism_bench.experiments.planning.plan_summary import announce
from prism_bench.experiments.planning.prepare import Prepared, prepare
from prism_bench.experiments.reports.memorisation_figures import write_resemblances
from prism_bench.experiments.reports.places import table_with
from prism_bench.experiments.reports.reporting import estimator_called, joined_words, show_table, write_tables
from prism_bench.experiments.reports.sample_grids import write_figures, write_pictures
from prism_bench.experiments.screen import Screen
from prism_bench.experiments.tracking.live import LiveView
from prism_bench.experiments.tracking.tracker import Ending
from prism_bench.prism.engine.store import Store

if TYPE_CHECKING:
    from prism_bench.analysis.schema.records import Record
    from prism_bench.analysis.table.results import Results

NAMED = 3
"""Experiments named one by one in a command that is suggested."""


def run_experiments(options: RunOptions, screen: Screen) -> RunResult:
    """Plan, compute what is missing, and print each table; a dry run says what would be done.

    Raises:
        InputError: as `prepare`, or a program of `--log` that cannot be used.
        KeyboardInterrupt: as `carry_out`.
    """
    check_trackers(options)
    return carry_out(prepare(options, screen))


def carry_out(prepared: Prepared) -> RunResult:
    """Compute what is missing, and print each table. A cell that fails stops nothing: its record says why.

    Raises:
        KeyboardInterrupt: stopped; everything computed is kept.
    """
    guess = announce(prepared)
    ok = prepared.options.dry_run or _run(prepared)
    return RunResult(
        tuple(plan.document for plan in prepared.plans),
        prepared.store.root,
        ok=ok,
        pool=prepared.options.pool,
        planned=prepared.planned(guess) if prepared.options.dry_run else None,
    )


def _run(prepared: Prepared) -> bool:
    """Compute, write tables and pictures, print them; True where every cell has its numbers.

    Shared work is done once; a table, a folder and an MLflow experiment are each plan's own. MLflow takes seconds to
    open: where there is nothing to watch it has time until the tables are printed.
    """
    plans, store, mlflow = prepared.plans, prepared.store, prepared.options.mlflow
    watched = mlflow and bool(prepared.survey.todo)
    write_plans(plans, store)
    if prepared.survey.todo:
        prepared.pool.begin()
    shown = ShownNote(store.root)
    views = _views(prepared, mlflow_now=watched)
    outcome: Ending = "KILLED"
    results: "list[Results]" = []
    try:
        records = _compute(prepared, views)
        ok = all(record.status == "done" for of_plan in records.values() for record in of_plan.values())
        outcome = "FINISHED" if ok else "FAILED"
        for view in views:
            results.append(_write(view.plan, store, prepared.options))
    except KeyboardInterrupt:
        prepared.screen.say("\nStopped. What was computed is kept; the same command goes on from here.")
        raise
    finally:
        for view in views:
            view.finish(outcome)
    _conclude(prepared, results, failed=not ok)
    sources = [(plan.document, of_plan.folder) for plan, of_plan in zip(plans, results, strict=True)]
    if watched and all(view.complete for view in views):
        shown.add(sources)
    elif mlflow and not watched:
        catch_up(sources, store.root, prepared.screen.say)
    return ok


def _views(prepared: Prepared, *, mlflow_now: bool) -> list[LiveView]:
    """A view of each plan in every program that shows runs, over one connection to each."""
    trackers = open_trackers(prepared.options, prepared.store.root, prepared.screen.say, mlflow_now=mlflow_now)
    views: list[LiveView] = []
    for plan in prepared.plans:
        views.append(LiveView(trackers if not views else [it.another() for it in trackers], plan, prepared.store))
    return views


def _compute(prepared: Prepared, views: Sequence[LiveView]) -> "dict[str, dict[str, Record]]":
    def recorded(plan: Plan, cell: Cell, record: "Record") -> None:
        for view in views:
            view.recorded(plan, cell, record)

    todo = prepared.survey.todo
    with working(todo, prepared.store, prepared.pool, prepared.screen, views) as scheduler:
        return run_plans(prepared.plans, todo, scheduler, recorded)


def _write(plan: Plan, store: Store, options: RunOptions) -> "Results":
    """The files of the table that shows the plan, and earlier ones that may share it."""
    from prism_bench.analysis.report.write_report import Source, results_of

    (table, folder), formats = table_with(plan.document, store.root), options.figure_formats
    results = results_of(Source(plan=table, folder=folder), store.root, estimator_called(pool=options.pool))
    for write in (write_pictures, write_figures, write_resemblances):
        write(results, store, folder, formats)
    write_tables(results, formats)
    return results


def _conclude(prepared: Prepared, results: "Sequence[Results]", *, failed: bool) -> None:
    screen = prepared.screen
    for plan, tables in zip(prepared.plans, results, strict=True):
        screen.say()
        if plan.document.kind == "table":
            show_table(tables, screen)
        earlier = joined_words(tables.plan)
        if earlier:
            screen.say(f"\n{earlier}")
        folder = tables.folder
        screen.tell(f"\nPictures and tables of {plan.document.experiment}: {folder}")
        screen.say("  " + "  ".join(sorted(path.name for path in folder.glob("[!.]*") if path.is_file())))
        # What a plan without numbers leaves: its trainings.
        trainings = {cell.training.address: cell for cell in plan.cells if plan.document.kind == "grid"}
        for training, cell in trainings.items():
            if prepared.store.folder(training).exists():
                screen.tell(f"  {cell.label}, seed {cell.seed}: {prepared.store.folder(training)}")
                more = prepared.options.next_command("sample", training.key[:8], "--n", "1000", "--out", "samples")
                screen.say(f"    more samples: {more}")
    if failed:
        screen.tell("Some cells failed; the reasons stand in the table. The same command tries them again.")
    names = list(dict.fromkeys(plan.document.experiment for plan in prepared.plans))
    which = names if len(names) <= NAMED else ["all"]
    pooled = ["--pool"] if prepared.options.pool else []
    page = prepared.options.next_command("report", *which, "--format", "html", *pooled)
    screen.say(f"\nOne page of everything: {page}")
    screen.say(f"Compare the runs: {prepared.options.next_command('ui')}")
