"""Databases by their address: whether there is a driver, and a first start that several processes may attempt."""

from collections.abc import Iterator
from contextlib import contextmanager

from filelock import FileLock

from prism_bench.prism.errors import InputError, first_line

KINDS = ("postgresql", "mysql", "mssql", "sqlite")
"""What MLflow and Optuna can keep their tables in."""
TEAM = 'pip install "prism-bench[team]"'
_PACKAGES = {"psycopg": TEAM, "psycopg2": "pip install psycopg2-binary", "MySQLdb": "pip install mysqlclient"}
_LOCK = 0x50524953
"""Of ours among a PostgreSQL server's advisory locks."""


def is_database(uri: str) -> bool:
    """Whether an address is a database's, and not a server's or a folder's."""
    return uri.partition(":")[0].partition("+")[0] in KINDS


def check_driver(uri: str, said: str) -> None:
    """Load the driver of a database. `said` is the option or the variable that names it.

    Raises:
        InputError: it is not installed, or the address cannot be read.
    """
    from sqlalchemy.engine import make_url
    from sqlalchemy.exc import SQLAlchemyError

    try:
        make_url(uri).get_dialect().import_dbapi()
    except ImportError as error:
        module = error.name or "of the database"
        remedy = TEAM if uri.startswith("postgresql:") else _PACKAGES.get(module, f"pip install {module}")
        raise InputError(f"{said} {uri}: the driver {module} is not installed: {remedy}") from None
    except (SQLAlchemyError, ValueError) as error:
        raise InputError(f"{said} {uri}: {first_line(error)}; check the address") from None


@contextmanager
def alone_in(uri: str) -> Iterator[None]:
    """Hold a database against others who would make its tables now: neither MLflow nor Optuna can do so in parallel.

    PostgreSQL and SQLite only; for the others, the first start is to be made once.

    Raises:
        sqlalchemy.exc.SQLAlchemyError: there is no such database, or it does not let us in.
    """
    from sqlalchemy import create_engine, text
    from sqlalchemy.engine import make_url
    from sqlalchemy.pool import NullPool

    url = make_url(uri)
    if url.get_backend_name() == "sqlite":
        with FileLock(f"{url.database}.lock"):
            yield
        return
    with create_engine(url, poolclass=NullPool).connect() as connection:
        if url.get_backend_name() == "postgresql":
            # Until the end of the transaction, also behind a pool of connections.
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})
        yield
