"""What was asked of an experiment, checked and made into values."""

from dataclasses import dataclass

from prism_bench.experiments.data.source import ImageSource
from prism_bench.experiments.paper.experiment import Claim, Experiment, Row
from prism_bench.prism.data.split import Split
from prism_bench.prism.methods.method import Method
from prism_bench.prism.methods.sampling import Sampler
from prism_bench.prism.variants.scale import Scale
from prism_bench.prism.variants.variant import Variant


@dataclass(frozen=True, kw_only=True)
class Request:
    """What was asked of one experiment on one set of images. `panel` is the paper's dataset where there are several."""

    experiment: Experiment
    rows: tuple[Row, ...]
    claims: tuple[Claim, ...]
    scale: Scale
    scale_name: str
    source: ImageSource
    split: Split
    seeds: tuple[int, ...]
    panel: str = ""
    settings: tuple[str, ...] = ()
    only: tuple[tuple[str, str], ...] = ()
    command: str = ""


@dataclass(frozen=True)
class Entry:
    """A row with its method made: what the plan computes of it."""

    row: Row
    variant: Variant
    method: Method
    sampler: Sampler
    k_samples: tuple[int, ...]

    @classmethod
    def of(cls, row: Row, variant: Variant, scale: Scale) -> "Entry":
        """A row at a scale; its own numbers of neighbours, or else its variant's."""
        k_samples = row.k_sample or (variant.k_sample(scale),)
        return cls(row, variant, variant.method(scale), variant.sampler(scale), k_samples)

    def facts(self, k_sample: int, seed: int) -> dict[str, str]:
        """What `--only` can select by."""
        return {
            "variant": self.row.id,
            "seed": str(seed),
            "k_sample": str(k_sample),
            **{key: name for key, name in factors(self.method).items() if key in ONLY},
        }


ONLY = ("schedule", "aggregator", "training_set")
"""Parts of a method that `--only` can select by, besides variant, seed and k_sample."""


def factors(method: Method) -> dict[str, str]:
    """The parts of a method as words: field -> name of its member. Parts that cannot matter are left out.

    Without neighbours neither schedule nor retrieval changes anything.
    """
    data = method.to_json()
    found = {
        key: str(part["component"]).partition("/")[2]
        for key, part in data.items()
        if isinstance(part, dict) and "component" in part
    }
    if method.conditioning is None:
        found = {key: name for key, name in found.items() if key not in {"schedule", "retrieval"}}
    return {**found, "training_set": method.training_set.words}
