"""`prism-bench run`: from options to plans, from plans to one run, from the run to tables."""

import contextlib
import signal
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from prism_bench.experiments.execution.keep_plans import write_plans
from prism_bench.experiments.execution.progress_display import Display
from prism_bench.experiments.execution.run_plans import PlansRun
from prism_bench.experiments.execution.run_result import RunResult
from prism_bench.experiments.mlflow_view.live import MlflowView
from prism_bench.experiments.mlflow_view.tracker import Tracker
from prism_bench.experiments.options.training import RunOptions
from prism_bench.experiments.planning.estimate import Estimate, estimate
from prism_bench.experiments.planning.plan import Plan, compile_plans, distinct_trainings
from prism_bench.experiments.planning.plan_summary import announce, details, summary
from prism_bench.experiments.planning.resolve_options import requests_of, resources
from prism_bench.experiments.planning.survey import Survey, check_weights, survey
from prism_bench.experiments.reports.memorisation_figures import write_resemblances
from prism_bench.experiments.reports.reporting import report_folder, table_text, write_tables
from prism_bench.experiments.reports.sample_grids import write_figures, write_pictures
from prism_bench.prism.component import load
from prism_bench.prism.engine.local_pool import Pool, prepare_process
from prism_bench.prism.engine.runtime import Runtime
from prism_bench.prism.engine.store import DEFAULT_STORE, Store
from prism_bench.prism.errors import InputError
from rich.console import Console

Outcome = Literal["FINISHED", "FAILED", "KILLED"]
LEAST_WIDTH = 100
"""Columns of the printed table where the output is a narrow terminal or a file."""
NAMED = 3
"""Experiments named one by one in a command that is suggested."""


@dataclass(frozen=True)
class Prepared:
    """What was asked for, checked: plans, what they still need of the store, and what computes it."""

    options: RunOptions
    store: Store
    plans: Sequence[Plan]
    survey: Survey
    runtime: Runtime
    workers: int

    def estimate(self) -> Estimate:
        """Time and disk of what is to do, from a short probe of this machine."""
        prepare_process(self.runtime)
        return estimate(self.plans, self.survey.todo, self.runtime)


def prepare(options: RunOptions, console: Console) -> Prepared:
    """Plan what was asked for and look what of it the store holds; nothing is computed.

    Raises:
        InputError: a name, a value, a combination, data or weights that do not fit or are not there.
    """
    store = Store.create(options.store)
    load(options.plugins)
    requests = requests_of(options, store, console)
    if not options.dry_run:
        _need_data([request.source.missing for request in requests])
    plans = compile_plans(requests)
    for warning in dict.fromkeys(warning for plan in plans for warning in plan.warnings()):
        console.print(f"note: {warning}", markup=False)
    runtime, workers = resources(options, distinct_trainings(plans))
    found = survey(plans, store)
    if not options.dry_run:
        check_weights(found.todo.values())
    return Prepared(options, store, plans, found, runtime, workers)


def run_experiments(options: RunOptions, console: Console) -> RunResult:
    """Plan, compute what is missing, and print each table; a dry run says what would be done.

    Raises:
        InputError: as `prepare`.
        KeyboardInterrupt: as `carry_out`.
    """
    prepared = prepare(options, console)
    if not options.dry_run:
        return carry_out(prepared, console)
    plans, found, guess = prepared.plans, prepared.survey, prepared.estimate()
    announce(plans, found, prepared.store, console)
    details(plans, found, guess, console)
    console.print(summary(plans, found, guess, prepared.workers), markup=False)
    return RunResult(tuple(plans), prepared.store.root, ok=True)


def carry_out(prepared: Prepared, console: Console) -> RunResult:
    """Compute what is missing, and print each table. A cell that fails stops nothing: its record says why.

    Raises:
        KeyboardInterrupt: stopped; everything computed is kept.
    """
    plans, found = prepared.plans, prepared.survey
    announce(plans, found, prepared.store, console)
    console.print(summary(plans, found, None, prepared.workers), markup=False)
    ok = _Execution(plans, found, prepared.store, prepared.options, console).run(prepared.runtime, prepared.workers)
    return RunResult(tuple(plans), prepared.store.root, ok=ok)


def _need_data(missing: Sequence[str | None]) -> None:
    """Every missing dataset in one message, so that one round of fetching is enough."""
    told = dict.fromkeys(text for text in missing if text is not None)
    if told:
        raise InputError("\n".join(told))


