"""The weights of a training in one piece of memory: what is done to all of them is one operation, not one for each."""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn
from torch.optim import Adam

ALIGNED = 16
"""Numbers: every weight begins at a multiple of so many, 64 bytes of float32, as kernels and cache lines want it."""


class Weights:
    """The weights that one loss moves, their gradients and Adam's moments, each of them one vector.

    The weights stay the network's own, shape and order in memory included; their gradients are added to in place. A
    weight that the loss does not know has gradient 0, so that Adam's momentum moves it on.
    """

    def __init__(self, weights: Sequence[nn.Parameter], rate: float) -> None:
        self.numbers = nn.Parameter(laid_flat(weights))
        self.gradient = torch.zeros_like(self.numbers)
        for weight, part in _parts(self.gradient, weights):
            weight.grad = part
        self.numbers.grad = self.gradient
        self.adam = Adam([self.numbers], lr=rate, fused=True)

    def move(self, rate: float) -> None:
        """A step of Adam at a learning rate."""
        for group in self.adam.param_groups:
            group["lr"] = rate
        self.adam.step()


def laid_flat(weights: Sequence[nn.Parameter]) -> Tensor:
    """A vector of all their numbers, of which each of `weights` becomes a part; between them zeros."""
    first = weights[0]
    flat = torch.zeros(sum(_room(weight) for weight in weights), dtype=first.dtype, device=first.device)
    for weight, part in _parts(flat, weights):
        weight.data = part.copy_(weight.detach())
    return flat


def _room(weight: Tensor) -> int:
    return -(-weight.numel() // ALIGNED) * ALIGNED


def _parts(flat: Tensor, weights: Sequence[nn.Parameter]) -> Iterator[tuple[nn.Parameter, Tensor]]:
    """Each weight with its part of the vector, which has its shape and its order in memory."""
    begin = 0
    for weight in weights:
        # A weight that does not fill its memory (an expanded one) is laid out as a copy of it would be.
        strides = torch.empty_like(weight, device="meta").stride()
        yield weight, flat.as_strided(weight.shape, strides, begin)
        begin += _room(weight)
