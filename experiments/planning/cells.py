"""From rows to the stages of their cells, sharing those that do not differ."""

from dataclasses import dataclass
from functools import cached_property

from prism_bench.analysis.schema.records import Declined
from prism_bench.experiments.planning.request import Entry, Request
from prism_bench.prism.component import digest_of
from prism_bench.prism.conditioning.retrieval import Retrieval
from prism_bench.prism.data.base import Dataset
from prism_bench.prism.engine.stage import Stage
from prism_bench.prism.methods.method import Method
from prism_bench.prism.metrics.base import Metric
from prism_bench.prism.stages.data import DatasetStage, EmbeddingsStage, NeighboursStage
from prism_bench.prism.stages.measure import FeaturesStage, FloorStage, MetricStage, ReferenceStage
from prism_bench.prism.stages.model import SamplesStage, TrainingStage

GRID = 64
"""Samples of a cell that is only looked at."""


@dataclass(frozen=True)
class Cell:
    """One number-bearing entry of a table: a trained method, sampled and measured."""

    row: str
    label: str
    seed: int
    samples: SamplesStage
    metrics: tuple[MetricStage, ...]
    floors: tuple[FloorStage, ...]
    declined: tuple[Declined, ...]

    @property
    def training(self) -> TrainingStage:
        """The training it samples."""
        return self.samples.training

    @property
    def targets(self) -> tuple[Stage, ...]:
        """The stages whose results the cell shows."""
        return (self.samples, *self.metrics, *self.floors)

    @property
    def name(self) -> str:
        """Its name within its plan: two rows may show the same result."""
        return f"{self.record}/{self.row}"

    @cached_property
    def record(self) -> str:
        """The identity of its result: the hash of the keys of what it shows."""
        return digest_of([str(stage.address) for stage in self.targets])[:32]


@dataclass(frozen=True)
class Layout:
    """Builds the stages of cells, sharing those that do not differ. `width`: neighbours kept for each image."""

    request: Request
    width: int

    def neighbours(self, retrieval: Retrieval | None) -> NeighboursStage | None:
        """The neighbour table, wide enough for every cell of the plan."""
        if retrieval is None:
            return None
        source, split = self.request.source, self.request.split
        label = f"{retrieval.encoder.name}, {source.title}"
        embeddings = EmbeddingsStage(data=source.stage, split=split, encoder=retrieval.encoder, label=label)
        return NeighboursStage(embeddings=embeddings, split=split, retrieval=retrieval, width=self.width, label=label)

    def training(self, method: Method, seed: int, label: str) -> TrainingStage:
        """The training of a method, and of the one it builds on."""
        data = self.request.source.stage
        unseen = data.dataset.held_out if method.sees_held_out else None
        return TrainingStage(
            data=data,
            split=self.request.split,
            neighbours=self.neighbours(method.conditioning),
            method=method,
            seed=seed,
            first=None if method.first is None else self.training(method.first, seed, f"{label}, {method.first.name}"),
            held_out=None if unseen is None else held_out_stage(unseen, self.request.source.title),
            label=label,
        )

    def cell(self, entry: Entry, k_sample: int, seed: int) -> Cell:
        """One row at one seed and number of neighbours. A grid shows samples and measures nothing."""
        request, scale = self.request, self.request.scale
        measured = request.experiment.kind != "grid"
        label = f"{entry.row.label}, seed {seed}"
        samples = SamplesStage(
            training=self.training(entry.method, seed, label),
            sampler=entry.sampler,
            k_sample=k_sample,
            samples=scale.samples if measured else min(scale.samples, GRID),
            seed=seed,
            label=f"{label}, k_sample {k_sample}" if len(entry.k_samples) > 1 else label,
        )
        metrics, floors, declined = [], [], []
        for metric in scale.metrics if measured else ():
            reason = metric.applies(request.source.stage.dataset) or metric.declines(request.parts)
            if reason is not None:
                declined.append(Declined(metric=metric.name, reason=reason))
                continue
            of_samples, of_real_images = measured_by(metric, samples, request.source.title)
            metrics.append(of_samples)
            floors.append(of_real_images)
        return Cell(entry.row.id, entry.row.label, seed, samples, tuple(metrics), tuple(floors), tuple(declined))


def held_out_stage(dataset: Dataset, title: str) -> DatasetStage:
    """Images of the same kind that are no part of X."""
    return DatasetStage(dataset=dataset, label=f"{title}, held out")


def measured_by(metric: Metric, samples: SamplesStage, title: str) -> tuple[MetricStage, FloorStage]:
    """The stages of one metric: of the samples, and of as many real images in their place."""
    data, split = samples.training.data, samples.training.split
    features = reference = held_out = None
    if metric.encoder is not None:
        encoder, through = metric.encoder, f"{metric.encoder.name}, "
        features = FeaturesStage(samples=samples, split=split, encoder=encoder, label=through + samples.label)
        reference = EmbeddingsStage(data=data, split=split, encoder=encoder, label=through + title)
        unseen = data.dataset.held_out if metric.uses_held_out else None
        if unseen is not None:
            stage = held_out_stage(unseen, title)
            held_out = FeaturesStage(samples=stage, split=split, encoder=encoder, label=through + stage.label)
    facts = None
    if metric.shares_reference:
        facts = ReferenceStage(
            metric=metric,
            data=data,
            reference=reference,
            split=split if metric.uses_split else None,
            label=f"{metric.full_name}, {title}",
        )
    of_samples = MetricStage(
        metric=metric,
        data=data,
        split=split,
        reference=reference,
        samples=samples,
        features=features,
        held_out=held_out,
        facts=facts,
        label=f"{metric.full_name}, {samples.label}",
    )
    of_real_images = FloorStage(
        metric=metric,
        data=data,
        split=split,
        reference=reference,
        samples=samples.samples,
        held_out=held_out,
        label=f"{metric.full_name}, real images",
    )
    return of_samples, of_real_images
