"""Where MLflow keeps its data, and a client that is known to answer.

mlflow is imported inside functions: it takes seconds, and most commands do not need it.
"""

import logging
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

from prism_bench.experiments.databases import alone_in, check_driver, is_database
from prism_bench.experiments.mlflow_view.empty_database import make_database, sqlite_uri
from prism_bench.experiments.reports.run_addresses import DATABASE
from prism_bench.prism.errors import ComputeError, InputError, first_line, without_passwords

if TYPE_CHECKING:
    from mlflow import MlflowClient

ARTIFACTS = "mlflow-artifacts"
_QUIET_AND_QUICK = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
    # One retry comes at once; a second would sleep. MLflow's own default waits four minutes for a dead server.
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
}


def tracking_uri(store: Path) -> str:
    """MLFLOW_TRACKING_URI where it is set, else the absolute SQLite URI of the database inside the store."""
    return os.environ.get("MLFLOW_TRACKING_URI") or sqlite_uri(database_path(store))


def database_path(store: Path) -> Path:
    """The SQLite file inside the store (used only where MLFLOW_TRACKING_URI is not set)."""
    return store.resolve() / DATABASE


def is_inside(store: Path) -> bool:
    """Whether MLflow's database is the one inside the store, which this program made and may make anew."""
    return tracking_uri(store) == sqlite_uri(database_path(store))


def artifact_location(store: Path, experiment: str) -> str | None:
    """File URI of an experiment's artifacts inside the store; None where a server decides."""
    if not is_database(tracking_uri(store)):
        return None
    return (store.resolve() / ARTIFACTS / experiment).as_uri()


def check_tracking(store: Path) -> None:
    """Load the driver of MLflow's database, where it is one.

    Raises:
        InputError: it is not installed; the message says how to.
    """
    uri = tracking_uri(store)
    if is_database(uri) and not is_inside(store):
        check_driver(uri, "MLFLOW_TRACKING_URI")


def failure(store: Path, error: Exception) -> ComputeError:
    """What is said where MLflow does not answer or fails."""
    where = f"MLflow at {without_passwords(tracking_uri(store))}: {first_line(error)}"
    return ComputeError(f"{where}; the records are untouched, run `prism-bench sync` again")


def server_address(store: Path) -> str | None:
    """The address of the server that MLFLOW_TRACKING_URI names, which serves its own pages; None for a database."""
    uri = tracking_uri(store)
    return uri.rstrip("/") if uri.startswith(("http://", "https://")) else None


def ui_command(store: Path, port: int = 5000) -> tuple[list[str], dict[str, str]]:
    """The command line that serves the pages of MLflow's database on http://127.0.0.1:port, and its environment."""
    uri = tracking_uri(store)
    artifacts = (store.resolve() / ARTIFACTS).as_uri()
    command = [sys.executable, "-m", "mlflow", "ui", "--default-artifact-root", artifacts]
    # The database's password is not for everyone who lists processes; nothing here runs MLflow's jobs.
    environment = {"MLFLOW_BACKEND_STORE_URI": uri, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    return [*command, "--host", "127.0.0.1", "--port", str(port), "--workers", "1"], os.environ | environment


def connect(store: Path, say: Callable[[str], None]) -> "MlflowClient":
    """A client whose server or database has answered; makes the tables first, and upgrades the store's own.

    Raises:
        InputError: the store's own database cannot be used; the message has the remedy.
        mlflow.exceptions.MlflowException: the server does not answer.
        sqlalchemy.exc.SQLAlchemyError: the database does not.
    """
    for name, value in _QUIET_AND_QUICK.items():
        os.environ.setdefault(name, value)
    uri, path = tracking_uri(store), database_path(store)
    ours = is_inside(store)
    if ours:
        _check_file(path)
    from mlflow import MlflowClient

    # Its INFO lines tell of table migrations, in the middle of our progress display.
    logging.getLogger("mlflow").setLevel(logging.WARNING)
    if ours:
        _prepare_own(path, uri, say)
    elif is_database(uri):
        from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

        with alone_in(uri):
            SqlAlchemyStore(uri, (store.resolve() / ARTIFACTS / "Default").as_uri())  # type: ignore[no-untyped-call]
    client = MlflowClient(tracking_uri=uri)
    client.search_experiments(max_results=1)
    return client


def every(page: Callable[[str | None], Any]) -> list[Any]:
    """All items of a paged search: `page` takes the token of the page before."""
    found = page(None)
    items = list(found)
    while found.token:
        found = page(found.token)
        items.extend(found)
    return items


def _check_file(path: Path) -> None:
    """Open the file with sqlite3 first: MLflow retries a hopeless one for 100 seconds."""
    existed = path.exists()
    try:
        with closing(sqlite3.connect(path, timeout=20)) as database:
            database.execute("SELECT count(*) FROM sqlite_master").fetchone()
    except sqlite3.Error as error:
        remedy = "move the file aside and run `prism-bench sync`" if existed else "make the folder writable"
        raise InputError(f"MLflow's database {path} cannot be used ({error}); {remedy}") from None


def _prepare_own(path: Path, uri: str, say: Callable[[str], None]) -> None:
    from mlflow.exceptions import MlflowException
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore
    from sqlalchemy.engine import make_url

    if make_url(uri).database != path.as_posix():
        raise InputError(f"the store's path {path.parent} holds a '%' or '?' that a database address cannot carry")
    root = (path.parent / ARTIFACTS / "Default").as_uri()
    with alone_in(uri):
        if path.stat().st_size == 0:
            make_database(path, root, say)
            return
        try:
            SqlAlchemyStore(uri, root)  # type: ignore[no-untyped-call]
        except MlflowException as error:
            if "out-of-date database schema" not in str(error):
                raise
            _upgrade(path, uri, say)


def _upgrade(path: Path, uri: str, say: Callable[[str], None]) -> None:
    backup = path.with_suffix(".db.before-upgrade")
    say(f"Upgrading MLflow's database to the installed version; the old one stays as {backup.name} ...")
    shutil.copy2(path, backup)
    command = [sys.executable, "-m", "mlflow", "db", "upgrade", uri]
    outcome = subprocess.run(command, capture_output=True, text=True, check=False)
    if outcome.returncode:
        reason = (outcome.stderr.strip().splitlines() or ["no message"])[-1]
        raise InputError(
            f"MLflow's database {path} was written by another MLflow and cannot be upgraded ({reason}); "
            "move it aside and run `prism-bench sync`, or install the newer MLflow"
        )
