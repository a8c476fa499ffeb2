"""Other publications' methods at a size that suits a scale. Their code is loaded when a row needs it."""

from dataclasses import dataclass
from functools import cached_property
from typing import Literal, Self

from prism_bench.prism.component import Component, Json, with_setting
from prism_bench.prism.errors import InputError
from prism_bench.prism.methods.method import Method
from prism_bench.prism.methods.sampling import Sampler
from prism_bench.prism.variants.scale import ScalePart

Budget = Literal["own", "equal"]


@dataclass(frozen=True, kw_only=True)
class System(Component, family="system"):
    """Another publication's method at a size that suits a scale: what is trained, and what it is sampled by.

    budget: `own` trains it for as long as the method says; `equal` for as many operations as the scale's PRISM takes,
    `first_share` of them for the training that its own rests on.
    """

    method: Method
    sampler: Sampler
    budget: Budget = "own"
    first_share: float = 0.25

    def __post_init__(self) -> None:
        if not 0 < self.first_share < 1:
            raise InputError(f"first_share must lie between 0 and 1, not {self.first_share}")


@dataclass(frozen=True)
class Preset:
    """A system by its name, with settings as `--set` takes them: what a scale says without loading its code."""

    name: str
    budget: Budget = "own"
    settings: tuple[str, ...] = ()

    @cached_property
    def system(self) -> System:
        """The system, made."""
        system = System.called(self.name, budget=self.budget)
        for setting in self.settings:
            path, _, text = setting.partition("=")
            system = with_setting(system, path, text)
        return system


@dataclass(frozen=True, kw_only=True)
class OtherSystems(ScalePart, family="systems", name="systems"):
    """The systems that the paper's Table 1 has beside patch diffusion, at a scale's sizes; None: it has no size for it.

    A size is taken from the presets (`prism-bench list system`).
    """

    rissole: System | Preset | None = None

    @property
    def rissole_system(self) -> System | None:
        """RISSOLE, made."""
        return self.rissole.system if isinstance(self.rissole, Preset) else self.rissole

    def choices(self) -> dict[str, Json]:
        """RISSOLE's size and budget."""
        rissole = self.rissole
        return {
            "RISSOLE (rissole, rissole.budget)": (
                "none" if rissole is None else f"{rissole.name}, budget {rissole.budget}"
            )
        }

    def with_setting(self, path: str, text: str, *, said: str) -> Self:
        """A preset is made before one of its settings is changed; one that stays as it is changes nothing."""
        made = self.replace(rissole=self.rissole_system)
        changed = with_setting(made, path, text, said=said)
        return self if changed == made else changed
