"""Where a study is kept: a journal in the store, or a database that processes of several machines share."""

import json
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Event, Thread
from typing import TYPE_CHECKING

from prism_bench.experiments.databases import alone_in, check_driver
from prism_bench.prism.engine.lease import SILENCE, Lease
from prism_bench.prism.errors import InputError

if TYPE_CHECKING:
    from optuna.storages import BaseStorage, JournalStorage, RDBStorage

BEAT = 30
"""Seconds between two signs of life of a trial in a database; it is dead where there was none for SILENCE."""


def database(url: str) -> "RDBStorage":
    """The database of studies at an address; its tables are made where there are none.

    Raises:
        InputError: its driver is not installed, or the address cannot be read.
        sqlalchemy.exc.SQLAlchemyError, RuntimeError: it does not answer, or another Optuna made it.
    """
    from optuna.storages import RDBStorage

    check_driver(url, "--storage")
    with alone_in(url), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Optuna calls the heartbeat experimental
        # A connection may have been closed while a trial was computed for hours.
        return RDBStorage(
            url, engine_kwargs={"pool_pre_ping": True}, heartbeat_interval=BEAT, grace_period=int(SILENCE)
        )


def journal(path: Path, say: Callable[[str], None]) -> "JournalStorage":
    """The journal of a study, without a last line that a crash or a full disk cut off.

    Raises:
        InputError: a line before the last one is damaged.
    """
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    backend = JournalFileBackend(str(path))
    _mend(path, say)
    try:
        return JournalStorage(backend)
    except (ValueError, KeyError) as error:
        raise InputError(
            f"{path} is damaged before its last line ({error}); move it aside, and the study begins anew with what "
            "the store holds already computed"
        ) from None


def _mend(path: Path, say: Callable[[str], None]) -> None:
    from optuna.storages.journal import JournalFileSymlinkLock

    lock = JournalFileSymlinkLock(str(path))
    lock.acquire()
    try:
        *whole, last = path.read_bytes().splitlines(keepends=True) or [b""]
        if last and not _is_a_line(last):
            with path.open("r+b") as file:
                file.truncate(sum(map(len, whole)))
            say(f"{path}: its last line was cut off, by a crash or a full disk, and has been dropped")
    finally:
        lock.release()


def _is_a_line(line: bytes) -> bool:
    with suppress(ValueError):
        return line.endswith(b"\n") and isinstance(json.loads(line), dict)
    return False


def beat(storage: "BaseStorage", study: str, number: int) -> bool:
    """Give one sign of life of a trial, where it is kept in a database; False where it is not."""
    from optuna.storages import RDBStorage

    if not isinstance(storage, RDBStorage):
        return False
    study_id = storage.get_study_id_from_name(study)
    storage.record_heartbeat(storage.get_trial_id_from_study_id_trial_number(study_id, number))
    return True


@contextmanager
def beating(storage: "BaseStorage", study: str, number: int, leases: Path) -> Iterator[None]:
    """Give signs of life of a trial: to its database, or by a lease in the folder that all who see the journal see."""
    from optuna.exceptions import StorageInternalError

    if not beat(storage, study, number):
        lease = Lease(leases / str(number))
        lease.acquire()
        with lease:
            yield
        return
    ended = Event()

    def keep_on() -> None:
        while not ended.wait(BEAT):
            with suppress(StorageInternalError):  # the next one may come through
                beat(storage, study, number)

    thread = Thread(target=keep_on, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
