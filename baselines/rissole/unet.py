"""RISSOLE's denoiser: one U-Net for the blocks of every position, with its condition added once, at the input."""

from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from prism_bench.baselines.rissole.first_stage.layers import GROUPS, SelfAttention, check_widths
from prism_bench.prism.component import Component
from prism_bench.prism.errors import InputError
from prism_bench.prism.patch_diffusion.unet import positional_embedding


@dataclass(frozen=True, kw_only=True)
class BlockUNet(Component, family="block_unet", name="block-unet"):
    """The U-Net of a block; the defaults are those of the authors' CIFAR-10 configuration (49.1M with k = 10).

    channels: per level, each of which halves the block. res_per_level: residual blocks of a level on the way down and
    on the way up. time_sin, time_dim: widths of the embeddings of time and position. heads, head_dim: attention at the
    bottom. fusion: whether block and condition are added after a convolution each, or stacked before one. use_pos:
    whether the network is told which block it denoises.

    Differs from the authors' code: no modules that are never called (10.7M parameters there); attention with a norm
    and a skip connection.
    """

    channels: tuple[int, ...] = (256, 512)
    res_per_level: int = 2
    time_sin: int = 64
    time_dim: int = 128
    dropout: float = 0.5
    heads: int = 4
    head_dim: int = 64
    fusion: Literal["add", "concat"] = "add"
    use_pos: bool = False

    def __post_init__(self) -> None:
        check_widths(self.channels, "unet.channels")
        self.check_least("unet", res_per_level=1, time_sin=4, time_dim=1, heads=1, head_dim=1)
        if self.time_sin % 2:
            raise InputError(f"unet.time_sin counts cosines and as many sines: an even number, not {self.time_sin}")
        if not 0 <= self.dropout < 1:
            raise InputError(f"unet.dropout is a probability in [0, 1), not {self.dropout}")

    def check(self, side: int) -> None:
        """InputError where a block of this side cannot be halved once per level."""
        step = 2 ** len(self.channels)
        if side % step:
            raise InputError(
                f"blocks of {side}x{side} latent pixels cannot be halved {len(self.channels)} times, as "
                f"unet.channels={self.channels} needs; use fewer levels, fewer blocks, or a larger resolution"
            )

    def build(self, latent_channels: int, k: int, positions: int) -> "UNet":
        """The module for blocks of a latent of so many channels, k neighbours, and so many block positions."""
        return UNet(self, latent_channels, k, positions)


class Residual(nn.Module):
    """Twice convolution, norm, dropout, SiLU; time and position are added in between."""

    def __init__(self, inputs: int, outputs: int, config: BlockUNet) -> None:
        super().__init__()
        self.first, self.second = _half(inputs, outputs, config.dropout), _half(outputs, outputs, config.dropout)
        self.time = nn.Linear(config.time_dim, outputs)
        self.position = nn.Linear(config.time_dim, outputs) if config.use_pos else None
        self.skip = nn.Conv2d(inputs, outputs, 1) if inputs != outputs else nn.Identity()

    def forward(self, x: Tensor, time: Tensor, position: Tensor) -> Tensor:
        """[b, outputs, h, w]."""
        embedding = self.time(time)
        if self.position is not None:
            embedding = embedding + self.position(position)
        out: Tensor = self.skip(x) + self.second(self.first(x) + embedding[:, :, None, None])
        return out


def _half(inputs: int, outputs: int, dropout: float) -> nn.Sequential:
    conv = nn.Conv2d(inputs, outputs, 3, padding=1)
    return nn.Sequential(conv, nn.GroupNorm(GROUPS, outputs), nn.Dropout(dropout), nn.SiLU())


class SinusoidalEmbedding(nn.Module):
    """A number (time step, position) as a vector: fixed sinusoids, then two linear maps."""

    def __init__(self, config: BlockUNet) -> None:
        super().__init__()
        self.width = config.time_sin
        self.map = nn.Sequential(
            nn.Linear(config.time_sin, config.time_dim), nn.SiLU(), nn.Linear(config.time_dim, config.time_dim)
        )

    def forward(self, number: Int[Tensor, " b"]) -> Float[Tensor, "b d"]:
        """[b, time_dim]."""
        out: Tensor = self.map(positional_embedding(number.to(torch.float32), self.width))
        return out


