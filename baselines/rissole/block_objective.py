"""What RISSOLE learns: the noise in every block of a latent, given the same block of retrieved latents."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from prism_bench.baselines.rissole.blocks import conditions, split
from prism_bench.baselines.rissole.ddpm import DDPM
from prism_bench.baselines.rissole.first_stage.first_stage import Autoencoder, Codes
from prism_bench.baselines.rissole.unet import UNet
from prism_bench.prism.data.split import Ids
from prism_bench.prism.rng import numpy_rng, torch_rng
from prism_bench.prism.training.loop import Epochs


class BlockBatch(NamedTuple):
    """Codes [b, ...] and those of their neighbours [b, k, ...]; time steps [b, blocks]; noise [b, blocks, c, w, w]."""

    codes: Tensor
    neighbours: Tensor
    t: Tensor
    noise: Tensor

    @property
    def n(self) -> int:
        """Images."""
        return len(self.codes)

    @property
    def facts(self) -> dict[str, float]:
        """k_train, the same at every step."""
        return {"k_train": self.neighbours.shape[1]}

    def to(self, device: torch.device) -> "BlockBatch":
        """The same batch on another device."""
        return BlockBatch(*(part.to(device) for part in self))


class Views(NamedTuple):
    """What is learnt from: codes [n, views, ...] of every training image (and its mirror image), and their neighbours.

    neighbours: [n, views, k], rows of `database`.
    """

    codes: Codes
    neighbours: Ids
    database: Codes


class BlockObjective:
    """The batch of a step is a function of (seed, step, images seen).

    block: channels and side of a block. factor: blocks along a side. scale: what latents are divided by.
    """

    def __init__(
        self,
        views: Views,
        module: Autoencoder,
        process: DDPM,
        *,
        block: tuple[int, int],
        factor: int,
        scale: float,
        batch_size: int,
        seed: int,
    ) -> None:
        channels, width = block
        self.views, self.module, self.process = views, module, process
        self.factor, self.scale, self.batch_size, self.seed = factor, scale, batch_size, seed
        self.epochs = Epochs(len(views.codes), seed)
        self.shape = (factor**2, channels, width, width)

    def parameter_groups(self, network: UNet) -> list[list[nn.Parameter]]:
        """The U-Net's weights; the first stage stays as it is."""
        return [list(network.parameters())]

    def batch(self, step: int, seen: int) -> BlockBatch:
        """One of its views for every image; a time step of its own for every block, or one for each position."""
        rows = self.epochs.rows(seen, self.batch_size)
        view = numpy_rng(self.seed, "flips", step).integers(self.views.codes.shape[1], size=self.batch_size)
        rng = torch_rng(self.seed, "training noise", step)
        times = (1 if self.process.shared_t else self.batch_size, self.shape[0])
        t = torch.randint(self.process.steps, times, generator=rng).expand(self.batch_size, -1)
        return BlockBatch(
            codes=torch.from_numpy(np.ascontiguousarray(self.views.codes[rows, view])),
            neighbours=torch.from_numpy(np.ascontiguousarray(self.views.database[self.views.neighbours[rows, view]])),
            t=t,
            noise=torch.randn(self.batch_size, *self.shape, generator=rng),
        )

    def losses(self, network: UNet, batch: BlockBatch) -> Iterator[Tensor | None]:
        """The mean squared error over all blocks at once; they do not see each other."""
        with torch.no_grad():
            clean = split(self.module.latents(batch.codes) / self.scale, self.factor)
            condition = conditions(self.module.latents(batch.neighbours) / self.scale, self.factor)
            noisy = self.process.noisy(clean.flatten(0, 1), batch.noise.flatten(0, 1), batch.t.flatten())
        position = torch.arange(clean.shape[1], device=noisy.device).repeat(len(clean))
        predicted = network(noisy, batch.t.flatten(), condition.flatten(0, 1), position)
        yield F.mse_loss(predicted, batch.noise.flatten(0, 1))
