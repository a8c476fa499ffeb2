"""How many operations training and sampling take, counted on shapes alone."""

from functools import lru_cache
from typing import TYPE_CHECKING

import torch
from torch.utils.flop_counter import FlopCounterMode

from prism_bench.prism.aggregators import Aggregator
from prism_bench.prism.denoiser import INPUT_CHANNELS, Denoiser
from prism_bench.prism.sampling import Sampler

if TYPE_CHECKING:
    from prism_bench.prism.patch_method import PatchMethod

BACKWARD = 2
"""A backward pass takes about twice the operations of its forward pass."""


def training_flops(method: "PatchMethod", resolution: int, embedding_dim: int) -> float:
    """Floating-point operations of one training, a multiply and its add counted as two.

    Over the patch sizes as often as they occur, with the schedule's largest k (the aggregator's share is small);
    convolutions, linear maps and attention, as torch counts them.
    """
    shares = {
        side: chance * method.patches.factor(resolution, side)
        for side, chance in method.patches.sides(resolution).items()
    }
    attended = _attended(method, embedding_dim, method.largest_k)
    denoiser = sum(share * _denoiser(method.denoiser, resolution, side, *attended) for side, share in shares.items())
    conditioning = _conditioning(method, embedding_dim, method.largest_k)
    return (1 + BACKWARD) * (denoiser / sum(shares.values()) + conditioning) * method.training.images


def sampling_flops(
    method: "PatchMethod", sampler: Sampler, resolution: int, embedding_dim: int, k_sample: int
) -> float:
    """Floating-point operations of one sampled image: every call of the denoiser, and the aggregator once."""
    each = _denoiser(method.denoiser, resolution, resolution, *_attended(method, embedding_dim, max(k_sample, 1)))
    return sampler.evaluations * each + _conditioning(method, embedding_dim, max(k_sample, 1))


def _conditioning(method: "PatchMethod", embedding_dim: int, k: int) -> float:
    """The aggregator's, and the linear map of its vector into the denoiser; tokens are the denoiser's to attend to."""
    if not method.aggregator.conditional:
        return 0.0
    channels = method.denoiser.channels
    width = method.aggregator.output_dim(embedding_dim, channels)
    own = _aggregator(method.aggregator, embedding_dim, channels, k)
    return own if method.aggregator.tokens else own + 2 * width * channels


def _attended(method: "PatchMethod", embedding_dim: int, k: int) -> tuple[int, int]:
    """Width and number of the tokens that the denoiser attends to; (0, 0) where it is given one vector."""
    if not method.aggregator.tokens:
        return 0, 0
    return method.aggregator.output_dim(embedding_dim, method.denoiser.channels), k


@lru_cache(maxsize=256)
def _denoiser(denoiser: Denoiser, resolution: int, side: int, width: int = 0, k: int = 0) -> float:
    """Operations of one forward pass of one patch, unconditional or attending to k tokens of a width."""
    with torch.device("meta"), torch.no_grad(), FlopCounterMode(display=False) as counter:
        unet = denoiser.build(resolution, width, tokens=True) if width else denoiser.build(resolution, 0)
        tokens = torch.empty(1, k, width) if width else None
        unet.eval()(torch.empty(1, INPUT_CHANNELS, side, side), torch.empty(1), tokens)
    return float(counter.get_total_flops())


@lru_cache(maxsize=256)
def _aggregator(aggregator: Aggregator, embedding_dim: int, channels: int, k: int) -> float:
    """Operations of aggregating k neighbours of one image."""
    with torch.device("meta"), torch.no_grad(), FlopCounterMode(display=False) as counter:
        neighbours, mask = torch.empty(1, k, embedding_dim), torch.empty(1, k, dtype=torch.bool)
        aggregator.build(embedding_dim, channels).eval()(neighbours, mask)
    return float(counter.get_total_flops())