class Level(nn.Module):
    """The residual blocks of one resolution and their norm."""

    def __init__(self, inputs: int, outputs: int, config: BlockUNet) -> None:
        super().__init__()
        widths = [inputs, *[outputs] * (config.res_per_level - 1)]
        self.blocks = nn.ModuleList(Residual(width, outputs, config) for width in widths)
        self.norm = nn.GroupNorm(1, outputs)

    def forward(self, x: Tensor, time: Tensor, position: Tensor) -> Tensor:
        """[b, outputs, h, w]."""
        for block in self.blocks:
            x = block(x, time, position)
        out: Tensor = self.norm(x)
        return out


class UNet(nn.Module):
    """Predicts the noise of a block from the block, the time step, the retrieved blocks, and its position."""

    def __init__(self, config: BlockUNet, latent_channels: int, k: int, positions: int) -> None:
        super().__init__()
        self.positions, first, last = positions, config.channels[0], config.channels[-1]
        self.stem = _STEMS[config.fusion](latent_channels, k * latent_channels, first)
        self.time = SinusoidalEmbedding(config)
        self.position = SinusoidalEmbedding(config) if config.use_pos else None
        inputs = [first, *config.channels[:-1]]
        self.down = nn.ModuleList(Level(i, o, config) for i, o in zip(inputs, config.channels, strict=True))
        self.halving = nn.ModuleList(nn.Conv2d(c, c, 3, stride=2, padding=1) for c in config.channels)
        self.middle = nn.ModuleList(Residual(last, last, config) for _ in range(2))
        self.attention = SelfAttention(last, config.heads, config.head_dim)
        widths = list(zip([last, *config.channels[:0:-1]], config.channels[::-1], strict=True))
        self.doubling = nn.ModuleList(nn.ConvTranspose2d(i, i, 4, stride=2, padding=1) for i, _ in widths)
        self.up = nn.ModuleList(Level(i + o, o, config) for i, o in widths)
        self.out = nn.Conv2d(first, latent_channels, 1)

    def forward(
        self,
        noisy: Float[Tensor, "b c w w"],
        t: Int[Tensor, " b"],
        condition: Float[Tensor, "b kc w w"],
        position: Int[Tensor, " b"],
    ) -> Float[Tensor, "b c w w"]:
        """The noise in each block; t counts from 0 (least noise). The condition is in rank order."""
        time = self.time(t)
        place = time if self.position is None else self.position(position)
        x = self.stem(noisy, condition)
        skips = []
        for level, halved in zip(self.down, self.halving, strict=True):
            skips.append(level(x, time, place))
            x = halved(skips[-1])
        x = self.middle[1](self.attention(self.middle[0](x, time, place)), time, place)
        for doubled, level in zip(self.doubling, self.up, strict=True):
            x = level(torch.cat([doubled(x), skips.pop()], dim=1), time, place)
        noise: Tensor = self.out(x)
        return noise


class Added(nn.Module):
    """A convolution each for block and condition, added, normalised over channels and places, and widened."""

    def __init__(self, channels: int, condition: int, width: int) -> None:
        super().__init__()
        self.block = nn.Conv2d(channels, width // 2, 3, padding=1)
        self.condition = nn.Conv2d(condition, width // 2, 3, padding=1)
        # The authors' norm is made anew at every call, so that its affine map is never trained.
        self.norm = nn.GroupNorm(1, width // 2, affine=False)
        self.widen = nn.Conv2d(width // 2, width, 3, padding=1)

    def forward(self, block: Tensor, condition: Tensor) -> Tensor:
        """[b, width, w, w]."""
        out: Tensor = self.widen(self.norm(self.block(block) + self.condition(condition)))
        return out


class Stacked(nn.Module):
    """Block and condition stacked by channel before one convolution."""

    def __init__(self, channels: int, condition: int, width: int) -> None:
        super().__init__()
        self.both = nn.Conv2d(channels + condition, width, 7, padding=3)

    def forward(self, block: Tensor, condition: Tensor) -> Tensor:
        """[b, width, w, w]."""
        out: Tensor = self.both(torch.cat([block, condition], dim=1))
        return out


_STEMS: dict[str, type[Added] | type[Stacked]] = {"add": Added, "concat": Stacked}
