"""Variants: which methods the rows of an experiment are."""

import traceback
from abc import abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from prism_bench.prism.component import Component
from prism_bench.prism.data.base import Dataset
from prism_bench.prism.errors import ComputeError, InputError
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

    def __init_subclass__(cls, *, name: str = "", **kwargs: Any) -> None:
        super().__init_subclass__(name=name, **kwargs)
        if name and not hasattr(cls, "label"):
            raise InputError(f"variant {name} has no label, by which tables call it; give its class `label = ...`")

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


def method_of(variant: Variant, scale: Scale) -> Method:
    """A variant's method, which may be anyone's code.

    Raises:
        InputError: making it failed, or gave something else.
    """
    try:
        method: object = variant.method(scale)
    except (InputError, ComputeError):
        raise
    except Exception as error:
        *_, at = traceback.extract_tb(error.__traceback__)
        where = f"{Path(at.filename).name}, line {at.lineno}"
        raise InputError(f"variant {variant.name}: {type(error).__name__} in its method ({where}): {error}") from error
    if not isinstance(method, Method):
        raise InputError(f"variant {variant.name}: its method gives {method!r}; it is to return a Method")
    return method
