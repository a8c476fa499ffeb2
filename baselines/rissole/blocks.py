"""Latents cut into equal blocks, and put together again."""

import torch
from jaxtyping import Float
from torch import Tensor


def split(latents: Float[Tensor, "*b c s s"], factor: int) -> Float[Tensor, "*b blocks c w w"]:
    """factor x factor blocks without overlap, in raster order; factor must divide s."""
    *batch, c, s, _ = latents.shape
    w = s // factor
    parts = latents.reshape(*batch, c, factor, w, factor, w)
    n = len(batch)
    order = (*range(n), n + 1, n + 3, n, n + 2, n + 4)
    return parts.permute(order).reshape(*batch, factor**2, c, w, w)


def assemble(blocks: Float[Tensor, "*b blocks c w w"]) -> Float[Tensor, "*b c s s"]:
    """The inverse of `split`."""
    *batch, count, c, w, _ = blocks.shape
    factor = round(count**0.5)
    parts = blocks.reshape(*batch, factor, factor, c, w, w)
    n = len(batch)
    order = (*range(n), n + 2, n, n + 3, n + 1, n + 4)
    return parts.permute(order).reshape(*batch, c, factor * w, factor * w)


def conditions(neighbours: Float[Tensor, "b k c s s"], factor: int) -> Float[Tensor, "b blocks kc w w"]:
    """What conditions block i: block i of each of the k retrieved latents, stacked by channel in rank order."""
    parts = split(neighbours, factor)
    b, k, count, c, w, _ = parts.shape
    return torch.transpose(parts, 1, 2).reshape(b, count, k * c, w, w)
