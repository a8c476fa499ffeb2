"""How long and how large: a short probe of this machine, for `--dry-run`."""

import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from prism_bench.experiments.planning.plan import Plan
from prism_bench.prism.encoders.base import Encoder
from prism_bench.prism.engine.runtime import Report, Runtime
from prism_bench.prism.engine.stage import Stage
from prism_bench.prism.images import Pixels
from prism_bench.prism.methods.method import Gallery, Method, TrainingData
from prism_bench.prism.patch_diffusion.patch_method import PatchMethod
from prism_bench.prism.stages.data import DatasetStage, EmbeddingsStage, NeighboursStage
from prism_bench.prism.stages.measure import FeaturesStage
from prism_bench.prism.stages.model import SamplesStage, TrainingStage

PROBE_STEPS = 4
"""Training steps timed per method, after one step to warm up."""
PROBE_SAMPLES = 32
PROBE_FLOPS = {"cpu": 2e11, "cuda": 5e14}
"""A method that takes more than this for its probe is not tried: its operations are counted instead."""
SPEED_CHANNELS = 128
DIM = 64
"""Embedding width of the probe; it hardly matters to the time."""
CHECKPOINT_COPIES = 2 * 4
"""Two checkpoints of weights, average and Adam's two moments."""


@dataclass(frozen=True)
class Estimate:
    """Seconds of one worker for each stage still to do, and bytes that these stages take.

    left_out: encoders whose time is not in it, because their weights are not there.
    """

    seconds: dict[str, float]
    disk: int
    left_out: tuple[str, ...] = ()

    def wall(self, workers: int) -> float:
        """Seconds on `workers` workers, at best: the work shared evenly, but no shorter than its longest stage."""
        longest = max(self.seconds.values(), default=0.0)
        return max(sum(self.seconds.values()) / max(workers, 1), longest)


def estimate(plans: Sequence[Plan], todo: dict[str, Stage], runtime: Runtime) -> Estimate:
    """Time a few steps of each distinct method, sampler and encoder that is still needed."""
    sizes = {str(plan.request.source.stage.address): len(plan.request.source.labels) for plan in plans}
    probe = _Probe(runtime, sizes)
    seconds = {address: probe.stage(stage) for address, stage in todo.items()}
    disk = sum(_bytes(stage, sizes) for stage in todo.values())
    return Estimate(seconds, disk, tuple(sorted(probe.left_out)))


