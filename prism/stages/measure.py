"""From samples to numbers, and the floor that real images reach."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from prism.component import Json
from prism.encoders.base import Encoder, Vectors
from prism.metrics.base import Evidence, Metric
from prism.rng import numpy_rng
from prism.runtime import write_json
from prism.stages.base import Bench, Stage
from prism.stages.data import DatasetStage, EmbeddingsStage, SplitStage, embed_rows, open_images
from prism.stages.model import SamplesStage


@dataclass(frozen=True, kw_only=True)
class FeaturesStage(Stage):
    """features.npy: float32 [n, d], the evaluation encoder's view of the samples."""

    kind: ClassVar[str] = "features"
    samples: SamplesStage
    split: SplitStage
    encoder: Encoder

    def parameters(self) -> dict[str, Json]:
        """The encoder's fields."""
        return {"encoder": self.encoder.to_json()}

    def inputs(self) -> dict[str, Stage]:
        """The samples; and D where the encoder is fitted on it."""
        if not self.encoder.fitted:
            return {"samples": self.samples}
        return {"samples": self.samples, "data": self.split.data, "split": self.split}

    def run(self, bench: Bench) -> None:
        """Embed in batches."""
        embed_rows(self.encoder, open_images(bench.inputs["samples"]), bench, "features.npy")


@dataclass(frozen=True, kw_only=True)
class MetricStage(Stage):
    """values.json: the metric's values for the samples against all real images X."""

    kind: ClassVar[str] = "metric"
    metric: Metric
    data: DatasetStage
    reference: EmbeddingsStage | None
    samples: SamplesStage
    features: FeaturesStage | None

    def parameters(self) -> dict[str, Json]:
        """The metric's fields and the version of its code."""
        return {"metric": self.metric.to_json(), "code": self.metric.version}

    def inputs(self) -> dict[str, Stage]:
        """Samples and data, and their features where the metric looks through an encoder."""
        needed: dict[str, Stage] = {"samples": self.samples, "data": self.data}
        if self.features is not None and self.reference is not None:
            needed |= {"features": self.features, "reference": self.reference}
        return needed

    def run(self, bench: Bench) -> None:
        """Measure."""
        features = reference = None
        if "features" in bench.inputs:
            features = np.load(bench.inputs["features"] / "features.npy")
            reference = np.load(bench.inputs["reference"] / "embeddings.npy")
        generated, real = open_images(bench.inputs["samples"]), open_images(bench.inputs["data"])
        evidence = Evidence(
            generated=generated,
            reference=real,
            generated_features=features,
            reference_features=reference,
            dataset=self.data.dataset,
        )
        save_values(self.metric, evidence, bench, self.data)


@dataclass(frozen=True, kw_only=True)
class FloorStage(Stage):
    """values.json: the metric for real images against the other real images, at the same n where the data allow.

    n real images, drawn once, are taken for samples; the reference is the rest of X. Where X holds fewer than 2n
    images, half of it is drawn, and the value says its own n.
    """

    kind: ClassVar[str] = "floor"
    metric: Metric
    data: DatasetStage
    reference: EmbeddingsStage | None
    samples: int

    def parameters(self) -> dict[str, Json]:
        """The metric's fields, the version of its code, and n."""
        return {"metric": self.metric.to_json(), "code": self.metric.version, "samples": self.samples}

    def inputs(self) -> dict[str, Stage]:
        """Data, and their features where the metric looks through an encoder."""
        needed: dict[str, Stage] = {"data": self.data}
        return needed if self.reference is None else {**needed, "reference": self.reference}

    def run(self, bench: Bench) -> None:
        """Measure one part of the real images against the other."""
        images = open_images(bench.inputs["data"])
        features = None if self.reference is None else np.load(bench.inputs["reference"] / "embeddings.npy")
        order = numpy_rng(0, "floor").permutation(len(images))
        n = min(self.samples, len(images) // 2)
        one, other = np.sort(order[:n]), np.sort(order[n:])
        evidence = Evidence(
            generated=images[one],
            reference=images[other],
            generated_features=_rows(features, one),
            reference_features=_rows(features, other),
            dataset=self.data.dataset,
        )
        save_values(self.metric, evidence, bench, self.data)


def _rows(features: Vectors | None, ids: "np.ndarray[tuple[int], np.dtype[np.int64]]") -> Vectors | None:
    return None if features is None else features[ids]


def save_values(metric: Metric, evidence: Evidence, bench: Bench, data: DatasetStage) -> None:
    """Write the metric's values with their fingerprints."""
    rows: list[Json] = []
    for value in metric.compute(evidence):
        facts: dict[str, Json] = value._asdict()
        rows.append(
            {**facts, "fingerprint": metric.fingerprint(value.n, value.reference_n, fitted_on=data.address.key)}
        )
    write_json(bench.folder / "values.json", rows)
