"""The conditioned network D(x; sigma) in EDM's preconditioning, and its loss (the paper's eq. 2)."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from prism_bench.prism.patch_diffusion.diffusion import EDM


class Network(nn.Module):
    """The denoiser D(x; sigma) with its aggregator: what is trained, averaged, saved and sampled.

    It returns the denoised image. The conditioning vector is computed apart (`condition`) because sampling needs
    it once for all steps.
    """

    def __init__(self, unet: nn.Module, aggregator: nn.Module, diffusion: EDM, *, conditional: bool) -> None:
        super().__init__()
        self.unet, self.aggregator, self.diffusion = unet, aggregator, diffusion
        self.conditional = conditional

    def condition(
        self, neighbours: Float[Tensor, "b k d"] | None, mask: Bool[Tensor, "b k"] | None = None
    ) -> Float[Tensor, "b *k c"] | None:
        """One vector, or a set of tokens, from each neighbour set; None for an unconditional network."""
        if not self.conditional or neighbours is None:
            return None
        if mask is None:
            mask = torch.ones(neighbours.shape[:2], dtype=torch.bool, device=neighbours.device)
        vector: Tensor = self.aggregator(neighbours, mask)
        return vector

    def forward(
        self,
        noisy: Float[Tensor, "b 3 h w"],
        sigma: Float[Tensor, " b"],
        coordinates: Float[Tensor, "b 2 h w"],
        condition: Float[Tensor, "b *k c"] | None,
    ) -> Float[Tensor, "b 3 h w"]:
        """D(x; sigma) = c_skip x + c_out F([c_in x, coordinates], c_noise, condition)."""
        c = self.diffusion.coefficients(sigma)
        scaled = torch.cat([noisy * c.input[:, None, None, None], coordinates], dim=1)
        raw = self.unet(scaled, c.noise, condition).to(noisy.dtype)
        denoised: Tensor = c.skip[:, None, None, None] * noisy + c.out[:, None, None, None] * raw
        return denoised


def denoising_loss(
    network: nn.Module,
    diffusion: EDM,
    clean: Float[Tensor, "b 3 h w"],
    noise: Float[Tensor, "b 3 h w"],
    sigma: Float[Tensor, " b"],
    coordinates: Float[Tensor, "b 2 h w"],
    condition: Float[Tensor, "b *k c"] | None,
) -> Float[Tensor, ""]:
    """weight(sigma) |D(clean + sigma noise; sigma) - clean|^2, noise standard normal (the paper's eq. 2).

    Averaged over the patches; over the pixels and colours of each, what `diffusion.loss` says.
    """
    noisy = clean + sigma[:, None, None, None] * noise
    denoised = network(noisy, sigma, coordinates, condition)
    squared: Tensor = diffusion.weight(sigma)[:, None, None, None] * (denoised - clean) ** 2
    return squared.sum((1, 2, 3)).mean() if diffusion.loss == "sum" else squared.mean()
