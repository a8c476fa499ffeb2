"""How long and how large: a short probe of this machine, for `--dry-run`."""

import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from prism_bench.experiments.planning.plan import Plan
from prism_bench.experiments.planning.survey import DIM, weights
from prism_bench.prism.encoders.base import Encoder
from prism_bench.prism.engine.runtime import Report, Runtime
from prism_bench.prism.engine.stage import Stage
from prism_bench.prism.images import Pixels
from prism_bench.prism.methods.method import Gallery, TrainingData
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
WIDEST = 1280
"""Embedding width that disk is estimated with."""
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
    probe = _Probe(runtime, {plan.document.dataset.digest: plan.document.dataset.images for plan in plans})
    costs = {address: probe.stage(stage) for address, stage in todo.items()}
    seconds = {address: spent for address, (spent, _) in costs.items()}
    return Estimate(seconds, sum(disk for _, disk in costs.values()), tuple(sorted(probe.left_out)))


class _Probe:
    """sizes: the number of images of each dataset, by the key of its stage."""

    def __init__(self, runtime: Runtime, sizes: dict[str, int]) -> None:
        self.runtime, self.sizes = runtime, sizes
        self.left_out: set[str] = set()
        self._measured: dict[str, float] = {}

    def stage(self, stage: Stage) -> tuple[float, int]:
        """Seconds for one stage, and roughly the bytes that it keeps, checkpoints of a training included.

        Kinds that take next to nothing count one second.
        """
        seconds, numbers = 1.0, 1024
        match stage:
            case DatasetStage():
                return 1.0, self.size(stage) * 3 * stage.dataset.resolution**2
            case SamplesStage():
                side = stage.training.data.dataset.resolution
                return self.sampling(stage) * stage.samples, stage.samples * 3 * side**2
            case EmbeddingsStage():
                count = self.size(stage.data)
                seconds, numbers = self.encoding(stage.encoder, stage.data.dataset.resolution) * count, count * WIDEST
            case FeaturesStage():
                count = self.size(stage.samples) if isinstance(stage.samples, DatasetStage) else stage.samples.samples
                seconds, numbers = self.encoding(stage.encoder, stage.resolution) * count, count * WIDEST
            case NeighboursStage():
                numbers = self.size(stage.embeddings.data) * (2 * stage.width + DIM)
            case TrainingStage():
                resolution = stage.data.dataset.resolution
                seconds, numbers = self.training(stage), weights(stage.method, resolution) * (1 + CHECKPOINT_COPIES)
        return seconds, 4 * numbers

    def size(self, data: DatasetStage) -> int:
        """Images of a dataset; a held-out set, whose size is not known yet, is taken to be as large as X."""
        return self.sizes.get(data.address.key, max(self.sizes.values(), default=0))

    def training(self, stage: TrainingStage) -> float:
        """Seconds of a training; by its operations where the method is not tried."""
        method, resolution = stage.method, stage.data.dataset.resolution
        if isinstance(method, PatchMethod):
            key = f"training {resolution} {method.replace(training=method.training.replace(images=1)).digest()}"
            return self._once(key, lambda: self._of_an_image(method, resolution)) * method.training.images
        flops = method.training_flops(resolution, DIM)
        return 1.0 if flops is None else flops / self.speed()

    def _of_an_image(self, method: PatchMethod, resolution: int) -> float:
        """Seconds per image seen."""
        # Images per step vary with the patch size; the budget is what counts.
        budgets = [steps * method.training.batch * 2 for steps in (1, 1 + PROBE_STEPS)]
        flops = method.training_flops(resolution, DIM) / method.training.images
        if self._is_long(flops * sum(budgets)):
            return flops / self.speed()
        cold, warm = (self._fit(method, resolution, images) for images in budgets)
        return max(warm - cold, 1e-6) / (budgets[1] - budgets[0])

    def _fit(self, method: PatchMethod, resolution: int, images: int) -> float:
        # What it begins from changes no time, and may not fit the embeddings of the stand-in.
        short = method.replace(training=method.training.replace(images=images), initial_weights=None)
        with tempfile.TemporaryDirectory() as folder:
            report = Report(Path(folder) / "progress.json")
            data = _stand_in(method, resolution)
            started = time.perf_counter()
            short.fit(data, seed=0, folder=Path(folder), runtime=self.runtime, report=report)
            return time.perf_counter() - started

    def sampling(self, stage: SamplesStage) -> float:
        """Seconds per sample."""
        method, resolution = stage.training.method, stage.training.data.dataset.resolution
        flops = method.sampling_flops(stage.sampler, resolution, DIM, 1)
        if flops is None:
            return 0.0
        evaluations = stage.sampler.evaluations
        if not isinstance(method, PatchMethod) or self._is_long(flops / evaluations * PROBE_SAMPLES):
            return flops / self.speed()
        key = f"sampling {resolution} {method.denoiser.digest()} {method.aggregator.conditional}"
        return self._once(key, lambda: self._evaluation(method, resolution)) * evaluations

    def _evaluation(self, method: PatchMethod, resolution: int) -> float:
        """Seconds of one evaluation of the network for one sample."""
        import torch

        network = method.network(resolution, DIM, 0).to(self.runtime.device).eval()
        with torch.inference_mode(), torch.device(self.runtime.device):
            noisy, sigma = torch.zeros(PROBE_SAMPLES, 3, resolution, resolution), torch.ones(PROBE_SAMPLES)
            coordinates = torch.zeros(PROBE_SAMPLES, 2, resolution, resolution)
            condition = network.condition(torch.ones(PROBE_SAMPLES, 1, DIM))
            return _second(lambda: network(noisy, sigma, coordinates, condition)) / PROBE_SAMPLES

    def encoding(self, encoder: Encoder, resolution: int) -> float:
        """Seconds per image; 0, and noted, where the weights are missing."""
        if not encoder.at_hand():
            self.left_out.add(encoder.name)
            return 0.0
        return self._once(f"encoding {resolution} {encoder.digest()}", lambda: self._embedding(encoder, resolution))

    def _embedding(self, encoder: Encoder, resolution: int) -> float:
        images: Pixels = np.random.default_rng(0).integers(0, 256, (16, 3, resolution, resolution), np.uint8)
        embed = encoder.load(images if encoder.fitted else None, self.runtime.device)
        return _second(lambda: embed(images)) / len(images)

    def speed(self) -> float:
        """Floating-point operations per second of this machine on convolutions of the paper's width, trained."""
        return self._once("speed", self._speed)

    def _speed(self) -> float:
        import torch
        from torch.utils.flop_counter import FlopCounterMode

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
        return PROBE_STEPS * float(counter.get_total_flops()) / (time.perf_counter() - started)

    def _once(self, key: str, measure: Callable[[], float]) -> float:
        """A measurement, made where it has not been made before."""
        if key not in self._measured:
            self._measured[key] = measure()
        return self._measured[key]

    def _is_long(self, flops: float) -> bool:
        return flops > PROBE_FLOPS.get(self.runtime.device.partition(":")[0], 1e12)


def _second(work: Callable[[], object]) -> float:
    """Seconds of doing something for the second time: the first warms up."""
    work()
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


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
