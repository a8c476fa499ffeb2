"""How many operations training and sampling take, counted on shapes alone."""

from functools import lru_cache

import torch
from torch.utils.flop_counter import FlopCounterMode

from prism.patch_method import PatchMethod
from prism.sampling import Sampler

BACKWARD = 2
"""A backward pass takes about twice the operations of its forward pass."""


def training_flops(method: PatchMethod, resolution: int, embedding_dim: int) -> float:
    """Floating-point operations of one training, a multiply and its add counted as two.

    Over the patch sizes as often as they occur, with the schedule's largest k (the aggregator's share is small);
    convolutions, linear maps and attention, as torch counts them.
    """
    shares = {
        side: chance * method.patches.factor(resolution, side)
        for side, chance in method.patches.sides(resolution).items()
    }
    k = method.largest_k
    each = {side: _forward(method, resolution, side, embedding_dim, k, aggregate=True) for side in shares}
    mean = sum(share * each[side] for side, share in shares.items()) / sum(shares.values())
    return (1 + BACKWARD) * mean * method.training.images


def sampling_flops(method: PatchMethod, sampler: Sampler, resolution: int, embedding_dim: int, k_sample: int) -> float:
    """Floating-point operations of one sampled image: every call of the denoiser, and the aggregator once."""
    denoiser = _forward(method, resolution, resolution, embedding_dim, 0, aggregate=False)
    whole = _forward(method, resolution, resolution, embedding_dim, max(k_sample, 1), aggregate=True)
    return sampler.evaluations * denoiser + (whole - denoiser)


@lru_cache(maxsize=256)
def _forward(method: PatchMethod, resolution: int, side: int, embedding_dim: int, k: int, *, aggregate: bool) -> float:
    """Operations of one forward pass of one patch, the aggregator's included where asked for."""
    with torch.device("meta"):
        network = method.network(resolution, embedding_dim, 0).eval()
        noisy, grid, sigma = torch.empty(1, 3, side, side), torch.empty(1, 2, side, side), torch.empty(1)
        conditional = method.aggregator.conditional
        width = method.aggregator.output_dim(embedding_dim, method.denoiser.channels)
        counter = FlopCounterMode(display=False)
        with torch.no_grad(), counter:
            if conditional and aggregate:
                condition = network.condition(torch.empty(1, k, embedding_dim), torch.empty(1, k, dtype=torch.bool))
            else:
                condition = torch.empty(1, width) if conditional else None
            network(noisy, sigma, grid, condition)
    return float(counter.get_total_flops())
