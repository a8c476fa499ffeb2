"""The networks that denoise, as settings; what DDPM++'s build stands in unet.py: a plan needs no torch."""

from abc import abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from prism_bench.prism.component import Component
from prism_bench.prism.errors import InputError
from prism_bench.prism.sources import Sources, given

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True, kw_only=True)
class Denoiser(Component, family="denoiser"):
    """Builds the raw network F(x, c_noise, condition) that the preconditioning wraps."""

    sources: ClassVar[Sources] = {"channels": given("appendix A, Table 6")}

    channels: int = 64

    @abstractmethod
    def build(self, resolution: int, condition_dim: int, *, tokens: bool = False) -> "nn.Module":
        """The module for full images of `resolution` and conditioning vectors of `condition_dim` (0: none).

        tokens: the condition is not one vector but a set of them, [b, k, condition_dim], to be attended to.
        """

    @abstractmethod
    def check(self, resolution: int, sides: tuple[int, ...]) -> None:
        """Raise InputError where the network cannot run on a patch of one of `sides`."""


@dataclass(frozen=True, kw_only=True)
class DDPMpp(Denoiser, name="ddpm++"):
    """The DDPM++ U-Net; the defaults are the paper's CIFAR-10 network (11.6M parameters).

    Attributes: multipliers of `channels` per level; `blocks` per level; `attention`: resolutions, in terms of the
    FULL image's grid, whose levels carry self-attention (a patch uses the same levels); dropout probability;
    norm_tiles: GroupNorm's statistics of a full image are taken over its quarters.

    Differs from the paper with norm_tiles (off by default): a network trained on patches meets, in a full image,
    normalisation statistics of an area that it has never seen. Over tiles of half the side they are those of training.
    """

    sources: ClassVar[Sources] = {
        "multipliers": given("appendix A, Table 6"),
        "blocks": given("appendix A, Table 6"),
        "attention": given("appendix A, Table 6"),
        "dropout": given("appendix A, Table 6"),
        "norm_tiles": given("section 4.5", False, otherwise="in the paper GroupNorm sees the whole image at sampling"),
    }

    multipliers: tuple[int, ...] = (2, 2, 2)
    blocks: int = 3
    attention: tuple[int, ...] = (8, 16)
    dropout: float = 0.10
    norm_tiles: bool = False

    def __post_init__(self) -> None:
        if self.channels < 4 or self.channels % 4:
            raise InputError(f"denoiser.channels must be a positive multiple of 4, not {self.channels}")
        if not self.multipliers or min(self.multipliers) < 1 or self.blocks < 1:
            raise InputError(
                f"denoiser needs multipliers >= 1 and blocks >= 1, not {self.multipliers} and {self.blocks}"
            )
        if not 0 <= self.dropout < 1:
            raise InputError(f"denoiser.dropout is a probability in [0, 1), not {self.dropout}")

    def check(self, resolution: int, sides: tuple[int, ...]) -> None:
        """Every patch side must halve cleanly once per level below the first."""
        step = 2 ** (len(self.multipliers) - 1)
        for side in (resolution, *sides):
            if side % step or side < step:
                raise InputError(
                    f"resolution {resolution} gives patches of {side} pixels, which a U-Net of {len(self.multipliers)} "
                    f"levels (denoiser.multipliers={self.multipliers}) cannot halve {len(self.multipliers) - 1} times; "
                    f"use a resolution that {4 * step} divides, or fewer levels"
                )

    def build(self, resolution: int, condition_dim: int, *, tokens: bool = False) -> "nn.Module":
        """Tokens are attended to wherever there is self-attention, after it."""
        from prism_bench.prism.patch_diffusion.unet import UNet

        return UNet(self, resolution, condition_dim, tokens=tokens)
