"""One variant by itself: what `prism-bench train` and the trials of `prism-bench tune` compute."""

from dataclasses import dataclass
from typing import ClassVar, Literal

from prism_bench.baselines.changed import Changed
from prism_bench.baselines.table3 import Prism
from prism_bench.experiments.paper.experiment import Experiment, Row
from prism_bench.experiments.paper.published import TITLES
from prism_bench.prism.variants.scale import Scale
from prism_bench.prism.variants.variant import Variant


@dataclass(frozen=True, kw_only=True)
class Single(Experiment, name="train"):
    """One variant trained by itself, and a grid of its samples; use `prism-bench train VARIANT`."""

    title: ClassVar[str] = "One variant by itself"
    paper_table: ClassVar[str] = ""
    kind: ClassVar[Literal["grid"]] = "grid"
    panels: ClassVar[tuple[str, ...]] = tuple(TITLES)
    variant: Variant = Prism()

    @property
    def slug(self) -> str:
        """Its own for each variant, so that `report` keeps them apart."""
        return f"train-{self.variant.name}"

    def rows(self, panel: str, scale: Scale) -> tuple[Row, ...]:
        """The one row."""
        return (Row.of(self.variant),)


@dataclass(frozen=True, kw_only=True)
class Tuned(Experiment, name="tune"):
    """One variant at the settings of a trial, measured; use `prism-bench tune`. schedule: another than its own."""

    title: ClassVar[str] = "One variant, tuned"
    paper_table: ClassVar[str] = ""
    panels: ClassVar[tuple[str, ...]] = tuple(TITLES)
    variant: Variant = Prism()
    schedule: str | None = None

    @property
    def slug(self) -> str:
        """Its own for each variant."""
        return f"tune-{self.variant.name}"

    def rows(self, panel: str, scale: Scale) -> tuple[Row, ...]:
        """The one row; it shares its cells with the same row of a table."""
        if self.schedule is None:
            return (Row.of(self.variant),)
        schedule = scale.schedule(self.schedule)
        label = f"{self.variant.label}, {self.schedule}"
        return (Row(id=self.variant.name, label=label, variant=Changed(base=self.variant, schedule=schedule)),)
