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
    from prism_bench.analysis.table.results import Results


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
    """The same for some plans; below a folder that is asked for each has its own."""
    from prism_bench.analysis.report.write_report import Source, write_reports

    out, store = options.out, options.store
    folders = [(plan, report_folder(plan, store)) for plan in plans]
    sources = [
        Source(plan=plan, folder=folder if out is None else out / place_name(plan), pictures=folder)
        for plan, folder in folders
    ]
    estimator = estimator_called(options.interval, pool=options.pool)
    return write_reports(sources, store, out or store / "reports", options.formats, estimator)


def estimator_called(name: str = "t", *, pool: bool = False) -> "Estimator":
    """The way intervals are made: t or bootstrap, or t with a spread that the rows share."""
    from prism_bench.analysis.errors import AnalysisError
    from prism_bench.analysis.stats.statistics import ESTIMATORS, POOLED, STUDENT_T

    if name not in ESTIMATORS:
        raise AnalysisError(f"--interval {name}: known are {', '.join(ESTIMATORS)}")
    if pool and ESTIMATORS[name] != STUDENT_T:
        raise AnalysisError(f"--pool makes t intervals; leave out --interval {name}")
    return POOLED if pool else ESTIMATORS[name]


def _experiments(names: tuple[str, ...], store: Path) -> list[str]:
    """Names of experiments; `all` stands for every one that has been run, the paper's first and in its order."""
    from prism_bench.experiments.paper.names import NUMBERED, PAPER_ORDER

    there = experiments_in(store)
    ordered = [name for name in PAPER_ORDER if name in there] + [name for name in there if name not in PAPER_ORDER]
    wanted: list[str] = []
    for name in names:
        wanted += ordered if name == "all" and ordered else [NUMBERED.get(name, name)]
    return list(dict.fromkeys(wanted))


def place_name(plan: "Plan") -> str:
    """An experiment, with its panel where it has several, as the name of a folder."""
    return "-".join(f"{plan.experiment} {plan.panel}".split()).lower()


def write_tables(plan: "Plan", store: Path, folder: Path, *, pool: bool = False) -> "tuple[Results, list[Path]]":
    """Write the plan's table in each format, after the pictures of its numbers; its results, and the paths."""
    from prism_bench.analysis.report.write_report import Source, draw, results_of, write_files

    results = results_of(Source(plan=plan, folder=folder), store, estimator_called(pool=pool))
    return results, [*draw(results, folder), *write_files(results)]


def table_text(results: "Results", width: int) -> str:
    """Verdicts, the main table as plain text, in the paper's form where that is another, and where the others stand."""
    from prism_bench.analysis.formats.console import table_text as as_text
    from prism_bench.analysis.formats.console import verdicts_text

    text = "\n".join(filter(None, (verdicts_text(results, width), as_text(results.paper_form or results.table, width))))
    others, name = [other.group for other in results.further], results.plan.experiment
    return f"{text}\nFurther tables ({', '.join(others)}) stand in {name}.md and {name}.tex.\n" if others else text
