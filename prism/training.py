"""The training loop: draw, noise, denoise, weigh, step, average, record."""

import json
import math
import time
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor

from prism.checkpoint import Checkpoints
from prism.component import Component
from prism.data.split import Ids
from prism.diffusion import EDM, Network, denoising_loss
from prism.errors import ComputeError, InputError
from prism.method import TrainingData
from prism.patches import PatchSizes, coordinate_grid, crop, crop_coordinates, random_corners
from prism.rng import numpy_rng, seed_for, torch_rng
from prism.runtime import Report, Runtime, StopRequestedError
from prism.schedules import Schedule

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
        return 0.5 ** (batch / max(halflife, 1e-8))


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


@dataclass(frozen=True)
class Batches:
    """Draws the batch of any step from (seed, step, images seen): a resumed run draws what an unbroken one would."""

    data: TrainingData
    training: Training
    patches: PatchSizes
    schedule: Schedule
    diffusion: EDM
    seed: int

    def __post_init__(self) -> None:
        resolution = self.data.images.shape[-1]
        object.__setattr__(self, "_images", torch.from_numpy(np.ascontiguousarray(self.data.images[self.data.ids])))
        object.__setattr__(self, "_grid", coordinate_grid(resolution))
        object.__setattr__(self, "_order", lru_cache(maxsize=2)(self._permutation))

    def _permutation(self, epoch: int) -> Ids:
        return numpy_rng(self.seed, "epoch", epoch).permutation(len(self.data.ids))

    def _rows(self, seen: int, n: int) -> Ids:
        """Which training images come next: every epoch is one permutation, batches run across its end."""
        size = len(self.data.ids)
        cuts = sorted({seen, seen + n, *range(size * (seen // size + 1), seen + n, size)})
        order = self._order  # type: ignore[attr-defined]
        return np.concatenate([order(a // size)[a % size : a % size + b - a] for a, b in pairwise(cuts)])

    def draw(self, step: int, seen: int) -> Batch:
        """The batch of `step`, when `seen` images have gone before."""
        rng = numpy_rng(self.seed, "patches", step)
        resolution = self._grid.shape[-1]  # type: ignore[attr-defined]
        side, factor = self.patches.choose(resolution, float(rng.random()))
        n = self.training.batch * factor
        rows = self._rows(seen, n)
        corners = random_corners(n, resolution, side, rng)
        clean = crop(self._images[torch.from_numpy(rows)], corners, side)  # type: ignore[attr-defined]
        noise_rng = torch_rng(self.seed, "noise", step)
        neighbours, k = None, 0
        if self.data.gallery is not None:
            progress = min(1.0, (seen + n) / self.training.images)
            k = self.schedule.k(progress, epoch=seen // len(self.data.ids), seed=self.seed)
            table = self.data.gallery.neighbours[self.data.ids[rows], :k]
            neighbours = torch.from_numpy(self.data.gallery.vectors[table])
        return Batch(
            clean=clean.to(torch.float32) / 127.5 - 1,
            noise=torch.randn(clean.shape, generator=noise_rng),
            sigma=self.diffusion.draw_sigma(n, noise_rng),
            coordinates=crop_coordinates(self._grid, corners, side),  # type: ignore[attr-defined]
            neighbours=neighbours,
            k=k,
        )
