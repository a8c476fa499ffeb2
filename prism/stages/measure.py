"""From samples to numbers, and the floor that real images reach."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from typing_extensions import override

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

    @override
    def run(self, context: StageContext) -> None:
        embed_rows(self.encoder, open_images(context.inputs["samples"]), context, "features.npy")


@dataclass(frozen=True, kw_only=True)
class _Measuring(Stage):
    """What the two stages below share. `features` (of samples) and `reference` are of the metric's encoder, if any."""

    metric: Metric
    samples: SamplesStage | int
    data: DatasetStage
    features: FeaturesStage | None = None
    reference: EmbeddingsStage | None
    split: SplitStage
    held_out: FeaturesStage | None = None

    def parameters(self) -> dict[str, Json]:
        """The version of the metric's code beside the fields."""
        return {**super().parameters(), "code": self.metric.version}

    def inputs(self) -> dict[str, Stage]:
        """Split and held-out images only where the metric asks for them, so that others do not depend on them."""
        asked = {"split": self.metric.uses_split, "held_out": self.metric.uses_held_out}
        return {name: stage for name, stage in super().inputs().items() if asked.get(name, True)}

    def _save(self, inputs: MetricInputs, context: StageContext) -> None:
        """The metric's values with their fingerprints, and its details where there are any."""
        rows: list[Json] = []
        found = self.metric.measure(inputs)
        for value in found.values:
            facts: dict[str, Json] = value._asdict()
            fingerprint = self.metric.fingerprint(value.n, value.reference_n, fitted_on=self.data.address.key)
            rows.append({**facts, "fingerprint": fingerprint})
        write_json(context.folder / "values.json", rows)
        if found.details:
            np.savez(context.folder / "details.npz", **found.details)  # type: ignore[arg-type]


@dataclass(frozen=True, kw_only=True)
class MetricStage(_Measuring):
    """values.json: the metric's values for the samples against real images; details.npz where it keeps more."""

    kind: ClassVar[str] = "metric"
    samples: SamplesStage

    @override
    def run(self, context: StageContext) -> None:
        samples = context.inputs["samples"]
        inputs = MetricInputs(
            generated=open_images(samples),
            reference=open_images(context.inputs["data"]),
            generated_features=_vectors(context, "features"),
            reference_features=_vectors(context, "reference", "embeddings.npy"),
            dataset=self.data.dataset,
            parts=_parts(context),
            pseudo_queries=np.load(samples / "pseudo_queries.npy"),
            held_out_features=_vectors(context, "held_out"),
        )
        self._save(inputs, context)


@dataclass(frozen=True, kw_only=True)
class FloorStage(_Measuring):
    """values.json: the metric for real images against the other real images, at the same n where the data allow.

    n real images, drawn once, are taken for samples; the reference is the rest of X, and what is left of D and X_train.
    Each stands for a sample that was guided by an image of D drawn at random. Where X holds fewer than 2n images, half
    of it is drawn, and the value says its own n.
    """

    kind: ClassVar[str] = "floor"
    samples: int

    @override
    def run(self, context: StageContext) -> None:
        images = open_images(context.inputs["data"])
        features = _vectors(context, "reference", "embeddings.npy")
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
            held_out_features=_vectors(context, "held_out"),
        )
        self._save(inputs, context)


def _parts(context: StageContext) -> Parts | None:
    return open_parts(context.inputs["split"]) if "split" in context.inputs else None


def _vectors(context: StageContext, name: str, file: str = "features.npy") -> Vectors | None:
    return np.load(context.inputs[name] / file) if name in context.inputs else None


def _places(ids: Ids, kept: Ids) -> Ids:
    """Where those of `ids` that were kept stand among the kept (sorted)."""
    return np.flatnonzero(np.isin(kept, ids))


def _rows(features: Vectors | None, ids: Ids) -> Vectors | None:
    return None if features is None else features[ids]
