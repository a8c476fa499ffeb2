"""EDM's DDPM++ U-Net (Karras et al. 2022, arXiv 2206.00364; built from the description in our method notes)."""

from functools import partial
from typing import Literal, Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor, nn
from typing_extensions import override

INPUT_CHANNELS = 5
"""Three colours and the two coordinates."""
OUTPUT_CHANNELS = 3


def positional_embedding(c_noise: Float[Tensor, " b"], channels: int) -> Float[Tensor, "b c"]:
    """Cosines and sines of c_noise at channels/2 frequencies falling geometrically from 1 to 1/10000."""
    exponent = torch.arange(channels // 2, dtype=torch.float32, device=c_noise.device) / (channels // 2 - 1)
    angles = c_noise[:, None] * 10_000.0**-exponent
    return torch.cat([angles.cos(), angles.sin()], dim=1).to(c_noise.dtype)


def _groups(channels: int) -> nn.GroupNorm:
    """At most 32 groups of at least 4 channels, as in EDM; fewer where they would not divide the channels."""
    groups = next(count for count in range(min(32, channels // 4), 0, -1) if channels % count == 0)
    return nn.GroupNorm(groups, channels, eps=1e-6)


def _conv(inputs: int, outputs: int, kernel: int, gain: float = 1.0) -> nn.Conv2d:
    conv = nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2)
    nn.init.xavier_uniform_(conv.weight, gain)
    nn.init.zeros_(conv.bias)  # type: ignore[arg-type]
    return conv


def _linear(inputs: int, outputs: int) -> nn.Linear:
    linear = nn.Linear(inputs, outputs)
    nn.init.xavier_uniform_(linear.weight)
    nn.init.zeros_(linear.bias)
    return linear


NEARLY_ZERO = 1e-5
"""Initial gain of the last convolution of each branch: blocks begin as their skip connection."""


def normalised(norm: nn.GroupNorm, x: Float[Tensor, "b c h w"], tiles: int) -> Float[Tensor, "b c h w"]:
    """GroupNorm, with statistics of its own for each of tiles x tiles equal parts of the image; in new memory."""
    if tiles == 1:
        without_gradient = x.device.type == "cpu" and x.dtype != torch.bfloat16 and not torch.is_grad_enabled()
        out: Tensor = _normalised_by_sums(norm, x) if without_gradient else norm(x)
        return out
    b, c, h, w = x.shape
    parts = x.reshape(b, c, tiles, h // tiles, tiles, w // tiles).permute(0, 2, 4, 1, 3, 5)
    flat: Tensor = norm(parts.reshape(b * tiles**2, c, h // tiles, w // tiles))
    return flat.reshape(parts.shape).permute(0, 3, 1, 4, 2, 5).reshape(b, c, h, w)


def _normalised_by_sums(norm: nn.GroupNorm, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
    """GroupNorm by the same sums as torch's, which takes 1.6 times as long where channels come last on a CPU."""
    b, c, h, w = x.shape
    groups, size = norm.num_groups, c // norm.num_groups * h * w
    total, squares = (each.sum((2, 3)).view(b, groups, -1).sum(2, keepdim=True) for each in (x, x * x))
    mean = total / size
    scale = (squares / size - mean * mean).clamp(min=0).add(norm.eps).rsqrt() * norm.weight.view(groups, -1)
    shift = norm.bias.view(groups, -1) - mean * scale
    return torch.addcmul(shift.view(b, c, 1, 1), x, scale.view(b, c, 1, 1))


def activated(x: Tensor) -> Tensor:
    """SiLU, in the memory of what was normalised where nobody needs that any more."""
    return nn.functional.silu(x, inplace=not torch.is_grad_enabled())


def pointwise(conv: nn.Conv2d, x: Float[Tensor, "b i h w"]) -> Float[Tensor, "b o h w"]:
    """A convolution of 1x1 as the matrix product that it is where channels come last; torch's takes longer."""
    return nn.functional.linear(x.movedim(1, -1), conv.weight.flatten(1), conv.bias).movedim(-1, 1)


class ResidualBlock(nn.Module):
    """GroupNorm-SiLU-conv, + Linear(embedding), GroupNorm-SiLU-dropout-conv, skip, sum scaled by sqrt(1/2)."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        embedding: int,
        *,
        dropout: float,
        resample: Literal["none", "down", "up"] = "none",
        attention: bool = False,
        token_dim: int = 0,
    ) -> None:
        super().__init__()
        self.resample = resample
        self.norm_in, self.conv_in = _groups(inputs), _conv(inputs, outputs, 3)
        self.embed = _linear(embedding, outputs)
        self.norm_out, self.conv_out = _groups(outputs), _conv(outputs, outputs, 3, NEARLY_ZERO)
        self.dropout = nn.Dropout(dropout)
        plain = inputs == outputs and resample == "none"
        self.skip = None if plain else _conv(inputs, outputs, 1)
        self.attention = SelfAttention(outputs) if attention else None
        self.cross = TokenAttention(outputs, token_dim) if attention and token_dim else None

    def _resampled(self, x: Tensor) -> Tensor:
        if self.resample == "down":
            return nn.functional.avg_pool2d(x, 2)
        return nn.functional.interpolate(x, scale_factor=2, mode="nearest") if self.resample == "up" else x

    def forward(
        self,
        x: Float[Tensor, "b i h w"],
        embedding: Float[Tensor, "b e"],
        tiles: int = 1,
        tokens: Float[Tensor, "b k t"] | None = None,
    ) -> Float[Tensor, "b o h2 w2"]:
        """h2 and w2 are h and w, halved or doubled where the block resamples."""
        h = self.conv_in(self._resampled(activated(normalised(self.norm_in, x, tiles))))
        h += self.embed(embedding)[:, :, None, None]
        h = self.conv_out(self.dropout(activated(normalised(self.norm_out, h, tiles))))
        x = self._resampled(x)
        h += x if self.skip is None else pointwise(self.skip, x)
        h *= 0.5**0.5
        x = h if self.attention is None else self.attention(h, tiles)
        return x if self.cross is None else self.cross(x, tokens, tiles)


class SelfAttention(nn.Module):
    """Self-attention over positions, one head, residual, sum scaled by sqrt(1/2)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = _groups(channels)
        self.qkv = _conv(channels, 3 * channels, 1, 0.2**0.5)
        self.out = _conv(channels, channels, 1, NEARLY_ZERO)

    def forward(self, x: Float[Tensor, "b c h w"], tiles: int = 1) -> Float[Tensor, "b c h w"]:
        """Every position looks at every other."""
        b, c, h, w = x.shape
        # One head of a width of c: [b, 1, h w, c] each.
        places = pointwise(self.qkv, normalised(self.norm, x, tiles)).movedim(1, -1).reshape(b, 1, h * w, 3 * c)
        q, k, v = places.chunk(3, dim=3)
        mixed = nn.functional.scaled_dot_product_attention(q, k, v)
        out = pointwise(self.out, mixed.reshape(b, h, w, c).movedim(-1, 1))
        out += x
        out *= 0.5**0.5
        return out


class TokenAttention(nn.Module):
    """Cross-attention from positions to tokens, one head, residual, sum scaled by sqrt(1/2).

    A token of zeros is none; beside the tokens stands an empty one, so that there is always something to look at.
    """

    def __init__(self, channels: int, token_dim: int) -> None:
        super().__init__()
        self.norm = _groups(channels)
        self.query = _conv(channels, channels, 1)
        self.key_value = _linear(token_dim, 2 * channels)
        self.out = _conv(channels, channels, 1, NEARLY_ZERO)

    def forward(
        self, x: Float[Tensor, "b c h w"], tokens: Float[Tensor, "b k t"], tiles: int = 1
    ) -> Float[Tensor, "b c h w"]:
        """Every position looks at every token."""
        b, c, h, w = x.shape
        query = self.query(normalised(self.norm, x, tiles)).reshape(b, 1, c, h * w).transpose(2, 3)
        there = tokens.abs().amax(dim=2) > 0
        key, value = (nn.functional.pad(part, (0, 0, 1, 0)) for part in self.key_value(tokens).chunk(2, dim=2))
        mask = nn.functional.pad(there, (1, 0), value=True)[:, None, None, :]
        mixed = nn.functional.scaled_dot_product_attention(query, key[:, None], value[:, None], attn_mask=mask)
        return (x + self.out(mixed.transpose(2, 3).reshape(b, c, h, w))) * 0.5**0.5  # type: ignore[no-any-return]


@runtime_checkable
class Levels(Protocol):
    """What a U-Net is built of; see `DDPMpp`."""

    @property
    def channels(self) -> int:
        """The base width C, a multiple of 4."""

    @property
    def multipliers(self) -> tuple[int, ...]:
        """Of C, one a level, the first that of the full resolution."""

    @property
    def blocks(self) -> int:
        """Residual blocks of a level, at least 1."""

    @property
    def attention(self) -> tuple[int, ...]:
        """Sides of the full image's levels that carry self-attention."""

    @property
    def dropout(self) -> float:
        """A probability, in [0, 1)."""

    @property
    def norm_tiles(self) -> bool:
        """Whether a full image is normalised by quarters."""


class UNet(nn.Module):
    """F(x, c_noise, condition): x float [b, 5, h, w], c_noise [b], condition or None -> [b, 3, h, w].

    condition: [b, d], added to the noise embedding; with `tokens` [b, k, d], attended to.
    Fully convolutional: h and w may be any size that the levels can halve.
    """

    def __init__(self, config: Levels, resolution: int, condition_dim: int, *, tokens: bool = False) -> None:
        super().__init__()
        self.tokens = tokens
        token_dim = condition_dim if tokens else 0
        c, width = config.channels, 4 * config.channels
        self.channels = c
        # Tiles of half the full image's side, the largest patch of the training.
        self.tile = resolution // 2 if config.norm_tiles else None
        self.map_condition = _linear(condition_dim, c) if condition_dim and not tokens else None
        self.map_noise = nn.ModuleList([_linear(c, width), _linear(width, width)])
        self.conv_in = _conv(INPUT_CHANNELS, c, 3)
        self.encoder, self.decoder = nn.ModuleList(), nn.ModuleList()

        block_of = partial(ResidualBlock, embedding=width, dropout=config.dropout, token_dim=token_dim)
        current, skips = c, [c]
        for level, multiplier in enumerate(config.multipliers):
            attention = resolution >> level in config.attention
            if level:
                self.encoder.append(block_of(current, current, resample="down"))
                skips.append(current)
            for _ in range(config.blocks):
                self.encoder.append(block_of(current, c * multiplier, attention=attention))
                current = c * multiplier
                skips.append(current)

        self.bottom = nn.ModuleList([block_of(current, current, attention=first) for first in (True, False)])
        for level, multiplier in reversed(list(enumerate(config.multipliers))):
            attention = resolution >> level in config.attention
            if level < len(config.multipliers) - 1:
                self.decoder.append(block_of(current, current, resample="up"))
            for index in range(config.blocks + 1):
                last = index == config.blocks
                self.decoder.append(block_of(current + skips.pop(), c * multiplier, attention=attention and last))
                current = c * multiplier
        self.norm_out, self.conv_out = _groups(current), _conv(current, OUTPUT_CHANNELS, 3, NEARLY_ZERO)

    @override
    def forward(
        self, x: Float[Tensor, "b 5 h w"], c_noise: Float[Tensor, " b"], condition: Float[Tensor, "b *k d"] | None
    ) -> Float[Tensor, "b 3 h w"]:
        embedding = positional_embedding(c_noise, self.channels)
        if self.map_condition is not None:
            embedding = embedding + self.map_condition(condition)
        for layer in self.map_noise:
            embedding = nn.functional.silu(layer(embedding))

        tokens = condition if self.tokens else None
        tiles = 1 if self.tile is None else max(1, x.shape[-1] // self.tile)
        x = self.conv_in(x)
        skips = [x]
        for block in self.encoder:
            x = block(x, embedding, tiles, tokens)
            skips.append(x)
        for block in self.bottom:
            x = block(x, embedding, tiles, tokens)
        for block in self.decoder:
            if block.resample == "none":
                x = torch.cat([x, skips.pop()], dim=1)
            x = block(x, embedding, tiles, tokens)
        out: Tensor = self.conv_out(activated(normalised(self.norm_out, x, tiles)))
        return out
