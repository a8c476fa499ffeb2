"""k_train as a function of training progress (paper sections 4.4 and 6.2).

Progress p in (0, 1] is images seen over total images, so that nothing need divide.
"""

import math
from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import ClassVar, Self

from typing_extensions import override

from prism_bench.prism.component import Component
from prism_bench.prism.errors import InputError
from prism_bench.prism.rng import numpy_rng
from prism_bench.prism.sources import Sources, differs, given, left_open


@dataclass(frozen=True, kw_only=True)
class Schedule(Component, family="schedule"):
    """How many neighbours condition the network at each moment of training. Always an integer >= 1."""

    @abstractmethod
    def k(self, progress: float, *, epoch: int = 0, seed: int = 0) -> int:
        """k_train at `progress` in (0, 1]; a random schedule may use (seed, epoch), all others ignore them."""

    @property
    @abstractmethod
    def largest(self) -> int:
        """The largest k this schedule can ask for."""

    @classmethod
    def sized(cls, *, k_max: int, fixed_k: int) -> Self:
        """One of this kind with a scale's sizes: its fields `k_max` and `k_train` where it has them."""
        sizes = {"k_max": k_max, "k_train": fixed_k}
        return cls(**{field.name: sizes[field.name] for field in fields(cls) if field.name in sizes})


@dataclass(frozen=True, kw_only=True)
class UpToKMax(Schedule):
    """What the schedules share whose k lies in 1..k_max."""

    sources: ClassVar[Sources] = {"k_max": given("appendix A, Table 6; for Table 4 it is not named")}

    k_max: int = 32

    def __post_init__(self) -> None:
        self.check_least("schedule", k_max=1)

    @property
    def largest(self) -> int:
        """k_max."""
        return self.k_max


@dataclass(frozen=True, kw_only=True)
class Decreasing(UpToKMax, name="decreasing"):
    """PRISM's annealing: from k_max to 1, equal time for each k.

    k = k_max + 1 - ceil(p k_max) (paper eq. 3; its bracket must be a ceiling for k to start at k_max).
    """

    @override
    def k(self, progress: float, *, epoch: int = 0, seed: int = 0) -> int:
        return self.k_max + 1 - _segment(progress, self.k_max)


@dataclass(frozen=True, kw_only=True)
class Increasing(UpToKMax, name="increasing"):
    """From 1 to k_max, equal time for each k: k = ceil(p k_max) (paper section 6.2)."""

    @override
    def k(self, progress: float, *, epoch: int = 0, seed: int = 0) -> int:
        return _segment(progress, self.k_max)


@dataclass(frozen=True, kw_only=True)
class Random(UpToKMax, name="random"):
    """Uniform over 1..k_max, drawn anew each epoch from its own named generator (paper section 6.2)."""

    @override
    def k(self, progress: float, *, epoch: int = 0, seed: int = 0) -> int:
        return int(numpy_rng(seed, "k_train", epoch).integers(1, self.k_max + 1))


@dataclass(frozen=True, kw_only=True)
class Fixed(Schedule, name="fixed"):
    """The same k all the time."""

    sources: ClassVar[Sources] = {
        "k_train": left_open("the fixed k of RAG, ST + RAG and Table 4 is not named; here k_max / 2")
    }

    k_train: int = 16

    def __post_init__(self) -> None:
        self.check_least("schedule", k_train=1)

    @override
    def k(self, progress: float, *, epoch: int = 0, seed: int = 0) -> int:
        return self.k_train

    @property
    def largest(self) -> int:
        """k_train."""
        return self.k_train


@dataclass(frozen=True, kw_only=True)
class Tabulated(Schedule, name="tabulated"):
    """Any function of progress, kept as its values at equal steps: `Tabulated.of(function)`."""

    sources: ClassVar[Sources] = {"values": differs("a schedule that the paper does not have")}

    values: tuple[int, ...] = (1,)

    def __post_init__(self) -> None:
        if not self.values:
            raise InputError("schedule.values is empty; give at least one k, for example values=8,4,2,1")
        low = [k for k in self.values if k < 1]
        if low:
            raise InputError(f"schedule.values must be at least 1, not {low[0]}")

    @staticmethod
    def of(function: Callable[[float], int], steps: int = 1000) -> "Tabulated":
        """The schedule of a user's function p -> k, sampled at the end of each of `steps` equal segments."""
        return Tabulated(values=tuple(int(function((i + 1) / steps)) for i in range(steps)))

    @override
    def k(self, progress: float, *, epoch: int = 0, seed: int = 0) -> int:
        return self.values[_segment(progress, len(self.values)) - 1]

    @property
    def largest(self) -> int:
        """The largest value."""
        return max(self.values)


def _segment(progress: float, parts: int) -> int:
    """Which of `parts` equal segments holds `progress`: ceil(p parts), in 1..parts.

    The tiny slack keeps p = i/parts, computed in floating point, in segment i.
    """
    if not 0 < progress <= 1:
        raise ValueError(f"progress is in (0, 1], not {progress}")
    return min(max(math.ceil(progress * parts - 1e-9), 1), parts)
