"""What is tuned: parameters with their values, and the points of a grid."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import TYPE_CHECKING, Any

from prism_bench.experiments.paper.schedule_sweep import ScheduleSweep
from prism_bench.prism.component import Json
from prism_bench.prism.errors import InputError, closest
from prism_bench.prism.rng import numpy_rng
from prism_bench.prism.variants.scale import Scale

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

LARGEST_GRID = 32
"""Points up to which a space is searched in full."""
Value = int | float | str
Point = dict[str, Value]


@dataclass(frozen=True)
class Parameter:
    """One tuned setting: its name on the command line, the setting it stands for, and its values.

    values: those of a discrete parameter, in order; empty for a continuous one, which lies in [low, high] (log scale).
    """

    name: str
    path: str
    values: tuple[Value, ...] = ()
    low: float = 0.0
    high: float = 0.0

    @property
    def distribution(self) -> "BaseDistribution":
        """As Optuna draws it."""
        from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

        if not self.values:
            return FloatDistribution(self.low, self.high, log=True)
        whole = [value for value in self.values if isinstance(value, int)]
        if len(whole) == len(self.values) and whole == list(range(whole[0], whole[0] + len(whole))):
            return IntDistribution(whole[0], whole[-1])
        return CategoricalDistribution(self.values)

    def to_json(self) -> Json:
        """What a study is known by."""
        return {"path": self.path, "values": list(self.values), "low": self.low, "high": self.high}


def _powers(scale: Scale) -> tuple[int, ...]:
    """Powers of two up to twice the scale's k_max, and k_max itself."""
    top = 2 * scale.k_max
    return tuple(sorted({2**n for n in range(int(math.log2(top)) + 1)} | {scale.k_max}))


def _widths(scale: Scale) -> tuple[int, ...]:
    """Half, three quarters, the whole, and one and a half of the scale's channels, in steps of eight."""
    channels = scale.method.denoiser.channels
    return tuple(sorted({max(8, round(channels * share / 8) * 8) for share in (0.5, 0.75, 1.0, 1.5)}))


def _rates(scale: Scale) -> tuple[float, float]:
    """From a third of the scale's learning rate to three times it."""
    rate = scale.method.training.learning_rate
    return rate / 3, rate * 3


PARAMETERS: dict[str, Callable[[Scale], Parameter]] = {
    "k-max": lambda scale: Parameter("k-max", "k_max", _powers(scale)),
    "fixed-k": lambda scale: Parameter("fixed-k", "fixed_k", _powers(scale)),
    "k-sample": lambda scale: Parameter("k-sample", "k_sample", scale.part(ScheduleSweep()).k_samples),
    "schedule": lambda scale: Parameter("schedule", "schedule", scale.part(ScheduleSweep()).schedules),
    "learning-rate": lambda scale: Parameter("learning-rate", "training.learning_rate", (), *_rates(scale)),
    "channels": lambda scale: Parameter("channels", "denoiser.channels", _widths(scale)),
}
"""Everything that can be tuned, with its values at a scale."""


def parameters(target: str, over: Sequence[str], values: tuple[int, ...], scale: Scale) -> tuple[Parameter, ...]:
    """The target and what is tuned with it; `values` replace the target's own.

    Raises:
        InputError: a name that is none, or values for a parameter that takes no whole numbers.
    """
    names = [target, *over]
    for name in names:
        if names.count(name) > 1:
            raise InputError(f"--over {','.join(over)}: {name} is tuned twice; name it once")
        if name not in PARAMETERS:
            raise InputError(f"there is nothing called {name!r} to tune; {closest(name, PARAMETERS)}")
    found = [PARAMETERS[name](scale) for name in names]
    if values:
        first = found[0]
        if not all(isinstance(value, int) for value in first.values) or not first.values:
            raise InputError(f"--values are whole numbers, which {target} does not take; leave the option out")
        found[0] = replace(first, values=values)
    return tuple(found)


@dataclass(frozen=True)
class Space:
    """All parameters of a study."""

    parameters: tuple[Parameter, ...]

    @property
    def size(self) -> int | None:
        """How many points there are; None where one parameter is continuous."""
        sizes = [len(parameter.values) for parameter in self.parameters]
        return math.prod(sizes) if all(sizes) else None

    @property
    def distributions(self) -> "dict[str, BaseDistribution]":
        """By name, as Optuna draws them."""
        return {parameter.name: parameter.distribution for parameter in self.parameters}

    def points(self) -> Iterator[Point]:
        """Every point of a finite space, spread out, always in the same order."""
        every = list(product(*(parameter.values for parameter in self.parameters)))
        for index in numpy_rng(0, "grid of a study").permutation(len(every)):
            yield dict(zip((parameter.name for parameter in self.parameters), every[index], strict=True))

    def settings(self, point: Mapping[str, Any]) -> tuple[str, ...]:
        """The settings of a point, but for the schedule, which is part of the variant."""
        return tuple(f"{it.path}={point[it.name]}" for it in self.parameters if it.name != "schedule")

    def to_json(self) -> Json:
        """What a study is known by."""
        return {parameter.name: parameter.to_json() for parameter in self.parameters}
