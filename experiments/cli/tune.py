"""`tune`."""

from typing import Annotated

import typer
from prism_bench.experiments.cli.options import MetricsOption, Shared, parse_names, parse_numbers, takes_shared


@takes_shared
def tune(
    shared: Shared,
    target: Annotated[
        str, typer.Argument(help="k-max, fixed-k, k-sample, schedule, learning-rate or channels.")
    ] = "k-max",
    trials: Annotated[int, typer.Option(help="How many points to try now; the same command goes on.")] = 12,
    over: Annotated[str, typer.Option(help="Tune these with it: schedule,learning-rate,...")] = "",
    values: Annotated[str, typer.Option(help="The target's values: 2,4,8 or 1-16 (default: the scale's).")] = "",
    variant: Annotated[str, typer.Option(help="Which variant is tuned.")] = "prism",
    metric: Annotated[str | None, typer.Option(help="Column of the table to go by (default: the first).")] = None,
    metrics: MetricsOption = "",
    study: Annotated[str | None, typer.Option(help="Name of the study (default: made from what is asked).")] = None,
    storage: Annotated[
        str | None, typer.Option(help="An Optuna storage URL (default: a journal file in the store).")
    ] = None,
    sampler: Annotated[str, typer.Option(help="grid, tpe, or auto: a grid where the space is small.")] = "auto",
    prune: Annotated[
        bool, typer.Option(help="Give up a point whose short training is worse than the median of the others.")
    ] = False,
) -> None:
    """Find the best k_max (and more) on the same seeds; resumable, and several processes may share a study."""
    from prism_bench.experiments.tuning.loop import TuneOptions, run_tune

    options = TuneOptions(
        target=target,
        over=parse_names(over),
        values=parse_numbers(values, "--values") if values else (),
        trials=trials,
        variant=variant,
        metric=metric,
        storage=storage,
        study=study,
        sampler=sampler,
        prune=prune,
        run=shared.options(metrics=parse_names(metrics)),
    )
    raise typer.Exit(run_tune(options))
