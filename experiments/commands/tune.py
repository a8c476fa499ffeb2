"""`tune`."""

from pathlib import Path
from typing import Annotated

import typer

from experiments.commands.options import (
    DEFAULT_STORE,
    CheckpointOption,
    DataOption,
    DatasetOption,
    DeviceOption,
    FractionOption,
    MlflowOption,
    PluginOption,
    ResolutionOption,
    ScaleOption,
    SeedsOption,
    SetOption,
    SkipBadOption,
    SplitSeedOption,
    StoreOption,
    StratifyOption,
    WorkersOption,
    command_line,
    parse_numbers,
)


def tune(
    target: Annotated[
        str, typer.Argument(help="k-max, fixed-k, k-sample, schedule, learning-rate or channels.")
    ] = "k-max",
    trials: Annotated[int, typer.Option(help="How many points to try now; the same command goes on.")] = 12,
    over: Annotated[str, typer.Option(help="Tune these with it: schedule,learning-rate,...")] = "",
    values: Annotated[str, typer.Option(help="The target's values: 2,4,8 or 1-16 (default: the scale's).")] = "",
    variant: Annotated[str, typer.Option(help="Which variant is tuned.")] = "prism",
    metric: Annotated[str | None, typer.Option(help="Column of the table to go by (default: the first).")] = None,
    study: Annotated[str | None, typer.Option(help="Name of the study (default: made from what is asked).")] = None,
    storage: Annotated[
        str | None, typer.Option(help="An Optuna storage URL (default: a journal file in the store).")
    ] = None,
    sampler: Annotated[str, typer.Option(help="grid, tpe, or auto: a grid where the space is small.")] = "auto",
    prune: Annotated[
        bool, typer.Option(help="Give up a point whose short training is worse than the median of the others.")
    ] = False,
    scale: ScaleOption = "laptop",
    data: DataOption = [],  # noqa: B006
    dataset: DatasetOption = None,
    resolution: ResolutionOption = None,
    seeds: SeedsOption = "0",
    split_seed: SplitSeedOption = 0,
    retrieval_fraction: FractionOption = None,
    stratify: StratifyOption = True,
    skip_bad: SkipBadOption = False,
    set_: SetOption = [],  # noqa: B006
    workers: WorkersOption = None,
    device: DeviceOption = "auto",
    checkpoint_seconds: CheckpointOption = 30.0,
    mlflow: MlflowOption = True,
    store: StoreOption = Path(DEFAULT_STORE),
    plugin: PluginOption = [],  # noqa: B006
) -> None:
    """Find the best k_max (and more) on the same seeds; resumable, and several processes may share a study."""
    from experiments.asking import RunOptions
    from experiments.tuning.loop import TuneOptions, run_tune

    shared = RunOptions(
        scale=scale,
        data=tuple(data),
        dataset=dataset,
        resolution=resolution,
        seeds=parse_numbers(seeds, "--seeds"),
        split_seed=split_seed,
        retrieval_fraction=retrieval_fraction,
        stratify=stratify,
        skip_bad=skip_bad,
        settings=tuple(set_),
        workers=workers,
        device=device,
        checkpoint_seconds=checkpoint_seconds,
        mlflow=mlflow,
        store=store,
        plugins=tuple(plugin),
        command=command_line(),
    )
    options = TuneOptions(
        target=target,
        over=tuple(name.strip() for name in over.split(",") if name.strip()),
        values=parse_numbers(values, "--values") if values else (),
        trials=trials,
        variant=variant,
        metric=metric,
        storage=storage,
        study=study,
        sampler=sampler,
        prune=prune,
        run=shared,
    )
    raise typer.Exit(run_tune(options))
