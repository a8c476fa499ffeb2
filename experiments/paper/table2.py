"""Section 5.4, Table 2: how few training images suffice."""

from dataclasses import dataclass
from typing import ClassVar

from prism_bench.baselines.changed import Changed
from prism_bench.baselines.table3 import PatchD, Prism
from prism_bench.experiments.paper.controls import REAL
from prism_bench.experiments.paper.experiment import Claim, Experiment, Quoted, Row, RowAt, no_copies
from prism_bench.experiments.paper.published import FID_50K, TITLES, paper_numbers
from prism_bench.prism.methods.method import TrainingSet, TrainShare, TrainSplit
from prism_bench.prism.variants.scale import Scale


@dataclass(frozen=True, kw_only=True)
class Table2(Experiment, name="table2"):
    """Table 2: PRISM on smaller and smaller parts of X_train; the retrieval set D stays the same.

    smaller_sizes, smaller_shares: the sets below the whole of X_train; sizes where given, shares otherwise.
    """

    title: ClassVar[str] = "PRISM with smaller training sets, the retrieval set unchanged"
    paper_table: ClassVar[str] = "Table 2"
    quoted_source: ClassVar[str] = f"PRISM, Table 2: {FID_50K}"
    panels: ClassVar[tuple[str, ...]] = ("cifar10",)
    smaller_sizes: tuple[int, ...] = ()
    smaller_shares: tuple[float, ...] = (0.5, 0.1)

    @property
    def smaller(self) -> tuple[TrainingSet, ...]:
        """The training sets below the whole of X_train."""
        if self.smaller_sizes:
            return tuple(TrainSplit(size=size) for size in self.smaller_sizes)
        return tuple(TrainShare(share=share) for share in self.smaller_shares)

    def rows(self, panel: str, scale: Scale) -> tuple[Row, ...]:
        """The whole of X_train, then its nested parts."""
        published = [row["fid"] for row in paper_numbers()["table2"]]
        quoted = [(Quoted(TITLES[panel], fid),) for fid in published]
        rows = [Row(id="prism", label="PRISM, all of X_train", variant=Prism(), quoted=quoted[0])]
        for index, part in enumerate(self.smaller, start=1):
            rows.append(
                Row(
                    id=f"prism-{part.words.replace('%', 'pc').replace(',', '').split()[0]}",
                    label=f"PRISM, {part.words}",
                    variant=Changed(training_set=part),
                    quoted=quoted[index] if index < len(quoted) else (),
                )
            )
        return tuple(rows)

    def claims(self, panel: str, scale: Scale) -> tuple[Claim, ...]:
        """Fewer images suffice, down to the smallest part."""
        text = "Fewer images suffice: PRISM on a part of X_train is still better than Patch Diffusion on all of X"
        rows = self.rows(panel, scale)
        pairs = tuple((RowAt(row), RowAt(Row.of(PatchD()))) for row in rows)
        return (Claim("fewer-images", text, "section 5.4, Table 2", pairs), no_copies(*rows))

    def controls(self) -> tuple[Row, ...]:
        """Real images, altered: `REAL`."""
        return REAL
