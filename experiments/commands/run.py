"""`run` and `schedule-sweep`."""

from pathlib import Path
from typing import Annotated

import typer

from experiments.commands.options import (
    DEFAULT_STORE,
    CheckpointOption,
    ControlsOption,
    DataOption,
    DatasetOption,
    DeviceOption,
    DryRunOption,
    FractionOption,
    MlflowOption,
    OnlyOption,
    PluginOption,
    ResolutionOption,
    ScaleOption,
    SeedsOption,
    SetOption,
    SkipBadOption,
    SplitSeedOption,
    StoreOption,
    StratifyOption,
    WithOption,
    WorkersOption,
    command_line,
    parse_numbers,
    parse_only,
)


def run(
    experiments: Annotated[
        list[str], typer.Argument(help="Names from `prism-bench list experiment`, or all: the whole paper.")
    ],
    scale: ScaleOption = "laptop",
    data: DataOption = [],  # noqa: B006
    dataset: DatasetOption = None,
    resolution: ResolutionOption = None,
    seeds: SeedsOption = "0",
    split_seed: SplitSeedOption = 0,
    retrieval_fraction: FractionOption = None,
    stratify: StratifyOption = True,
    skip_bad: SkipBadOption = False,
    with_: WithOption = [],  # noqa: B006
    controls: ControlsOption = False,
    only: OnlyOption = "",
    set_: SetOption = [],  # noqa: B006
    dry_run: DryRunOption = False,
    workers: WorkersOption = None,
    device: DeviceOption = "auto",
    checkpoint_seconds: CheckpointOption = 30.0,
    mlflow: MlflowOption = True,
    store: StoreOption = Path(DEFAULT_STORE),
    plugin: PluginOption = [],  # noqa: B006
) -> None:
    """Compute experiments, print their tables, and say where the files are. The same command resumes."""
    from experiments.asking import RunOptions
    from experiments.running import run_experiments

    options = RunOptions(
        experiments=tuple(experiments),
        scale=scale,
        data=tuple(data),
        dataset=dataset,
        resolution=resolution,
        seeds=parse_numbers(seeds, "--seeds"),
        split_seed=split_seed,
        retrieval_fraction=retrieval_fraction,
        stratify=stratify,
        skip_bad=skip_bad,
        extra=tuple(with_),
        controls=controls,
        only=parse_only(only),
        settings=tuple(set_),
        dry_run=dry_run,
        workers=workers,
        device=device,
        checkpoint_seconds=checkpoint_seconds,
        mlflow=mlflow,
        store=store,
        plugins=tuple(plugin),
        command=command_line(),
    )
    raise typer.Exit(run_experiments(options))


def schedule_sweep(
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
    scale: ScaleOption = "laptop",
    data: DataOption = [],  # noqa: B006
    dataset: DatasetOption = None,
    resolution: ResolutionOption = None,
    seeds: SeedsOption = "0",
    split_seed: SplitSeedOption = 0,
    retrieval_fraction: FractionOption = None,
    stratify: StratifyOption = True,
    skip_bad: SkipBadOption = False,
    only: OnlyOption = "",
    set_: SetOption = [],  # noqa: B006
    dry_run: DryRunOption = False,
    workers: WorkersOption = None,
    device: DeviceOption = "auto",
    checkpoint_seconds: CheckpointOption = 30.0,
    mlflow: MlflowOption = True,
    store: StoreOption = Path(DEFAULT_STORE),
    plugin: PluginOption = [],  # noqa: B006
) -> None:
    """Table 4: schedules of k_train against k_sample. One training serves a schedule's whole column."""
    from experiments.asking import RunOptions
    from experiments.running import run_experiments

    asked = {
        "schedules": schedules,
        "k_samples": k_sample and ",".join(map(str, parse_numbers(k_sample, "--k-sample"))),
        "k_max": k_max,
        "fixed_k": fixed_k,
        "few_size": train_size,
    }
    options = RunOptions(
        experiments=("schedule-sweep",),
        scale=scale,
        data=tuple(data),
        dataset=dataset,
        resolution=resolution,
        seeds=parse_numbers(seeds, "--seeds"),
        split_seed=split_seed,
        retrieval_fraction=retrieval_fraction,
        stratify=stratify,
        skip_bad=skip_bad,
        only=parse_only(only),
        settings=(*(f"{name}={value}" for name, value in asked.items() if value is not None), *set_),
        dry_run=dry_run,
        workers=workers,
        device=device,
        checkpoint_seconds=checkpoint_seconds,
        mlflow=mlflow,
        store=store,
        plugins=tuple(plugin),
        command=command_line(),
    )
    raise typer.Exit(run_experiments(options))
