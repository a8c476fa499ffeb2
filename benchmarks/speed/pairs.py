"""Two ways of doing one thing, in turns in one process, and what comes of it: medians, their ratio, its spread.

A machine's speed changes while one looks: what is compared is taken side by side, and the ratio is of neighbours.
"""

import gc
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

Clock = Callable[[], float]


@dataclass(frozen=True, kw_only=True)
class Way:
    """One way of doing it."""

    label: str
    run: Callable[[], Any]
    """What is timed; what it returns is given to `same`."""
    seconds: Callable[[Any], float] | None = None
    """Reads the seconds out of what `run` returned, where it took them itself (CPU time of another process)."""


@dataclass(frozen=True, kw_only=True)
class Missing:
    """A way that was not to be had, and why; a line of the table says so."""

    label: str
    why: str


@dataclass(frozen=True, kw_only=True)
class Row:
    """One row of the table: our way, and each of the others beside it."""

    work: str
    """What is done, with its sizes."""
    ours: Way
    others: tuple[Way | Missing, ...]
    goal: str = ""
    """What it is meant to be, in words; empty where nothing was asked."""
    rounds: int = 7
    once: bool = True
    """Whether each way is run once before, untimed: what only a first call pays is left out."""
    clock: Clock = time.process_time
    """CPU seconds of this process; `time.perf_counter` where another's work is waited for."""
    same: Callable[[Any, Any], None] | None = None
    """Raises where the results of ours and another way are not as equal as they must be."""


@dataclass(frozen=True, kw_only=True)
class Line:
    """What came of our way beside one other."""

    work: str
    ours: str
    other: str
    goal: str
    ours_seconds: float = 0.0
    other_seconds: float = 0.0
    ratios: tuple[float, ...] = field(default=())
    """The other's time over ours, round by round: above 1 where ours is the faster."""
    why_missing: str = ""

    @property
    def ratio(self) -> float:
        """The median of the ratios."""
        return statistics.median(self.ratios)

    def cells(self) -> list[str]:
        """As the table shows it."""
        if self.why_missing:
            return [self.work, self.ours, f"{self.other}: {self.why_missing}", "", "", "", self.goal]
        spread = f"{min(self.ratios):.2f} to {max(self.ratios):.2f}"
        times = [said(self.ours_seconds), said(self.other_seconds)]
        return [self.work, self.ours, self.other, *times, f"{self.ratio:.2f} ({spread})", self.goal]


HEADER = (
    "| work | ours | the other | ours takes | the other takes | the other's time over ours (its spread) | goal |\n"
    "|---|---|---|---:|---:|---:|---|"
)


def said(seconds: float) -> str:
    """A time in the unit that suits it."""
    for unit, size in (("s", 1.0), ("ms", 1e-3)):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds * 1e6:.3g} µs"


def measured(row: Row) -> Iterator[Line]:
    """A line for each of the others; both ways are run in turns, the first of a round changing each time."""
    for other in row.others:
        if isinstance(other, Missing):
            words = {"other": other.label, "why_missing": other.why}
            yield Line(work=row.work, ours=row.ours.label, goal=row.goal, **words)
        else:
            yield _beside(row, other)


def _beside(row: Row, other: Way) -> Line:
    ways = (row.ours, other)
    if row.once:
        results = [way.run() for way in ways]
        if row.same is not None:
            row.same(*results)
    times: list[list[float]] = [[], []]
    for turn in range(row.rounds):
        for at in (0, 1) if turn % 2 == 0 else (1, 0):
            times[at].append(_timed(ways[at], row.clock))
    ours, others = times
    return Line(
        work=row.work,
        ours=row.ours.label,
        other=other.label,
        goal=row.goal,
        ours_seconds=statistics.median(ours),
        other_seconds=statistics.median(others),
        ratios=tuple(b / a for a, b in zip(ours, others, strict=True)),
    )


def _timed(way: Way, clock: Clock) -> float:
    gc.collect()
    began = clock()
    found = way.run()
    took = clock() - began
    return took if way.seconds is None else way.seconds(found)


def table(lines: Sequence[Line]) -> str:
    """The lines as Markdown."""
    return "\n".join([HEADER, *("| " + " | ".join(line.cells()) + " |" for line in lines)])
