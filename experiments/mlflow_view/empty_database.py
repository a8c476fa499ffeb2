"""A store's new MLflow database: a copy of an empty one, which takes a hundredth of what making one takes."""

import shutil
import sqlite3
import uuid
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path

from prism_bench.prism.engine.runtime import TEMPORARY, write_bytes
from prism_bench.prism.weights.published_files import user_cache


def make_database(path: Path, default_artifacts: str, say: Callable[[str], None]) -> None:
    """Make `path` a database without runs, whole or not at all.

    MLflow makes one by all migrations of its history. The first of a version is kept in the user's cache folder, and
    the others are its copies, but for the address of the artifacts of MLflow's own experiment.
    """
    from mlflow import __version__

    fresh = path.with_name(f".{path.name}.{uuid.uuid4().hex}{TEMPORARY}")
    kept = user_cache("mlflow") / f"empty-{__version__}.db"
    try:
        if not _copied(kept, fresh):
            say("Preparing MLflow (once for each of its versions, a few seconds) ...")
            _migrated(fresh, default_artifacts)
            _keep(fresh, kept)
        with closing(sqlite3.connect(fresh)) as database:
            database.execute(
                "UPDATE experiments SET artifact_location = ?, lifecycle_stage = 'deleted'", (default_artifacts,)
            )
            database.commit()
        fresh.replace(path)
    finally:
        fresh.unlink(missing_ok=True)


def sqlite_uri(path: Path) -> str:
    """The address of a database in a file."""
    return f"sqlite:///{path.as_posix()}"


def _migrated(path: Path, default_artifacts: str) -> None:
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    SqlAlchemyStore(sqlite_uri(path), default_artifacts).engine.dispose()  # type: ignore[no-untyped-call]


def _copied(kept: Path, path: Path) -> bool:
    """Whether there is a whole one to copy."""
    try:
        shutil.copyfile(kept, path)
        with closing(sqlite3.connect(path)) as database:
            whole: tuple[str] = database.execute("PRAGMA quick_check").fetchone()
            return whole == ("ok",) and database.execute("SELECT count(*) FROM runs").fetchone() == (0,)
    except (OSError, sqlite3.Error):
        path.unlink(missing_ok=True)
        return False


def _keep(path: Path, kept: Path) -> None:
    # A home that cannot be written does without.
    with suppress(OSError):
        kept.parent.mkdir(parents=True, exist_ok=True)
        write_bytes(kept, path.read_bytes())
