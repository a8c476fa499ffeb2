"""A trained RISSOLE, ready to sample."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from prism_bench.baselines.rissole.blocks import assemble, conditions
from prism_bench.baselines.rissole.database import Database
from prism_bench.baselines.rissole.ddpm import DDPM, DDPMSampler
from prism_bench.baselines.rissole.first_stage.first_stage import Autoencoder
from prism_bench.baselines.rissole.unet import UNet
from prism_bench.prism.errors import ComputeError
from prism_bench.prism.images import Pixels, to_uint8
from prism_bench.prism.methods.method import SampleRequest
from prism_bench.prism.rng import torch_rng
from prism_bench.prism.training.adam import Training


@dataclass(frozen=True)
class FittedRissole:
    """Denoises all blocks of a latent at once, puts them together, and decodes the whole once."""

    network: UNet
    module: Autoencoder
    database: Database
    process: DDPM
    factor: int
    scale: float
    device: str
    training: Training

    @torch.inference_mode()
    def sample(self, request: SampleRequest) -> Pixels:
        """A pseudo-query is its own first neighbour; k is that of training.

        Differs from the paper: pseudo-queries are images of D, those of every other method, not of all the database.
        """
        sampler = request.sampler
        if not isinstance(sampler, DDPMSampler):
            raise ComputeError(f"sampler {sampler.name} does not go back through a noise process")
        rngs = [torch_rng(request.seed, "sampling noise", i) for i in request.indices]
        condition = self.condition(request)
        n, blocks, _, w, _ = condition.shape
        channels = condition.shape[2] // self.database.neighbours.shape[1]

        def fresh() -> Tensor:
            """Every sample from a generator of its own, so that a batch changes nothing."""
            drawn = torch.stack([torch.randn(blocks, channels, w, w, generator=rng) for rng in rngs])
            return drawn.flatten(0, 1).to(self.device)

        position = torch.arange(blocks, device=self.device).repeat(n)
        guide = condition.flatten(0, 1)

        def predict(noisy: Tensor, t: int) -> Tensor:
            with self.training.autocast(self.device):
                noise: Tensor = self.network(noisy, torch.full_like(position, t), guide, position)
            return noise.to(noisy.dtype)

        found = sampler.sample(predict, fresh(), self.process, fresh)
        latents = assemble(found.reshape(n, blocks, channels, w, w)) * self.scale
        return to_uint8(self.module.decode(latents))

    def condition(self, request: SampleRequest) -> Tensor:
        """[n, blocks, k c, w, w]: the same block of each neighbour of each pseudo-query."""
        neighbours = self.database.neighbours[self.database.row(request.queries)]
        codes = torch.from_numpy(np.ascontiguousarray(self.database.codes[neighbours])).to(self.device)
        return conditions(self.module.latents(codes) / self.scale, self.factor)
