"""How many operations training and sampling take, counted on shapes alone."""

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from prism_bench.prism.conditioning.aggregators import Aggregator
from prism_bench.prism.patch_diffusion.denoiser import Denoiser
from prism_bench.prism.patch_diffusion.patches import Patches

if TYPE_CHECKING:
    from torch.utils.flop_counter import FlopCounterMode

BACKWARD = 2
"""A backward pass takes about twice the operations of its forward pass."""


@dataclass(frozen=True)
class Networks:
    """What operations are counted of: a denoiser and the aggregator that conditions it, at a resolution.

    embedding_dim: the length of the vectors that the aggregator is given.
    """

    denoiser: Denoiser
    aggregator: Aggregator
    resolution: int
    embedding_dim: int

    def training_flops(self, patches: Patches, k: int) -> float:
        """Floating-point operations of training on one patch, a multiply and its add counted as two.

        Over the patch sizes as often as they occur, with k neighbours (the aggregator's share is small); convolutions,
        linear maps and attention, as torch counts them.
        """
        shares = patches.shares(self.resolution)
        denoiser = sum(share * self._denoiser(side, k) for side, share in shares.items())
        return (1 + BACKWARD) * (denoiser + self._conditioning(k))

    def sampling_flops(self, evaluations: int, k: int) -> float:
        """Floating-point operations of one sampled image: every call of the denoiser, and the aggregator once."""
        return evaluations * self._denoiser(self.resolution, k) + self._conditioning(k)

    @property
    def _width(self) -> int:
        return self.aggregator.output_dim(self.embedding_dim, self.denoiser.channels)

    def _denoiser(self, side: int, k: int) -> float:
        if not self.aggregator.tokens:
            return _denoiser(self.denoiser, self.resolution, side)
        return _denoiser(self.denoiser, self.resolution, side, self._width, k)

    def _conditioning(self, k: int) -> float:
        """The aggregator's, and the linear map of its vector into the denoiser, which attends to tokens itself."""
        if not self.aggregator.conditional:
            return 0.0
        channels = self.denoiser.channels
        own = _aggregator(self.aggregator, self.embedding_dim, channels, k)
        return own if self.aggregator.tokens else own + 2 * self._width * channels


def _counter() -> "FlopCounterMode":
    # Imported where something is counted: it takes longer than the count.
    from torch.utils.flop_counter import FlopCounterMode

    return FlopCounterMode(display=False)


@lru_cache(maxsize=256)
def _denoiser(denoiser: Denoiser, resolution: int, side: int, width: int = 0, k: int = 0) -> float:
    """Operations of one forward pass of one patch, unconditional or attending to k tokens of a width."""
    import torch

    from prism_bench.prism.patch_diffusion.unet import INPUT_CHANNELS

    with torch.device("meta"), torch.no_grad(), _counter() as counter:
        unet = denoiser.build(resolution, width, tokens=True) if width else denoiser.build(resolution, 0)
        tokens = torch.empty(1, k, width) if width else None
        unet.eval()(torch.empty(1, INPUT_CHANNELS, side, side), torch.empty(1), tokens)
    return float(counter.get_total_flops())


@lru_cache(maxsize=256)
def _aggregator(aggregator: Aggregator, embedding_dim: int, channels: int, k: int) -> float:
    """Operations of aggregating k neighbours of one image."""
    import torch

    with torch.device("meta"), torch.no_grad(), _counter() as counter:
        neighbours, mask = torch.empty(1, k, embedding_dim), torch.empty(1, k, dtype=torch.bool)
        aggregator.build(embedding_dim, channels).eval()(neighbours, mask)
    return float(counter.get_total_flops())
