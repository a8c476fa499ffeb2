"""How long the rest of the work takes, as far as it shows by now: one number for all of it."""

import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from prism_bench.experiments.execution.work import LEAST, Work


@dataclass
class _Running:
    work: Work
    since: float
    ends: float | None = None


@dataclass
class TimeLeft:
    """Seconds until all of some work is done, with so many stages of it at a time.

    Work takes what was finished of it took on average, or what is running of it is expected to take; work that has not
    begun takes its share of what the costliest known one of its kind takes, or of all, where nothing of its kind is
    known.
    """

    works: Iterable[Work]
    places: int = 1
    clock: Callable[[], float] = time.monotonic
    _running: dict[str, _Running] = field(default_factory=dict)
    _lengths: dict[Work, list[float]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._waiting = Counter(self.works)

    def started(self, address: str, work: Work) -> None:
        """A stage has begun."""
        self._waiting[work] -= 1
        self._running[address] = _Running(work, self.clock())

    def expected(self, address: str, seconds: float) -> None:
        """A stage that runs says that it needs so many more seconds."""
        self._running[address].ends = self.clock() + seconds

    def put_back(self, address: str) -> None:
        """A stage that runs is to be done again."""
        self._waiting[self._running.pop(address).work] += 1

    def finished(self, address: str, seconds: float | None) -> None:
        """A stage is done or has failed; `seconds` that it took here, None where that says nothing."""
        work = self._running.pop(address).work
        if seconds is not None:
            self._lengths.setdefault(work, []).append(seconds)

    @property
    def seconds(self) -> float | None:
        """None while nothing is known of the speed of this machine."""
        known = self._known()
        if not known:
            return None
        works = {*(+self._waiting), *(one.work for one in self._running.values())}
        if works - known.keys() and all(work.share <= LEAST for work in known):
            return None  # what takes no time says nothing of what does
        usual = {work: known[work] if work in known else _guess(work, known) for work in works}
        now = self.clock()
        running = [
            max(0.0, (one.since + usual[one.work] if one.ends is None else one.ends) - now)
            for one in self._running.values()
        ]
        waiting = sum(count * usual[work] for work, count in (+self._waiting).items())
        return max((sum(running) + waiting) / max(self.places, 1), *running, 0.0)

    def _known(self) -> dict[Work, float]:
        lengths = dict(self._lengths)
        for one in self._running.values():
            if one.ends is not None and one.work not in self._lengths:
                lengths[one.work] = [*lengths.get(one.work, []), one.ends - one.since]
        return {work: sum(own) / len(own) for work, own in lengths.items()}


def _guess(work: Work, known: Mapping[Work, float]) -> float:
    """Seconds that work takes of which nothing has begun, by what others take of which at least one takes time."""
    telling = [other for other in known if other.share > LEAST]
    alike = [other for other in telling if other.kind == work.kind] or telling
    share = max(other.share for other in alike)
    costliest = [known[other] for other in alike if other.share == share]
    return sum(costliest) / len(costliest) / share * work.share
