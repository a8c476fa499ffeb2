"""Section 6.1, Table 3: what each component of PRISM adds."""

from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar

from prism_bench.baselines.table3 import PatchD, Prism, Rag, SetTransformerRag
from prism_bench.experiments.paper.controls import CONTROLS, REAL
from prism_bench.experiments.paper.experiment import Claim, Experiment, Quoted, Row, RowAt, no_copies
from prism_bench.experiments.paper.published import FID_50K, TITLES, paper_numbers
from prism_bench.prism.variants.scale import Scale


@dataclass(frozen=True, kw_only=True)
class AblationTable3(Experiment, name="ablation-table3"):
    """Table 3: what retrieval (RAG), the Set Transformer (ST) and the dynamic schedule (DS) each add to PatchD."""

    title: ClassVar[str] = "Ablation: retrieval (RAG), Set Transformer (ST), dynamic scheduling (DS)"
    paper_table: ClassVar[str] = "Table 3"
    quoted_source: ClassVar[str] = f"PRISM, Table 3: {FID_50K}"
    panels: ClassVar[tuple[str, ...]] = ("celeba", "cifar10")

    def rows(self, panel: str, scale: Scale) -> tuple[Row, ...]:
        """From PatchD to PRISM, one component more in each row."""
        variants = {"patchd": PatchD(), "rag": Rag(), "st+rag": SetTransformerRag(), "prism": Prism()}
        published = {row["method"]: row[panel] for row in paper_numbers()["table3"]}
        return tuple(Row.of(variant, Quoted(TITLES[panel], published[key])) for key, variant in variants.items())

    def claims(self, panel: str, scale: Scale) -> tuple[Claim, ...]:
        """Each row is better than the one above."""
        rows = self.rows(panel, scale)
        pairs = tuple((RowAt(better), RowAt(worse)) for worse, better in pairwise(rows))
        text = "Each component helps: every row is better than the row above it"
        return (Claim("components-help", text, "section 6.1, Table 3", pairs), no_copies(rows[-1]))

    def controls(self) -> tuple[Row, ...]:
        """See `CONTROLS` and `REAL`."""
        return CONTROLS + REAL
