"""What is asked of Slurm for each job: the texts of `--slurm`, read and checked."""

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from prism_bench.prism.errors import InputError, closest
from prism_bench.prism.executors.executor import Resources

OURS = frozenset(
    (
        *("array", "error", "help", "input", "job-name", "nodes", "ntasks", "ntasks-per-node", "open-mode", "output"),
        *("parsable", "quiet", "signal", "test-only", "usage", "verbose", "version", "wait", "wrap"),
    )
)
"""Options of sbatch that are no user's: a job is one process, which makes one stage after the other."""
GPUS = frozenset({"gres", "gpus", "gpus-per-node", "gpus-per-task", "gpus-per-socket"})
MINUTES = 240
"""A job's time where none is asked for; one that is not done by then saves, and is queued again."""
CPUS = 4
"""A job's cores where none are asked for."""
JOBS = 32
"""Jobs in the queue at a time, those that run among them, where no number is asked for."""


@dataclass(frozen=True, kw_only=True)
class Directives:
    """What each job asks for. others: names and values as sbatch knows them; True for those that have no value.

    threads: of the stages in it, at most its cores.
    """

    minutes: int = MINUTES
    cpus: int = CPUS
    threads: int = CPUS
    jobs: int = JOBS
    others: tuple[tuple[str, str | bool], ...] = ()

    def __str__(self) -> str:
        """Such as: partition=gpu, gpus-per-node=1, 240 minutes."""
        words = [name if value is True else f"{name}={value}" for name, value in self.others]
        return ", ".join([*words, f"{self.minutes} minutes"])


def directives_of(asked: Resources, known: Collection[str], *, gpu: bool) -> Directives:
    """Read `asked.slurm`. known: what sbatch has options for. gpu: a job is to have one, unless it says how many.

    Raises:
        InputError: an unknown name, a value that cannot be read, or more threads than cores.
    """
    given = _pairs(asked.slurm, {*known, "jobs"} - OURS)
    cores = next((name for name in ("cpus-per-task", "cpus-per-gpu") if name in given), None)
    cpus = _number(cores, given[cores]) if cores else asked.threads or CPUS
    if asked.threads is not None and asked.threads > cpus:
        raise InputError(
            f"--threads {asked.threads}: a job has {cpus} cores by --slurm {cores}={cpus}; raise one or lower the other"
        )
    jobs = _number("jobs", given.pop("jobs", str(JOBS)))
    minutes = _minutes(str(given.pop("time", MINUTES)))
    if not cores and "cpus-per-task" in known:
        given["cpus-per-task"] = str(cpus)
    if gpu and not GPUS & given.keys():
        given["gpus-per-node"] = "1"
    others = tuple(sorted(given.items()))
    return Directives(minutes=minutes, cpus=cpus, threads=asked.threads or cpus, jobs=jobs, others=others)


def _pairs(texts: Sequence[str], known: Collection[str]) -> dict[str, str | bool]:
    """Values by name. A part between commas that is no option by itself goes on with the value before it."""
    found: dict[str, str | bool] = {}
    for text in texts:
        last = ""
        for part in text.split(","):
            key, equals, value = part.strip().partition("=")
            name = key.strip().replace("_", "-")
            if last and not equals and name not in known:
                found[last] = f"{found[last]},{part.strip()}"
                continue
            if name in OURS:
                raise InputError(f"--slurm {part.strip()}: {name} is set for each job by this program; leave it out")
            if name not in known:
                raise InputError(f"--slurm {part.strip()}: {closest(name, known)}")
            last = name if equals else ""
            found[name] = value.strip() if equals else True
    return found


def _number(name: str, value: str | bool) -> int:
    if not isinstance(value, str) or not value.isdigit() or int(value) < 1:
        raise InputError(f"--slurm {name}={value}: a whole number from 1 is needed")
    return int(value)


def _minutes(text: str) -> int:
    """Minutes of a time as Slurm spells it: minutes, mm:ss, hh:mm:ss, d-hh, d-hh:mm, d-hh:mm:ss; rounded up."""
    match = re.fullmatch(r"(?:(?P<days>\d+)-)?(?P<clock>\d+(?::\d+){0,2})", text)
    if match is None:
        raise InputError(f"--slurm time={text}: write minutes, hh:mm:ss or days-hh:mm:ss")
    clock = [int(part) for part in match["clock"].split(":")]
    if match["days"] is not None:
        hours, minutes, seconds = (*clock, 0, 0)[:3]
        hours += 24 * int(match["days"])
    elif len(clock) == 3:
        hours, minutes, seconds = clock
    else:
        hours, (minutes, seconds) = 0, (*clock, 0)[:2]
    total = hours * 60 + minutes + -(-seconds // 60)
    if not total:
        raise InputError(f"--slurm time={text}: a job needs some time; write minutes, hh:mm:ss or days-hh:mm:ss")
    return total
