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
from prism_bench.prism.training.placement import sent


class BlockDraw(NamedTuple):
    """What is drawn for a step: rows of the codes and which view of each, [n] each. Noise is a function of the step."""

    step: int
    rows: Ids
    views: Ids
    k: int

    @property
    def n(self) -> int:
        """Images."""
        return len(self.rows)

    @property
    def facts(self) -> dict[str, float]:
        """k_train, the same at every step."""
        return {"k_train": self.k}


class BlockBatch(NamedTuple):
    """Codes [b, ...] and those of their neighbours [b, k, ...]; time steps [b, blocks]; noise [b, blocks, c, w, w]."""

    codes: Tensor
    neighbours: Tensor
    t: Tensor
    noise: Tensor


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
        device: str,
    ) -> None:
        channels, width = block
        self.views, self.module, self.process = views, module, process
        self.factor, self.scale, self.batch_size, self.seed = factor, scale, batch_size, seed
        self.device = torch.device(device)
        self.epochs = Epochs(len(views.codes), seed)
        self.shape = (factor**2, channels, width, width)

    def parameter_groups(self, network: UNet) -> list[list[nn.Parameter]]:
        """The U-Net's weights; the first stage stays as it is."""
        return [list(network.parameters())]

    def draw(self, step: int, seen: int) -> BlockDraw:
        """One of its views for every image."""
        rows = self.epochs.rows(seen, self.batch_size)
        views = numpy_rng(self.seed, "flips", step).integers(self.views.codes.shape[1], size=self.batch_size)
        return BlockDraw(step, rows, views, self.views.neighbours.shape[-1])

    def gather(self, draw: BlockDraw) -> BlockBatch:
        """A time step of its own for every block, or one for each position."""
        rng = torch_rng(self.seed, "training noise", draw.step, device=self.device)
        times = (1 if self.process.shared_t else draw.n, self.shape[0])
        t = torch.randint(self.process.steps, times, generator=rng, device=self.device).expand(draw.n, -1)
        chosen = draw.rows, draw.views
        return BlockBatch(
            codes=sent(np.ascontiguousarray(self.views.codes[chosen]), self.device),
            neighbours=sent(np.ascontiguousarray(self.views.database[self.views.neighbours[chosen]]), self.device),
            t=t,
            noise=torch.randn(draw.n, *self.shape, generator=rng, device=self.device),
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
