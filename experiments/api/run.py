"""`prism_bench.run` and `prism_bench.plan`."""

import re
import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from prism_bench.experiments.api.call import check_caller, screen, takes
from prism_bench.experiments.execution.run_experiments import carry_out
from prism_bench.experiments.execution.run_result import RunResult
from prism_bench.experiments.execution.trackers import check_trackers
from prism_bench.experiments.options.option import command_of, options_of
from prism_bench.experiments.options.training import RunOptions
from prism_bench.experiments.planning.plan_summary import summary
from prism_bench.experiments.planning.prepare import Prepared, prepare
from prism_bench.prism.component import canonical, member
from prism_bench.prism.errors import InputError

if TYPE_CHECKING:
    from pandas import DataFrame

    from prism_bench.experiments.paper.experiment import Experiment


@takes(RunOptions, "experiments", "dry_run")
def run(*experiments: "str | Experiment", quiet: bool = False, **options: Any) -> RunResult:
    """Compute experiments: the plan, store, records and progress of `prism-bench run`. The same call resumes.

    A cell that fails stops nothing: `RunResult.ok` is then False, and `RunResult.results` holds its status and reason.

    Args:
        experiments: names from `prism-bench list experiment`, `all`, or experiments as values.
        quiet: print nothing.
        options: those of the command, by the names below; texts as they are typed, or values: `seeds=(0, 1)`,
            `settings={"training.images": 128}`, `only={"variant": ["rag", "prism"]}`.

    Raises:
        InputError: what was asked cannot be done as asked; nothing has been computed.
        KeyboardInterrupt: stopped; everything computed is kept, and the same call goes on from there.
    """
    check_caller()
    asked = _asked(experiments, options, dry_run=False)
    check_trackers(asked)
    prepared = prepare(asked, screen(quiet=quiet, verbose=asked.verbose))
    _check_workers(prepared)
    return carry_out(prepared)


@takes(RunOptions, "experiments", "dry_run")
def plan(*experiments: "str | Experiment", quiet: bool = False, **options: Any) -> "DataFrame":
    """Show what `run` would do with the same arguments, and compute nothing.

    Returns:
        One line for each stage, inputs first: kind, label, key, state (cached, to do, or not needed) and seconds, the
        time of one worker as a short probe of this machine estimates it (0 for what is not to do; NaN where
        stages are made by an executor elsewhere).

    Raises:
        InputError: what was asked cannot be done as asked.
    """
    from pandas import DataFrame

    prepared = prepare(_asked(experiments, options, dry_run=True), screen(quiet=quiet))
    guess = prepared.estimate()
    prepared.screen.say(summary(prepared, guess))
    return DataFrame(prepared.planned(guess), columns=["kind", "label", "key", "state", "seconds"])


def _asked(experiments: tuple[Any, ...], options: dict[str, Any], *, dry_run: bool) -> RunOptions:
    if not experiments:
        raise InputError("name at least one experiment, for example ablation-table3 (prism-bench list experiment)")
    for name in ("experiments", "dry_run", "command"):
        if name in options:
            raise InputError(f"{name}={options[name]!r}: give experiments by position; `plan` is the dry run")
    asked = options_of(RunOptions, {**options, "experiments": experiments, "dry_run": dry_run})
    return replace(asked, command=command_of("run", replace(asked, dry_run=False)))


def _check_workers(prepared: Prepared) -> None:
    """Components written in a notebook or an interpreter exist in its process alone."""
    main = sys.modules["__main__"]
    if prepared.pool.imports and not hasattr(main, "__file__"):
        for stage in prepared.survey.todo.values():
            for name in re.findall(r'"component":"([^"]+)"', canonical(stage.identity)):
                if member(*name.split("/", 1)).__module__ == "__main__":
                    raise InputError(
                        f"{name} was written here, where worker processes cannot import it: put it into a file and "
                        "give plugins=[FILE], or compute in this process with workers=0"
                    )
