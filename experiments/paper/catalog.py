"""The paper's tables and figures as data, in the order of its sections 5 and 6."""

from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar, Literal

from prism_bench.baselines.changed import Changed
from prism_bench.baselines.controls import (
    CrossAttentionRag,
    MeanMLPRag,
    RandomNeighbourPrism,
    ShuffledNeighbourPrism,
    ZeroConditionPrism,
)
from prism_bench.baselines.patch_diffusion import FullResolution, PatchDiffusion, ProgressivePatchDiffusion
from prism_bench.baselines.rissole.rows import FirstStageRow, RissoleOnTrain, RissoleRow
from prism_bench.baselines.table3 import PatchD, PatchDOnTrain, Prism, Rag, SetTransformerRag
from prism_bench.baselines.trivial import HeldOutRow, NearestImageRow, NoiseRow, RealImagesRow
from prism_bench.experiments.paper.experiment import Claim, Experiment, Limit, Quoted, Row, Side
from prism_bench.experiments.paper.published import TITLES, paper_numbers, quoted_fid
from prism_bench.prism.metrics.memorisation import COPIED_QUERY, NEAR_D
from prism_bench.prism.patch_diffusion.patches import PatchSizes
from prism_bench.prism.variants.variant import Scale

FID_50K = "FID, 50,000 samples against all real training images"
COPIES = 2.0
"""Percent of samples that may count as copies of their pseudo-query: twice the share of real images that count."""
NEAR = 25.0
"""Percent of samples that must come as near to D as half of the real images do: samples unlike any image copy none."""


def _no_copies(*rows: Row) -> Claim:
    """Section 5.4 of the paper, as a limit on the copies of the pseudo-query."""
    text = "Samples do not replicate the real image that conditions them"
    sides = tuple(Side(row) for row in rows)
    return Claim("no-copies", text, "section 5.4", limit=Limit(sides, COPIED_QUERY, COPIES, NEAR_D, NEAR))


CONTROLS = (
    Row.of(PatchDOnTrain()),
    Row.of(RandomNeighbourPrism()),
    Row.of(ShuffledNeighbourPrism()),
    Row.of(ZeroConditionPrism()),
    Row.of(MeanMLPRag()),
    Row.of(CrossAttentionRag()),
)
BASELINES = (
    Row.of(PatchDiffusion()),
    Row.of(ProgressivePatchDiffusion()),
    Row.of(FullResolution()),
    Row.of(RissoleOnTrain()),
    Row.of(FirstStageRow()),
    Row.of(HeldOutRow()),
    Row.of(RealImagesRow()),
    Row.of(NearestImageRow()),
    Row.of(NoiseRow()),
)


@dataclass(frozen=True, kw_only=True)
class Table1(Experiment, name="table1"):
    """Table 1: PRISM on X_train against Patch Diffusion on all of X (and RISSOLE on CIFAR-10), four datasets."""

    title: ClassVar[str] = "PRISM on X_train against baselines on all images X"
    paper_table: ClassVar[str] = "Table 1"
    quoted_source: ClassVar[str] = f"PRISM, Table 1: {FID_50K}"
    panels: ClassVar[tuple[str, ...]] = ("cifar10", "celeba", "imagenet100", "afhqv2")

    def rows(self, panel: str, scale: Scale) -> tuple[Row, ...]:
        """Patch Diffusion, RISSOLE where the paper has it, PRISM."""

        def quoted(method: str) -> tuple[Quoted, ...]:
            fid = quoted_fid("table1", dataset=panel, method=method)
            return () if fid is None else (Quoted(TITLES[panel], fid),)

        rissole = Row.of(RissoleRow(), *quoted("rissole"))
        patchd, prism = Row.of(PatchD(), *quoted("patch_diffusion")), Row.of(Prism(), *quoted("prism"))
        return (patchd, rissole, prism) if rissole.quoted else (patchd, prism)

    def claims(self, panel: str, scale: Scale) -> tuple[Claim, ...]:
        """Fewer images suffice."""
        pair = (Side(Row.of(Prism())), Side(Row.of(PatchD())))
        text = "Fewer images suffice: PRISM on X_train is better than Patch Diffusion on all of X"
        return (Claim("fewer-images", text, "section 5.3, Table 1", (pair,)),)

    def controls(self) -> tuple[Row, ...]:
        """See `CONTROLS` and `BASELINES`."""
        return CONTROLS + BASELINES


