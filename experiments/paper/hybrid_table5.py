"""Section 6.3, Table 5: training on full-resolution images too."""

from dataclasses import dataclass
from typing import ClassVar

from prism_bench.baselines.changed import Changed
from prism_bench.baselines.table3 import PatchD, PatchDOnTrain, Prism
from prism_bench.experiments.paper.controls import REAL
from prism_bench.experiments.paper.experiment import Claim, Experiment, Row, RowAt
from prism_bench.experiments.paper.published import FID_50K, quoted_fid
from prism_bench.prism.component import Json
from prism_bench.prism.errors import InputError
from prism_bench.prism.patch_diffusion.patches import PatchSizes
from prism_bench.prism.variants.scale import Scale


@dataclass(frozen=True, kw_only=True)
class HybridTable5(Experiment, name="hybrid-table5"):
    """Table 5: half of the training steps on full-resolution images, for Patch Diffusion and PRISM.

    hybrid_full: share of full-resolution steps (the paper: 0.5). hybrid_length: training images as a multiple of those
    of the other tables (the paper: 1).
    """

    title: ClassVar[str] = "Half of the training steps at full resolution"
    paper_table: ClassVar[str] = "Table 5"
    quoted_source: ClassVar[str] = f"PRISM, Table 5: {FID_50K}"
    panels: ClassVar[tuple[str, ...]] = ("celeba",)
    hybrid_full: float = 0.5
    hybrid_length: float = 1.0

    def __post_init__(self) -> None:
        if not self.hybrid_length > 0:
            raise InputError(f"hybrid_length must be positive, not {self.hybrid_length}")

    def choices(self) -> dict[str, Json]:
        """Length of training."""
        return {"the same for half full resolution, as a multiple (hybrid_length)": round(self.hybrid_length, 4)}

    def rows(self, panel: str, scale: Scale) -> tuple[Row, ...]:
        """Patch Diffusion on X_train and on X, PRISM on X_train."""
        half = PatchSizes(full=self.hybrid_full)

        def row(name: str, label: str, base: PatchD | PatchDOnTrain | Prism, method: str, trained_on: str) -> Row:
            return Row(
                id=name,
                label=f"{label} on {trained_on}, {self.hybrid_full:.0%} full resolution",
                variant=Changed(base=base, patches=half, length=self.hybrid_length),
                quoted=quoted_fid("table5", panel, method=method, trained_on=trained_on),
            )

        return (
            row("patchd-x-train-hybrid", "Patch Diffusion", PatchDOnTrain(), "patch_diffusion", "X_train"),
            row("patchd-hybrid", "Patch Diffusion", PatchD(), "patch_diffusion", "X"),
            row("prism-hybrid", "PRISM", Prism(), "prism", "X_train"),
        )

    def claims(self, panel: str, scale: Scale) -> tuple[Claim, ...]:
        """PRISM is better than both."""
        on_train, on_all, prism = self.rows(panel, scale)
        text = "Retrieval still helps when half of the training steps are at full resolution"
        pairs = ((RowAt(prism), RowAt(on_train)), (RowAt(prism), RowAt(on_all)))
        return (Claim("retrieval-helps-hybrid", text, "section 6.3, Table 5", pairs),)

    def controls(self) -> tuple[Row, ...]:
        """Real images, altered: `REAL`."""
        return REAL
