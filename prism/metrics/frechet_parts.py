"""Fréchet distance against what? D alone, X_train alone, and images that nothing has seen.

The reference of the paper's FID is X, which holds the retrieval set D, and a sample is guided by an image of D. What
that is worth shows in the distances to D, to X_train and to held-out images. The distance depends on how many real
images it is taken to, so all three are taken to the same number of them, the smallest of the sets.
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from typing_extensions import override

from prism_bench.prism.data.split import Parts
from prism_bench.prism.encoders.base import Vectors
from prism_bench.prism.metrics.base import Measurement, MetricInputs, SplitMetric, Value, own_order
from prism_bench.prism.metrics.frechet import frechet_of, moments_of
from prism_bench.prism.rng import numpy_rng

GROUP = "Other reference sets"


@dataclass(frozen=True, kw_only=True)
class FrechetParts(SplitMetric, name="frechet-parts"):
    """Fréchet distance to equally many images of D, of X_train and, where the data have them, held out."""

    version: ClassVar[int] = 2
    uses_held_out: ClassVar[bool] = True

    @override
    def among(self, generated: Vectors, reference: Vectors, parts: Parts, inputs: MetricInputs) -> Measurement:
        sets = {"D": reference[parts.retrieval], "X_train": reference[parts.train]}
        if inputs.held_out_features is not None:
            held_out = inputs.held_out_features
            sets["held-out images"] = self._checked(held_out, len(held_out), "held-out")
        size = min(len(features) for features in sets.values())
        made, (name, label) = moments_of(generated), self.encoder.frechet_name
        values = tuple(
            Value(
                name=f"{name}_to_{which.lower().replace('-', '_').replace(' ', '_')}",
                value=frechet_of(made, moments_of(drawn(features, size))),
                n=len(generated),
                reference_n=size,
                better="lower",
                label=f"{label} to {which}",
                group=GROUP,
                about="Each column is taken to equally many real images, drawn once",
            )
            for which, features in sets.items()
        )
        return Measurement(values)


def drawn(features: Vectors, size: int) -> Vectors:
    """`size` rows, the same ones each time, in whatever order they come."""
    chosen = numpy_rng(0, "reference part").permutation(len(features))[:size]
    return features[own_order(features, "reference part")[np.sort(chosen)]]
