"""What was asked of an experiment, checked and made into values."""

from dataclasses import dataclass
from functools import cached_property

from prism_bench.experiments.data.source import ImageSource
from prism_bench.experiments.options.training import RunOptions
from prism_bench.experiments.paper.experiment import Claim, Experiment, Row
from prism_bench.prism.data.split import Parts
from prism_bench.prism.methods.method import Method
from prism_bench.prism.methods.sampling import Sampler
from prism_bench.prism.stages.data import SplitStage
from prism_bench.prism.variants.scale import Scale
from prism_bench.prism.variants.variant import method_of


@dataclass(frozen=True, kw_only=True)
class Request:
    """What was asked of one experiment on one set of images. `panel` is the paper's dataset where there are several."""

    options: RunOptions
    experiment: Experiment
    rows: tuple[Row, ...]
    claims: tuple[Claim, ...]
    scale: Scale
    source: ImageSource
    split: SplitStage
    panel: str

    @cached_property
    def parts(self) -> Parts:
        """The ids of D and X_train."""
        return self.split.split.parts(self.source.labels, self.source.classes)


@dataclass(frozen=True)
class Entry:
    """A row with its method made: what the plan computes of it."""

    row: Row
    method: Method
    sampler: Sampler
    k_samples: tuple[int, ...]

    @classmethod
    def of(cls, row: Row, scale: Scale) -> "Entry":
        """A row at a scale; its own numbers of neighbours, or else its variant's."""
        variant = row.variant
        if variant is None:
            raise TypeError(f"the row {row.id} is declined and cannot stand in a claim")
        return cls(row, method_of(variant, scale), variant.sampler(scale), row.k_sample or (variant.k_sample(scale),))

    def facts(self, k_sample: int, seed: int) -> dict[str, str]:
        """What `--only` can select by."""
        parts = {key: name for key, name in factors(self.method).items() if key in ONLY}
        return {"variant": self.row.id, "seed": str(seed), "k_sample": str(k_sample), **parts}


ONLY = ("schedule", "aggregator", "training_set")
"""Parts of a method that `--only` can select by, besides variant, seed and k_sample."""


def factors(method: Method) -> dict[str, str]:
    """The parts of a method as words: field -> name of its member. Parts that cannot matter are left out.

    Without neighbours neither schedule nor retrieval changes anything.
    """
    idle = {"schedule", "retrieval"} if method.conditioning is None else set()
    parts = {
        key: str(part["component"]).partition("/")[2]
        for key, part in method.to_json().items()
        if isinstance(part, dict) and "component" in part and key not in idle
    }
    return {**parts, "training_set": method.training_set.words}
