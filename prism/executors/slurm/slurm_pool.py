"""A job for each stage that uses the device; this machine makes the others.

What has become of a job is read from the store: an answer of the job, the stage itself, the lease of whoever makes it.
The queue is asked now and then, for where a job stands and whether it is there at all.
"""

import re
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Self

from prism_bench.prism.engine.lease import SILENCE
from prism_bench.prism.engine.pool import Answer
from prism_bench.prism.engine.runtime import read_progress
from prism_bench.prism.engine.stage import Stage
from prism_bench.prism.engine.store import Store
from prism_bench.prism.errors import ComputeError
from prism_bench.prism.executors.local_pool import LocalPool
from prism_bench.prism.executors.slurm.batch_queue import BatchQueue, JobState
from prism_bench.prism.executors.slurm.board import Board, Terms
from prism_bench.prism.executors.slurm.job import Job

LOOK = 2.0
"""Seconds between two looks at what jobs have answered."""
TRIES = 3
"""Jobs in a row for one stage that get no further."""
HUNG = 2 * SILENCE
"""Seconds for which a job may run without a sign that it makes its stage."""
PATIENCE = 90.0
"""Seconds that stopping jobs have to write their checkpoints."""


@dataclass
class Submitted:
    """A stage and its job. id: "" where none stands in the queue. done: how far the stage was when it was submitted.

    seen: when the stage was last seen to be made, or its job to be in the queue, seconds of a steady clock.
    """

    stage: Stage
    id: str = ""
    tries: int = 0
    done: int = 0
    said: str = ""
    seen: float = field(default_factory=time.monotonic)


