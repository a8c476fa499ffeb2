"""Section 6.2, Table 4: schedules of k_train against k_sample."""

from dataclasses import dataclass
from typing import ClassVar

from prism_bench.baselines.changed import Changed
from prism_bench.experiments.paper.controls import REAL
from prism_bench.experiments.paper.experiment import Claim, Experiment, Quoted, Row, RowAt
from prism_bench.experiments.paper.published import FID_50K, TITLES, paper_numbers
from prism_bench.prism.component import Json
from prism_bench.prism.errors import InputError
from prism_bench.prism.methods.method import TrainingSet, TrainShare, TrainSplit
from prism_bench.prism.variants.scale import Scale


@dataclass(frozen=True, kw_only=True)
class ScheduleSweep(Experiment, name="schedule-sweep"):
    """Table 4: four schedules of k_train, each sampled with several k_sample, on a small training set.

    few_size, few_share: the training set, in images or as a share of X_train (the paper: 1,000 images of CelebA).
    sweep_length: training images as a multiple of those of the other tables (the paper: 1).
    """

    title: ClassVar[str] = "Schedules of k_train against k_sample, few training images"
    paper_table: ClassVar[str] = "Table 4"
    quoted_source: ClassVar[str] = f"PRISM, Table 4: {FID_50K}"
    panels: ClassVar[tuple[str, ...]] = ("celeba",)
    few_size: int | None = None
    few_share: float = 0.1
    schedules: tuple[str, ...] = ("decreasing", "increasing", "random", "fixed")
    k_samples: tuple[int, ...] = (1, 4, 8)
    sweep_length: float = 1.0

    def __post_init__(self) -> None:
        if not self.k_samples or min(self.k_samples) < 1:
            raise InputError(f"k_samples must hold numbers of at least 1, not {list(self.k_samples)}")
        if not self.schedules:
            raise InputError("schedules must name at least one schedule")
        if not self.sweep_length > 0:
            raise InputError(f"sweep_length must be positive, not {self.sweep_length}")

    @property
    def few(self) -> TrainingSet:
        """The small training set."""
        return TrainShare(share=self.few_share) if self.few_size is None else TrainSplit(size=self.few_size)

    def choices(self) -> dict[str, Json]:
        """Training set and length."""
        return {
            "training set of the schedule sweep (few_size, few_share)": self.few.words,
            "the same for the schedule sweep, as a multiple (sweep_length)": round(self.sweep_length, 4),
        }

    def rows(self, panel: str, scale: Scale) -> tuple[Row, ...]:
        """One training each; its samples at every k_sample are one column of the paper's table."""
        published = paper_numbers()["table4"]
        return tuple(
            Row(
                id=name,
                label=name.capitalize(),
                variant=Changed(training_set=self.few, schedule=scale.schedule(name), length=self.sweep_length),
                k_sample=self.k_samples,
                quoted=tuple(
                    Quoted(TITLES[panel], fid, k)
                    for k, fid in zip(published["k_sample"], published.get(name, ()), strict=name in published)
                    if k in self.k_samples
                ),
            )
            for name in dict.fromkeys(self.schedules)
        )

    def claims(self, panel: str, scale: Scale) -> tuple[Claim, ...]:
        """Decreasing is best for every k_sample, and with k_sample = 1 best of all."""
        rows = {row.id: row for row in self.rows(panel, scale)}
        decreasing = rows.pop("decreasing", None)
        if decreasing is None:
            return ()
        others = [row for name, row in rows.items() if name in paper_numbers()["table4"]]
        for_every_k = tuple((RowAt(decreasing, k), RowAt(other, k)) for k in self.k_samples for other in others)
        first, *more = sorted(self.k_samples)
        best_of_all = tuple((RowAt(decreasing, first), RowAt(decreasing, k)) for k in more)
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

    def controls(self) -> tuple[Row, ...]:
        """Real images, altered: `REAL`."""
        return REAL
