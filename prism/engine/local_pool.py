"""Processes that perform stages. The parent decides; a worker does one stage at a time and answers once."""

import contextlib
import errno
import multiprocessing
import os
import signal
import threading
import time
import traceback
from collections.abc import Iterator
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Literal

from prism_bench.prism.component import load
from prism_bench.prism.engine.lease import HeldError, LeaseLostError
from prism_bench.prism.engine.runtime import Runtime, StopRequestedError
from prism_bench.prism.engine.stage import Stage, perform
from prism_bench.prism.engine.store import Store
from prism_bench.prism.errors import ComputeError, InputError

PATIENCE = 20.0
"""Seconds that a stopping worker has to write its checkpoint."""


@dataclass(frozen=True)
class Answer:
    """What became of a stage. held: another process makes it, as `reason` says; it may be asked for again.

    by: the process that made it, where that is not one of this pool's.
    """

    address: str
    outcome: Literal["done", "failed", "stopped", "held"]
    seconds: float = 0.0
    reason: str = ""
    by: str = ""


def attempt(stage: Stage, store: Store, runtime: Runtime, stop: threading.Event) -> Answer:
    """Perform a stage and turn whatever happens into an answer; an unforeseen error leaves its traceback in a file."""
    address = str(stage.address)
    try:
        seconds = perform(stage, store, runtime, stop.is_set, wait=False)
    except StopRequestedError:
        return Answer(address, "stopped")
    except (HeldError, LeaseLostError) as error:
        return Answer(address, "held", reason=str(error))
    except (ComputeError, InputError) as error:
        return Answer(address, "failed", reason=str(error))
    except Exception as error:
        if isinstance(error, OSError) and error.errno == errno.ENOSPC:
            reason = f"the disk that holds {store.root} is full; free space and type the same command again"
        else:
            reason = _unforeseen(error, address, store)
        return Answer(address, "failed", reason=reason)
    return Answer(address, "done", seconds)


def _unforeseen(error: Exception, address: str, store: Store) -> str:
    log = store.root / "logs" / f"{address}.txt"
    with contextlib.suppress(OSError):
        log.parent.mkdir(exist_ok=True)
        log.write_text(traceback.format_exc())
    return f"{type(error).__name__}: {error} (details: {log})"


def prepare_process(runtime: Runtime) -> None:
    """Thread count and determinism of this process."""
    import torch

    torch.set_num_threads(runtime.threads)
    if runtime.device == "cpu":
        torch.use_deterministic_algorithms(mode=True)


def _serve(connection: Connection, root: Path, runtime: Runtime, plugins: tuple[Path, ...]) -> None:
    stop = threading.Event()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the parent decides
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    threading.Thread(target=_follow, args=(stop,), daemon=True).start()
    load(plugins)
    prepare_process(runtime)
    store = Store(root)
    with contextlib.suppress(EOFError, BrokenPipeError):
        while (stage := connection.recv()) is not None:
            connection.send(attempt(stage, store, runtime, stop))


def _follow(stop: threading.Event) -> None:
    """An orphan saves its work and goes: the same command, typed again, must find the lock free."""
    parent = multiprocessing.parent_process()
    if parent is None:
        return
    parent.join()
    stop.set()
    time.sleep(PATIENCE)
    os._exit(1)


@dataclass
class _Worker:
    process: multiprocessing.process.BaseProcess
    connection: Connection
    stage: Stage | None = None


@dataclass
class Pool:
    """`size` worker processes; size 0 performs stages in this process, one by one, when answers are asked for."""

    store: Store
    runtime: Runtime
    size: int
    plugins: tuple[Path, ...] = ()
    _workers: list[_Worker] = field(default_factory=list)
    _inline: list[Stage] = field(default_factory=list)

    def __enter__(self) -> "Pool":
        # Libraries read this when they are loaded, which in a worker is before any code of ours.
        os.environ["OMP_NUM_THREADS"] = str(self.runtime.threads)
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def free(self) -> int:
        """How many stages can be submitted now."""
        if not self.size:
            return 1 - len(self._inline)
        return self.size - sum(worker.stage is not None for worker in self._workers)

    def submit(self, stage: Stage) -> None:
        """Give a stage to an idle worker, starting one if there are fewer than `size`."""
        if not self.size:
            self._inline.append(stage)
            return
        # An idle worker may have been killed from outside; its place is free.
        self._workers = [w for w in self._workers if w.stage is not None or w.process.is_alive()]
        worker = next((w for w in self._workers if w.stage is None), None) or self._start()
        worker.stage = stage
        worker.connection.send(stage)

    def _start(self) -> _Worker:
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        arguments = (theirs, self.store.root, self.runtime, self.plugins)
        process = context.Process(target=_serve, args=arguments, daemon=True)
        process.start()
        theirs.close()
        worker = _Worker(process, ours)
        self._workers.append(worker)
        return worker

    def answers(self, timeout: float) -> Iterator[Answer]:
        """What has been answered within `timeout` seconds."""
        if not self.size:
            while self._inline:
                yield attempt(self._inline.pop(), self.store, self.runtime, threading.Event())
            return
        busy = {worker.connection: worker for worker in self._workers if worker.stage is not None}
        for connection in wait(list(busy), timeout):
            worker = busy[connection]  # type: ignore[index]
            stage, worker.stage = worker.stage, None
            if stage is None:
                continue
            try:
                yield worker.connection.recv()
            except (EOFError, OSError):
                self._workers.remove(worker)
                yield Answer(str(stage.address), "failed", reason=exit_reason(worker.process))

    def stop(self) -> None:
        """Ask every worker to save and stop, and wait for them."""
        for worker in self._workers:
            if worker.stage is None:
                with contextlib.suppress(OSError):
                    worker.connection.send(None)
            else:
                worker.process.terminate()
        deadline = time.monotonic() + PATIENCE
        for worker in self._workers:
            if worker.stage is not None and worker.connection.poll(max(0.0, deadline - time.monotonic())):
                with contextlib.suppress(EOFError, OSError):
                    worker.connection.recv()
                    worker.connection.send(None)
            worker.process.join(max(0.1, deadline - time.monotonic()))
            if worker.process.is_alive():
                worker.process.kill()
        self._workers.clear()


def exit_reason(process: multiprocessing.process.BaseProcess) -> str:
    """Why a worker process is gone, and what to do about it."""
    process.join(1)
    code = process.exitcode
    cause = f"signal {-code}" if code is not None and code < 0 else f"exit code {code}"
    # Windows has no such signal: there a process that was killed has an exit code like any other.
    killed = hasattr(signal, "SIGKILL") and code == -signal.SIGKILL
    hint = "; the system may have run out of memory: try fewer --workers" if killed else ""
    return f"its worker process died ({cause}){hint}; type the same command again to go on from its last checkpoint"
