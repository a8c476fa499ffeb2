"""The command line: parsing and printing only. Heavy libraries are imported when a command needs them."""

import os
import sys
from pathlib import Path
from typing import Annotated

import typer
from prism_bench.experiments.cli.bundle import bundle
from prism_bench.experiments.cli.cache import app as cache_app
from prism_bench.experiments.cli.daily import compare, evaluate, sample, train
from prism_bench.experiments.cli.data import app as data_app
from prism_bench.experiments.cli.options import PluginOption, StoreOption
from prism_bench.experiments.cli.run import run, schedule_sweep
from prism_bench.experiments.cli.schema import schema
from prism_bench.experiments.cli.tune import tune
from prism_bench.prism.engine.store import DEFAULT_STORE

app = typer.Typer(
    name="prism-bench",
    help="Ablations and benchmarks for PRISM: patch diffusion with retrieved neighbours as its global view.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

app.command()(run)
app.command("schedule-sweep")(schedule_sweep)
app.command()(train)
app.command()(sample)
app.command()(evaluate)
app.command()(compare)
app.command()(tune)
app.command()(bundle)
app.command()(schema)
app.add_typer(cache_app, name="cache")
app.add_typer(data_app, name="data")


@app.command()
def report(
    experiments: Annotated[list[str], typer.Argument(help="Names of experiments that have been run, or all.")],
    format_: Annotated[
        str, typer.Option("--format", help="latex, markdown, csv, parquet, html; several with commas.")
    ] = "latex,markdown,csv,html",
    out: Annotated[Path | None, typer.Option(help="Folder for the files (default: the store's own).")] = None,
    interval: Annotated[str, typer.Option(help="How intervals are made: t or bootstrap.")] = "t",
    store: StoreOption = Path(DEFAULT_STORE),
) -> None:
    """Write tables and one page of everything from the records: no torch, no computing, partial results as such."""
    from prism_bench.experiments.reports.reporting import report_experiments

    formats = tuple(word.strip() for word in format_.split(",") if word.strip())
    report_experiments(tuple(experiments), formats, out, store, interval)


@app.command("list")
def list_(
    family: Annotated[
        str | None, typer.Argument(help="dataset, encoder, schedule, aggregator, metric, variant, ...")
    ] = None,
    plugin: PluginOption = [],  # noqa: B006
) -> None:
    """List what there is to combine: every family, or the members of one, with a line on each."""
    from prism_bench.experiments.tools.look import list_members

    for line in list_members(family, tuple(plugin)):
        typer.echo(line)


@app.command()
def ui(
    store: StoreOption = Path(DEFAULT_STORE),
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port on this machine.")] = 5000,
) -> None:
    """Open MLflow's comparison view on the store."""
    from prism_bench.experiments.tools.look import open_ui

    raise typer.Exit(open_ui(store, port))


@app.command()
def sync(store: StoreOption = Path(DEFAULT_STORE)) -> None:
    """Rebuild the MLflow view from the records in the store."""
    from prism_bench.experiments.tools.look import sync_store

    sync_store(store)


@app.command()
def doctor(
    golden: Annotated[bool, typer.Option(help="Run PRISM's whole way, tiny, and compare (some ten seconds).")] = True,
    store: StoreOption = Path(DEFAULT_STORE),
) -> None:
    """Say what this machine can run: versions, devices, weights, data, disk; and what mends each line that fails."""
    from prism_bench.experiments.tools.doctor import run_doctor
    from prism_bench.prism.component import load_members

    load_members()
    raise typer.Exit(run_doctor(store, golden=golden))


@app.command()
def version() -> None:
    """Print the version."""
    from prism_bench import __version__

    typer.echo(__version__)


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
    from prism_bench.analysis.errors import AnalysisError
    from prism_bench.prism.errors import ComputeError, InputError

    if isinstance(error, InputError | AnalysisError):
        return 2
    return 1 if isinstance(error, ComputeError) else None


if __name__ == "__main__":
    main()
