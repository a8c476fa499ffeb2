"""Scales and variants: how big an experiment is, and which methods its rows are."""

from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar, Literal

from prism_bench.prism.component import Component, member
from prism_bench.prism.conditioning.schedules import Schedule
from prism_bench.prism.data.base import Dataset
from prism_bench.prism.data.toyfaces import ToyFaces
from prism_bench.prism.errors import InputError
from prism_bench.prism.methods.method import Method, TrainingSet, TrainShare, TrainSplit
from prism_bench.prism.methods.sampling import Heun, Sampler
from prism_bench.prism.metrics.base import Metric
from prism_bench.prism.patch_diffusion.patch_method import PatchMethod


@dataclass(frozen=True, kw_only=True)
class System(Component, family="system"):
    """Another publication's method at a size that suits a scale: what is trained, and what it is sampled by.

    budget: `own` trains it for as long as the method says; `equal` for as many operations as the scale's PRISM takes,
    `first_share` of them for the training that its own rests on.
    """

    method: Method
    sampler: Sampler
    budget: Literal["own", "equal"] = "own"
    first_share: float = 0.25

    def __post_init__(self) -> None:
        if not 0 < self.first_share < 1:
            raise InputError(f"first_share must lie between 0 and 1, not {self.first_share}")


@dataclass(frozen=True, kw_only=True)
class Scale(Component, family="scale", name="scale"):
    """Everything about an experiment but its rows: default data, the base method (PRISM), sampling and metrics.

    k_max: where PRISM's schedule starts. fixed_k: the k of the fixed-k rows (the paper does not say; k_max / 2).
    k_sample: neighbours of rows whose training ends at one neighbour (the paper: 1). samples: per cell.
    few_size, few_share: the small training set of the schedule sweep (Table 4), in images or as a share of X_train.
    smaller_sizes, smaller_shares: Table 2's sets below the whole of X_train; sizes where given, shares otherwise.
    schedules, k_samples: those of the schedule sweep. sweep_length, hybrid_length: training images of the schedule
    sweep and of the rows that train half their steps at full resolution, as a multiple of all others' (the paper: 1).
    hybrid_full: share of full-resolution steps in those rows (Table 5: 0.5). rissole: Table 1's other baseline.
    """

    dataset: Dataset = ToyFaces()
    method: PatchMethod = PatchMethod()
    sampler: Sampler = Heun()
    metrics: tuple[Metric, ...] = ()
    samples: int = 1000
    k_max: int = 16
    fixed_k: int = 8
    k_sample: int = 1
    few_size: int | None = None
    few_share: float = 0.1
    smaller_sizes: tuple[int, ...] = ()
    smaller_shares: tuple[float, ...] = (0.5, 0.1)
    schedules: tuple[str, ...] = ("decreasing", "increasing", "random", "fixed")
    k_samples: tuple[int, ...] = (1, 4, 8)
    sweep_length: float = 1.0
    hybrid_length: float = 1.0
    hybrid_full: float = 0.5
    rissole: System | None = None

    def __post_init__(self) -> None:
        for field in ("samples", "k_max", "fixed_k", "k_sample"):
            if getattr(self, field) < 1:
                raise InputError(f"{field} must be at least 1, not {getattr(self, field)}")
        if not self.k_samples or min(self.k_samples) < 1:
            raise InputError(f"k_samples must hold numbers of at least 1, not {list(self.k_samples)}")
        if not self.schedules:
            raise InputError("schedules must name at least one schedule")
        for field in ("sweep_length", "hybrid_length"):
            if not getattr(self, field) > 0:
                raise InputError(f"{field} must be positive, not {getattr(self, field)}")

    @property
    def few(self) -> TrainingSet:
        """The small training set of the schedule sweep (the paper: 1,000 images of CelebA)."""
        return TrainShare(share=self.few_share) if self.few_size is None else TrainSplit(size=self.few_size)

    def schedule(self, name: str) -> Schedule:
        """The schedule of that name with this scale's sizes; InputError where there is none."""
        kind = member("schedule", name)
        if not issubclass(kind, Schedule):
            raise InputError(f"schedule {name} does not subclass prism_bench.prism.conditioning.schedules.Schedule")
        return kind.sized(k_max=self.k_max, fixed_k=self.fixed_k)

    @property
    def smaller(self) -> tuple[TrainingSet, ...]:
        """Table 2's training sets below the whole of X_train."""
        if self.smaller_sizes:
            return tuple(TrainSplit(size=size) for size in self.smaller_sizes)
        return tuple(TrainShare(share=share) for share in self.smaller_shares)


@dataclass(frozen=True, kw_only=True)
class Variant(Component, family="variant"):
    """A row: a method made from a scale's base method, and the number of neighbours it is sampled with.

    Put your own beside the paper's: subclass this in one file and pass `--plugin FILE --with NAME`.
    """

    label: ClassVar[str]
    control: ClassVar[bool] = False
    """True for rows that the paper's table does not have."""

    def applies(self, scale: Scale, dataset: Dataset) -> str | None:
        """Why there can be no such row at this scale or of these images; None where there can."""
        return None

    @abstractmethod
    def method(self, scale: Scale) -> Method:
        """The method to train."""

    def k_sample(self, scale: Scale) -> int:
        """Neighbours at sampling; ignored by an unconditional method."""
        return scale.k_sample

    def sampler(self, scale: Scale) -> Sampler:
        """What makes its samples."""
        return scale.sampler
