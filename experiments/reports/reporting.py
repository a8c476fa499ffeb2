"""From a store's records to tables on disk and on the screen. Needs no torch."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from prism_bench.analysis import formatting
from prism_bench.analysis.errors import AnalysisError, NewerSchemaError
from prism_bench.analysis.schema.stored_plans import SHORT, experiments_in, plan_digests
from prism_bench.experiments.options.stored import ReportOptions
from prism_bench.experiments.reports.places import place_name, placed_tables, study_folder
from prism_bench.experiments.reports.run_addresses import run_addresses
from prism_bench.experiments.screen import Screen

ALL, TUNE = "all", "tune"
"""What stands for all experiments and studies, and for all studies, where names are asked for."""

if TYPE_CHECKING:
    from prism_bench.analysis.schema.records import Plan
    from prism_bench.analysis.schema.study import Study
    from prism_bench.analysis.stats.statistics import Estimator
    from prism_bench.analysis.table.results import Results
    from prism_bench.analysis.unchanged import Keep
    from prism_bench.experiments.reports.places import Placed


def report_experiments(
    options: ReportOptions,
    seen: "Callable[[Results], None]" = lambda _: None,
    say: Callable[[str], None] = lambda _: None,
) -> list[Path]:
    """Write the files of each experiment (`all`: of every one in the store), and the page of all of them; their paths.

    Plans of one experiment that may share a table are one; `options.plans` narrows them.

    Args:
        options: what is wanted.
        seen: called with the results of each table.
        say: told what no table shows, and which tables are of several plans.

    Raises:
        AnalysisError: an experiment that has not been run, an unknown format or estimator, records that do not fit.
            What there is beside an experiment whose plan cannot be read is reported before.
    """
    tables: "list[Placed]" = []
    studies, faults = _studies(options)
    for name, plans in _asked(options, studies).items():
        try:
            tables += placed_tables(name, options.store, plans, say)
        except NewerSchemaError:
            raise
        except AnalysisError as error:
            faults.append(str(error))
    for line in map(joined_words, (table for table, _ in tables)):
        if line:
            say(line)
    paths = report_tables(tables, options, seen, studies) if tables or studies else []
    if faults:
        others = f"\nThe others were reported in {paths[-1].parent}" if paths else ""
        raise AnalysisError("\n".join(faults) + others)
    return paths


def joined_words(table: "Plan") -> str:
    """Which plans a table is of, where they are several."""
    if len(table.sources) == 1:
        return ""
    digests = ", ".join(plan.plan[:SHORT] for plan in table.sources)
    return (
        f"{table.name}: one table of {len(table.sources)} plans ({digests}), {formatting.seeds(table.seeds)}; "
        "`report --plan` shows some of them"
    )


def report_tables(
    tables: "Sequence[Placed]",
    options: ReportOptions,
    seen: "Callable[[Results], None]" = lambda _: None,
    studies: "Sequence[Study]" = (),
) -> list[Path]:
    """The same for some tables and studies; below a folder that is asked for each has its own."""
    from prism_bench.analysis.report.write_report import Look, Source
    from prism_bench.analysis.report.write_reports import write_reports
    from prism_bench.analysis.table.spread import check_spread
    from prism_bench.analysis.table.study_results import StudyResults

    look = Look(columns=options.columns, spread=check_spread(options.spread), pictures=options.figure_formats)
    out, store = options.out, options.store
    names = [place_name(table) for table, _ in tables]
    sources = [
        Source(plan=table, folder=folder if out is None else out / _own(names, index, folder), pictures=folder)
        for index, (table, folder) in enumerate(tables)
    ]
    found = [StudyResults(study=it, folder=study_folder(it, out or store / "reports")) for it in studies]
    estimator = estimator_called(options.interval, pool=options.pool)
    runs = run_addresses(store) if "html" in options.formats else {}
    return write_reports(
        sources,
        store,
        out or store / "reports",
        options.formats,
        estimator,
        seen,
        look,
        studies=found,
        runs=runs,
        keep=keep_in(out),
    )


def _studies(options: ReportOptions) -> "tuple[list[Study], list[str]]":
    """The studies that are meant: all of `tune` and `all`, or one by its name; and what is wrong with their files."""
    from prism_bench.analysis.schema.study import load_studies

    studies, faults = load_studies(options.store)
    every = not {ALL, TUNE}.isdisjoint(options.experiments) and not options.plans
    meant = [study for study in studies if every or study.study in options.experiments]
    return meant, faults if every else []


def _own(names: Sequence[str], index: int, folder: Path) -> str:
    """The name of a table's folder in one that was asked for; those of one experiment differ as in the store."""
    first = names.index(names[index]) == index
    return names[index] if first else f"{names[index]}-{folder.name}"


