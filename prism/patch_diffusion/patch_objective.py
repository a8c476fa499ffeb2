"""What patch diffusion learns: to denoise random patches of the training images (paper sections 4.2 to 4.4)."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from prism_bench.prism.conditioning.schedules import Schedule
from prism_bench.prism.images import to_signed
from prism_bench.prism.methods.method import TrainingData
from prism_bench.prism.patch_diffusion.diffusion import EDM, Network, denoising_loss
from prism_bench.prism.patch_diffusion.patches import Patches, coordinate_grid, crop, crop_coordinates, random_corners
from prism_bench.prism.rng import numpy_rng, torch_rng
from prism_bench.prism.training.loop import Epochs, Training


class PatchBatch(NamedTuple):
    """One step's input: clean patches in [-1, 1], noise, sigma, coordinates, and neighbour embeddings [b, k, d]."""

    clean: Tensor
    noise: Tensor
    sigma: Tensor
    coordinates: Tensor
    neighbours: Tensor | None
    k: int

    @property
    def n(self) -> int:
        """Patches."""
        return len(self.clean)

    @property
    def facts(self) -> dict[str, float]:
        """k_train."""
        return {"k_train": self.k}

    def to(self, device: torch.device) -> "PatchBatch":
        """The same batch on another device."""
        moved: dict[str, Any] = {
            name: part.to(device) for name, part in self._asdict().items() if isinstance(part, Tensor)
        }
        return self._replace(**moved)


class Recipe(NamedTuple):
    """What the objective needs of a method."""

    training: Training
    patches: Patches
    schedule: Schedule
    diffusion: EDM

    def step(self, resolution: int, rng: np.random.Generator, seen: int) -> tuple[int, int]:
        """(side in pixels, number) of the patches of a step, when `seen` images have gone before."""
        side, factor = self.patches.choose(resolution, float(rng.random()), seen / self.training.images)
        return side, self.training.batch * factor


def step_rng(seed: int, step: int) -> np.random.Generator:
    """Draws the patches of a step: their size, then their places."""
    return numpy_rng(seed, "patches", step)


class PatchObjective:
    """The batch of a step is a function of (seed, step, images seen): a resumed run sees what an unbroken one would."""

    def __init__(self, data: TrainingData, recipe: Recipe, seed: int) -> None:
        self.gallery, self.ids, self.recipe, self.seed = data.gallery, data.ids, recipe, seed
        self.images = torch.from_numpy(np.ascontiguousarray(data.images[data.ids]))
        self.grid = coordinate_grid(data.images.shape[-1])
        self.epochs = Epochs(len(data.ids), seed)

    def parameter_groups(self, network: Network) -> list[list[nn.Parameter]]:
        """One: the network with its aggregator."""
        return [list(network.parameters())]

    def batch(self, step: int, seen: int) -> PatchBatch:
        """The batch of `step`, when `seen` images have gone before."""
        recipe, resolution = self.recipe, self.grid.shape[-1]
        rng = step_rng(self.seed, step)
        side, n = recipe.step(resolution, rng, seen)
        rows = self.epochs.rows(seen, n)
        corners = random_corners(n, resolution, side, rng)
        clean = crop(self.images[torch.from_numpy(rows)], corners, side)
        noise_rng = torch_rng(self.seed, "training noise", step)
        neighbours, k = None, 0
        if self.gallery is not None:
            progress = min(1.0, (seen + n) / recipe.training.images)
            k = recipe.schedule.k(progress, epoch=seen // len(self.ids), seed=self.seed)
            nearest = self.gallery.neighbours[self.ids[rows], :k]
            neighbours = torch.from_numpy(self.gallery.vectors[nearest])
        return PatchBatch(
            clean=to_signed(clean),
            noise=torch.randn(clean.shape, generator=noise_rng),
            sigma=recipe.diffusion.draw_sigma(n, noise_rng),
            coordinates=crop_coordinates(self.grid, corners, side),
            neighbours=neighbours,
            k=k,
        )

    def losses(self, network: Network, batch: PatchBatch) -> Iterator[Tensor | None]:
        """The weighted denoising loss."""
        condition = network.condition(batch.neighbours)
        diffusion = self.recipe.diffusion
        yield denoising_loss(network, diffusion, batch.clean, batch.noise, batch.sigma, batch.coordinates, condition)
