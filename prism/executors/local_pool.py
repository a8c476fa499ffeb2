"""Processes that perform stages. The parent decides; a worker does one stage at a time and answers once."""

import contextlib
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Self

from prism_bench.prism.component import load
from prism_bench.prism.engine.pool import Answer, attempt, prepare_process
from prism_bench.prism.engine.runtime import Runtime
from prism_bench.prism.engine.stage import Stage
from prism_bench.prism.engine.store import Store
from prism_bench.prism.executors.process_start import begin, context_for, take_environment
from prism_bench.prism.executors.slots import Slot, Slots

PATIENCE = 20.0
"""Seconds that a stopping worker has to write its checkpoint."""


def _serve(
    connection: Connection, root: Path, runtime: Runtime, plugins: tuple[Path, ...], environment: dict[str, str]
) -> None:
    take_environment(environment)
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
    # All is written, and taking down what torch has loaded takes longer than to go.
    os._exit(0)


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
class LocalPool:
    """A worker process for each slot, started when it is first needed; or this process, which makes stages one by one.

    In this process a stage is made when answers are asked for, with the threads and the determinism of a worker.
    """

    store: Store
    slots: Slots
    plugins: tuple[Path, ...] = ()
    _workers: list[_Worker] = field(default_factory=list)
    _inline: list[Stage] = field(default_factory=list)
    _prepared: Callable[[], None] | None = None

    @classmethod
    def one(cls, store: Store, runtime: Runtime, plugins: tuple[Path, ...] = (), *, here: bool = False) -> Self:
        """A pool of one place. here: this process is that place."""
        return cls(store, Slots.one(runtime, here=here), plugins)

    def begin(self) -> None:
        """See `Pool`."""
        if not self.slots.here:
            begin(self.slots.places[-1].runtime)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        if self._prepared is not None:
            self._prepared()

    def __str__(self) -> str:
        return str(self.slots)

    @property
    def places(self) -> int:
        """One for each slot."""
        return len(self.slots.places)

    @property
    def probe(self) -> Runtime:
        """How stages that use the device run in the first slot."""
        return self.slots.first

    @property
    def imports(self) -> bool:
        """Unless stages are made in this process."""
        return not self.slots.here

    def has_place(self, stage: Stage) -> bool:
        """Whether the stage can be submitted now."""
        return not self._inline if self.slots.here else self._slot(stage) is not None

    @property
    def is_full(self) -> bool:
        """Whether no stage at all can be submitted now."""
        if self.slots.here:
            return bool(self._inline)
        return len(self._workers) == self.places and all(worker.stage is not None for worker in self._workers)

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
        context = context_for(slot.runtime)
        ours, theirs = context.Pipe()
        arguments = (theirs, self.store.root, slot.runtime, self.plugins, dict(os.environ))
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
    if hasattr(signal, "SIGBUS") and code == -signal.SIGBUS:
        hint = "; a file that it had mapped was cut short, as on a full disk: free space"
    return f"its worker process died ({cause}){hint}; type the same command again to go on from its last checkpoint"
