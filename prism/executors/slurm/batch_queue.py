"""Jobs submitted, looked up, stopped and cancelled: by Slurm, or as processes of this machine to try that out."""

import contextlib
import os
import re
import signal
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import psutil

from prism_bench.prism.errors import ComputeError, InputError, first_line
from prism_bench.prism.executors.slurm.directives import Directives
from prism_bench.prism.executors.slurm.job import Job

if TYPE_CHECKING:
    from submitit import LocalJob

SAVING = 120
"""Seconds before the end of its time at which a job is told to save."""
REQUEUES = 1000
"""Times that a job is queued again when its time is up; what does not get on is noticed otherwise."""
COMMAND_SECONDS = 60.0
"""How long a command of Slurm may take."""


@dataclass(frozen=True)
class JobState:
    """Where a job stands: Slurm's word (PENDING, RUNNING, TIMEOUT ...) and its reason."""

    word: str
    reason: str = ""

    def __str__(self) -> str:
        return self.word.lower() if self.reason in {"", "None"} else self.reason

    @property
    def waits(self) -> bool:
        """Whether it is in the queue and has not begun."""
        return self.word in {"PENDING", "CONFIGURING", "REQUEUED", "REQUEUE_FED", "REQUEUE_HOLD", "SPECIAL_EXIT"}

    @property
    def runs(self) -> bool:
        """Whether it has begun and not ended."""
        return self.word in {"RUNNING", "COMPLETING", "SUSPENDED", "STOPPED", "SIGNALING", "STAGE_OUT", "RESIZING"}


class BatchQueue(Protocol):
    """Where jobs stand until they run. every: seconds between two looks at it."""

    every: float

    def submit(self, job: Job, name: str) -> str:
        """Submit a job; returns its id. ComputeError with the queue's words where it does not take it."""

    def states(self) -> Mapping[str, JobState] | None:
        """Jobs by id, those that ended a while ago left out; None where the queue does not answer."""

    def ask_to_stop(self, jobs: Iterable[str]) -> None:
        """Tell running jobs to save and end."""

    def cancel(self, jobs: Iterable[str]) -> None:
        """End jobs, whether they run or wait."""


class SlurmQueue:
    """Slurm, by submitit's executor and Slurm's commands."""

    every = 30.0

    def __init__(self, folder: Path, directives: Directives) -> None:
        from submitit import SlurmExecutor

        self._executor = SlurmExecutor(folder / "%j", max_num_timeout=REQUEUES)
        self._executor.update_parameters(
            time=directives.minutes,
            signal_delay_s=min(SAVING, directives.minutes * 30),
            stderr_to_stdout=True,
            wckey=None,  # submitit's own is refused where keys are checked
            # Libraries read the first when they are loaded; from 22.05 on, srun does not follow sbatch in the second.
            setup=[f"export OMP_NUM_THREADS={directives.threads}", f"export SRUN_CPUS_PER_TASK={directives.cpus}"],
            additional_parameters=dict(directives.others),
        )

    def submit(self, job: Job, name: str) -> str:
        """See `BatchQueue`."""
        from submitit.core.utils import FailedJobError, FailedSubmissionError

        self._executor.update_parameters(job_name=name)
        try:
            return self._executor.submit(job).job_id
        except (FailedJobError, FailedSubmissionError, OSError) as error:
            raise ComputeError(f"sbatch: {first_line(error)}") from None

    def states(self) -> dict[str, JobState] | None:
        """See `BatchQueue`."""
        user = psutil.Process().username()
        said = _slurm("squeue", f"--user={user}", "--states=all", "--noheader", "--format=%i|%T|%r")
        if said is None or said.returncode:
            return None
        lines = [line.split("|", 2) for line in said.stdout.splitlines() if line.count("|") >= 2]
        return {job.strip(): JobState(word, reason.strip()) for job, word, reason in lines}

    def ask_to_stop(self, jobs: Iterable[str]) -> None:
        """See `BatchQueue`."""
        _scancel("--signal=TERM", *jobs)

    def cancel(self, jobs: Iterable[str]) -> None:
        """See `BatchQueue`."""
        _scancel(*jobs)


def _scancel(*arguments: str) -> None:
    if any(not argument.startswith("--") for argument in arguments):
        _slurm("scancel", *arguments)


def _slurm(*command: str) -> "subprocess.CompletedProcess[str] | None":
    with contextlib.suppress(OSError, subprocess.TimeoutExpired):
        return subprocess.run(command, capture_output=True, text=True, timeout=COMMAND_SECONDS, check=False)
    return None


def known_to_sbatch() -> frozenset[str]:
    """The long options of sbatch, without their dashes. InputError where it does not answer."""
    said = _slurm("sbatch", "--help")
    names = re.findall(r"^\s*(?:-\w,?\s+)?--([a-z][a-z-]+)", said.stdout if said else "", re.MULTILINE)
    if not names:
        words = first_line(RuntimeError(said.stderr)) if said else "no answer"
        raise InputError(f"sbatch --help: {words}; see that sbatch works here, or use --executor local")
    return frozenset(names)


def try_out(directives: Directives) -> None:
    """Ask Slurm whether it would take such a job. InputError where it never will."""
    options = [f"--{name}" if value is True else f"--{name}={value}" for name, value in directives.others]
    said = _slurm("sbatch", "--test-only", f"--time={directives.minutes}", *options, "--wrap=true")
    if said is None or not said.returncode:
        return
    words = " ".join(said.stderr.split()).replace("sbatch: error: ", "")
    # Nodes that are down or busy now may come back: such a job is taken, and waits.
    if not re.search(r"not available|busy|nable to contact", words) or "nvalid" in words:
        raise InputError(f"--slurm: sbatch refuses such a job: {words}; it was asked for {directives}")


class LocalQueue:
    """Processes of this machine, by submitit's local executor; nothing waits in it."""

    every = 1.0

    def __init__(self, folder: Path, directives: Directives, *, gpu: bool) -> None:
        from submitit import LocalExecutor

        self._executor = LocalExecutor(folder / "%j", max_num_timeout=REQUEUES)
        self._executor.update_parameters(
            timeout_min=directives.minutes,
            signal_delay_s=min(SAVING, directives.minutes * 30),
            stderr_to_stdout=True,
            gpus_per_node=int(gpu),
        )
        self._threads = directives.threads
        self._jobs: "dict[str, LocalJob[None]]" = {}

    def submit(self, job: Job, name: str) -> str:
        """See `BatchQueue`."""
        os.environ["OMP_NUM_THREADS"] = str(self._threads)
        submitted = self._executor.submit(job)
        self._jobs[submitted.job_id] = submitted  # type: ignore[assignment]
        return submitted.job_id

    def states(self) -> dict[str, JobState]:
        """See `BatchQueue`."""
        words = {name: job.state for name, job in self._jobs.items()}
        return {name: JobState("RUNNING" if word == "RUNNING" else "COMPLETED") for name, word in words.items()}

    def ask_to_stop(self, jobs: Iterable[str]) -> None:
        """See `BatchQueue`."""
        self._signal(jobs, signal.SIGTERM)

    def cancel(self, jobs: Iterable[str]) -> None:
        """See `BatchQueue`."""
        self._signal(jobs, signal.SIGINT)

    def _signal(self, jobs: Iterable[str], number: signal.Signals) -> None:
        for name in jobs:
            if name in self._jobs and self._jobs[name].state == "RUNNING":
                with contextlib.suppress(ProcessLookupError):
                    os.kill(int(name), number)
