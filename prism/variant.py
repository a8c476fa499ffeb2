"""Scales and variants: how big an experiment is, and which methods its rows are."""

from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar

from prism.component import Component
from prism.data.base import Dataset
from prism.data.toyfaces import ToyFaces
from prism.errors import InputError
from prism.method import Method
from prism.metrics.base import Metric
from prism.patch_method import PatchMethod
from prism.sampling import Heun, Sampler


@dataclass(frozen=True, kw_only=True)
class Scale(Component, family="scale", name="scale"):
    """Everything about an experiment but its rows: default data, the base method (PRISM), sampling and metrics.

    k_max: where PRISM's schedule starts. fixed_k: the k of the fixed-k rows (the paper does not say; k_max / 2).
    k_sample: neighbours of rows whose training ends at one neighbour (the paper: 1). samples: per cell.
    """

    dataset: Dataset = ToyFaces()  # noqa: RUF009 - frozen values
    method: PatchMethod = PatchMethod()  # noqa: RUF009
    sampler: Sampler = Heun()  # noqa: RUF009
    metrics: tuple[Metric, ...] = ()
    samples: int = 1000
    k_max: int = 16
    fixed_k: int = 8
    k_sample: int = 1

    def __post_init__(self) -> None:
        for field in ("samples", "k_max", "fixed_k", "k_sample"):
            if getattr(self, field) < 1:
                raise InputError(f"{field} must be at least 1, not {getattr(self, field)}")


@dataclass(frozen=True, kw_only=True)
class Variant(Component, family="variant"):
    """A row: a method made from a scale's base method, and the number of neighbours it is sampled with.

    Put your own beside the paper's: subclass this in one file and pass `--plugin FILE --with NAME`.
    """

    label: ClassVar[str]
    control: ClassVar[bool] = False
    """True for rows that the paper's table does not have."""

    @abstractmethod
    def method(self, scale: Scale) -> Method:
        """The method to train."""

    def k_sample(self, scale: Scale) -> int:
        """Neighbours at sampling; ignored by an unconditional method."""
        return scale.k_sample
