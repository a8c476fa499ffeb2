"""What patch diffusion learns: to denoise random patches of the training images (paper sections 4.2 to 4.4)."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from prism_bench.prism.data.split import Ids
from prism_bench.prism.engine.runtime import Runtime
from prism_bench.prism.images import to_signed
from prism_bench.prism.methods.method import TrainingData
from prism_bench.prism.patch_diffusion.cropping import (
    coordinate_grid,
    crop,
    crop_coordinates,
    crop_on_host,
    random_corners,
)
from prism_bench.prism.patch_diffusion.network import Network, denoising_loss
from prism_bench.prism.patch_diffusion.recipe import Recipe, step_rng
from prism_bench.prism.rng import torch_rng
from prism_bench.prism.training.loop import Epochs
from prism_bench.prism.training.placement import Array, placed, sent, taken


class PatchDraw(NamedTuple):
    """What is drawn for a step, and all that goes to the device: which patches, and whose embeddings.

    images: int64 [n], ids into X. corners: int64 [n, 2], where each patch begins. nearest: int64 [n, k], ids into X.
    The noise is a function of the step, and of the piece (`name`) where the batch is in pieces.
    """

    step: int
    side: int
    k: int
    images: Ids
    corners: Ids
    nearest: Ids | None
    name: tuple[int, ...] = ()

    @property
    def n(self) -> int:
        """Patches."""
        return len(self.images)

    @property
    def facts(self) -> dict[str, float]:
        """k_train."""
        return {"k_train": self.k}

    @property
    def nbytes(self) -> int:
        """Bytes of its arrays."""
        return sum(part.nbytes for part in (self.images, self.corners, self.nearest) if part is not None)


class PatchBatch(NamedTuple):
    """One step's input: clean patches in [-1, 1], noise, sigma, coordinates, and neighbour embeddings [n, k, d]."""

    clean: Tensor
    noise: Tensor
    sigma: Tensor
    coordinates: Tensor
    neighbours: Tensor | None


class PatchObjective:
    """The draw of a step is a function of (seed, step, images seen): a resumed run sees what an unbroken one would.

    Embeddings and images, in this order, lie on the device where they fit (see `placed`).
    """

    def __init__(self, data: TrainingData, recipe: Recipe, seed: int, runtime: Runtime) -> None:
        self.ids, self.recipe, self.seed = data.ids, recipe, seed
        self.device = torch.device(runtime.device)
        self.neighbours = None if data.gallery is None else data.gallery.neighbours
        tables: list[Array] = [] if data.gallery is None else [data.gallery.vectors]
        *vectors, self.images = placed([*tables, data.images], self.device, runtime.data_share)
        self.vectors = vectors[0] if vectors else None
        self.grid = coordinate_grid(data.images.shape[-1]).to(self.device)
        self.epochs = Epochs(len(data.ids), seed)

    @property
    def is_resident(self) -> bool:
        """Whether all that steps gather from lies on the device, so that nothing but draws is sent there."""
        return self.device.type == "cpu" or not any(isinstance(it, np.ndarray) for it in (self.vectors, self.images))

    def parameter_groups(self, network: Network) -> list[list[nn.Parameter]]:
        """One: the network with its aggregator."""
        return [list(network.parameters())]

    def draw(self, step: int, seen: int) -> PatchDraw:
        """What `step` is to see, when `seen` images have gone before."""
        recipe, resolution = self.recipe, self.grid.shape[-1]
        rng = step_rng(self.seed, step)
        side, n = recipe.step(resolution, rng, seen)
        images = self.ids[self.epochs.rows(seen, n)]
        corners = random_corners(n, resolution, side, rng)
        if self.neighbours is None:
            return PatchDraw(step, side, 0, images, corners, None)
        progress = min(1.0, (seen + n) / recipe.training.images)
        k = recipe.schedule.k(progress, epoch=seen // len(self.ids), seed=self.seed)
        return PatchDraw(step, side, k, images, corners, self.neighbours[images, :k])

    def piece(self, draw: PatchDraw, index: int, count: int) -> PatchDraw:
        """The patches of a piece, neighbours in the draw."""
        part = slice(*(draw.n * at // count for at in (index, index + 1)))
        nearest = None if draw.nearest is None else draw.nearest[part]
        return draw._replace(images=draw.images[part], corners=draw.corners[part], nearest=nearest, name=(index,))

    def gather(self, draw: PatchDraw) -> PatchBatch:
        """The tensors of a step, on the device; its noise is drawn there, for it would be too much to send."""
        neighbours = None
        if self.vectors is not None and draw.nearest is not None:
            neighbours = taken(self.vectors, draw.nearest, self.device)
        corners = sent(draw.corners, self.device)
        if isinstance(self.images, Tensor):
            clean = crop(self.images, sent(draw.images, self.device), corners, draw.side)
        else:
            clean = sent(crop_on_host(self.images, draw.images, draw.corners, draw.side), self.device)
        rng = torch_rng(self.seed, "training noise", draw.step, *draw.name, device=self.device)
        return PatchBatch(
            clean=to_signed(clean),
            noise=torch.randn(clean.shape, generator=rng, device=self.device),
            sigma=self.recipe.diffusion.draw_sigma(draw.n, rng),
            coordinates=crop_coordinates(self.grid, corners, draw.side),
            neighbours=neighbours,
        )

    def losses(self, network: Network, batch: PatchBatch) -> Iterator[Tensor | None]:
        """The weighted denoising loss."""
        condition = network.condition(batch.neighbours)
        diffusion = self.recipe.diffusion
        yield denoising_loss(network, diffusion, batch.clean, batch.noise, batch.sigma, batch.coordinates, condition)
