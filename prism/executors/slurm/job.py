"""What a job does: the stage that it was submitted for, then others that wait for a job like it.

Where queues are long, the first job that gets a GPU keeps it while there is work; jobs whose stages have been made
meanwhile are cancelled by their command.
"""

import os
import pickle
import signal
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from prism_bench.prism.component import load
from prism_bench.prism.engine.lease import BEAT, SILENCE
from prism_bench.prism.engine.pool import Answer, attempt, prepare_process
from prism_bench.prism.engine.stage import Stage
from prism_bench.prism.engine.store import Store
from prism_bench.prism.errors import InputError
from prism_bench.prism.executors.devices import device_called
from prism_bench.prism.executors.slurm.board import Board, Terms

if TYPE_CHECKING:
    from submitit.helpers import DelayedSubmission

LINGER = 60.0
"""Seconds that a job waits for another order: the stage that rests on what it has made is ordered in that time."""


@dataclass
class Stop:
    """Whether the job is to save and stop; again: and to be queued once more, for its time is up."""

    event: threading.Event
    again: bool = False


@dataclass(frozen=True)
class Job:
    """Called in a job, with the store and the address it was submitted for."""

    root: Path
    address: str

    def __call__(self) -> None:
        """Carry out orders until there are none; asked to stop, save, and be queued again where time was up."""
        board = Board(Store(self.root))
        order = board.order(self.address)
        if order is None:
            print(f"{self.address} is not wanted any more", flush=True)  # noqa: T201 - the job's log
            return
        stop, requeue = Stop(threading.Event()), _requeue_signal()
        of_submitit = signal.getsignal(requeue)

        def save(number: int, _: object) -> None:
            stop.again |= number == requeue
            stop.event.set()

        for number in (signal.SIGTERM, signal.SIGINT, requeue):
            signal.signal(number, save)
        stopped = self._work(board, order.terms, stop)
        if stopped is None:
            return
        if stop.again and board.order(stopped.address) is not None:
            signal.signal(requeue, of_submitit)
            try:
                signal.raise_signal(requeue)  # submitit queues the job again and ends this process
            except Exception as error:  # it may not be queued again, or too often
                stopped = replace(stopped, reason=str(error))
        board.tell(stopped)

    def checkpoint(self) -> "DelayedSubmission":
        """What submitit queues again: the same, for what was computed is in the store."""
        from submitit.helpers import DelayedSubmission

        return DelayedSubmission(self)

    def _work(self, board: Board, terms: Terms, stop: Stop) -> Answer | None:
        """Carry out orders; returns what became of one that was stopped."""
        load(terms.plugins)
        try:
            device_called(terms.runtime.device)
        except InputError:
            reason = (
                f"the job has no GPU that torch can use ({terms.directives}); ask for one, as --slurm gres=gpu:1 does, "
                "or compute without: --device cpu"
            )
            board.tell(Answer(self.address, "failed", reason=f"{reason}{_log()}"))
            return None
        prepare_process(terms.runtime)
        store, idle = Store(self.root), time.monotonic()
        while not stop.event.is_set():
            stage = next(self._free(board, store, terms), None)
            if stage is None:
                # Its own may be held by a process that is gone, which shows after a while.
                patience = SILENCE + 2 * BEAT if board.order(self.address) else LINGER
                if time.monotonic() - idle > patience:
                    return None
                stop.event.wait(1.0)
                continue
            print(f"{stage.title}: begun", flush=True)  # noqa: T201 - the job's log
            answer = attempt(stage, store, terms.runtime, stop.event)
            print(f"{stage.title}: {answer.outcome} {answer.reason}", flush=True)  # noqa: T201
            idle = time.monotonic()
            if answer.outcome == "stopped":
                return answer
            if answer.outcome == "failed":
                # The process may be the worse for it, a GPU after an error above all.
                board.tell(replace(answer, reason=f"{answer.reason}{_log()}"))
                return None
            if answer.outcome == "done":
                board.tell(answer)
        return None

    def _free(self, board: Board, store: Store, terms: Terms) -> Iterator[Stage]:
        """Stages that are ordered on these terms and that nobody makes, the job's own first."""
        for address in dict.fromkeys([self.address, *board.ordered()]):
            order = board.order(address)
            if order is None or order.terms != terms:
                continue
            stage: Stage = pickle.loads(order.stage)  # noqa: S301 - see above
            if store.lease(stage.address).holder() is None:
                yield stage


def _requeue_signal() -> signal.Signals:
    """By which submitit is told that a job's time is up."""
    return signal.Signals[f"SIG{os.environ.get('SUBMITIT_PREEMPT_SIGNAL', 'USR2')}"]


def _log() -> str:
    from submitit import JobEnvironment

    return f" (log: {JobEnvironment().paths.stdout})"
