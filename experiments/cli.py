"""The command line: parsing and printing only. Heavy libraries are imported when a command needs them."""

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

DEFAULT_STORE = "prism-bench-store"

app = typer.Typer(
    name="prism-bench",
    help="Ablations and benchmarks for PRISM: patch diffusion with retrieved neighbours as its global view.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

StoreOption = Annotated[
    Path,
    typer.Option("--store", envvar="PRISM_BENCH_STORE", help="Folder that keeps everything computed."),
]
PluginOption = Annotated[
    list[Path], typer.Option("--plugin", help="A .py file with components of your own (repeatable).")
]


@app.command()
def run(
    experiments: Annotated[
        list[str], typer.Argument(help="Names from `prism-bench list experiment`, or all: the whole paper.")
    ],
    scale: Annotated[str, typer.Option(help="How much computing: smoke, laptop, gpu or paper.")] = "laptop",
    data: Annotated[
        list[str],
        typer.Option(help="Your images: a folder, a .zip or an .npz; at scale paper NAME=PATH (repeatable)."),
    ] = [],  # noqa: B006
    dataset: Annotated[
        str | None,
        typer.Option(help="A named dataset (default: the scale's); at scale paper the one to compute."),
    ] = None,
    resolution: Annotated[int | None, typer.Option(help="Side of the images in pixels (default: the scale's).")] = None,
    seeds: Annotated[str, typer.Option(help="Train and sample seeds: 0, 0,1,2 or 0-2.")] = "0",
    split_seed: Annotated[int, typer.Option(help="Seed of the split into D and X_train.")] = 0,
    retrieval_fraction: Annotated[
        float | None, typer.Option(help="Share of the images that goes to the retrieval set D (paper: 162/232).")
    ] = None,
    stratify: Annotated[bool, typer.Option(help="Split within each class.")] = True,
    skip_bad: Annotated[bool, typer.Option("--skip-bad", help="Leave out unreadable images, by name.")] = False,
    with_: Annotated[list[str], typer.Option("--with", help="Add a row: a name from `prism-bench list variant`.")] = [],  # noqa: B006
    controls: Annotated[
        bool, typer.Option("--controls", help="Add the rows that separate what the paper's rows change together.")
    ] = False,
    only: Annotated[str, typer.Option(help="Only some cells: 'variant=prism|rag,seed=0'.")] = "",
    set_: Annotated[list[str], typer.Option("--set", help="Change a field: training.images=50000 (repeatable).")] = [],  # noqa: B006
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show cells, stages, time and disk; compute nothing.")
    ] = False,
    workers: Annotated[
        int | None, typer.Option(min=0, help="Stages at a time (default: one per core; 0: in this process).")
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, mps.")] = "auto",
    checkpoint_seconds: Annotated[
        float, typer.Option(min=0.0, help="Longest time between two checkpoints of a training.")
    ] = 30.0,
    mlflow: Annotated[bool, typer.Option(help="Show the runs in MLflow as they go (`sync` can do it later).")] = True,
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
        command="prism-bench " + " ".join(_quoted(word) for word in sys.argv[1:]),
    )
    raise typer.Exit(run_experiments(options))


@app.command()
def report(
    experiments: Annotated[list[str], typer.Argument(help="Names of experiments that have been run.")],
    format_: Annotated[str, typer.Option("--format", help="latex, markdown, csv; several with commas.")] = (
        "latex,markdown,csv"
    ),
    out: Annotated[Path | None, typer.Option(help="Folder for the files (default: the store's own).")] = None,
    store: StoreOption = Path(DEFAULT_STORE),
) -> None:
    """Write the tables again from the records: no torch, no computing, partial results shown as such."""
    from experiments.reporting import report_experiments

    formats = tuple(word.strip() for word in format_.split(",") if word.strip())
    report_experiments(tuple(experiments), formats, out, store)


@app.command("list")
def list_(
    family: Annotated[
        str | None, typer.Argument(help="dataset, encoder, schedule, aggregator, metric, variant, ...")
    ] = None,
    plugin: PluginOption = [],  # noqa: B006
) -> None:
    """List what there is to combine: every family, or the members of one, with a line on each."""
    from experiments.listing import list_members

    for line in list_members(family, tuple(plugin)):
        typer.echo(line)


@app.command()
def ui(
    store: StoreOption = Path(DEFAULT_STORE),
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port on this machine.")] = 5000,
) -> None:
    """Open MLflow's comparison view on the store."""
    from experiments.listing import open_ui

    raise typer.Exit(open_ui(store, port))


@app.command()
def sync(store: StoreOption = Path(DEFAULT_STORE)) -> None:
    """Rebuild the MLflow view from the records in the store."""
    from experiments.listing import sync_store

    sync_store(store)


@app.command()
def version() -> None:
    """Print the version."""
    from prism import __version__

    typer.echo(__version__)


def parse_numbers(text: str, option: str) -> tuple[int, ...]:
    """Whole numbers from 3, 1,2,3, 0-4 or any mixture, in order, without repeats."""
    numbers: list[int] = []
    for part in text.split(","):
        first, dash, last = part.strip().partition("-")
        if not first.isdigit() or (dash and not last.isdigit()):
            raise typer.BadParameter(
                f"{part.strip()!r} is not a whole number or a range; write 0, 0,1,2 or 0-2", param_hint=option
            )
        numbers += range(int(first), int(last if dash else first) + 1)
    if not numbers:
        raise typer.BadParameter(f"{text!r} holds no number; write the smaller end of a range first", param_hint=option)
    return tuple(dict.fromkeys(numbers))


def parse_only(text: str) -> tuple[tuple[str, str], ...]:
    """Pairs from key=value,key=value."""
    pairs = []
    for part in filter(None, (part.strip() for part in text.split(","))):
        key, equals, value = part.partition("=")
        if not equals or not value:
            raise typer.BadParameter(f"{part!r} is not of the form key=value", param_hint="--only")
        pairs.append((key.strip(), value.strip()))
    return tuple(pairs)


def _quoted(word: str) -> str:
    import shlex

    return shlex.quote(word)


def main() -> None:
    """Entry point: an error that we foresee is one message and an exit code, never a traceback."""
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    try:
        app()
    except Exception as error:
        code = _exit_code(error)
        if code is None:
            raise
        typer.secho(f"error: {error}", err=True, fg="red")
        sys.exit(code)


def _exit_code(error: Exception) -> int | None:
    """2 for what the user can mend, 1 for what failed while computing, None for a bug.

    The classes are imported only once something has gone wrong.
    """
    from analysis.errors import AnalysisError
    from prism.errors import ComputeError, InputError

    if isinstance(error, InputError | AnalysisError):
        return 2
    return 1 if isinstance(error, ComputeError) else None


if __name__ == "__main__":
    main()
