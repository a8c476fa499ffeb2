"""What a sampler costs beside the network: twelve evaluations as the laptop scale samples, and the bare loop."""

from collections.abc import Iterator

import torch
from torch import Tensor

from benchmarks.speed.pairs import Row, Way
from prism_bench.experiments.paper.scales import LAPTOP
from prism_bench.prism.methods.sampling import UniPC
from prism_bench.prism.patch_diffusion.cropping import coordinate_grid

IMAGES, STEPS, RESOLUTION, DIM = 16, 12, 16, 64


def rows() -> Iterator[Row]:
    """One, with the laptop scale's network; its condition is computed once, before."""
    network = LAPTOP.method.network(RESOLUTION, DIM, seed=0).eval()
    grid = coordinate_grid(RESOLUTION).expand(IMAGES, -1, -1, -1)
    noise = torch.randn(IMAGES, 3, RESOLUTION, RESOLUTION, generator=torch.Generator().manual_seed(0))
    sampler = UniPC(steps=STEPS)
    with torch.inference_mode():
        condition = network.condition(torch.randn(IMAGES, 1, DIM, generator=torch.Generator().manual_seed(1)))

    def denoise(noisy: Tensor, sigma: Tensor) -> Tensor:
        denoised: Tensor = network(noisy, sigma.expand(len(noisy)), grid, condition)
        return denoised

    @torch.inference_mode()
    def sampled() -> Tensor:
        return sampler.sample(denoise, noise)

    @torch.inference_mode()
    def bare() -> Tensor:
        x = noise
        for sigma in sampler.sigmas()[:-1].to(noise.dtype):
            x = denoise(noise, sigma)
        return x

    yield Row(
        work=f"sampling {IMAGES} images of {RESOLUTION}x{RESOLUTION} in {STEPS} evaluations",
        ours=Way(label="UniPC", run=sampled),
        others=(Way(label="the network alone", run=bare),),
        goal="at least 0.98: 2% for the sampler",
    )
