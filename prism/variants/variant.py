"""Variants: which methods the rows of an experiment are."""

from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar

from prism_bench.prism.component import Component
from prism_bench.prism.data.base import Dataset
from prism_bench.prism.methods.method import Method
from prism_bench.prism.methods.sampling import Sampler
from prism_bench.prism.variants.scale import Scale


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
