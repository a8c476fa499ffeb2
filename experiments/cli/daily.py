"""`train`, `sample`, `evaluate` and `compare`: daily work."""

from pathlib import Path
from typing import Annotated

import typer
from prism_bench.experiments.cli.options import (
    DeviceOption,
    DryRunOption,
    PluginOption,
    Shared,
    StoreOption,
    command_line,
    parse_names,
    takes_shared,
)
from prism_bench.prism.engine.store import DEFAULT_STORE

RunArgument = Annotated[
    str, typer.Argument(help="The first characters of a training's key or a record, or EXPERIMENT/ROW.")
]
TrainSeedOption = Annotated[int, typer.Option(help="Which seed of EXPERIMENT/ROW.")]
OneWorkerOption = Annotated[int, typer.Option(min=0, max=1, help="1: a process of its own; 0: this one.")]


@takes_shared
def train(
    shared: Shared,
    variant: Annotated[str, typer.Argument(help="A name from `prism-bench list variant`.")],
    dry_run: DryRunOption = False,
) -> None:
    """Train one variant and look at its samples; tables find it trained, and it finds what tables trained."""
    from prism_bench.experiments.tools.train import run_train

    raise typer.Exit(run_train(variant, shared.options(dry_run=dry_run)))


def sample(
    run: RunArgument,
    n: Annotated[int, typer.Option("--n", min=1, help="How many images.")] = 64,
    seed: Annotated[int, typer.Option(min=0, help="Seed of noise and pseudo-queries.")] = 0,
    k_sample: Annotated[
        int | None, typer.Option(min=0, help="Neighbours (default: the run's own; 0: without their signal).")
    ] = None,
    sampler: Annotated[str | None, typer.Option(help="A name from `list sampler` (default: the run's own).")] = None,
    steps: Annotated[int | None, typer.Option(min=2, help="Steps of the sampler.")] = None,
    pseudo_query: Annotated[
        list[Path], typer.Option(help="A picture to be guided by, instead of images of D (repeatable).")
    ] = [],  # noqa: B006
    prompt: Annotated[
        list[str], typer.Option(help="Words to be guided by, for a run that retrieves with CLIP (repeatable).")
    ] = [],  # noqa: B006
    out: Annotated[
        Path | None, typer.Option(help="A .png (a grid), an .npz, or a folder of PNGs (default: a grid here).")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Write over what is there.")] = False,
    train_seed: TrainSeedOption = 0,
    device: DeviceOption = "auto",
    workers: OneWorkerOption = 1,
    store: StoreOption = Path(DEFAULT_STORE),
    plugin: PluginOption = [],  # noqa: B006
) -> None:
    """Draw images from a trained variant."""
    from prism_bench.experiments.tools.sample import SampleOptions, run_sample

    run_sample(
        SampleOptions(
            run=run,
            n=n,
            seed=seed,
            train_seed=train_seed,
            k_sample=k_sample,
            sampler=sampler,
            steps=steps,
            pseudo_queries=tuple(pseudo_query),
            prompts=tuple(prompt),
            out=out,
            force=force,
            device=device,
            workers=workers,
            store=store,
            plugins=tuple(plugin),
        )
    )


def evaluate(
    what: Annotated[
        list[str], typer.Argument(help="A run (as for `sample`), or two sets of pictures: GENERATED REFERENCE.")
    ],
    metrics: Annotated[
        str, typer.Option(help="Names from `list metric`, with commas (default: the run's own, or frechet,kid).")
    ] = "",
    encoder: Annotated[str | None, typer.Option(help="Look through another encoder (`list encoder`).")] = None,
    input_size: Annotated[int | None, typer.Option(help="Side to which the encoder resizes.")] = None,
    n: Annotated[int | None, typer.Option("--n", min=1, help="How many generated images (default: all).")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Sample seed.")] = 0,
    k_sample: Annotated[int | None, typer.Option(min=0, help="Neighbours (default: the run's own).")] = None,
    resolution: Annotated[
        int | None, typer.Option(help="Side at which two sets are compared (default: that of the reference).")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="A .json file for the numbers.")] = None,
    train_seed: TrainSeedOption = 0,
    device: DeviceOption = "auto",
    workers: OneWorkerOption = 1,
    store: StoreOption = Path(DEFAULT_STORE),
    plugin: PluginOption = [],  # noqa: B006
) -> None:
    """Measure a trained variant against its own data, or one set of pictures against another."""
    from prism_bench.experiments.tools.evaluate import EvaluateOptions, run_evaluate

    run_evaluate(
        EvaluateOptions(
            what=tuple(what),
            metrics=parse_names(metrics),
            encoder=encoder,
            input_size=input_size,
            n=n,
            seed=seed,
            train_seed=train_seed,
            k_sample=k_sample,
            resolution=resolution,
            out=out,
            device=device,
            workers=workers,
            store=store,
            plugins=tuple(plugin),
        )
    )


def compare(
    what: Annotated[
        list[str],
        typer.Argument(help="EXPERIMENT/ROW (its seeds; ROW@K: one k_sample) or records; the base first."),
    ],
    out: Annotated[Path | None, typer.Option(help="Folder for tables and pictures (default: in the store).")] = None,
    store: StoreOption = Path(DEFAULT_STORE),
    plugin: PluginOption = [],  # noqa: B006
) -> None:
    """Put computed rows side by side: settings, metrics with paired intervals, samples from the same noise."""
    from prism_bench.experiments.tools.compare import CompareOptions, run_compare

    options = CompareOptions(what=tuple(what), out=out, store=store, plugins=tuple(plugin), command=command_line())
    run_compare(options)