@dataclass(frozen=True)
class _Execution:
    """One execution of all plans: shared work once, a table, a folder and an MLflow experiment for each plan."""

    plans: Sequence[Plan]
    found: Survey
    store: Store
    options: RunOptions
    console: Console

    def run(self, runtime: Runtime, workers: int) -> bool:
        """Compute, write tables and pictures, print them; True where every cell has its numbers."""
        write_plans(self.plans, self.store)
        views = self._views()
        outcome: Outcome = "KILLED"
        files: dict[str, list[Path]] = {}
        try:
            work = self._compute(views, runtime, workers)
            records = {plan.digest: work.records[plan.digest] for plan in self.plans}
            ok = all(record.status == "done" for own in records.values() for record in own.values())
            outcome = "FINISHED" if ok else "FAILED"
            for view in views:
                files[view.plan.digest] = self._write(view.plan)
                view.finish_cells(records[view.plan.digest], self._folder(view.plan))
        except KeyboardInterrupt:
            self._say("\nStopped. What was computed is kept; the same command goes on from here.")
            raise
        finally:
            for view in views:
                pictures = {path.name: path for path in files.get(view.plan.digest, [])}
                view.tracker.finish(outcome, pictures)
        self._conclude(failed=not ok)
        return ok

    def _views(self) -> list[MlflowView]:
        """An MLflow experiment for each plan, over one connection."""
        first = (Tracker.open if self.options.mlflow else Tracker)(self.store.root, self._say)
        views: list[MlflowView] = []
        for plan in self.plans:
            tracker = first if not views else first.another()
            tracker.begin(plan.document)
            views.append(MlflowView(tracker, plan, self.store))
        return views

    def _compute(self, views: Sequence[MlflowView], runtime: Runtime, workers: int) -> PlansRun:
        todo = self.found.todo
        with (
            interruptible(),
            Pool(self.store, runtime, workers, self.options.plugins) as pool,
            Display(len(todo), workers, self.console) as display,
        ):
            display.expect(Counter(stage.kind for stage in todo.values()))
            work = PlansRun(self.plans, self.store, pool, (display, *views), todo)
            work.execute()
        return work

    def _folder(self, plan: Plan) -> Path:
        return report_folder(plan.document, self.store.root)

    def _write(self, plan: Plan) -> list[Path]:
        folder = self._folder(plan)
        pictures = {
            **write_pictures(plan, self.store, folder),
            **write_figures(plan, self.store, folder),
            **write_resemblances(plan, self.store, folder),
        }
        tables = write_tables(plan.document, self.store.root, folder)
        return [*pictures.values(), *tables]

    def _conclude(self, *, failed: bool) -> None:
        width = max(self.console.width, LEAST_WIDTH)
        for plan in self.plans:
            self._say("")
            if plan.request.experiment.kind == "table":
                self._say(table_text(plan.document, self.store.root, width))
            folder = self._folder(plan)
            self._say(f"\nPictures and tables of {plan.request.experiment.slug}: {folder}")
            self._say("  " + "  ".join(sorted(path.name for path in folder.iterdir() if path.is_file())))
            if plan.request.experiment.kind == "grid":
                self._trained(plan)
        if failed:
            self._say("Some cells failed; the reasons stand in the table. The same command tries them again.")
        option = self._store_option()
        names = dict.fromkeys(plan.request.experiment.slug for plan in self.plans)
        which = " ".join(names) if len(names) <= NAMED else "all"
        self._say(f"\nOne page of everything: prism-bench report {which} --format html{option}")
        self._say(f"Compare the runs: prism-bench ui{option}")

    def _trained(self, plan: Plan) -> None:
        """Where the trainings of a plan without numbers lie, and what to do with them."""
        for training, cell in {cell.training.address: cell for cell in plan.cells}.items():
            folder = self.store.folder(training)
            if folder.exists():
                self._say(f"  {cell.label}, seed {cell.seed}: {folder}")
                command = f"prism-bench sample {training.key[:8]} --n 1000 --out samples{self._store_option()}"
                self._say(f"    more samples: {command}")

    def _store_option(self) -> str:
        return "" if self.store.root == Path(DEFAULT_STORE).absolute() else f" --store {self.store.root}"

    def _say(self, text: str) -> None:
        self.console.print(text, markup=False, soft_wrap=True)


@contextlib.contextmanager
def interruptible() -> Iterator[None]:
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
