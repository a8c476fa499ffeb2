"""The table compiler: what was asked -> cells -> one graph of stages, equal stages merged."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from experiments.catalog import Experiment
from prism.component import Json, diff, digest_of
from prism.data.split import Parts, Split
from prism.errors import InputError
from prism.method import Method
from prism.retrieval import Retrieval, check_k
from prism.stages.base import Stage, walk
from prism.stages.data import DatasetStage, EmbeddingsStage, NeighboursStage, SplitStage
from prism.stages.measure import FeaturesStage, FloorStage, MetricStage
from prism.stages.model import SamplesStage, TrainingStage
from prism.variant import Scale, Variant


@dataclass(frozen=True)
class Source:
    """The data of a run, decoded and published: its stage, its labels, and what captions call it."""

    stage: DatasetStage
    title: str
    labels: npt.NDArray[np.int64]
    classes: tuple[str, ...]
    skipped: int = 0


@dataclass(frozen=True, kw_only=True)
class Request:
    """What was asked, in full."""

    experiment: Experiment
    variants: tuple[Variant, ...]
    scale: Scale
    scale_name: str
    source: Source
    split: Split
    seeds: tuple[int, ...]
    settings: tuple[str, ...] = ()
    only: tuple[tuple[str, str], ...] = ()
    command: str = ""


@dataclass(frozen=True)
class Cell:
    """One number-bearing entry of a table: a trained method, sampled and measured."""

    row: str
    label: str
    seed: int
    samples: SamplesStage
    metrics: tuple[MetricStage, ...]
    floors: tuple[FloorStage, ...]
    declined: tuple[tuple[str, str], ...]

    @property
    def training(self) -> TrainingStage:
        """The training it samples."""
        return self.samples.training

    @property
    def targets(self) -> tuple[Stage, ...]:
        """The stages whose results the cell shows."""
        return (self.samples, *self.metrics, *self.floors)

    @cached_property
    def record(self) -> str:
        """The identity of its result: the hash of the keys of what it shows."""
        return digest_of([str(stage.address) for stage in self.targets])[:32]


@dataclass(frozen=True)
class Plan:
    """All cells of an experiment, and the document that tables are built from."""

    request: Request
    cells: tuple[Cell, ...]
    document: dict[str, Any]

    @property
    def digest(self) -> str:
        """The identity of what was asked: rows, records and caption facts."""
        return str(self.document["plan"])

    @cached_property
    def stages(self) -> dict[str, Stage]:
        """Every distinct stage by address, inputs first."""
        return {str(stage.address): stage for cell in self.cells for target in cell.targets for stage in walk(target)}

    @property
    def trainings(self) -> int:
        """Distinct trainings, cached or not."""
        return sum(stage.kind == TrainingStage.kind for stage in self.stages.values())

    def warnings(self) -> Iterator[str]:
        """What a careful reader would want to know before the run."""
        scale = self.request.scale
        retrieval = scale.method.retrieval.encoder
        for metric in scale.metrics:
            if metric.encoder is not None and metric.encoder.name == retrieval.name:
                yield (
                    f"retrieval and evaluation both use the encoder {retrieval.name}: a method that copies its "
                    "neighbours looks good to it; set method.retrieval.encoder or the metric's encoder apart"
                )
                break
        if self.request.source.skipped:
            yield f"{self.request.source.skipped} unreadable images were skipped (--skip-bad)"


def compile_plan(request: Request) -> Plan:
    """Check every combination, then lay out the stages of each cell.

    Raises:
        InputError: k exceeds D, a method does not fit the resolution, a class is too small, no cell is left.
    """
    source = request.source
    resolution = source.stage.dataset.resolution
    parts = request.split.parts(source.labels, source.classes)
    methods = {variant.name: variant.method(request.scale) for variant in request.variants}
    for variant in request.variants:
        _check(methods[variant.name], variant.k_sample(request.scale), parts, resolution)
    for metric in request.scale.metrics:
        if metric.encoder is not None:
            metric.encoder.check()

    split = SplitStage(data=source.stage, split=request.split, label=source.title)
    layout = _Layout(request, split, parts, methods)
    cells = [
        layout.cell(variant, seed)
        for variant in request.variants
        for seed in request.seeds
        if _wanted(request, variant, methods[variant.name], seed)
    ]
    if not cells:
        asked = ",".join(f"{key}={value}" for key, value in request.only)
        raise InputError(f"--only {asked} leaves no cell; `prism-bench run NAME --dry-run` lists them")
    return Plan(request, tuple(cells), _document(request, cells, methods, parts))


def _check(method: Method, k_sample: int, parts: Parts, resolution: int) -> None:
    method.check(resolution)
    method.training_set.ids(parts)
    conditioning = method.conditioning
    if conditioning is not None:
        exclude = conditioning.exclude_self
        check_k(max(method.largest_k, k_sample), len(parts.retrieval), exclude_self=exclude)


class _Layout:
    """Builds the stages of cells, sharing those that do not differ."""

    def __init__(self, request: Request, split: SplitStage, parts: Parts, methods: dict[str, Method]) -> None:
        self.request, self.split, self.parts, self.methods = request, split, parts, methods
        needs = [
            max(method.largest_k, v.k_sample(request.scale)) for v in request.variants for method in [methods[v.name]]
        ]
        self.width = max(needs)

    def neighbours(self, retrieval: Retrieval | None) -> NeighboursStage | None:
        """The neighbour table, wide enough for every cell of the plan."""
        if retrieval is None:
            return None
        data = self.request.source.stage
        label = f"{retrieval.encoder.name}, {self.request.source.title}"
        embeddings = EmbeddingsStage(data=data, split=self.split, encoder=retrieval.encoder, label=label)
        return NeighboursStage(
            embeddings=embeddings, split=self.split, retrieval=retrieval, width=self.width, label=label
        )

    def cell(self, variant: Variant, seed: int) -> Cell:
        """One variant at one seed."""
        request, scale = self.request, self.request.scale
        data, method = request.source.stage, self.methods[variant.name]
        label = f"{variant.label}, seed {seed}"
        training = TrainingStage(
            data=data,
            split=self.split,
            neighbours=self.neighbours(method.conditioning),
            method=method,
            seed=seed,
            label=label,
        )
        samples = SamplesStage(
            training=training,
            sampler=scale.sampler,
            k_sample=variant.k_sample(scale),
            samples=scale.samples,
            seed=seed,
            label=label,
        )
        metrics, floors, declined = [], [], []
        for metric in scale.metrics:
            reason = metric.applies(data.dataset)
            if reason is not None:
                declined.append((metric.name, reason))
                continue
            features = reference = None
            if metric.encoder is not None:
                features = FeaturesStage(samples=samples, split=self.split, encoder=metric.encoder, label=label)
                reference = EmbeddingsStage(
                    data=data,
                    split=self.split,
                    encoder=metric.encoder,
                    label=f"{metric.encoder.name}, {request.source.title}",
                )
            metrics.append(
                MetricStage(
                    metric=metric,
                    data=data,
                    reference=reference,
                    samples=samples,
                    features=features,
                    label=f"{metric.name}, {label}",
                )
            )
            floors.append(
                FloorStage(
                    metric=metric,
                    data=data,
                    reference=reference,
                    samples=scale.samples,
                    label=f"{metric.name}, real images",
                )
            )
        return Cell(variant.name, variant.label, seed, samples, tuple(metrics), tuple(floors), tuple(declined))


def facts(variant: Variant, method: Method, k_sample: int, seed: int) -> dict[str, str]:
    """What `--only` can select by."""
    data = method.to_json()
    found = {"variant": variant.name, "seed": str(seed), "k_sample": str(k_sample)}
    for key in ("schedule", "aggregator", "training_set"):
        if isinstance(part := data.get(key), dict):
            found[key] = str(part["component"]).partition("/")[2]
    return found


def _wanted(request: Request, variant: Variant, method: Method, seed: int) -> bool:
    known = facts(variant, method, variant.k_sample(request.scale), seed)
    for key, value in request.only:
        if key not in known:
            raise InputError(f"--only {key}={value}: cells are selected by {', '.join(known)}")
        if known[key] not in value.split("|"):
            return False
    return True


def _document(request: Request, cells: Sequence[Cell], methods: dict[str, Method], parts: Parts) -> dict[str, Any]:
    """The plan as plain JSON: all that a table needs besides the records."""
    scale, dataset = request.scale, request.source.stage.dataset
    base = scale.method
    suffix = f" [{', '.join(request.settings)}]" if request.settings else ""
    rows = []
    for variant in request.variants:
        own = [cell for cell in cells if cell.row == variant.name]
        if not own:
            continue
        method = methods[variant.name]
        rows.append(
            {
                "id": variant.name,
                "label": variant.label + suffix,
                "trained_on": method.training_set.name,
                "changes": {path: list(change) for path, change in diff(base, method).items()},
                "cells": [{"seed": c.seed, "record": c.record, "k_sample": c.samples.k_sample} for c in own],
                "quoted": [{"column": q.column, "value": q.value} for q in request.experiment.quoted(variant.name)],
                "control": variant.control,
            }
        )
    document: dict[str, Any] = {
        "experiment": request.experiment.name,
        "title": request.experiment.title,
        "paper_table": request.experiment.paper_table,
        "quoted_source": request.experiment.quoted_source,
        "scale": request.scale_name,
        "dataset": {
            "label": request.source.title,
            "digest": request.source.stage.address.key,
            "resolution": dataset.resolution,
            "images": len(request.source.labels),
            "retrieval": len(parts.retrieval),
            "train": len(parts.train),
        },
        "reference": f"all {len(request.source.labels)} real images X",
        "seeds": list(request.seeds),
        "split_seed": request.split.seed,
        "settings": list(request.settings),
        "choices": _choices(request),
        "rows": rows,
    }
    document["plan"] = digest_of(document)[:32]
    document["command"] = request.command
    return document


def _choices(request: Request) -> dict[str, Json]:
    """The paper's open choices, with the values in force."""
    scale, method = request.scale, request.scale.method
    return {
        "fixed k of RAG and ST + RAG": scale.fixed_k,
        "k_max": scale.k_max,
        "k_sample": scale.k_sample,
        "retrieval encoder": method.retrieval.encoder.name,
        "embeddings normalised": method.retrieval.normalise,
        "query excluded from its neighbours": method.retrieval.exclude_self,
        "sampler": f"{scale.sampler.name}, {scale.sampler.steps} steps, {scale.sampler.evaluations} evaluations",
        "samples per cell": scale.samples,
        "retrieval fraction": round(request.split.retrieval_fraction, 4),
        "images seen in training": method.training.images,
        "reference set": "X, the retrieval set included",
    }
