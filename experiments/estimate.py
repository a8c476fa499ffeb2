"""How long and how large: a short probe of this machine, for `--dry-run`."""

import math
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from experiments.plan import Plan
from prism.encoders.base import Encoder
from prism.images import Pixels
from prism.method import Gallery, TrainingData
from prism.patch_method import PatchMethod
from prism.runtime import Report, Runtime
from prism.stages.base import Stage
from prism.stages.data import DatasetStage, EmbeddingsStage, NeighboursStage
from prism.stages.measure import FeaturesStage
from prism.stages.model import SamplesStage, TrainingStage

PROBE_STEPS = 4
"""Training steps timed per method, after one step to warm up."""
PROBE_SAMPLES = 32
CHECKPOINT_COPIES = 2 * 4
"""Two checkpoints of weights, average and Adam's two moments."""


@dataclass(frozen=True)
class Estimate:
    """Seconds of one worker for each stage still to do, and bytes that the plan's stages take."""

    seconds: dict[str, float]
    disk: int

    def wall(self, workers: int) -> float:
        """Seconds on `workers` workers, at best: the work shared evenly, but no shorter than its longest stage."""
        longest = max(self.seconds.values(), default=0.0)
        return max(sum(self.seconds.values()) / max(workers, 1), longest)


def estimate(plan: Plan, todo: dict[str, Stage], runtime: Runtime) -> Estimate:
    """Time a few steps of each distinct method, sampler and encoder that is still needed."""
    probe = _Probe(runtime)
    seconds = {address: probe.stage(stage, plan) for address, stage in todo.items()}
    return Estimate(seconds, sum(_bytes(stage, plan) for stage in todo.values()))


class _Probe:
    def __init__(self, runtime: Runtime) -> None:
        self.runtime = runtime
        self._training: dict[str, float] = {}
        self._sampling: dict[str, float] = {}
        self._encoding: dict[str, float] = {}

    def stage(self, stage: Stage, plan: Plan) -> float:
        """Seconds for one stage; kinds that take next to nothing count one second."""
        images = len(plan.request.source.labels)
        if isinstance(stage, TrainingStage) and isinstance(stage.method, PatchMethod):
            return self.training(stage.method, stage.data.dataset.resolution) * stage.method.training.images
        if isinstance(stage, SamplesStage) and isinstance(stage.training.method, PatchMethod):
            resolution = stage.training.data.dataset.resolution
            evaluation = self.evaluation(stage.training.method, resolution)
            return evaluation * stage.sampler.evaluations * stage.samples
        if isinstance(stage, FeaturesStage):
            return self.encoding(stage.encoder, plan) * stage.samples.samples
        if isinstance(stage, EmbeddingsStage):
            return self.encoding(stage.encoder, plan) * images
        return 1.0

    def training(self, method: PatchMethod, resolution: int) -> float:
        """Seconds per image seen."""
        key = method.replace(training=method.training.replace(images=1)).digest()
        if key not in self._training:
            data = _stand_in(method, resolution)
            spent = []
            for steps in (1, 1 + PROBE_STEPS):
                # Images per step vary with the patch size; count what the log says was seen.
                budget = method.training.replace(images=steps * method.training.batch * 2)
                with tempfile.TemporaryDirectory() as folder:
                    started = time.perf_counter()
                    report = Report(Path(folder) / "progress.json")
                    short = method.replace(training=budget)
                    short.fit(data, seed=0, folder=Path(folder), runtime=self.runtime, report=report)
                    spent.append((time.perf_counter() - started, budget.images))
            (cold, few), (warm, many) = spent
            self._training[key] = max(warm - cold, 1e-6) / (many - few)
        return self._training[key]

    def evaluation(self, method: PatchMethod, resolution: int) -> float:
        """Seconds per image and call of the denoiser at full resolution."""
        import torch

        key = method.denoiser.digest() + str(method.aggregator.conditional)
        if key not in self._sampling:
            network = method.network(resolution, 64, 0).to(self.runtime.device).eval()
            shape = (PROBE_SAMPLES, 3, resolution, resolution)
            with torch.inference_mode():
                noisy, sigma = torch.zeros(shape), torch.ones(PROBE_SAMPLES)
                coordinates = torch.zeros(PROBE_SAMPLES, 2, resolution, resolution)
                condition = network.condition(torch.ones(PROBE_SAMPLES, 1, 64))
                network(noisy, sigma, coordinates, condition)
                started = time.perf_counter()
                network(noisy, sigma, coordinates, condition)
            self._sampling[key] = (time.perf_counter() - started) / PROBE_SAMPLES
        return self._sampling[key]

    def encoding(self, encoder: Encoder, plan: Plan) -> float:
        """Seconds per image."""
        key = encoder.digest()
        if key not in self._encoding:
            resolution = plan.request.source.stage.dataset.resolution
            images: Pixels = np.random.default_rng(0).integers(0, 256, (16, 3, resolution, resolution), np.uint8)
            embed = encoder.load(images if encoder.fitted else None, self.runtime.device)
            embed(images)
            started = time.perf_counter()
            embed(images)
            self._encoding[key] = (time.perf_counter() - started) / len(images)
        return self._encoding[key]


def _stand_in(method: PatchMethod, resolution: int) -> TrainingData:
    """Random images and embeddings of the right shapes: the probe needs no data and reads none."""
    rng = np.random.default_rng(0)
    n = max(64, method.largest_k + 1)
    images = rng.integers(0, 256, (n, 3, resolution, resolution), np.uint8)
    ids = np.arange(n)
    if not method.aggregator.conditional:
        return TrainingData(images, ids, None)
    vectors = rng.standard_normal((n, 64), np.float32)
    return TrainingData(images, ids, Gallery(vectors, np.tile(ids, (n, 1)), ids))


def _bytes(stage: Stage, plan: Plan) -> int:
    """Roughly what a stage keeps on disk, and for a training what its checkpoints take while it runs."""
    images = len(plan.request.source.labels)
    resolution = plan.request.source.stage.dataset.resolution
    picture = 3 * resolution**2
    if isinstance(stage, DatasetStage):
        return images * picture
    if isinstance(stage, SamplesStage):
        return stage.samples * picture
    if isinstance(stage, EmbeddingsStage | FeaturesStage):
        rows = images if isinstance(stage, EmbeddingsStage) else stage.samples.samples
        return rows * 4 * 1280
    if isinstance(stage, NeighboursStage):
        return images * (8 * stage.width + 4 * 64)
    if isinstance(stage, TrainingStage) and isinstance(stage.method, PatchMethod):
        network = stage.method.network(resolution, 64, 0)
        return 4 * sum(p.numel() for p in network.parameters()) * (1 + CHECKPOINT_COPIES)
    return 4096


def megabytes(count: int) -> str:
    """Bytes as people say them."""
    for unit, size in (("GB", 1e9), ("MB", 1e6)):
        if count >= size:
            return f"{count / size:.1f} {unit}"
    return f"{math.ceil(count / 1e3)} kB"
