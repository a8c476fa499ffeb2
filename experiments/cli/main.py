"""The command line: parsing and printing only. Heavy libraries are imported when a command needs them."""

import os
import subprocess
import sys

import typer

from prism_bench.experiments.cli.bundle import bundle
from prism_bench.experiments.cli.cache import app as cache_app
from prism_bench.experiments.cli.command import command_group, console, takes
from prism_bench.experiments.cli.daily import compare, evaluate, sample, train
from prism_bench.experiments.cli.data import app as data_app
from prism_bench.experiments.cli.run import run, schedule_sweep, tune
from prism_bench.experiments.cli.schema import schema
from prism_bench.experiments.options.stored import DoctorOptions, ListOptions, ReportOptions, StoreOptions, UiOptions

app = command_group(
    "Ablations and benchmarks for PRISM: patch diffusion with retrieved neighbours as its global view.",
    name="prism-bench",
    pretty_exceptions_enable=False,
    add_completion=False,
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
@takes(ReportOptions)
def report(options: ReportOptions) -> None:
    """Write tables and one page of everything from the records: no torch, no computing, partial results as such."""
    from prism_bench.experiments.reports.reporting import report_experiments

    for path in report_experiments(options):
        typer.echo(path)


@app.command("list")
@takes(ListOptions)
def list_(options: ListOptions) -> None:
    """List what there is to combine: every family, or the members of one, with a line on each."""
    from prism_bench.experiments.tools.look import list_members

    for line in list_members(options.family, options.plugins):
        typer.echo(line)


@app.command()
@takes(UiOptions)
def ui(options: UiOptions) -> int:
    """Open MLflow's comparison view on the store."""
    from prism_bench.experiments.tools.look import ui_command

    command = ui_command(options.store, options.port, typer.echo)
    typer.echo(f"MLflow at http://127.0.0.1:{options.port} (Ctrl-C ends it)")
    try:
        return subprocess.call(command)
    except KeyboardInterrupt:
        return 0


@app.command()
@takes(StoreOptions)
def sync(options: StoreOptions) -> None:
    """Rebuild the MLflow view from the records in the store."""
    from prism_bench.experiments.tools.look import sync_store

    count = sync_store(options.store, typer.echo)
    typer.echo(
        f"MLflow shows {count.cells} cells of {count.plans} plans; this sync added {count.runs_added} runs and "
        f"{count.points_added} points of curves."
    )


@app.command()
@takes(DoctorOptions)
def doctor(options: DoctorOptions) -> int:
    """Say what this machine can run: versions, devices, weights, data, disk; and what mends each line that fails."""
    from prism_bench.experiments.tools.doctor import run_doctor
    from prism_bench.prism.component import load_members

    load_members()
    return run_doctor(options.store, console(), golden=options.golden)


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