def estimator_called(name: str = "t", *, pool: bool = False) -> "Estimator":
    """The way intervals are made: t or bootstrap, or t with a spread that the rows share."""
    from prism_bench.analysis.stats.statistics import ESTIMATORS, POOLED, STUDENT_T

    if name not in ESTIMATORS:
        raise AnalysisError(f"--interval {name}: known are {', '.join(ESTIMATORS)}")
    if pool and ESTIMATORS[name] != STUDENT_T:
        raise AnalysisError(f"--pool makes t intervals; leave out --interval {name}")
    return POOLED if pool else ESTIMATORS[name]


def _asked(options: ReportOptions, studies: "Sequence[Study]") -> dict[str, list[str]]:
    """Each experiment with the plans that are meant of it, none for all of them; AnalysisError where one is unknown."""
    names = _experiments(options.experiments, options.store, {study.study for study in studies})
    if not options.plans:
        return {name: [] for name in names}
    known = {name: plan_digests(name, options.store) for name in names}
    for plan in options.plans:
        if not any(digest.startswith(plan) for digests in known.values() for digest in digests):
            there = "; ".join(f"{name} has {', '.join(it[:SHORT] for it in own)}" for name, own in known.items())
            raise AnalysisError(f"--plan {plan}: no plan of {' or '.join(names)} begins so; {there}")
    meant = {name: [it for it in own if it.startswith(options.plans)] for name, own in known.items()}
    return {name: digests for name, digests in meant.items() if digests}


def _experiments(names: tuple[str, ...], store: Path, studies: Collection[str]) -> list[str]:
    """Names of experiments; `all` stands for every one that has been run, the paper's first and in its order.

    Those of studies are left out, and `tune` and `all` where studies are all that there is.
    """
    from prism_bench.experiments.paper.names import NUMBERED, PAPER_ORDER

    there = experiments_in(store)
    ordered = [name for name in PAPER_ORDER if name in there] + [name for name in there if name not in PAPER_ORDER]
    wanted: list[str] = []
    for name in names:
        if name == ALL and (ordered or studies):
            wanted += ordered
        elif name == TUNE and not studies:
            raise AnalysisError(f"no study in the store {store}; prism-bench tune k-max makes one, or give --store")
        elif name != TUNE and name not in studies:
            wanted.append(NUMBERED.get(name, name))
    return list(dict.fromkeys(wanted))


def write_tables(results: "Results", pictures: tuple[str, ...] = ("png",), *, own: Path | None = None) -> list[Path]:
    """Write a table in each usual format, after the pictures of its numbers; the paths. own: see `keep_in`."""
    from prism_bench.analysis.report.write_report import write_with_pictures

    return write_with_pictures(results, pictures=pictures, keep=keep_in(own))


def keep_in(own: Path | None) -> "Keep":
    """In the store what would say the same stays, by notes beside it; a folder of the user's own gets no notes."""
    from prism_bench.analysis.unchanged import make_anew, unless_made

    return unless_made if own is None else make_anew


def show_table(results: "Results", screen: Screen) -> None:
    """What it says, verdicts, the main table, in the paper's form where that is another, and where the others stand."""
    from prism_bench.analysis.formats.console import console_table, said_of
    from prism_bench.analysis.table.short_caption import marks

    words = said_of(results, screen.width)
    if words:
        screen.tell(words)
    name = results.plan.experiment
    shown = results.paper_form or results.table
    if not screen.verbose and results.paper_form is None:
        said = dict.fromkeys((*results.shown.caption, *marks(results.plan, shown)))
        shown = replace(shown, caption=(*said, f"How it was measured: {name}.md, or -v."))
    screen.show(
        console_table(shown, screen.width, first=results.outcomes, every=screen.verbose, whole=f"{name}.md shows them")
    )
    others = [other.group for other in results.further]
    if others:
        screen.tell(f"\nFurther tables ({', '.join(others)}) stand in {name}.md and {name}-appendix.tex.")


def table_text(results: "Results", width: int) -> str:
    """The same as plain text, every column of the table in it."""
    from prism_bench.analysis.formats.console import said_of
    from prism_bench.analysis.formats.console import table_text as as_text

    table = as_text(results.paper_form or results.table, width, first=results.outcomes, every=True)
    others, name = [other.group for other in results.further], results.plan.experiment
    further = f"\nFurther tables ({', '.join(others)}) stand in {name}.md and {name}-appendix.tex.\n" if others else ""
    return "\n".join(filter(None, (said_of(results, width), table))) + further
