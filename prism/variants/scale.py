"""Scales: how big an experiment is."""

from dataclasses import dataclass
from typing import Self, TypeVar

from prism_bench.prism.component import Component, Json, with_setting
from prism_bench.prism.conditioning.schedules import Schedule, UpToKMax
from prism_bench.prism.data.base import Dataset
from prism_bench.prism.data.toyfaces import ToyFaces
from prism_bench.prism.errors import InputError
from prism_bench.prism.methods.sampling import Heun, Sampler
from prism_bench.prism.metrics.base import Metric
from prism_bench.prism.patch_diffusion.patch_method import PatchMethod


@dataclass(frozen=True, kw_only=True)
class ScalePart(Component):
    """What belongs to a single table or another publication's system, in values that a scale may choose.

    Its fields are settings of the scale, by their own names: `--set k_samples=1,4`.
    """

    def choices(self) -> dict[str, Json]:
        """What a plan lists of it among the paper's open choices: words (with the settings' names) -> value."""
        return {}

    def with_setting(self, path: str, text: str, *, said: str) -> Self:
        """The same with one setting changed; see `prism.component.with_setting`."""
        return with_setting(self, path, text, said=said)


P = TypeVar("P", bound=ScalePart)


@dataclass(frozen=True, kw_only=True)
class Scale(Component, family="scale", name="scale"):
    """Everything about an experiment but its rows: default data, the base method (PRISM), sampling and metrics.

    fixed_k: the k of the fixed-k rows (the paper does not say; k_max / 2). k_sample: neighbours of rows whose training
    ends at one neighbour (the paper: 1). samples: per cell. parts: what it chooses for single tables and for other
    publications' systems, at most one of a kind.
    """

    dataset: Dataset = ToyFaces()
    method: PatchMethod = PatchMethod()
    sampler: Sampler = Heun()
    metrics: tuple[Metric, ...] = ()
    samples: int = 1000
    fixed_k: int = 8
    k_sample: int = 1
    parts: tuple[ScalePart, ...] = ()

    def __post_init__(self) -> None:
        for field in ("samples", "fixed_k", "k_sample"):
            if getattr(self, field) < 1:
                raise InputError(f"{field} must be at least 1, not {getattr(self, field)}")
        if not isinstance(self.method.schedule, UpToKMax):
            raise InputError(
                f"the schedule {self.method.schedule.name} has no k_max, which a scale's rows are made with; choose "
                "decreasing, increasing or random, or give it to a variant of your own (--plugin, --with)"
            )

    @property
    def k_max(self) -> int:
        """Where PRISM's schedule starts: that of the base method."""
        return self.method.schedule.largest

    def schedule(self, name: str) -> Schedule:
        """The schedule of that name with this scale's sizes; InputError where there is none."""
        return type(Schedule.called(name)).sized(k_max=self.k_max, fixed_k=self.fixed_k)

    def part(self, default: P) -> P:
        """What this scale chooses for a table or a system; `default` where it chooses nothing."""
        return next((part for part in self.parts if type(part) is type(default)), default)

    def with_part(self, part: ScalePart) -> Self:
        """The scale with this choice in place of its own of that kind."""
        others = {type(other): other for other in self.parts}
        return self.replace(parts=tuple({**others, type(part): part}.values()))
