"""Section 5.3, Table 1: PRISM on X_train against baselines on all images; RISSOLE's code is loaded for its rows."""

from dataclasses import dataclass
from typing import ClassVar

from prism_bench.baselines.table3 import PatchD, Prism
from prism_bench.experiments.paper.controls import CONTROLS, REAL, baselines
from prism_bench.experiments.paper.experiment import Claim, Experiment, Quoted, Row, RowAt
from prism_bench.experiments.paper.published import FID_50K, quoted_fid, quoted_sizes
from prism_bench.prism.variants.scale import Scale


@dataclass(frozen=True, kw_only=True)
class Table1(Experiment, name="table1"):
    """Table 1: PRISM on X_train against Patch Diffusion on all of X (and RISSOLE on CIFAR-10), four datasets."""

    title: ClassVar[str] = "PRISM on X_train against baselines on all images X"
    paper_table: ClassVar[str] = "Table 1"
    quoted_source: ClassVar[str] = f"PRISM, Table 1: {FID_50K}"
    set_sizes: ClassVar[bool] = True
    panels: ClassVar[tuple[str, ...]] = ("cifar10", "celeba", "imagenet100", "afhqv2")

    def rows(self, panel: str, scale: Scale) -> tuple[Row, ...]:
        """Patch Diffusion, RISSOLE where the paper has it, PRISM."""
        patchd = Row.of(PatchD(), *_quoted(panel, "patch_diffusion"))
        prism = Row.of(Prism(), *_quoted(panel, "prism"))
        rissole = _rissole(panel)
        return (patchd, prism) if rissole is None else (patchd, rissole, prism)

    def claims(self, panel: str, scale: Scale) -> tuple[Claim, ...]:
        """Fewer images suffice, against each of the baselines that there is."""
        prism, source = RowAt(Row.of(Prism())), "section 5.3, Table 1"
        text = "Fewer images suffice: PRISM on X_train is better than Patch Diffusion on all of X"
        claim = Claim("fewer-images", text, source, ((prism, RowAt(Row.of(PatchD()))),))
        rissole = _rissole(panel)
        if rissole is None or rissole.if_applies(scale).declined:
            return (claim,)
        text = "PRISM on X_train is better than RISSOLE on all of X"
        return (claim, Claim("better-than-rissole", text, source, ((prism, RowAt(rissole)),)))

    def controls(self) -> tuple[Row, ...]:
        """Those of the ablation, and further baselines."""
        return CONTROLS + baselines() + REAL


def _quoted(panel: str, method: str) -> tuple[Quoted, ...]:
    """The paper's FID of a row, and what it costs there."""
    where = {"dataset": panel, "method": method}
    return (*quoted_fid("table1", panel, **where), *quoted_sizes(panel, **where))


def _rissole(panel: str) -> Row | None:
    """RISSOLE, where the paper has it."""
    quoted = _quoted(panel, "rissole")
    if not quoted:
        return None
    from prism_bench.baselines.rissole.rows import RissoleRow

    return Row.of(RissoleRow(), *quoted)
