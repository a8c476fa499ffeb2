"""From samples to numbers, and the floor that real images reach."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from prism_bench.prism.component import Json
from prism_bench.prism.data.split import Ids, Parts
from prism_bench.prism.encoders.base import Encoder, Vectors
from prism_bench.prism.engine.runtime import write_json
from prism_bench.prism.engine.stage import Stage, StageContext
from prism_bench.prism.metrics.base import Metric, MetricInputs
from prism_bench.prism.rng import numpy_rng
from prism_bench.prism.stages.data import DatasetStage, EmbeddingsStage, SplitStage, embed_rows, open_images, open_parts
from prism_bench.prism.stages.model import SamplesStage


@dataclass(frozen=True, kw_only=True)
class FeaturesStage(Stage):
    """features.npy: float32 [n, d], the evaluation encoder's view of the samples, or of images that are held out."""

    kind: ClassVar[str] = "features"
    samples: SamplesStage | DatasetStage
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

    @property
    def resolution(self) -> int:
        """The side of the images it looks at."""
        data = self.samples if isinstance(self.samples, DatasetStage) else self.samples.training.data
        return data.dataset.resolution

    def run(self, context: StageContext) -> None:
        """Embed in batches."""
        embed_rows(self.encoder, open_images(context.inputs["samples"]), context, "features.npy")


@dataclass(frozen=True, kw_only=True)
class MetricStage(Stage):
    """values.json: the metric's values for the samples against real images; details.npz where it keeps more."""

    kind: ClassVar[str] = "metric"
    metric: Metric
    data: DatasetStage
    split: SplitStage
    reference: EmbeddingsStage | None
    samples: SamplesStage
    features: FeaturesStage | None
    held_out: FeaturesStage | None = None

    def parameters(self) -> dict[str, Json]:
        """The metric's fields and the version of its code."""
        return {"metric": self.metric.to_json(), "code": self.metric.version}

    def inputs(self) -> dict[str, Stage]:
        """Samples and data, their features where the metric looks through an encoder, the split where it asks."""
        needed: dict[str, Stage] = {"samples": self.samples, "data": self.data}
        if self.features is not None and self.reference is not None:
            needed |= {"features": self.features, "reference": self.reference}
        return needed | _asked_for(self.metric, self.split, self.held_out)

    def run(self, context: StageContext) -> None:
        """Measure."""
        features = reference = None
        if "features" in context.inputs:
            features = np.load(context.inputs["features"] / "features.npy")
            reference = np.load(context.inputs["reference"] / "embeddings.npy")
        samples = context.inputs["samples"]
        inputs = MetricInputs(
            generated=open_images(samples),
            reference=open_images(context.inputs["data"]),
            generated_features=features,
            reference_features=reference,
            dataset=self.data.dataset,
            parts=_parts(context),
            pseudo_queries=np.load(samples / "pseudo_queries.npy"),
            held_out_features=_held_out(context),
        )
        save_values(self.metric, inputs, context, self.data)


@dataclass(frozen=True, kw_only=True)
class FloorStage(Stage):
    """values.json: the metric for real images against the other real images, at the same n where the data allow.

    n real images, drawn once, are taken for samples; the reference is the rest of X, and what is left of D and X_train.
    Each stands for a sample that was guided by an image of D drawn at random. Where X holds fewer than 2n images, half
    of it is drawn, and the value says its own n.
    """

    kind: ClassVar[str] = "floor"
    metric: Metric
    data: DatasetStage
    split: SplitStage
    reference: EmbeddingsStage | None
    samples: int
    held_out: FeaturesStage | None = None

    def parameters(self) -> dict[str, Json]:
        """The metric's fields, the version of its code, and n."""
        return {"metric": self.metric.to_json(), "code": self.metric.version, "samples": self.samples}

    def inputs(self) -> dict[str, Stage]:
        """Data, their features where the metric looks through an encoder, the split where it asks for it."""
        needed: dict[str, Stage] = {"data": self.data}
        if self.reference is not None:
            needed["reference"] = self.reference
        return needed | _asked_for(self.metric, self.split, self.held_out)

    def run(self, context: StageContext) -> None:
        """Measure one part of the real images against the other."""
        images = open_images(context.inputs["data"])
        features = None if self.reference is None else np.load(context.inputs["reference"] / "embeddings.npy")
        order = numpy_rng(0, "floor").permutation(len(images))
        n = min(self.samples, len(images) // 2)
        one, other = np.sort(order[:n]), np.sort(order[n:])
        parts = _parts(context)
        left = None if parts is None else Parts(*(_places(ids, other) for ids in parts))
        guides = None if left is None else left.retrieval
        inputs = MetricInputs(
            generated=images[one],
            reference=images[other],
            generated_features=_rows(features, one),
            reference_features=_rows(features, other),
            dataset=self.data.dataset,
            parts=left,
            pseudo_queries=None if guides is None else numpy_rng(0, "floor's pseudo-queries").choice(guides, n),
            held_out_features=_held_out(context),
        )
        save_values(self.metric, inputs, context, self.data)


def _asked_for(metric: Metric, split: SplitStage, held_out: FeaturesStage | None) -> dict[str, Stage]:
    """What only some metrics look at, so that the others do not depend on it."""
    needed: dict[str, Stage] = {"split": split} if metric.uses_split else {}
    if metric.uses_held_out and held_out is not None:
        needed["held_out"] = held_out
    return needed


def _parts(context: StageContext) -> Parts | None:
    return open_parts(context.inputs["split"]) if "split" in context.inputs else None


def _held_out(context: StageContext) -> Vectors | None:
    return np.load(context.inputs["held_out"] / "features.npy") if "held_out" in context.inputs else None


def _places(ids: Ids, kept: Ids) -> Ids:
    """Where those of `ids` that were kept stand among the kept (sorted)."""
    return np.flatnonzero(np.isin(kept, ids))


def _rows(features: Vectors | None, ids: Ids) -> Vectors | None:
    return None if features is None else features[ids]


def save_values(metric: Metric, inputs: MetricInputs, context: StageContext, data: DatasetStage) -> None:
    """Write the metric's values with their fingerprints, and its details where there are any."""
    rows: list[Json] = []
    found = metric.measure(inputs)
    for value in found.values:
        facts: dict[str, Json] = value._asdict()
        rows.append(
            {**facts, "fingerprint": metric.fingerprint(value.n, value.reference_n, fitted_on=data.address.key)}
        )
    write_json(context.folder / "values.json", rows)
    if found.details:
        np.savez(context.folder / "details.npz", **found.details)  # type: ignore[arg-type]
