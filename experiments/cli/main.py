"""The command line: parsing and printing only. Heavy libraries are imported when a command needs them."""

import gc
import os
import sys
from dataclasses import asdict
from typing import Annotated

import typer

from prism_bench.experiments.cli.bundle import bundle
from prism_bench.experiments.cli.cache import app as cache_app
from prism_bench.experiments.cli.command import command_group, print_document, screen, takes
from prism_bench.experiments.cli.daily import compare, evaluate, export, sample
from prism_bench.experiments.cli.data import app as data_app
from prism_bench.experiments.cli.run import run, schedule_sweep, train, tune
from prism_bench.experiments.cli.schema import schema
from prism_bench.experiments.cli.streams import abandon, is_closed_pipe, write_in_its_letters
from prism_bench.experiments.options.stored import DoctorOptions, ListOptions, ReportOptions, StoreOptions, UiOptions
from prism_bench.prism.errors import ComputeError, InputError, machine_fault

BETWEEN_COLLECTIONS = 200_000
"""Objects made between two looks for cycles: imports make a million that stay, and looking through them at Python's own
rate takes a fifth of a short command's time.
"""

app = command_group(
    "Ablations and benchmarks for PRISM: patch diffusion with retrieved neighbours as its global view.",
    name="prism-bench",
    pretty_exceptions_enable=False,
)


def _print_version(asked: bool) -> None:
    if asked:
        version()
        raise typer.Exit


@app.callback()
def program(
    version: Annotated[
        bool,
        typer.Option("--version", "-V", is_eager=True, callback=_print_version, help="Print the version and end."),
    ] = False,
) -> None:
    """Options that stand before a command."""


app.command()(run)
app.command("schedule-sweep")(schedule_sweep)
app.command()(train)
app.command()(sample)
app.command()(evaluate)
app.command()(compare)
app.command()(export)
app.command()(tune)
app.command()(bundle)
app.command()(schema)
app.add_typer(cache_app, name="cache")
app.add_typer(data_app, name="data")


@app.command()
@takes(ReportOptions)
def report(options: ReportOptions) -> None:
    """Write tables and one page of everything from the records: no torch, no computing, partial results as such."""
    from prism_bench.analysis.table.results import Results
    from prism_bench.experiments.reports.reporting import report_experiments
    from prism_bench.experiments.reports.result_document import results_document

    say, parts = screen(options), list[Results]()
    written = report_experiments(options, parts.append, say.say)
    for part in parts:
        for sentence in part.headline:
            say.tell(f"{part.plan.experiment}: {sentence}")
    for path in written:
        say.tell(path)
    if options.as_json:
        print_document({"store": str(options.store.absolute()), **results_document(parts, written)})


@app.command("list")
@takes(ListOptions)
def list_(options: ListOptions) -> None:
    """List what there is to combine: every family, or the members of one, with a line on each."""
    from prism_bench.experiments.tools.look import lines_of, list_members

    found = list_members(options.family, options.plugins)
    if options.as_json:
        print_document(found)
        return
    for line in lines_of(found):
        typer.echo(line)


@app.command()
@takes(UiOptions)
def ui(options: UiOptions) -> None:
    """Open MLflow on the comparison of the runs that an experiment's table shows."""
    from prism_bench.experiments.tools.serve import serve

    serve(options, typer.echo)


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
    found = run_doctor(options, screen(options).results)
    failed = any(line.state == "fails" for line in found)
    if options.as_json:
        print_document({"ok": not failed, "findings": [asdict(line) for line in found]})
    return 1 if failed else 0


@app.command()
def version() -> None:
    """Print the version."""
    from prism_bench import __version__

    typer.echo(__version__)


def main() -> None:
    """Entry point: an error that we foresee is one message and an exit code, never a traceback."""
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    before = gc.get_threshold()
    gc.set_threshold(BETWEEN_COLLECTIONS)
    write_in_its_letters(sys.stdout, sys.stderr)
    try:
        try:
            app()
        finally:
            gc.set_threshold(*before)
            if sys.stdout is not None:  # closed before the command began
                sys.stdout.flush()
    except Exception as error:
        if is_closed_pipe(error):
            abandon(sys.stdout)
            sys.exit(1)
        message = _foreseen(error)
        if message is None:
            raise
        typer.secho(f"error: {message}", err=True, fg="red", color=False if os.environ.get("NO_COLOR") else None)
        abandon(sys.stdout)
        sys.exit(1 if isinstance(message, ComputeError) else 2)


def _foreseen(error: Exception) -> Exception | None:
    """What the user can mend, what failed while computing, and what lies with the machine; None for a bug."""
    # Imported only once something has gone wrong.
    from prism_bench.analysis.errors import AnalysisError

    if isinstance(error, InputError | ComputeError | AnalysisError):
        return error
    return machine_fault(error)


if __name__ == "__main__":
    main()
