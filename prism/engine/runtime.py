"""How and where a stage runs. Nothing here may change a number, so nothing here is part of a component."""

import contextlib
import json
import os
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

if TYPE_CHECKING:
    from prism_bench.prism.engine.manifest import UsedRuntime


PROGRESS = "progress.json"
TEMPORARY = ".tmp"
"""How the names of files end that are being written; such a file of a process that has ended is nothing."""


class StopRequestedError(Exception):
    """The process was asked to stop; what was computed has been saved and the same command goes on from there."""


def usable_cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@dataclass(frozen=True, kw_only=True)
class Runtime:
    """Device, threads and cadence of one worker.

    beside: devices of further processes, which a training that can be divided takes along; rank: which of them all this
    one is, that of `device` being 0; meeting: the file at which they meet, empty outside of such a training.
    data_share: of the device's free memory, what the data of a training may take. draws_ahead: whether a thread draws
    the next batch while this one runs. look_every: steps between two looks at the losses, each of which waits for the
    device; a checkpoint, a line of the log and the end look, too. None: on the CPU one thing after the other and a look
    at every step; elsewhere ahead, and 50 steps. compiles: whether trainings compile their network, once for each patch
    size.
    """

    device: str = "cpu"
    threads: int = 1
    checkpoint_seconds: float = 30.0
    sample_batch: int = 250
    data_share: float = 0.25
    draws_ahead: bool | None = None
    look_every: int | None = None
    beside: tuple[str, ...] = ()
    rank: int = 0
    meeting: str = ""
    compiles: bool = False

    @property
    def pace(self) -> tuple[bool, int]:
        """(draws_ahead, look_every), decided."""
        elsewhere = self.device != "cpu"
        ahead = elsewhere if self.draws_ahead is None else self.draws_ahead
        return ahead, self.look_every or (50 if elsewhere else 1)


@dataclass
class Report:
    """What a running stage tells the world: `progress.json` in its work folder, replaced at most thrice a second."""

    path: Path
    should_stop: Callable[[], bool] = lambda: False
    check: Callable[[], None] = lambda: None
    """Called with every report; raises where the stage is no longer this process's to make."""
    note: str = ""
    """What people should know of this stage beside its progress."""
    ran_on: "tuple[UsedRuntime, ...]" = ()
    """What the stage has been computed on, oldest first; empty: by this process alone."""
    earlier_seconds: float = 0.0
    """Of computing, in processes that were interrupted and whose work this one goes on from."""
    _written: float = 0.0

    def __call__(self, done: int, total: int, unit: str, **facts: Any) -> None:
        """State that `done` of `total` units are finished, with any further facts (plain numbers)."""
        self.check()
        now = time.monotonic()
        if done >= total or now - self._written > 0.3:
            self._written = now
            temporary = self.path.with_suffix(TEMPORARY)
            said = {"note": self.note} if self.note else {}
            temporary.write_text(json.dumps({"done": done, "total": total, "unit": unit, **said, **facts}))
            temporary.replace(self.path)


def read_progress(folder: Path) -> dict[str, Any] | None:
    """What a stage's `Report` said last in its work folder; None where it has said nothing yet."""
    try:
        said: dict[str, Any] = json.loads((folder / PROGRESS).read_text())
    except (OSError, ValueError):
        return None
    return said


def write_json(path: Path, value: Any) -> None:
    """Write JSON so that a reader sees the old file or the new one, never half of one."""
    write_bytes(path, as_json(value))


def keep_json(path: Path, value: Any) -> bool:
    """Write JSON unless the file holds just that already, and stays as it is; whether it was written."""
    data = as_json(value)
    try:
        held = path.read_bytes() == data
    except OSError:
        held = False
    if not held:
        write_bytes(path, data)
    return not held


def as_json(value: Any) -> bytes:
    """The bytes of a JSON file of ours."""
    return (json.dumps(value, indent=1, sort_keys=True, allow_nan=False) + "\n").encode()


def write_bytes(path: Path, data: bytes) -> None:
    """Write a file by rename: the old bytes or the new ones, never half."""
    with whole_file(path) as file:
        file.write(data)


@contextmanager
def whole_file(path: Path) -> Iterator[BinaryIO]:
    """A file to write, in place of `path` at the end of the context; where that fails, as it was and nothing beside it.

    Raises:
        OSError: it cannot be written; it names `path`.
    """
    # Two containers may have processes of one number.
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}{TEMPORARY}")
    try:
        with temporary.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException as error:
        with contextlib.suppress(OSError):
            temporary.unlink()
        if isinstance(error, OSError) and error.errno is not None:
            raise OSError(error.errno, error.strerror, str(path)) from error
        raise
