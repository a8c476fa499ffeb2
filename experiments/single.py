"""One variant by itself: what `prism-bench train` computes."""

from dataclasses import dataclass
from typing import ClassVar, Literal

from baselines.table3 import Prism
from experiments.experiment import Experiment, Row
from experiments.paper import TITLES
from prism.variant import Scale, Variant


@dataclass(frozen=True, kw_only=True)
class Single(Experiment, name="train"):
    """One variant trained by itself, and a grid of its samples; use `prism-bench train VARIANT`."""

    title: ClassVar[str] = "One variant by itself"
    paper_table: ClassVar[str] = ""
    kind: ClassVar[Literal["grid"]] = "grid"
    panels: ClassVar[tuple[str, ...]] = tuple(TITLES)
    variant: Variant = Prism()  # noqa: RUF009 - a frozen value

    @property
    def slug(self) -> str:
        """Its own for each variant, so that `report` keeps them apart."""
        return f"train-{self.variant.name}"

    def rows(self, panel: str, scale: Scale) -> tuple[Row, ...]:
        """The one row."""
        return (Row.of(self.variant),)
