"""Processes beside that of a training which take part in it: each makes the same stage in a folder of its own.

Nothing of what they write counts. They end with the process that started them, whatever becomes of it.
"""

import contextlib
import os
import pickle
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from prism_bench.prism.component import load, loaded_plugins
from prism_bench.prism.engine.pool import prepare_process
from prism_bench.prism.engine.runtime import Report, Runtime, StopRequestedError
from prism_bench.prism.engine.stage import Stage, StageContext
from prism_bench.prism.errors import ComputeError
from prism_bench.prism.training.checkpoint import Checkpoints
from prism_bench.prism.training.ranks import PeerLostError, lost

if TYPE_CHECKING:
    Process = subprocess.Popen[bytes]

ORDER, ERRORS = "order", "errors.txt"
PATIENCE = 20.0
"""Seconds in which a process beside ends after its training."""


class Order(NamedTuple):
    """What a process beside is to make. stage: pickled, for its plug-ins are imported first."""

    plugins: tuple[Path, ...]
    stage: bytes
    inputs: Mapping[str, Path]
    folder: Path
    runtime: Runtime


@contextmanager
def taken_along(stage: Stage, context: StageContext) -> Iterator[Runtime]:
    """The processes of `context.runtime.beside`, at work on the same training; yields how this one joins them.

    Raises:
        ComputeError: one of them died.
    """
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="prism-bench-")))
        runtime = replace(context.runtime, meeting=str(folder / "meeting"))
        beside = [
            stack.enter_context(_started(stage, context, replace(runtime, device=device, rank=rank), folder))
            for rank, device in enumerate(runtime.beside, 1)
        ]
        over = threading.Event()
        stack.callback(over.set)
        threading.Thread(target=_watch, args=(beside, lost(folder / "meeting"), over), daemon=True).start()
        try:
            yield runtime
        except PeerLostError as error:
            raise _named(error, beside, folder) from error


@contextmanager
def _started(stage: Stage, context: StageContext, runtime: Runtime, folder: Path) -> "Iterator[Process]":
    own = folder / str(runtime.rank)
    own.mkdir()
    for path in Checkpoints(context.folder, 0.0).files:
        # Read before the first step, and never written to.
        (own / path.name).symlink_to(path.absolute())
    order = Order(loaded_plugins(), pickle.dumps(stage), context.inputs, own, runtime)
    (own / ORDER).write_bytes(pickle.dumps(order))
    command = [sys.executable, "-P", "-m", __name__, str(own / ORDER)]
    with (own / ERRORS).open("wb") as errors:
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=errors, stderr=errors)
    try:
        yield process
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(PATIENCE)
    finally:
        process.kill()
        process.communicate()


def _watch(beside: "Sequence[Process]", told: Path, over: threading.Event) -> None:
    """Tell those who wait at the meeting that one will not come."""
    while not over.wait(0.2):
        if any(process.poll() for process in beside):
            with contextlib.suppress(FileNotFoundError):
                told.touch()
            return


def _named(error: PeerLostError, beside: "Sequence[Process]", folder: Path) -> ComputeError:
    """Which of the processes ended, as far as one has, and what it said last."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        for rank, process in enumerate(beside, 1):
            if process.poll():
                lines = (folder / str(rank) / ERRORS).read_text(errors="replace").strip().splitlines()
                why = f": {lines[-1]}" if lines else ""
                return ComputeError(
                    f"process {rank + 1} of the {len(beside) + 1} that train together ended with code "
                    f"{process.returncode}{why}; type the same command again to go on from the last checkpoint"
                )
        time.sleep(0.1)
    return error


def take_part(path: Path) -> None:
    """The life of a process beside."""
    for ignored in (signal.SIGINT, signal.SIGTERM):  # the process that started it decides
        signal.signal(ignored, signal.SIG_IGN)
    threading.Thread(target=_follow, daemon=True).start()
    order: Order = pickle.loads(path.read_bytes())  # noqa: S301 - written by the process that started this one
    load(order.plugins)
    prepare_process(order.runtime)
    stage: Stage = pickle.loads(order.stage)  # noqa: S301
    report = Report(order.folder / "progress.json")
    with contextlib.suppress(StopRequestedError):
        stage.run(StageContext(order.inputs, order.folder, order.runtime, report))


def _follow() -> None:
    """End with the process at the other end of the standard input."""
    # Not by sys.stdin, whose lock a thread that waits would keep at the end of the interpreter.
    os.read(0, 1)
    os._exit(1)


if __name__ == "__main__":
    take_part(Path(sys.argv[1]))
