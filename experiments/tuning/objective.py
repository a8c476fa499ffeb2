"""From a point to a number: the cells of a table's row at these settings, by way of the store."""

import io
from dataclasses import dataclass, replace

import numpy as np
from rich.console import Console

from prism_bench.experiments.execution.cell_record import stored_record
from prism_bench.experiments.execution.run_plans import run_plans, working
from prism_bench.experiments.options.training import RunOptions
from prism_bench.experiments.paper.one_variant import Tuned
from prism_bench.experiments.planning.plan import Plan, compile_plans
from prism_bench.experiments.planning.resolve_options import requests_of
from prism_bench.experiments.planning.survey import check_disk, check_weights, survey
from prism_bench.experiments.screen import Screen
from prism_bench.experiments.tuning.space import Point, Space
from prism_bench.prism.data.split import Parts
from prism_bench.prism.engine.pool import Pool
from prism_bench.prism.engine.store import Store
from prism_bench.prism.errors import ComputeError, InputError
from prism_bench.prism.metrics.base import Metric, MetricInputs, Value
from prism_bench.prism.variants.scale import Scale
from prism_bench.prism.variants.variant import Variant

PROXY_IMAGES = 4
"""A proxy trains on the images of a trial divided by this."""
PROXY_SAMPLES = 256
FAKE = 16
"""Images and features of the noise whose values only tell a metric's names."""


@dataclass(frozen=True)
class Outcome:
    """Values of the metric by seed, the records that hold them, and seconds of computing (0: all was there)."""

    by_seed: dict[int, float]
    records: dict[int, str]
    seconds: float

    @property
    def mean(self) -> float:
        """Over the seeds."""
        return sum(self.by_seed.values()) / len(self.by_seed)


@dataclass(frozen=True)
class Objective:
    """Computes points of a space for one variant, metric and set of seeds."""

    options: RunOptions
    space: Space
    variant: Variant
    metric: str
    store: Store
    pool: Pool
    screen: Screen

    def plan(self, point: Point, *, proxy: bool = False) -> Plan:
        """The cells of a point; of its proxy: the first seed, fewer images, fewer samples."""
        settings = (*self.options.settings, *self.space.settings(point))
        schedule = point.get("schedule")
        experiment = Tuned(variant=self.variant, schedule=None if schedule is None else str(schedule))
        asked = replace(self.options, experiments=(experiment,), settings=settings)
        (request,) = requests_of(asked, self.store, Console(file=io.StringIO()))
        if proxy:
            scale = request.scale
            method = scale.method.replace(
                training=scale.method.training.lasting(max(1, scale.method.training.images // PROXY_IMAGES))
            )
            shorter = scale.replace(method=method, samples=min(scale.samples, PROXY_SAMPLES))
            request = replace(request, scale=shorter, options=replace(asked, seeds=asked.seeds[:1]))
        if request.source.missing is not None:
            raise InputError(request.source.missing)
        try:
            (plan,) = compile_plans([request])
        except InputError as error:
            if not proxy:
                raise
            raise InputError(f"--prune, which tries 1/{PROXY_IMAGES} of the images first: {error}") from None
        return plan

    def known(self, point: Point) -> bool:
        """Whether every cell of a point has its numbers already."""
        return all(stored_record(cell, self.store) is not None for cell in self.plan(point).cells)

    def compute(self, point: Point, *, proxy: bool = False) -> Outcome:
        """Compute what is missing and read the metric.

        Raises:
            ComputeError: a cell failed, or does not have the metric.
        """
        plan = self.plan(point, proxy=proxy)
        todo = survey([plan], self.store).todo
        check_weights(todo.values())
        check_disk(todo.values(), self.store)
        with working(todo, self.store, self.pool, self.screen) as scheduler:
            records = run_plans([plan], todo, scheduler)
        by_seed: dict[int, float] = {}
        names: dict[int, str] = {}
        for record in records[plan.digest].values():
            if record.status != "done":
                raise ComputeError(str(record.reason))
            values = {value.name: value.value for value in record.values}
            if self.metric not in values:
                raise ComputeError(f"the cell has no {self.metric}")
            by_seed[record.seed] = values[self.metric]
            names[record.seed] = record.record
        manifests = [self.store.manifest(stage.address) for stage in todo.values()]
        seconds = sum(manifest.seconds for manifest in manifests if manifest is not None)
        return Outcome(dict(sorted(by_seed.items())), names, seconds)


def metric_values(scale: Scale, dataset_resolution: int) -> dict[str, Value]:
    """The values that a scale's metrics will have, by name, known by measuring noise, before anything is trained."""
    rng = np.random.default_rng(0)
    found: dict[str, Value] = {}
    for metric in scale.metrics:
        if metric.applies(scale.dataset) is None:
            found |= {value.name: value for value in _of_noise(metric, scale, rng, dataset_resolution)}
    return found


def _of_noise(metric: Metric, scale: Scale, rng: np.random.Generator, resolution: int) -> tuple[Value, ...]:
    shape = (FAKE, 3, resolution, resolution)
    noise = [rng.integers(0, 256, shape, np.uint8) for _ in range(2)]
    features = [None if metric.encoder is None else rng.standard_normal((FAKE, 4), np.float32) for _ in range(2)]
    inputs = MetricInputs(
        generated=noise[0],
        reference=noise[1],
        dataset=scale.dataset,
        generated_features=features[0],
        reference_features=features[1],
        parts=Parts(np.arange(FAKE // 2), np.arange(FAKE // 2, FAKE)),
        pseudo_queries=np.arange(FAKE) // 2,
        held_out_features=None if scale.dataset.held_out is None else features[1],
    )
    return metric.compute(inputs)
