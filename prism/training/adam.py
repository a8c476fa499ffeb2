"""How a method is trained, as settings; a plan needs no torch."""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal, Self

from prism_bench.prism.component import Component, added
from prism_bench.prism.errors import InputError
from prism_bench.prism.sources import OF_ITSELF, Sources, differs, given, left_open

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, kw_only=True)
class Training(Component, family="training", name="adam"):
    """Adam with a linear ramp-up, an optional cosine decay, and an average of the weights (paper, Table 6).

    images: total images (patches) seen. batch: images a step at full size; patches enlarge it.
    learning_rate: after the ramp-up over `rampup_images`, falling to `final_fraction` of itself (1: constant, the
    paper's). ema_halflife: images, at most `ema_rampup` of those seen so far. precision of the forward pass.
    pieces: into how many a batch is cut, a power of two: as many processes as divide it give the same bits.
    """

    sources: ClassVar[Sources] = {
        OF_ITSELF: left_open("the optimiser is not named; Adam (0.9, 0.999, eps 1e-8) is EDM's"),
        "images": given("appendix A, Table 6"),
        "batch": given("appendix A, Table 6"),
        "learning_rate": given("appendix A, Table 6"),
        "rampup_images": given("appendix A, Table 6"),
        "final_fraction": left_open("no decay of the learning rate is named; 1 is none"),
        "ema_halflife": given("appendix A, Table 6"),
        "ema_rampup": left_open("no ramp-up of the EMA is named; EDM's half-life is at most 5% of the images seen"),
        "pieces": left_open("in how many pieces a gradient is computed, which decides its rounding; 1 is whole"),
        "precision": differs("FP16 in the paper; bfloat16 needs no scaling of the loss, float32 rounds less"),
    }

    images: int = 32_000_000
    batch: int = 512
    learning_rate: float = 1e-3
    rampup_images: int = 10_000_000
    final_fraction: float = 1.0
    ema_halflife: int = 500_000
    ema_rampup: float = 0.05
    precision: Literal["float32", "bfloat16"] = "float32"
    pieces: int = added(1, before=1)

    def __post_init__(self) -> None:
        self.check_least("training", images=1, batch=1, rampup_images=0, ema_halflife=1, ema_rampup=0)
        if self.pieces < 1 or self.pieces & (self.pieces - 1) or self.pieces > self.batch:
            raise InputError(
                f"training.pieces must be a power of two from 1 to the {self.batch} images of training.batch, "
                f"not {self.pieces}"
            )
        if not self.learning_rate > 0:
            raise InputError(f"training.learning_rate must be positive, not {self.learning_rate}")
        if not 0 <= self.final_fraction <= 1:
            raise InputError(f"training.final_fraction must lie in [0, 1], not {self.final_fraction}")

    def lasting(self, images: int) -> Self:
        """The same over another number of images, its ramp-up the same share of them."""
        return self.replace(images=images, rampup_images=round(self.rampup_images * images / self.images))

    def rate(self, seen: int) -> float:
        """Learning rate after `seen` images."""
        ramp = min(1.0, seen / self.rampup_images) if self.rampup_images else 1.0
        cosine = (1 + math.cos(math.pi * min(1.0, seen / self.images))) / 2
        return self.learning_rate * ramp * (self.final_fraction + (1 - self.final_fraction) * cosine)

    def check_learns(self, first: int) -> None:
        """Raise InputError where no step has a learning rate above 0; `first`: images that the first step takes.

        A step's rate is that of the images seen before it: with a ramp-up the first step's is 0.
        """
        if self.rampup_images and self.images <= first:
            raise InputError(
                f"training.images = {self.images:,}: the first step alone takes {first:,}, at learning rate 0, where "
                f"the ramp-up of training.rampup_images = {self.rampup_images:,} begins, so that nothing would be "
                f"learnt; raise training.images above {first:,}, or set training.rampup_images=0"
            )

    def check_whole(self, what: str) -> None:
        """Raise InputError where the batch is to be divided; `what` trains on whole ones, for the message."""
        if self.pieces > 1:
            raise InputError(f"training.pieces = {self.pieces}: {what} trains on whole batches only; use 1")

    def check_rampup(self, path: str) -> None:
        """Raise InputError where the training ends before its ramp-up does; `path`: its name for `--set`."""
        if self.rampup_images and self.images <= self.rampup_images:
            raise InputError(
                f"{path}.images = {self.images:,} is at or below the ramp-up of {path}.rampup_images = "
                f"{self.rampup_images:,}, which begins at learning rate 0: {path}.learning_rate = "
                f"{self.learning_rate:g} would never be reached; use --set {path}.images={self.rampup_images + 1} or "
                f"more, or a shorter --set {path}.rampup_images (0: none)"
            )

    def autocast(self, device: str) -> "torch.autocast":
        """In which a network computes, in training and in sampling: matrix products and convolutions in `precision`."""
        import torch

        return torch.autocast(torch.device(device).type, torch.bfloat16, enabled=self.precision == "bfloat16")

    def ema_decay(self, seen: int, batch: int) -> float:
        """Weight of the old average in a step of `batch` images (Karras et al. 2022, appendix F)."""
        halflife = min(self.ema_halflife, seen * self.ema_rampup) if self.ema_rampup else self.ema_halflife
        return float(0.5 ** (batch / max(halflife, 1e-8)))
