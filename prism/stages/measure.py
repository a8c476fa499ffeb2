"""From samples to numbers, and the floor that real images reach."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, cast

import numpy as np
import numpy.typing as npt
from typing_extensions import override

from prism_bench.prism.component import Json
from prism_bench.prism.data.base import Dataset
from prism_bench.prism.data.split import Parts
from prism_bench.prism.encoders.base import Encoder, Vectors
from prism_bench.prism.engine.runtime import write_json
from prism_bench.prism.engine.stage import Stage, StageContext
from prism_bench.prism.metrics.base import Metric, MetricInputs
from prism_bench.prism.metrics.real_baseline import SPLITS, real_baseline
from prism_bench.prism.stages.data import DatasetStage, EmbeddingsStage, SplitStage, embed_rows, open_images, open_parts
from prism_bench.prism.stages.model import SamplesStage

FACTS = "facts.npz"


@dataclass(frozen=True, kw_only=True)
class FeaturesStage(Stage):
    """features.npy: float32 [n, d], the evaluation encoder's view of the samples, or of images that are held out."""

    kind: ClassVar[str] = "features"
    uses_device: ClassVar[bool] = True
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

    def _save(self, values: Iterable[dict[str, Json]], details: Mapping[str, npt.NDArray[Any]], folder: Path) -> None:
        """Values with their fingerprints, and the metric's details where there are any."""
        rows: list[Json] = []
        for facts in values:
            n, reference_n = cast("int", facts["n"]), cast("int", facts["reference_n"])
            mark = self.metric.fingerprint(n, reference_n, fitted_on=self.data.address.key)
            rows.append({**facts, "fingerprint": mark})
        write_json(folder / "values.json", rows)
        if details:
            np.savez(folder / "details.npz", **details)  # type: ignore[arg-type]


@dataclass(frozen=True, kw_only=True)
class ReferenceStage(Stage):
    """facts.npz: what a metric says of the real images alone, for all the samples that are measured against them."""

    kind: ClassVar[str] = "reference"
    metric: Metric
    data: DatasetStage
    reference: EmbeddingsStage | None
    split: SplitStage | None = None

    def parameters(self) -> dict[str, Json]:
        """The version of the metric's code beside the fields."""
        return {**super().parameters(), "code": self.metric.version}

    @override
    def run(self, context: StageContext) -> None:
        real = _real(context, self.data.dataset)
        np.savez(context.folder / FACTS, **self.metric.reference_facts(real))  # type: ignore[arg-type]


@dataclass(frozen=True, kw_only=True)
class MetricStage(_Measuring):
    """values.json: the metric's values for the samples against real images; details.npz where it keeps more.

    facts: what the metric says of the real images alone.
    """

    kind: ClassVar[str] = "metric"
    samples: SamplesStage
    facts: ReferenceStage | None = None
    savings: ClassVar[frozenset[str]] = frozenset({"facts"})

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
            facts=dict(np.load(context.inputs["facts"] / FACTS)) if "facts" in context.inputs else None,
        )
        found = self.metric.measure(inputs)
        self._save((value._asdict() for value in found.values), found.details, context.folder)


@dataclass(frozen=True, kw_only=True)
class FloorStage(_Measuring):
    """values.json: the metric for real images against other real images, mean and `spread` over random splits.

    See `real_baseline`. details.npz: those of the first split.
    """

    kind: ClassVar[str] = "floor"
    samples: int
    splits: int = SPLITS

    @override
    def run(self, context: StageContext) -> None:
        real = _real(context, self.data.dataset)
        found = real_baseline(self.metric, real, self.samples, splits=self.splits)
        values = ({**value._asdict(), "spread": spread} for value, spread in found.values.values())
        self._save(values, found.first.details, context.folder)


def _real(context: StageContext, dataset: Dataset) -> MetricInputs:
    """The real images alone, with what of them the stage has among its inputs."""
    images = open_images(context.inputs["data"])
    return MetricInputs(
        generated=images[:0],
        reference=images,
        reference_features=_vectors(context, "reference", "embeddings.npy"),
        dataset=dataset,
        parts=_parts(context),
        held_out_features=_vectors(context, "held_out"),
    )


def _parts(context: StageContext) -> Parts | None:
    return open_parts(context.inputs["split"]) if "split" in context.inputs else None


def _vectors(context: StageContext, name: str, file: str = "features.npy") -> Vectors | None:
    return np.load(context.inputs[name] / file, mmap_mode="r") if name in context.inputs else None
