"""The VQ-GAN's modules: encoder, codebook, decoder, discriminator."""

import torch
import torch.nn.functional as F
from jaxtyping import Float, Integer
from torch import Tensor, nn
from typing_extensions import override

from prism_bench.baselines.rissole.first_stage.first_stage import Autoencoder
from prism_bench.baselines.rissole.first_stage.layers import GROUPS, SelfAttention

SLOPE = 0.2
"""Of every leaky ReLU."""
DISCRIMINATOR_WIDTH = 64
"""Channels of the discriminator's first layer."""


class Residual(nn.Module):
    """Twice convolution, norm, SiLU; and a skip connection."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for _ in range(2):
            layers += [nn.Conv2d(channels, channels, 3, padding=1), nn.GroupNorm(GROUPS, channels), nn.SiLU()]
        self.layers = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        """[b, c, h, w]."""
        out: Tensor = x + self.layers(x)
        return out


class QuantisedAutoencoder(Autoencoder):
    """Each place of a latent is an entry of the codebook (`codewords`); codes are their indices, int16 [b, s, s].

    The sizes are those of a `VQGAN`; latent: its `latent_channels`.
    """

    def __init__(self, channels: tuple[int, ...], *, latent: int, codebook: int, heads: int, head_dim: int) -> None:
        super().__init__()
        last = channels[-1]
        down: list[nn.Module] = []
        for inputs, outputs in zip((3, *channels[:-1]), channels, strict=True):
            down += [nn.Conv2d(inputs, outputs, 4, stride=2, padding=1), nn.LeakyReLU(SLOPE), Residual(outputs)]
        attend = SelfAttention(last, heads, head_dim)
        self.encoder = nn.Sequential(*down, attend, Residual(last), nn.Conv2d(last, latent, 3, padding=1))
        self.codewords = nn.Parameter(torch.empty(codebook, latent).uniform_(-1 / latent, 1 / latent))
        up: list[nn.Module] = []
        for inputs, outputs in zip(channels[::-1], (*channels[-2::-1], channels[0]), strict=True):
            doubled = nn.ConvTranspose2d(inputs, outputs, 4, stride=2, padding=1)
            up += [Residual(inputs), doubled, nn.LeakyReLU(SLOPE)]
        attend = SelfAttention(last, heads, head_dim)
        first = nn.Conv2d(latent, last, 3, padding=1)
        self.decoder_end = nn.Conv2d(channels[0], 3, 3, padding=1)
        self.decoder = nn.Sequential(first, nn.SiLU(), Residual(last), attend, *up)

    def nearest(self, z: Float[Tensor, "b c s s"]) -> Integer[Tensor, "b s s"]:
        """The index of the codebook entry nearest to each place."""
        flat = z.movedim(1, -1).reshape(-1, z.shape[1])
        distances = (self.codewords**2).sum(1) - 2 * flat @ self.codewords.T
        return distances.argmin(1).reshape(len(z), *z.shape[2:])

    def latents(self, codes: Integer[Tensor, "*b s s"]) -> Float[Tensor, "*b c s s"]:
        """The codebook entries."""
        return F.embedding(codes.long(), self.codewords).movedim(-1, -3)

    def encode(self, images: Float[Tensor, "b 3 r r"]) -> Integer[Tensor, "b s s"]:
        """int16."""
        return self.nearest(self.encoder(images)).to(torch.int16)

    def decode(self, latents: Float[Tensor, "b c s s"]) -> Float[Tensor, "b 3 r r"]:
        """Of the nearest codebook entries."""
        return self.restore(self.latents(self.nearest(latents)))

    def restore(self, quantised: Float[Tensor, "b c s s"]) -> Float[Tensor, "b 3 r r"]:
        """The images of latents that are codebook entries."""
        return torch.tanh(self.decoder_end(self.decoder(quantised)))


class Discriminator(nn.Module):
    """PatchGAN: for overlapping patches of an image, the log odds of being real, [b, 1, h, w]."""

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.Conv2d(3, DISCRIMINATOR_WIDTH, 4, stride=2, padding=1), nn.LeakyReLU(SLOPE)]
        for width in (DISCRIMINATOR_WIDTH, 2 * DISCRIMINATOR_WIDTH):
            conv = nn.Conv2d(width, 2 * width, 4, stride=2, padding=1, bias=False)
            layers += [conv, nn.BatchNorm2d(2 * width), nn.LeakyReLU(SLOPE)]
        self.layers = nn.Sequential(*layers, nn.Conv2d(4 * DISCRIMINATOR_WIDTH, 1, 3, padding=1))

    @override
    def forward(self, images: Float[Tensor, "b 3 r r"]) -> Float[Tensor, "b 1 h w"]:
        out: Tensor = self.layers(images)
        return out
