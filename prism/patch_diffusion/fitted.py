"""A trained network at work: full images from noise and the neighbours of pseudo-queries (paper section 4.5)."""

from dataclasses import dataclass

import torch
from torch import Tensor

from prism_bench.prism.data.split import Ids
from prism_bench.prism.engine.runtime import Runtime
from prism_bench.prism.errors import ComputeError
from prism_bench.prism.images import Pixels, to_uint8
from prism_bench.prism.methods.method import Gallery, SampleRequest
from prism_bench.prism.methods.sampling import ODESampler
from prism_bench.prism.patch_diffusion.cropping import coordinate_grid
from prism_bench.prism.patch_diffusion.network import Network
from prism_bench.prism.rng import torch_rng
from prism_bench.prism.training.adam import Training


@dataclass(frozen=True)
class FittedPatchMethod:
    """A trained network that samples full images, though it was trained on patches: it is fully convolutional."""

    network: Network
    resolution: int
    runtime: Runtime
    training: Training

    @torch.inference_mode()
    def sample(self, request: SampleRequest) -> Pixels:
        """The conditioning vector is the same for every denoising step."""
        indices, sampler = request.indices, request.sampler
        if not isinstance(sampler, ODESampler):
            raise ComputeError(f"sampler {sampler.name} does not integrate a denoiser")
        shape = (3, self.resolution, self.resolution)
        noise = torch.stack(
            [torch.randn(shape, generator=torch_rng(request.seed, "sampling noise", i)) for i in indices]
        )
        grid = coordinate_grid(self.resolution).expand(len(indices), -1, -1, -1).to(self.runtime.device)
        condition = self._condition(request.queries, request.k_sample, request.gallery)

        def denoise(noisy: Tensor, sigma: Tensor) -> Tensor:
            with self.training.autocast(self.runtime.device):
                denoised: Tensor = self.network(noisy, sigma.expand(len(noisy)), grid, condition)
            return denoised

        return to_uint8(sampler.sample(denoise, noise.to(self.runtime.device)))

    def _condition(self, queries: Ids, k_sample: int, gallery: Gallery | None) -> Tensor | None:
        if gallery is None:
            return None
        table = gallery.neighbours[queries, : max(k_sample, 1)]
        with self.training.autocast(self.runtime.device):
            condition = self.network.condition(torch.from_numpy(gallery.vectors[table]).to(self.runtime.device))
        if k_sample == 0 and condition is not None:  # Figure 3's second row: the network without its signal
            return torch.zeros_like(condition)
        return condition
