"""`run` and `schedule-sweep`."""

from typing import Annotated

import typer
from prism_bench.experiments.cli.options import (
    DryRunOption,
    MetricsOption,
    OnlyOption,
    Shared,
    parse_names,
    parse_numbers,
    parse_only,
    takes_shared,
)


@takes_shared
def run(
    shared: Shared,
    experiments: Annotated[
        list[str], typer.Argument(help="Names from `prism-bench list experiment`, or all: the whole paper.")
    ],
    with_: Annotated[list[str], typer.Option("--with", help="Add a row: a name from `prism-bench list variant`.")] = [],  # noqa: B006
    controls: Annotated[
        bool, typer.Option("--controls", help="Add the rows that separate what the paper's rows change together.")
    ] = False,
    only: OnlyOption = "",
    metrics: MetricsOption = "",
    dry_run: DryRunOption = False,
) -> None:
    """Compute experiments, print their tables, and say where the files are. The same command resumes."""
    from prism_bench.experiments.execution.run_experiments import run_experiments

    options = shared.options(
        experiments=tuple(experiments),
        extra=tuple(with_),
        controls=controls,
        only=parse_only(only),
        metrics=parse_names(metrics),
        dry_run=dry_run,
    )
    raise typer.Exit(run_experiments(options))


@takes_shared
def schedule_sweep(
    shared: Shared,
    k_sample: Annotated[
        str | None, typer.Option(help="Neighbours at sampling: 1,4,8 or 1-4 (default: the scale's).")
    ] = None,
    schedules: Annotated[
        str | None,
        typer.Option(help="Names from `prism-bench list schedule` (default: decreasing,increasing,random,fixed)."),
    ] = None,
    k_max: Annotated[int | None, typer.Option(help="Where the schedules begin or end (default: the scale's).")] = None,
    fixed_k: Annotated[int | None, typer.Option(help="k of the fixed schedule (default: the scale's).")] = None,
    train_size: Annotated[
        int | None, typer.Option(help="Images of X_train to train on (paper: 1,000; default: the scale's).")
    ] = None,
    only: OnlyOption = "",
    metrics: MetricsOption = "",
    dry_run: DryRunOption = False,
) -> None:
    """Table 4: schedules of k_train against k_sample. One training serves a schedule's whole column."""
    from prism_bench.experiments.execution.run_experiments import run_experiments

    asked = {
        "schedules": schedules,
        "k_samples": k_sample and ",".join(map(str, parse_numbers(k_sample, "--k-sample"))),
        "k_max": k_max,
        "fixed_k": fixed_k,
        "few_size": train_size,
    }
    options = shared.options(
        experiments=("schedule-sweep",),
        settings=[f"{name}={value}" for name, value in asked.items() if value is not None],
        only=parse_only(only),
        metrics=parse_names(metrics),
        dry_run=dry_run,
    )
    raise typer.Exit(run_experiments(options))
