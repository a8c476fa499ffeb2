"""How long the rest of the work takes, as far as it shows by now: one number for all of it."""

import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

COST = {"training": 100.0, "samples": 20.0, "embeddings": 10.0, "features": 8.0}
"""Rough relative cost by kind, for the order of work and a first guess of its time; other kinds count 1."""


@dataclass
class _Running:
    kind: str
    since: float
    ends: float | None = None


@dataclass
class TimeLeft:
    """Seconds until stages of these kinds are all done, with so many of them at a time.

    A kind takes what its finished stages took on average, or what those that run are expected to take; one of which
    none has begun takes its share (`COST`) of what the costliest known kind takes.
    """

    kinds: Iterable[str]
    places: int = 1
    clock: Callable[[], float] = time.monotonic
    _running: dict[str, _Running] = field(default_factory=dict)
    _lengths: dict[str, list[float]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._waiting = Counter(self.kinds)

    def started(self, address: str, kind: str) -> None:
        """A stage has begun."""
        self._waiting[kind] -= 1
        self._running[address] = _Running(kind, self.clock())

    def expected(self, address: str, seconds: float) -> None:
        """A stage that runs says that it needs so many more seconds."""
        self._running[address].ends = self.clock() + seconds

    def put_back(self, address: str) -> None:
        """A stage that runs is to be done again."""
        self._waiting[self._running.pop(address).kind] += 1

    def finished(self, address: str, seconds: float | None) -> None:
        """A stage is done or has failed; `seconds` that it took here, None where that says nothing."""
        kind = self._running.pop(address).kind
        if seconds is not None:
            self._lengths.setdefault(kind, []).append(seconds)

    @property
    def seconds(self) -> float | None:
        """None while nothing is known of the speed of this machine."""
        known = self._known()
        if not known:
            return None
        costliest = max(known, key=_cost)
        kinds = {*(+self._waiting), *(one.kind for one in self._running.values())}
        if _cost(costliest) <= 1 and kinds - known.keys():
            return None  # what takes no time says nothing of what does

        def usual(kind: str) -> float:
            return known.get(kind, known[costliest] * _cost(kind) / _cost(costliest))

        now = self.clock()
        running = [
            max(0.0, (one.since + usual(one.kind) if one.ends is None else one.ends) - now)
            for one in self._running.values()
        ]
        waiting = sum(count * usual(kind) for kind, count in (+self._waiting).items())
        return max((sum(running) + waiting) / max(self.places, 1), *running, 0.0)

    def _known(self) -> dict[str, float]:
        lengths = dict(self._lengths)
        for one in self._running.values():
            if one.ends is not None and one.kind not in self._lengths:
                lengths[one.kind] = [*lengths.get(one.kind, []), one.ends - one.since]
        return {kind: sum(own) / len(own) for kind, own in lengths.items()}


def _cost(kind: str) -> float:
    return COST.get(kind, 1.0)
