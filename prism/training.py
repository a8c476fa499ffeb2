"""The training loop: draw, noise, denoise, weigh, step, average, record."""

import copy
import math
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from prism.checkpoint import Checkpoints
from prism.component import Component
from prism.data.split import Ids
from prism.diffusion import EDM, Network, denoising_loss
from prism.errors import ComputeError, InputError
from prism.method import TrainingData
from prism.patches import Patches, coordinate_grid, crop, crop_coordinates, random_corners
from prism.rng import numpy_rng, seed_for, torch_rng
from prism.runtime import Report, Runtime, StopRequestedError
from prism.schedules import Schedule
from prism.training_log import TrainingLog

ROWS = 200
"""Lines of the training log, evenly spaced over the images seen."""


@dataclass(frozen=True, kw_only=True)
class Training(Component, family="training", name="adam"):
    """Adam with a linear ramp-up, an optional cosine decay, and an average of the weights (paper, Table 6).

    images: total images (patches) seen. batch: images a step at full size; patches enlarge it.
    learning_rate: after the ramp-up over `rampup_images`, falling to `final_fraction` of itself (1: constant, the
    paper's). ema_halflife: images, at most `ema_rampup` of those seen so far. precision of the forward pass.
    """

    images: int = 32_000_000
    batch: int = 512
    learning_rate: float = 1e-3
    rampup_images: int = 10_000_000
    final_fraction: float = 1.0
    ema_halflife: int = 500_000
    ema_rampup: float = 0.05
    precision: Literal["float32", "bfloat16"] = "float32"

    def __post_init__(self) -> None:
        for field in ("images", "batch", "ema_halflife"):
            if getattr(self, field) < 1:
                raise InputError(f"training.{field} must be at least 1, not {getattr(self, field)}")
        if not self.learning_rate > 0:
            raise InputError(f"training.learning_rate must be positive, not {self.learning_rate}")
        if not 0 <= self.final_fraction <= 1:
            raise InputError(f"training.final_fraction must lie in [0, 1], not {self.final_fraction}")

    def rate(self, seen: int) -> float:
        """Learning rate after `seen` images."""
        ramp = min(1.0, seen / self.rampup_images) if self.rampup_images else 1.0
        cosine = (1 + math.cos(math.pi * min(1.0, seen / self.images))) / 2
        return self.learning_rate * ramp * (self.final_fraction + (1 - self.final_fraction) * cosine)

    def ema_decay(self, seen: int, batch: int) -> float:
        """Weight of the old average in a step of `batch` images (Karras et al. 2022, appendix F)."""
        halflife = min(self.ema_halflife, seen * self.ema_rampup) if self.ema_rampup else self.ema_halflife
        return float(0.5 ** (batch / max(halflife, 1e-8)))


class DivergedError(ComputeError):
    """The loss stopped being finite."""


class Batch(NamedTuple):
    """One step's input: clean patches in [-1, 1], noise, sigma, coordinates, and neighbour embeddings [b, k, d]."""

    clean: Tensor
    noise: Tensor
    sigma: Tensor
    coordinates: Tensor
    neighbours: Tensor | None
    k: int

    def to(self, device: torch.device) -> "Batch":
        """The same batch on another device."""
        if device.type == "cpu":
            return self
        return self._replace(
            clean=self.clean.to(device),
            noise=self.noise.to(device),
            sigma=self.sigma.to(device),
            coordinates=self.coordinates.to(device),
            neighbours=None if self.neighbours is None else self.neighbours.to(device),
        )


