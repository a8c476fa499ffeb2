"""How and where a stage runs. Nothing here may change a number, so nothing here is part of a component."""

import json
import os
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from prism_bench.prism.engine.manifest import UsedRuntime


class StopRequestedError(Exception):
    """The process was asked to stop; what was computed has been saved and the same command goes on from there."""


def usable_cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@dataclass(frozen=True, kw_only=True)
class Runtime:
    """Device, threads and cadence of one worker."""

    device: str = "cpu"
    threads: int = 1
    checkpoint_seconds: float = 30.0
    sample_batch: int = 250


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
    _written: float = 0.0

    def __call__(self, done: int, total: int, unit: str, **facts: Any) -> None:
        """State that `done` of `total` units are finished, with any further facts (plain numbers)."""
        self.check()
        now = time.monotonic()
        if done >= total or now - self._written > 0.3:
            self._written = now
            temporary = self.path.with_suffix(".tmp")
            said = {"note": self.note} if self.note else {}
            temporary.write_text(json.dumps({"done": done, "total": total, "unit": unit, **said, **facts}))
            temporary.replace(self.path)


def write_json(path: Path, value: Any) -> None:
    """Write JSON so that a reader sees the old file or the new one, never half of one."""
    write_bytes(path, as_json(value))


def as_json(value: Any) -> bytes:
    """The bytes of a JSON file of ours."""
    return (json.dumps(value, indent=1, sort_keys=True, allow_nan=False) + "\n").encode()


def write_bytes(path: Path, data: bytes) -> None:
    """Write a file by rename: the old bytes or the new ones, never half."""
    # Two containers may have processes of one number.
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}.tmp")
    with temporary.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
