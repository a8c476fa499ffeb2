"""From a store's records to tables on disk and on the screen. Needs no torch."""

from collections.abc import Iterable
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

from prism_bench.analysis.schema.stored_plans import experiments_in, load_plans
from prism_bench.experiments.options.stored import ReportOptions

if TYPE_CHECKING:
    from prism_bench.analysis.schema.records import Plan
    from prism_bench.analysis.stats.statistics import Estimator


def report_folder(plan: "Plan", store: Path) -> Path:
    """Where the tables and pictures of a plan go; a plan that is not an experiment in full has a folder of its own."""
    name = f"{plan.dataset.label}-{plan.dataset.resolution}px-{plan.scale}"
    if plan.settings or plan.only:
        name += f"-{plan.plan[:8]}"
    return store / "reports" / plan.experiment / name.replace("/", "_").replace(" ", "_")


def report_experiments(options: ReportOptions) -> list[Path]:
    """Write the files of each experiment (`all`: of every one in the store), and the page of all of them; their paths.

    Raises:
        AnalysisError: an experiment that has not been run, an unknown format or estimator, records that do not fit.
    """
    names = _experiments(options.experiments, options.store)
    return report_plans(chain.from_iterable(load_plans(name, options.store) for name in names), options)


def report_plans(plans: "Iterable[Plan]", options: ReportOptions) -> list[Path]:
    """The same for some plans."""
    from prism_bench.analysis.report.write_report import Source, write_reports

    estimator, out, store = estimator_called(options.interval), options.out, options.store
    sources = []
    for plan in plans:
        own = report_folder(plan, store)
        sources.append(Source(plan=plan, folder=own if out is None else _place(plan, out), pictures=own))
    return write_reports(sources, store, out or store / "reports", options.formats, estimator)


def estimator_called(name: str) -> "Estimator":
    """The way intervals are made: t or bootstrap."""
    from prism_bench.analysis.errors import AnalysisError
    from prism_bench.analysis.stats.statistics import ESTIMATORS

    if name not in ESTIMATORS:
        raise AnalysisError(f"--interval {name}: known are {', '.join(ESTIMATORS)}")
    return ESTIMATORS[name]


def _experiments(names: tuple[str, ...], store: Path) -> list[str]:
    """Names of experiments; `all` stands for every one that has been run, the paper's first and in its order."""
    from prism_bench.experiments.paper.names import NUMBERED, PAPER_ORDER

    there = experiments_in(store)
    ordered = [name for name in PAPER_ORDER if name in there] + [name for name in there if name not in PAPER_ORDER]
    wanted: list[str] = []
    for name in names:
        wanted += ordered if name == "all" and ordered else [NUMBERED.get(name, name)]
    return list(dict.fromkeys(wanted))


def _place(plan: "Plan", out: Path) -> Path:
    """A folder of its own for each table below the one asked for."""
    words = f"{plan.experiment} {plan.panel}".split()
    return out / "-".join(words).lower()


def write_tables(plan: "Plan", store: Path, folder: Path) -> list[Path]:
    """Write the plan's table in each format, after the pictures of its numbers; returns the paths."""
    from prism_bench.analysis.report.write_report import Source, draw, results_of, write_files

    results = results_of(Source(plan=plan, folder=folder), store)
    return [*draw(results, folder), *write_files(results)]


def table_text(plan: "Plan", store: Path, width: int) -> str:
    """The plan's main table as plain text, in the paper's form where that is another, and where the others stand."""
    from prism_bench.analysis.formats.console import table_text as as_text
    from prism_bench.analysis.schema.records import load_records
    from prism_bench.analysis.table.results import Results

    results = Results(plan=plan, records=tuple(load_records(store, plan).values()))
    text = as_text(results.paper_form or results.table, width)
    others = [other.group for other in results.further]
    name = plan.experiment
    return f"{text}\nFurther tables ({', '.join(others)}) stand in {name}.md and {name}.tex.\n" if others else text