class Batches:
    """Draws the batch of any step from (seed, step, images seen): a resumed run draws what an unbroken one would."""

    def __init__(self, data: TrainingData, recipe: "Recipe", seed: int) -> None:
        self.gallery, self.ids, self.recipe, self.seed = data.gallery, data.ids, recipe, seed
        self.images = torch.from_numpy(np.ascontiguousarray(data.images[data.ids]))
        self.grid = coordinate_grid(data.images.shape[-1])
        self.order = lru_cache(maxsize=2)(self._permutation)

    def _permutation(self, epoch: int) -> Ids:
        return numpy_rng(self.seed, "epoch", epoch).permutation(len(self.ids))

    def _rows(self, seen: int, n: int) -> Ids:
        """Which training images come next: every epoch is one permutation, batches run across its end."""
        size = len(self.ids)
        ends = range(size * (seen // size + 1), seen + n, size)
        spans = pairwise([seen, *ends, seen + n])
        return np.concatenate([self.order(a // size)[a % size : a % size + b - a] for a, b in spans])

    def draw(self, step: int, seen: int) -> Batch:
        """The batch of `step`, when `seen` images have gone before."""
        recipe, resolution = self.recipe, self.grid.shape[-1]
        rng = numpy_rng(self.seed, "patches", step)
        side, factor = recipe.patches.choose(resolution, float(rng.random()), seen / recipe.training.images)
        n = recipe.training.batch * factor
        rows = self._rows(seen, n)
        corners = random_corners(n, resolution, side, rng)
        clean = crop(self.images[torch.from_numpy(rows)], corners, side)
        noise_rng = torch_rng(self.seed, "training noise", step)
        neighbours, k = None, 0
        if self.gallery is not None:
            progress = min(1.0, (seen + n) / recipe.training.images)
            k = recipe.schedule.k(progress, epoch=seen // len(self.ids), seed=self.seed)
            nearest = self.gallery.neighbours[self.ids[rows], :k]
            neighbours = torch.from_numpy(self.gallery.vectors[nearest])
        return Batch(
            clean=clean.to(torch.float32) / 127.5 - 1,
            noise=torch.randn(clean.shape, generator=noise_rng),
            sigma=recipe.diffusion.draw_sigma(n, noise_rng),
            coordinates=crop_coordinates(self.grid, corners, side),
            neighbours=neighbours,
            k=k,
        )


class Recipe(NamedTuple):
    """What the loop needs of a method."""

    training: Training
    patches: Patches
    schedule: Schedule
    diffusion: EDM


def train(
    network: Network, recipe: Recipe, data: TrainingData, *, seed: int, folder: Path, runtime: Runtime, report: Report
) -> Network:
    """Train `network` in place from the last checkpoint in `folder`, and return its average (EMA).

    Every random number is named by (seed, step), so the result is bit-identical whether or not it was interrupted.

    Raises:
        DivergedError: the loss is not finite. StopRequestedError: asked to stop, checkpoint written.
    """
    training, device = recipe.training, torch.device(runtime.device)
    average = copy.deepcopy(network).eval().requires_grad_(requires_grad=False)
    optimiser = torch.optim.Adam(network.parameters(), lr=training.learning_rate, fused=True)
    state = State(network, average, optimiser)
    checkpoints = Checkpoints(folder, runtime.checkpoint_seconds)
    step, seen = checkpoints.restore(state)
    log = TrainingLog(folder / "metrics.jsonl", every=max(1, training.images // ROWS), seen=seen)
    batches = Batches(data, recipe, seed)
    network.train()

    while seen < training.images:
        batch = batches.draw(step, seen).to(device)
        rate = training.rate(seen)
        for group in optimiser.param_groups:
            group["lr"] = rate
        torch.manual_seed(seed_for(seed, "dropout", step))

        with torch.autocast(device.type, torch.bfloat16, enabled=training.precision == "bfloat16"):
            condition = network.condition(batch.neighbours)
            loss = denoising_loss(
                network, recipe.diffusion, batch.clean, batch.noise, batch.sigma, batch.coordinates, condition
            )
        optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        value = float(loss.detach())
        if not math.isfinite(value):
            raise DivergedError(_diverged(value, seen, step, training, checkpoints))
        optimiser.step()

        n = len(batch.clean)
        step, seen = step + 1, seen + n
        state.average_weights(training.ema_decay(seen, n))
        log.add(seen, n, value, k_train=batch.k, learning_rate=rate)
        report(min(seen, training.images), training.images, "images", loss=log.recent, k_train=batch.k)
        if checkpoints.due() or report.should_stop():
            checkpoints.save(state, step, seen)
            if report.should_stop():
                raise StopRequestedError
    log.close(seen)
    return average


def _diverged(value: float, seen: int, step: int, training: Training, checkpoints: "Checkpoints") -> str:
    last = checkpoints.last_seen
    kept = f"the last good checkpoint, at image {last:,}, is kept" if last else "no checkpoint had been due yet"
    return (
        f"the loss became {value} at image {seen:,} (step {step}); {kept}; lower --set training.learning_rate "
        f"(now {training.learning_rate:g}) or raise --set training.rampup_images (now {training.rampup_images:,})"
    )


class State:
    """Everything a checkpoint holds: weights, their average, and Adam's moments, as one flat dict of tensors."""

    def __init__(self, network: nn.Module, average: nn.Module, optimiser: torch.optim.Adam) -> None:
        self.network, self.average, self.optimiser = network, average, optimiser
        self._pairs = list(zip(average.parameters(), network.parameters(), strict=True))

    def average_weights(self, decay: float) -> None:
        """average <- decay * average + (1 - decay) * weights."""
        with torch.no_grad():
            old: list[Tensor] = [a for a, _ in self._pairs]
            new: list[Tensor] = [w.detach() for _, w in self._pairs]
            torch._foreach_lerp_(old, new, 1 - decay)

    def tensors(self) -> dict[str, Tensor]:
        """A flat view, name -> tensor, for safetensors."""
        named = {f"network.{name}": value for name, value in self.network.state_dict().items()}
        named |= {f"average.{name}": value for name, value in self.average.state_dict().items()}
        for index, moments in self.optimiser.state_dict()["state"].items():
            named |= {f"adam.{index}.{name}": value for name, value in moments.items()}
        return named

    def restore(self, named: dict[str, Tensor]) -> None:
        """Put the tensors of a checkpoint back."""
        self.network.load_state_dict(_under(named, "network."))
        self.average.load_state_dict(_under(named, "average."))
        weights = [weight for group in self.optimiser.param_groups for weight in group["params"]]
        moments: dict[int, dict[str, Tensor]] = {}
        for name, value in _under(named, "adam.").items():
            index, _, key = name.partition(".")
            weight = weights[int(index)]
            # A moment must lie in memory as its weight does, or the optimiser rounds in another order.
            restored = torch.empty_like(weight).copy_(value) if value.shape == weight.shape else value
            moments.setdefault(int(index), {})[key] = restored
        self.optimiser.load_state_dict({**self.optimiser.state_dict(), "state": moments})


def _under(named: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): value for name, value in named.items() if name.startswith(prefix)}
