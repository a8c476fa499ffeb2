"""Which stage is next: stages in the order of their needs; a failure stops only what rests on it.

Other processes may work on the same store. A stage that one of them makes is left to it, and another one is taken.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from prism_bench.prism.engine.pool import Answer, Pool
from prism_bench.prism.engine.runtime import read_progress
from prism_bench.prism.engine.stage import Stage
from prism_bench.prism.engine.store import Store
from prism_bench.prism.engine.waiting import Waiting

LOOK = 0.5
"""Seconds between two looks at what runs."""
HIDDEN = 90.0
"""Seconds for which a network file system may hide a stage that another machine has just finished."""


class Clock(Protocol):
    """Seconds that pass; the module `time` is one, and a simulation has another."""

    def monotonic(self) -> float:
        """Seconds since some moment."""

    def sleep(self, seconds: float, /) -> None:
        """Wait."""


class StageObserver(Protocol):
    """What hears of stages while they are performed: a progress display, MLflow."""

    def started(self, stage: Stage) -> None:
        """A stage was given to a worker."""

    def elsewhere(self, stage: Stage, who: str) -> None:
        """Another process makes the stage, and this one waits for it or finds something else to do."""

    def put_back(self, stage: Stage, answer: Answer) -> None:
        """A stage that was started is to be done again: another process has it (held), or its worker is gone (lost)."""

    def waits(self, stage: Stage, where: str) -> None:
        """A stage that was started is not being made yet, or not any more: it stands in a queue, as `where` says."""

    def progressed(self, stage: Stage, progress: dict[str, Any]) -> None:
        """The stage's `progress.json` as it stands; called about twice a second."""

    def finished(self, stage: Stage, answer: Answer) -> None:
        """A stage is done or has failed; one that another process made is started and finished at once."""


@dataclass
class Scheduler:
    """Performs stages by a pool of workers, as many at a time as the pool has places for."""

    store: Store
    pool: Pool
    observers: Sequence[StageObserver] = ()
    clock: Clock = time
    failed: dict[str, str] = field(default_factory=dict)
    """Why, by address: of stages that failed, and of those that rest on them."""
    _waiting: Waiting = field(default_factory=lambda: Waiting({}))
    _running: dict[str, Stage] = field(default_factory=dict)
    _fallen: list[str] = field(default_factory=list)
    """Stages that failed, for which what rests on them has not been dropped yet."""
    _elsewhere: dict[str, str] = field(default_factory=dict)
    """Who makes a stage, as far as it was another process."""
    _unseen: dict[str, tuple[Answer, float]] = field(default_factory=dict)
    """Answers that a stage is done which the store does not show yet, and until when it is looked for."""
    _closed: list[str] = field(default_factory=list)
    """Stages that are done or have failed, since the last round."""

    def run(self, stages: dict[str, Stage], changed: Callable[[Sequence[str]], None] = lambda _: None) -> None:
        """Work until nothing more can be done. Of the stages that are ready, the first in `stages` goes first.

        stages: by address, all that is to be done; what else they need is in the store. changed: called at the start
        and after every round of answers, with the addresses of what is done or has failed since the last time.
        """
        self._waiting, self._fallen = Waiting(stages), list(self.failed)
        changed(())
        while self._waiting or self._running:
            self._block()
            self._start_what_is_free()
            if self._waiting and not self._running:
                self.clock.sleep(LOOK)
            for answer in (*self.pool.answers(timeout=LOOK), *self._answers_again()):
                self._take(answer)
            self._look()
            closed, self._closed = self._closed, []
            changed(closed)

    def is_open(self, stage: Stage) -> bool:
        """Whether a stage is still to be done, or being done."""
        address = str(stage.address)
        return address in self._waiting or address in self._running

    def _start_what_is_free(self) -> None:
        """Start the stages for which the pool has places, of those that no other process makes."""
        for address in self._waiting.ready():
            if self.pool.is_full:
                return
            stage = self._waiting[address]
            if not self.pool.has_place(stage):
                continue
            holder = self.store.lease(stage.address).holder()
            if holder is not None:
                self._leave(stage, str(holder))
            elif address in self._elsewhere and self.store.manifest(stage.address) is not None:
                self._adopt(stage)
            else:
                self._start(address)

    def _leave(self, stage: Stage, who: str) -> None:
        if self._elsewhere.get(str(stage.address)) != who:
            self._elsewhere[str(stage.address)] = who
            for observer in self.observers:
                observer.elsewhere(stage, who)

    def _adopt(self, stage: Stage) -> None:
        """Another process has made a stage that this one waited for."""
        address = str(stage.address)
        self._waiting.take(address)
        self._close(address)
        answer = Answer(address, "done", by=self._elsewhere.pop(address))
        for observer in self.observers:
            observer.started(stage)
            observer.finished(stage, answer)

    def _start(self, address: str) -> None:
        stage = self._running[address] = self._waiting.take(address)
        self.pool.submit(stage)
        for observer in self.observers:
            observer.started(stage)

    def _block(self) -> None:
        """Drop what rests on a failed stage, with the reason."""
        while self._fallen:
            for address in self._waiting.resting_on(self._fallen.pop(0)):
                for name, needed in self._waiting.needs(address).items():
                    reason = self.failed.get(name)
                    if reason is not None:
                        chained = reason.startswith("needs ")
                        self.failed[address] = reason if chained else f"needs {needed.title}, which failed: {reason}"
                self._waiting.take(address)
                self._closed.append(address)
                self._fallen.append(address)

    def _take(self, answer: Answer) -> None:
        stage = self._running[answer.address]
        if answer.outcome == "waits":
            for observer in self.observers:
                observer.waits(stage, answer.reason)
            return
        if answer.outcome == "done":
            manifest = self.store.manifest(stage.address)
            answer = self._look_again_later(answer) if manifest is None else replace(answer, note=manifest.note)
            if manifest is None and answer.outcome == "done":
                return
        del self._running[answer.address]
        self._unseen.pop(answer.address, None)
        if answer.outcome in {"held", "lost"}:
            # First again, as it was; who has it is looked up in the next round.
            self._waiting.put_back(answer.address, stage)
            for observer in self.observers:
                observer.put_back(stage, answer)
            return
        self._close(answer.address)
        if answer.outcome != "done":
            self.failed[answer.address] = answer.reason or "stopped"
            self._fallen.append(answer.address)
        for observer in self.observers:
            observer.finished(stage, answer)

    def _close(self, address: str) -> None:
        self._waiting.settle(address)
        self._closed.append(address)

    def _answers_again(self) -> list[Answer]:
        return [answer for answer, _ in self._unseen.values()]

    def _look_again_later(self, answer: Answer) -> Answer:
        """The answer that a stage is done, kept until the store shows it; that it failed, when that takes too long."""
        _, until = self._unseen.setdefault(answer.address, (answer, self.clock.monotonic() + HIDDEN))
        if self.clock.monotonic() < until:
            return answer
        reason = (
            f"its process says that it is done, and after {HIDDEN:.0f} s the store does not show it; do all processes "
            f"see the same {self.store.root}?"
        )
        return replace(answer, outcome="failed", reason=reason)

    def _look(self) -> None:
        """Tell the observers how far the stages are that run."""
        folders = self.store.work_folders() if self._running else {}
        for address, stage in self._running.items():
            progress = read_progress(folders[address]) if address in folders else None
            if progress is not None:
                for observer in self.observers:
                    observer.progressed(stage, progress)
