"""Section 5.3, Table 1: PRISM on X_train against baselines on all images; RISSOLE's code is loaded for its rows."""

from dataclasses import dataclass
from functools import partial
from typing import ClassVar

from prism_bench.baselines.table3 import PatchD, Prism
from prism_bench.experiments.paper.controls import CONTROLS, baselines
from prism_bench.experiments.paper.experiment import Claim, Experiment, Row, RowAt
from prism_bench.experiments.paper.published import FID_50K, quoted_fid
from prism_bench.prism.variants.scale import Scale


@dataclass(frozen=True, kw_only=True)
class Table1(Experiment, name="table1"):
    """Table 1: PRISM on X_train against Patch Diffusion on all of X (and RISSOLE on CIFAR-10), four datasets."""

    title: ClassVar[str] = "PRISM on X_train against baselines on all images X"
    paper_table: ClassVar[str] = "Table 1"
    quoted_source: ClassVar[str] = f"PRISM, Table 1: {FID_50K}"
    panels: ClassVar[tuple[str, ...]] = ("cifar10", "celeba", "imagenet100", "afhqv2")

    def rows(self, panel: str, scale: Scale) -> tuple[Row, ...]:
        """Patch Diffusion, RISSOLE where the paper has it, PRISM."""
        quoted = partial(quoted_fid, "table1", panel, dataset=panel)
        patchd = Row.of(PatchD(), *quoted(method="patch_diffusion"))
        prism = Row.of(Prism(), *quoted(method="prism"))
        rissole = quoted(method="rissole")
        if not rissole:
            return (patchd, prism)
        from prism_bench.baselines.rissole.rows import RissoleRow

        return (patchd, Row.of(RissoleRow(), *rissole), prism)

    def claims(self, panel: str, scale: Scale) -> tuple[Claim, ...]:
        """Fewer images suffice."""
        pair = (RowAt(Row.of(Prism())), RowAt(Row.of(PatchD())))
        text = "Fewer images suffice: PRISM on X_train is better than Patch Diffusion on all of X"
        return (Claim("fewer-images", text, "section 5.3, Table 1", (pair,)),)

    def controls(self) -> tuple[Row, ...]:
        """Those of the ablation, and further baselines."""
        return CONTROLS + baselines()