class _Probe:
    def __init__(self, runtime: Runtime, sizes: dict[str, int]) -> None:
        self.runtime, self.sizes = runtime, sizes
        self.left_out: set[str] = set()
        self._training: dict[str, float] = {}
        self._sampling: dict[str, float] = {}
        self._encoding: dict[tuple[str, int], float] = {}
        self._speed: float | None = None

    def stage(self, stage: Stage) -> float:
        """Seconds for one stage; kinds that take next to nothing count one second."""
        if isinstance(stage, TrainingStage):
            return self.fitting(stage)
        if isinstance(stage, SamplesStage):
            return self.sampling(stage) * stage.samples
        if isinstance(stage, FeaturesStage):
            return self.encoding(stage.encoder, stage.resolution) * _embedded(stage, self.sizes)
        if isinstance(stage, EmbeddingsStage):
            return self.encoding(stage.encoder, stage.data.dataset.resolution) * _size(stage.data, self.sizes)
        return 1.0

    def fitting(self, stage: TrainingStage) -> float:
        """Seconds of a training; by its operations where the method is not tried."""
        method, resolution = stage.method, stage.data.dataset.resolution
        if isinstance(method, PatchMethod):
            return self.training(method, resolution) * method.training.images
        flops = method.training_flops(resolution, DIM)
        return 1.0 if flops is None else flops / self.speed()

    def training(self, method: PatchMethod, resolution: int) -> float:
        """Seconds per image seen."""
        key = f"{resolution} {method.replace(training=method.training.replace(images=1)).digest()}"
        if key not in self._training:
            steps = (1, 1 + PROBE_STEPS)
            # Images per step vary with the patch size; the budget is what counts.
            budgets = [n * method.training.batch * 2 for n in steps]
            flops = method.training_flops(resolution, DIM) / method.training.images
            if flops * sum(budgets) > PROBE_FLOPS.get(self.runtime.device.partition(":")[0], 1e12):
                self._training[key] = flops / self.speed()
            else:
                cold, warm = (self._fit(method, resolution, images) for images in budgets)
                self._training[key] = max(warm - cold, 1e-6) / (budgets[1] - budgets[0])
        return self._training[key]

    def _fit(self, method: PatchMethod, resolution: int, images: int) -> float:
        short = method.replace(training=method.training.replace(images=images))
        with tempfile.TemporaryDirectory() as folder:
            report = Report(Path(folder) / "progress.json")
            data = _stand_in(method, resolution)
            started = time.perf_counter()
            short.fit(data, seed=0, folder=Path(folder), runtime=self.runtime, report=report)
            return time.perf_counter() - started

    def sampling(self, stage: SamplesStage) -> float:
        """Seconds per sample."""
        import torch

        method, resolution = stage.training.method, stage.training.data.dataset.resolution
        flops = method.sampling_flops(stage.sampler, resolution, DIM, 1)
        if flops is None:
            return 0.0
        probe = flops / stage.sampler.evaluations * PROBE_SAMPLES
        if not isinstance(method, PatchMethod) or probe > PROBE_FLOPS.get(self.runtime.device, 1e12):
            return flops / self.speed()
        key = f"{resolution} {method.denoiser.digest()} {method.aggregator.conditional}"
        if key not in self._sampling:
            network = method.network(resolution, DIM, 0).to(self.runtime.device).eval()
            with torch.inference_mode(), torch.device(self.runtime.device):
                noisy, sigma = torch.zeros(PROBE_SAMPLES, 3, resolution, resolution), torch.ones(PROBE_SAMPLES)
                coordinates = torch.zeros(PROBE_SAMPLES, 2, resolution, resolution)
                condition = network.condition(torch.ones(PROBE_SAMPLES, 1, DIM))
                network(noisy, sigma, coordinates, condition)
                started = time.perf_counter()
                network(noisy, sigma, coordinates, condition)
            self._sampling[key] = (time.perf_counter() - started) / PROBE_SAMPLES
        return self._sampling[key] * stage.sampler.evaluations

    def encoding(self, encoder: Encoder, resolution: int) -> float:
        """Seconds per image; 0, and noted, where the weights are missing."""
        key = (encoder.digest(), resolution)
        if key not in self._encoding:
            if not encoder.at_hand():
                self.left_out.add(encoder.name)
                self._encoding[key] = 0.0
                return 0.0
            images: Pixels = np.random.default_rng(0).integers(0, 256, (16, 3, resolution, resolution), np.uint8)
            embed = encoder.load(images if encoder.fitted else None, self.runtime.device)
            embed(images)
            started = time.perf_counter()
            embed(images)
            self._encoding[key] = (time.perf_counter() - started) / len(images)
        return self._encoding[key]

    def speed(self) -> float:
        """Floating-point operations per second of this machine on convolutions of the paper's width, trained."""
        import torch
        from torch.utils.flop_counter import FlopCounterMode

        if self._speed is None:
            device = self.runtime.device
            layer = torch.nn.Conv2d(SPEED_CHANNELS, SPEED_CHANNELS, 3, padding=1, device=device)
            images = torch.randn(8, SPEED_CHANNELS, 32, 32, device=device, requires_grad=True)
            with FlopCounterMode(display=False) as counter:
                layer(images).sum().backward()
            started = time.perf_counter()
            for _ in range(PROBE_STEPS):
                layer(images).sum().backward()
            if device.startswith("cuda"):
                torch.cuda.synchronize(device)
            self._speed = PROBE_STEPS * counter.get_total_flops() / (time.perf_counter() - started)
        return self._speed


def _stand_in(method: PatchMethod, resolution: int) -> TrainingData:
    """Random images and embeddings of the right shapes: the probe needs no data and reads none."""
    rng = np.random.default_rng(0)
    n = max(64, method.largest_k + 1)
    images = rng.integers(0, 256, (n, 3, resolution, resolution), np.uint8)
    ids = np.arange(n)
    if not method.aggregator.conditional:
        return TrainingData(images, ids, ids)
    vectors = rng.standard_normal((n, DIM), np.float32)
    return TrainingData(images, ids, ids, Gallery(vectors, np.tile(ids, (n, 1))))


def _bytes(stage: Stage, sizes: dict[str, int]) -> int:
    """Roughly what a stage keeps on disk, and for a training what its checkpoints take while it runs."""
    size = 4096
    match stage:
        case DatasetStage():
            size = _size(stage, sizes) * 3 * stage.dataset.resolution**2
        case SamplesStage():
            size = stage.samples * 3 * stage.training.data.dataset.resolution**2
        case EmbeddingsStage():
            size = _size(stage.data, sizes) * 4 * 1280
        case FeaturesStage():
            size = _embedded(stage, sizes) * 4 * 1280
        case NeighboursStage():
            size = _size(stage.embeddings.data, sizes) * (8 * stage.width + 4 * DIM)
        case TrainingStage():
            size = 4 * _weights(stage.method, stage.data.dataset.resolution) * (1 + CHECKPOINT_COPIES)
    return size


def _size(data: DatasetStage, sizes: dict[str, int]) -> int:
    """Images of a dataset; a held-out set, whose size is not known before it is read, is taken to be as large as X."""
    return sizes.get(str(data.address), max(sizes.values(), default=0))


def _embedded(stage: FeaturesStage, sizes: dict[str, int]) -> int:
    """Images that a features stage embeds."""
    return _size(stage.samples, sizes) if isinstance(stage.samples, DatasetStage) else stage.samples.samples


def _weights(method: Method, resolution: int) -> int:
    import torch

    with torch.device("meta"):
        return method.trainable(resolution, DIM)
