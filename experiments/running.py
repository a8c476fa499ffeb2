"""`prism-bench run`: from options to plan, from plan to run, from run to table."""

import contextlib
import signal
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import typer
from rich.console import Console

from experiments.announcing import announce, dry_run
from experiments.asking import RunOptions, requests_of, resources
from experiments.display import Display
from experiments.pictures import write_figures, write_pictures
from experiments.plan import Plan, compile_plan
from experiments.reporting import report_folder, table_text, write_tables
from experiments.runner import Run, Survey, survey, write_plan
from experiments.tracking import Tracker
from experiments.view import MlflowView
from experiments.workers import Pool
from prism.component import load_members, load_plugin
from prism.runtime import Runtime
from prism.store import Store

Outcome = Literal["FINISHED", "FAILED", "KILLED"]
LEAST_WIDTH = 100
"""Columns of the printed table where the output is a narrow terminal or a file."""


def run_experiments(options: RunOptions) -> int:
    """Plan, compute what is missing, and print each table; 0, or 1 where a cell failed."""
    console = Console(highlight=False, soft_wrap=True)
    store = Store.create(options.store)
    load_members()
    for plugin in options.plugins:
        load_plugin(plugin)
    plans = [compile_plan(request) for request in requests_of(options, store, console)]
    failed = False
    for plan in plans:
        for warning in plan.warnings():
            console.print(f"note: {warning}", markup=False)
        runtime, workers = resources(options, plan)
        found = survey(plan, store)
        announce(plan, found, store, console)
        if options.dry_run:
            dry_run(plan, found, runtime, workers, console)
        else:
            failed |= not _execute(plan, found, store, runtime, workers, options, console)
    return 1 if failed else 0


def _execute(
    plan: Plan, found: Survey, store: Store, runtime: Runtime, workers: int, options: RunOptions, console: Console
) -> bool:
    """Compute, write tables and pictures, print them; True where every cell has its numbers."""
    write_plan(plan, store)
    tracker = (Tracker.open if options.mlflow else Tracker)(store.root, lambda text: console.print(text, markup=False))
    tracker.begin(plan.document)
    view = MlflowView(tracker, plan, store)
    folder = report_folder(plan.document, store.root)
    outcome: Outcome = "KILLED"
    pictures: dict[str, Path] = {}
    files: list[Path] = []
    try:
        with (
            _interruptible(),
            Pool(store, runtime, workers, options.plugins) as pool,
            Display(len(found.todo), workers, console) as display,
        ):
            display.expect(Counter(stage.kind for stage in found.todo.values()))
            work = Run(plan, store, pool, (display, view), found.todo)
            work.execute()
        ok = all(record["status"] == "done" for record in work.records.values())
        outcome = "FINISHED" if ok else "FAILED"
        pictures = {**write_pictures(plan, store, folder), **write_figures(plan, store, folder)}
        files = write_tables(plan.document, store.root, folder, ("latex", "markdown", "csv"))
        view.finish_cells(work.records, folder)
    except KeyboardInterrupt:
        console.print("\nStopped. What was computed is kept; the same command goes on from here.", markup=False)
        raise typer.Exit(130) from None
    finally:
        tracker.finish(outcome, {path.name: path for path in (*pictures.values(), *files)})
    _conclude(plan, store, folder, console, failed=not ok)
    return ok


@contextlib.contextmanager
def _interruptible() -> Iterator[None]:
    """A polite kill (SIGTERM, as batch systems send) is treated as Ctrl-C: workers save, MLflow is told."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _conclude(plan: Plan, store: Store, folder: Path, console: Console, *, failed: bool) -> None:
    console.print()
    console.print(table_text(plan.document, store.root, max(console.width, LEAST_WIDTH)), markup=False, soft_wrap=True)
    console.print(f"\nPictures and tables: {folder}", markup=False)
    for path in sorted(folder.iterdir()):
        console.print(f"  {path.name}", markup=False)
    if failed:
        console.print(
            "Some cells failed; the reasons stand in the table. The same command tries them again.", markup=False
        )
    option = "" if store.root == Path("prism-bench-store").absolute() else f" --store {store.root}"
    console.print(f"Compare the runs: prism-bench ui{option}", markup=False)
