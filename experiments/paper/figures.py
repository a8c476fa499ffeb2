"""The paper's figures of samples, and the curves of Table 4."""

from dataclasses import dataclass
from typing import ClassVar, Literal

from prism_bench.baselines.table3 import PatchD, Prism
from prism_bench.experiments.paper.experiment import Experiment, Row
from prism_bench.experiments.paper.schedule_sweep import ScheduleSweep
from prism_bench.prism.variants.scale import Scale


@dataclass(frozen=True, kw_only=True)
class Figure1(Experiment, name="figure1"):
    """Figure 1: samples of Patch Diffusion beside PRISM's, the same noise in each column."""

    title: ClassVar[str] = "Samples of Patch Diffusion and PRISM, both trained on patches alone"
    paper_table: ClassVar[str] = "Figure 1"
    kind: ClassVar[Literal["grid"]] = "grid"
    panels: ClassVar[tuple[str, ...]] = ("imagenet100",)

    def rows(self, panel: str, scale: Scale) -> tuple[Row, ...]:
        """Two rows of samples."""
        return (Row.of(PatchD()), Row.of(Prism()))


@dataclass(frozen=True, kw_only=True)
class Figure3(Experiment, name="figure3"):
    """Figure 3: pseudo-queries, PRISM's samples without the conditioning signal, and with it, from the same noise.

    Without: the trained network with zeros in place of the conditioning vector (k_sample = 0).
    """

    title: ClassVar[str] = "PRISM without (k_sample = 0) and with the conditioning signal, below its pseudo-queries"
    paper_table: ClassVar[str] = "Figure 3"
    kind: ClassVar[Literal["grid"]] = "grid"
    panels: ClassVar[tuple[str, ...]] = ("celeba",)

    def rows(self, panel: str, scale: Scale) -> tuple[Row, ...]:
        """The same training, sampled twice."""
        without = Row(id="prism-unconditioned", label="without the signal", variant=Prism(), k_sample=(0,))
        return (without, Row(id="prism", label="with the signal", variant=Prism(), k_sample=(scale.k_sample,)))


@dataclass(frozen=True, kw_only=True)
class Figure4(Experiment, name="figure4"):
    """The cells of Table 4 as curves over k_sample, one for each schedule (a figure the paper does not have)."""

    title: ClassVar[str] = "Table 4 as curves over k_sample"
    paper_table: ClassVar[str] = "Table 4"
    quoted_source: ClassVar[str] = ScheduleSweep.quoted_source
    kind: ClassVar[Literal["curves"]] = "curves"
    panels: ClassVar[tuple[str, ...]] = ScheduleSweep.panels

    def rows(self, panel: str, scale: Scale) -> tuple[Row, ...]:
        """Those of the schedule sweep."""
        return scale.part(ScheduleSweep()).rows(panel, scale)
