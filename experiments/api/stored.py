"""What is made of a store: results, comparisons, reports; and the search for good settings."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from prism_bench.experiments.api.call import check_caller, screen, takes
from prism_bench.experiments.options.option import command_of, options_of
from prism_bench.experiments.options.stored import ReportOptions, StoreOptions
from prism_bench.experiments.options.trained import CompareOptions
from prism_bench.experiments.options.training import TuneOptions

if TYPE_CHECKING:
    from pandas import DataFrame

    from prism_bench.experiments.tools.compare import Comparison
    from prism_bench.experiments.tuning.summary import Summary


@takes(StoreOptions, "store")
def results(
    store: str | Path | None = None, experiments: str | Sequence[str] | None = None, *, every_plan: bool = False
) -> "DataFrame":
    """All that a store holds, as one tidy frame: one line for each cell and metric.

    Args:
        store: its folder (default: that of the commands).
        experiments: only these (default: every one that has been run).
        every_plan: each plan of the experiments by itself (default: those that may share a table as one).

    Raises:
        InputError: there is no such store, or an experiment that it does not hold.
    """
    from prism_bench.analysis.frame.frame import read_frame
    from prism_bench.experiments.store.inventory import check_store

    folder = options_of(StoreOptions, {} if store is None else {"store": store}).store
    check_store(folder)
    names = [experiments] if isinstance(experiments, str) else experiments
    return read_frame(folder, names, every_plan=every_plan)


@takes(CompareOptions, "what")
def compare(*what: str, **options: Any) -> "Comparison":
    """Put computed rows side by side, as `prism-bench compare` does; the result shows itself.

    Args:
        what: EXPERIMENT/ROW (its seeds; ROW@K: one k_sample) or records; the base first.
        options: those of the command, by the names below.

    Raises:
        InputError: fewer than two things, unknown ones, or different images.
    """
    from prism_bench.experiments.tools.compare import run_compare

    asked = options_of(CompareOptions, {**options, "what": what})
    return run_compare(replace(asked, command=command_of("compare", asked)))


@takes(ReportOptions, "experiments")
def report(*experiments: str, **options: Any) -> list[Path]:
    """Write tables and one page of everything from the records, as `prism-bench report` does; the files' paths.

    Args:
        experiments: names of experiments that have been run, or all (the default).
        options: those of the command, by the names below.

    Raises:
        InputError: an experiment that has not been run, or an unknown format.
    """
    from prism_bench.experiments.reports.reporting import report_experiments

    return report_experiments(options_of(ReportOptions, {**options, "experiments": experiments or ("all",)}))


@takes(TuneOptions, "target")
def tune(target: str = "k-max", *, quiet: bool = False, **options: Any) -> "Summary":
    """Find the best k_max (and more) on the same seeds, as `prism-bench tune` does; the same call goes on.

    Args:
        target: k-max, fixed-k, k-sample, schedule, learning-rate or channels.
        quiet: print nothing.
        options: those of the command, by the names below.

    Raises:
        InputError: what was asked cannot be done as asked.
        KeyboardInterrupt: stopped; everything computed is kept.
    """
    from prism_bench.experiments.tuning.loop import run_tune

    check_caller()
    asked = options_of(TuneOptions, {**options, "target": target})
    return run_tune(replace(asked, command=command_of("tune", asked)), screen(quiet=quiet, verbose=asked.verbose))