@dataclass
class SlurmPool:
    """Jobs in a queue, and a pool of this machine for what needs no device. most: jobs at a time."""

    store: Store
    local: LocalPool
    queue: BatchQueue
    terms: Terms
    most: int
    _jobs: dict[str, Submitted] = field(default_factory=dict)
    _new: list[Answer] = field(default_factory=list)
    """What is to be said of jobs that were submitted just now."""
    _mine: set[str] = field(default_factory=set)
    """The ids of all that were submitted here."""
    _states: Mapping[str, JobState] = field(default_factory=dict)
    _looked: float = 0.0
    _asked: float = 0.0

    def __post_init__(self) -> None:
        self.board = Board(self.store)

    def __str__(self) -> str:
        return f"jobs ({self.terms.directives}) and {self.local}"

    def begin(self) -> None:
        """See `Pool`: nothing can be done before."""

    def __enter__(self) -> Self:
        self.board.open()
        self.local.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self._stop()
        finally:
            self.local.__exit__()

    @property
    def places(self) -> int:
        """The jobs and this machine's."""
        return self.most + self.local.places

    @property
    def probe(self) -> None:
        """Trainings run elsewhere."""
        return None

    @property
    def imports(self) -> bool:
        """Jobs are processes of their own."""
        return True

    @property
    def is_full(self) -> bool:
        """Whether no stage at all can be submitted now."""
        return len(self._jobs) >= self.most and self.local.is_full

    def has_place(self, stage: Stage) -> bool:
        """Whether the stage can be submitted now."""
        return len(self._jobs) < self.most if stage.uses_device else self.local.has_place(stage)

    def submit(self, stage: Stage) -> None:
        """Begin to make a stage, by the job that an earlier command left in the queue for it where there is one."""
        if not stage.uses_device:
            self.local.submit(stage)
            return
        address = str(stage.address)
        submitted = self._jobs[address] = Submitted(stage, done=self._progress(stage))
        order = self.board.order(address)
        if order is not None and order.job:
            self._ask()
            if order.terms == self.terms and self._is_alive(order.job):
                self.board.forget(stage)
                submitted.id, submitted.tries = order.job, 1
                self._mine.add(order.job)
                return
            self.queue.cancel([order.job])
        self._new.append(self._again(submitted, ""))

    def answers(self, timeout: float) -> Iterator[Answer]:
        """What has been answered within `timeout` seconds, and what is new of jobs."""
        while self._new:
            yield self._new.pop(0)
        quiet = True
        for answer in self.local.answers(timeout):
            quiet = False
            yield answer
        if self.local.slots.here and quiet:
            time.sleep(timeout)  # a pool of this process does not wait where it has nothing to do
        if time.monotonic() - self._looked >= min(LOOK, self.queue.every):
            self._looked = time.monotonic()
            yield from self._look()

    def _look(self) -> Iterator[Answer]:
        said = {answer.address: answer for answer in self.board.answers()}
        asked = time.monotonic() - self._asked >= self.queue.every and self._ask()
        for address, job in list(self._jobs.items()):
            answer = self._settled(address, job, said)
            if answer is None and address in said:
                answer = self._again(job, f"stopped and saved {said[address].reason}".strip())
            elif answer is None and asked:
                answer = self._followed(job)
            if answer is None:
                continue
            if answer.outcome != "waits":
                del self._jobs[address]
                self.board.withdraw(job.stage)
                if self._state(job.id).waits:
                    self.queue.cancel([job.id])
                yield answer
            elif answer.reason != job.said:
                job.said = answer.reason
                yield answer

    def _settled(self, address: str, job: Submitted, said: Mapping[str, Answer]) -> Answer | None:
        """The answer that ends a stage here, whoever has given it."""
        if address in said and said[address].outcome != "stopped":
            return said[address]
        manifest = self.store.manifest(job.stage.address)
        return None if manifest is None else Answer(address, "done", manifest.seconds)

    def _followed(self, job: Submitted) -> Answer | None:
        """What becomes of a job whose stage is not settled."""
        state = self._state(job.id)
        if self.store.lease(job.stage.address).holder() is not None:
            job.seen = time.monotonic()
            if state.waits:  # another job is at it
                self.queue.cancel([job.id])
                job.id = ""
            return None
        if state.waits:
            job.seen = time.monotonic()
            return Answer(str(job.stage.address), "waits", reason=f"job {job.id}: {state}")
        return self._missed(job, state, time.monotonic() - job.seen) if job.id else self._again(job, "")

    def _missed(self, job: Submitted, state: JobState, silent: float) -> Answer | None:
        """What becomes of a job that has begun and of which nothing was seen for `silent` seconds."""
        if state.word in FINAL:
            reason = f"its job {job.id} {FINAL[state.word]}{self._log(job.id)}"
            return Answer(str(job.stage.address), "failed", reason=reason)
        if state.runs:
            return self._again(job, f"gave no sign of life for {silent:.0f} s") if silent > HUNG else None
        # What a job said last may come later than that it has ended.
        if silent < 2 * self.queue.every:
            return None
        return self._again(job, f"ended without an answer ({state.word.lower() or 'the queue does not know it'})")

    def _again(self, job: Submitted, reason: str) -> Answer:
        """Submit a job, the first for this stage or the next one; failed where several have got no further."""
        address, before, done = str(job.stage.address), job.id, self._progress(job.stage)
        ended = f"its job {before} {reason}" if before else reason
        if done > job.done:
            job.tries = 0
        if job.tries >= TRIES:
            reason = f"{ended or job.said}, the last of {TRIES} that got no further{self._log(before)}"
            return Answer(address, "failed", reason=reason)
        self.queue.cancel([before] if before else [])
        job.seen, job.done = time.monotonic(), done
        try:
            self.board.give(job.stage, self.terms)
            job.id = self.queue.submit(Job(self.store.root, address), _name(job.stage))
            self.board.give(job.stage, self.terms, job.id)
        except ComputeError as error:
            job.id, job.said = "", str(error)
            job.tries += not TO_BE_WAITED_OUT.search(job.said)
            return Answer(address, "waits", reason=job.said)
        job.tries += 1
        self._mine.add(job.id)
        reason = f"{ended}; goes on as job {job.id}" if ended else f"job {job.id}"
        return Answer(address, "waits", reason=reason)

    def _ask(self) -> bool:
        """Look at the queue; whether it answered."""
        self._asked = time.monotonic()
        states = self.queue.states()
        self._states = self._states if states is None else states
        return states is not None

    def _state(self, job: str) -> JobState:
        return self._states.get(job, JobState(""))

    def _is_alive(self, job: str) -> bool:
        return self._state(job).waits or self._state(job).runs

    def _progress(self, stage: Stage) -> int:
        progress = read_progress(self.store.work_folder(stage.address))
        return 0 if progress is None else int(progress["done"])

    def _log(self, job: str) -> str:
        return f" (log: {self.board.folder / job})" if job else ""

    def _stop(self) -> None:
        """Take back what was ordered, let running jobs save, and cancel all."""
        for job in self._jobs.values():
            self.board.withdraw(job.stage)
        if not self._jobs and self.board.ordered():
            return  # all is done here, and jobs of ours may be at work for another command
        self._ask()
        alive = [job for job in self._mine if self._is_alive(job)]
        try:
            self.queue.cancel(job for job in alive if self._state(job).waits)
            self.queue.ask_to_stop(job for job in alive if self._state(job).runs)
            until = time.monotonic() + PATIENCE
            while time.monotonic() < until and (alive := [job for job in alive if self._is_alive(job)]):
                time.sleep(1)
                self._ask()
        finally:
            self.queue.cancel(alive)
            self._jobs.clear()


TO_BE_WAITED_OUT = re.compile(r"MaxSubmit|submit limit|temporar|contact|timed out")
"""What sbatch says where it may take the same job later: an account's limit of jobs, Slurm itself away."""
FINAL = {
    "CANCELLED": "was cancelled; type the same command again to go on from its last checkpoint",
    "OUT_OF_MEMORY": "ran out of memory; ask for more, as --slurm mem=32G does",
    "DEADLINE": "came to its deadline",
}
"""How jobs end whose stage is not tried again by itself."""


def _name(stage: Stage) -> str:
    return "prism-bench-" + re.sub(r"[^\w.]+", "-", stage.title)
