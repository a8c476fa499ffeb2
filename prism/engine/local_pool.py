"""Processes that perform stages. The parent decides; a worker does one stage at a time and answers once."""

import contextlib
import errno
import multiprocessing
import os
import signal
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Literal

from prism_bench.prism.component import load
from prism_bench.prism.engine.lease import HeldError, LeaseLostError
from prism_bench.prism.engine.runtime import Runtime, StopRequestedError
from prism_bench.prism.engine.slots import Slot, Slots
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
    # It took no time where it was there: made by another process since it was looked for.
    return Answer(address, "done", seconds, by="" if seconds else "another process")


def _unforeseen(error: Exception, address: str, store: Store) -> str:
    log = store.root / "logs" / f"{address}.txt"
    with contextlib.suppress(OSError):
        log.parent.mkdir(exist_ok=True)
        log.write_text(traceback.format_exc())
    return f"{type(error).__name__}: {error} (details: {log})"


def prepare_process(runtime: Runtime) -> Callable[[], None]:
    """Thread count, device and determinism of this process; returns what puts the former ones back."""
    import torch

    threads, deterministic = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    torch.set_num_threads(runtime.threads)
    if runtime.device == "cpu":
        torch.use_deterministic_algorithms(mode=True)
    if runtime.device.startswith("cuda:"):
        torch.cuda.set_device(runtime.device)

    def put_back() -> None:
        torch.set_num_threads(threads)
        torch.use_deterministic_algorithms(deterministic)

    return put_back


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
    slot: Slot
    process: multiprocessing.process.BaseProcess
    connection: Connection
    stage: Stage | None = None


@dataclass
class Pool:
    """A worker process for each slot, started when it is first needed; or this process, which makes stages one by one.

    In this process a stage is made when answers are asked for, with the threads and the determinism of a worker.
    """

    store: Store
    slots: Slots
    plugins: tuple[Path, ...] = ()
    _workers: list[_Worker] = field(default_factory=list)
    _inline: list[Stage] = field(default_factory=list)
    _prepared: Callable[[], None] | None = None

    def __enter__(self) -> "Pool":
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        if self._prepared is not None:
            self._prepared()

    def has_place(self, stage: Stage) -> bool:
        """Whether the stage can be submitted now."""
        return not self._inline if self.slots.here else self._slot(stage) is not None

    @property
    def is_full(self) -> bool:
        """Whether no stage at all can be submitted now."""
        if self.slots.here:
            return bool(self._inline)
        return all(worker.stage is not None for worker in self._workers) and len(self._workers) == len(
            self.slots.places
        )

    def submit(self, stage: Stage) -> None:
        """Give a stage to an idle worker of a slot that takes it, starting one where there is none."""
        if self.slots.here:
            self._inline.append(stage)
            return
        slot = self._slot(stage)
        if slot is None:
            raise ValueError(f"no place for {stage.title}; ask has_place first")
        worker = next((w for w in self._workers if w.slot is slot), None) or self._start(slot)
        worker.stage = stage
        worker.connection.send(stage)

    def _slot(self, stage: Stage) -> Slot | None:
        # An idle worker may have been killed from outside; its place is free.
        self._workers = [w for w in self._workers if w.stage is not None or w.process.is_alive()]
        busy = [id(worker.slot) for worker in self._workers if worker.stage is not None]
        started = [id(worker.slot) for worker in self._workers]
        free = [slot for slot in self.slots.places if slot.takes(stage) and id(slot) not in busy]
        # One that runs already is ready sooner.
        return min(free, key=lambda slot: id(slot) not in started, default=None)

    def _start(self, slot: Slot) -> _Worker:
        # Libraries read this when they are loaded, which in a worker is before any code of ours.
        os.environ["OMP_NUM_THREADS"] = str(slot.runtime.threads)
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        arguments = (theirs, self.store.root, slot.runtime, self.plugins)
        process = context.Process(target=_serve, args=arguments, daemon=True)
        process.start()
        theirs.close()
        worker = _Worker(slot, process, ours)
        self._workers.append(worker)
        return worker

    def answers(self, timeout: float) -> Iterator[Answer]:
        """What has been answered within `timeout` seconds."""
        if self.slots.here:
            while self._inline:
                self._prepared = self._prepared or prepare_process(self.slots.first)
                yield attempt(self._inline.pop(), self.store, self.slots.first, threading.Event())
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
