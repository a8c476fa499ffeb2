"""The stages that wait, and which of them may begin: each is counted down once for every stage that it needs."""

from bisect import bisect_left, insort
from collections.abc import Iterator

from prism_bench.prism.engine.stage import Stage


class Waiting:
    """Stages in the order in which they are to be begun. Asking which are ready looks at none of the others.

    stages: by address. What else they need is not waited for.
    """

    def __init__(self, stages: dict[str, Stage]) -> None:
        self._stages = dict(stages)
        self._turn = {address: turn for turn, address in enumerate(stages)}
        self._first = 0
        self._needs = {
            address: {str(needed.address): needed for needed in stage.inputs().values()}
            for address, stage in stages.items()
        }
        self._dependents: dict[str, list[str]] = {}
        self._open = dict.fromkeys(stages, 0)
        for address, needs in self._needs.items():
            for needed in needs:
                self._dependents.setdefault(needed, []).append(address)
                self._open[address] += needed in stages
        self._ready = [(turn, address) for address, turn in self._turn.items() if not self._open[address]]

    def __contains__(self, address: str) -> bool:
        return address in self._stages

    def __len__(self) -> int:
        return len(self._stages)

    def __getitem__(self, address: str) -> Stage:
        return self._stages[address]

    def ready(self) -> list[str]:
        """Those that need nothing that is still to be done, in order."""
        return [address for _, address in self._ready]

    def take(self, address: str) -> Stage:
        """A stage that waits no longer; what rests on it does, until it is settled."""
        if not self._open[address]:
            del self._ready[bisect_left(self._ready, (self._turn[address], address))]
        return self._stages.pop(address)

    def put_back(self, address: str, stage: Stage) -> None:
        """A stage that was ready when it was taken waits again, before all others."""
        self._first -= 1
        self._turn[address] = self._first
        self._stages[address] = stage
        insort(self._ready, (self._first, address))

    def settle(self, address: str) -> None:
        """A stage that was taken is done or has failed: nothing waits for it any more."""
        for dependent in self._dependents.get(address, ()):
            self._open[dependent] -= 1
            if not self._open[dependent] and dependent in self._stages:
                insort(self._ready, (self._turn[dependent], dependent))

    def resting_on(self, address: str) -> Iterator[str]:
        """Those that need this stage directly, in order."""
        waiting = (dependent for dependent in self._dependents.get(address, ()) if dependent in self._stages)
        yield from sorted(waiting, key=self._turn.__getitem__)

    def needs(self, address: str) -> dict[str, Stage]:
        """What a stage needs, by address."""
        return self._needs[address]