@dataclass(frozen=True, kw_only=True)
class Table2(Experiment, name="table2"):
    """Table 2: PRISM on smaller and smaller parts of X_train; the retrieval set D stays the same."""

    title: ClassVar[str] = "PRISM with smaller training sets, the retrieval set unchanged"
    paper_table: ClassVar[str] = "Table 2"
    quoted_source: ClassVar[str] = f"PRISM, Table 2: {FID_50K}"
    panels: ClassVar[tuple[str, ...]] = ("cifar10",)

    def rows(self, panel: str, scale: Scale) -> tuple[Row, ...]:
        """The whole of X_train, then its nested parts."""
        published = [row["fid"] for row in paper_numbers()["table2"]]
        quoted = [(Quoted(TITLES[panel], fid),) for fid in published]
        rows = [Row(id="prism", label="PRISM, all of X_train", variant=Prism(), quoted=quoted[0])]
        for index, part in enumerate(scale.smaller, start=1):
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
        pairs = tuple((Side(row), Side(Row.of(PatchD()))) for row in rows)
        return (Claim("fewer-images", text, "section 5.4, Table 2", pairs), _no_copies(*rows))


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
        pairs = tuple((Side(better), Side(worse)) for worse, better in pairwise(rows))
        text = "Each component helps: every row is better than the row above it"
        return (Claim("components-help", text, "section 6.1, Table 3", pairs), _no_copies(rows[-1]))

    def controls(self) -> tuple[Row, ...]:
        """See `CONTROLS`."""
        return CONTROLS


@dataclass(frozen=True, kw_only=True)
class ScheduleSweep(Experiment, name="schedule-sweep"):
    """Table 4: four schedules of k_train, each sampled with several k_sample, on a small training set."""

    title: ClassVar[str] = "Schedules of k_train against k_sample, few training images"
    paper_table: ClassVar[str] = "Table 4"
    quoted_source: ClassVar[str] = f"PRISM, Table 4: {FID_50K}"
    panels: ClassVar[tuple[str, ...]] = ("celeba",)

    def rows(self, panel: str, scale: Scale) -> tuple[Row, ...]:
        """One training each; its samples at every k_sample are one column of the paper's table."""
        published = paper_numbers()["table4"]
        return tuple(
            Row(
                id=name,
                label=name.capitalize(),
                variant=Changed(training_set=scale.few, schedule=scale.schedule(name), length=scale.sweep_length),
                k_sample=scale.k_samples,
                quoted=tuple(
                    Quoted(TITLES[panel], fid, k)
                    for k, fid in zip(published["k_sample"], published.get(name, ()), strict=name in published)
                    if k in scale.k_samples
                ),
            )
            for name in dict.fromkeys(scale.schedules)
        )

    def claims(self, panel: str, scale: Scale) -> tuple[Claim, ...]:
        """Decreasing is best for every k_sample, and with k_sample = 1 best of all."""
        rows = {row.id: row for row in self.rows(panel, scale)}
        decreasing = rows.pop("decreasing", None)
        if decreasing is None:
            return ()
        others = [row for name, row in rows.items() if name in paper_numbers()["table4"]]
        for_every_k = tuple((Side(decreasing, k), Side(other, k)) for k in scale.k_samples for other in others)
        first, *more = sorted(scale.k_samples)
        best_of_all = tuple((Side(decreasing, first), Side(decreasing, k)) for k in more)
        return (
            Claim(
                "decreasing-best",
                "The decreasing schedule is best for every k_sample",
                "section 6.2, Table 4",
                for_every_k,
            ),
            Claim(
                "k-sample-one-best",
                "After the decreasing schedule, k_sample = 1 is best",
                "section 6.2, Table 4",
                best_of_all if first == 1 else (),
            ),
        )


@dataclass(frozen=True, kw_only=True)
class HybridTable5(Experiment, name="hybrid-table5"):
    """Table 5: half of the training steps on full-resolution images, for Patch Diffusion and PRISM."""

    title: ClassVar[str] = "Half of the training steps at full resolution"
    paper_table: ClassVar[str] = "Table 5"
    quoted_source: ClassVar[str] = f"PRISM, Table 5: {FID_50K}"
    panels: ClassVar[tuple[str, ...]] = ("celeba",)

    def rows(self, panel: str, scale: Scale) -> tuple[Row, ...]:
        """Patch Diffusion on X_train and on X, PRISM on X_train."""
        half = PatchSizes(full=scale.hybrid_full)

        def row(name: str, label: str, base: PatchD | PatchDOnTrain | Prism, method: str, trained_on: str) -> Row:
            fid = quoted_fid("table5", method=method, trained_on=trained_on)
            return Row(
                id=name,
                label=f"{label} on {trained_on}, {scale.hybrid_full:.0%} full resolution",
                variant=Changed(base=base, patches=half, length=scale.hybrid_length),
                quoted=() if fid is None else (Quoted(TITLES[panel], fid),),
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
        pairs = ((Side(prism), Side(on_train)), (Side(prism), Side(on_all)))
        return (Claim("retrieval-helps-hybrid", text, "section 6.3, Table 5", pairs),)


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
        return ScheduleSweep().rows(panel, scale)
