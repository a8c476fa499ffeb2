"""Layers that RISSOLE's two networks share."""

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from prism_bench.prism.errors import InputError

GROUPS = 8
"""Of every GroupNorm in a residual block; divides every width."""


def check_widths(channels: tuple[int, ...], said: str) -> None:
    """InputError, calling the field as the user does, where a level's width does not fit its norms."""
    if not channels or any(width < GROUPS or width % GROUPS for width in channels):
        raise InputError(f"{said} must be multiples of {GROUPS}, one or more, not {channels}")


class SelfAttention(nn.Module):
    """Attention of all places to all places, after a norm and beside a skip connection.

    Differs from the authors' code, whose attention has neither norm nor skip and takes its arguments in swapped order.
    """

    def __init__(self, channels: int, heads: int, width: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm = nn.GroupNorm(1, channels)
        self.qkv = nn.Conv2d(channels, 3 * heads * width, 1, bias=False)
        self.out = nn.Conv2d(heads * width, channels, 1, bias=False)

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        """x and what each place has heard from the others."""
        b, _, h, w = x.shape
        packed = self.qkv(self.norm(x)).reshape(b, 3, self.heads, -1, h * w).transpose(3, 4)
        heard = F.scaled_dot_product_attention(*packed.unbind(1))
        out: Tensor = x + self.out(heard.transpose(2, 3).reshape(b, -1, h, w))
        return out
