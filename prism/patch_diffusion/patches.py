"""Patch sizes (paper section 4.2, equation 1)."""

from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar

from typing_extensions import override

from prism_bench.prism.component import Component
from prism_bench.prism.errors import InputError
from prism_bench.prism.sources import OF_ITSELF, Sources, differs, given, left_open


@dataclass(frozen=True, kw_only=True)
class Patches(Component, family="patches"):
    """Which patches a step trains on: the full image with probability `full`, else half-size with `half`, else quarter.

    With full-image probability p: R with p, R/2 with 3/5 (1 - p), R/4 with 2/5 (1 - p) (paper eq. 1; p = 0.5 in
    Table 5). `enlarge` multiplies the batch by 2 at R/2 and by 4 at R/4, as Patch Diffusion does.
    """

    sources: ClassVar[Sources] = {
        "full": given("equation 1 and section 6.3, Table 5"),
        "half": given("equation 1", 0.6, otherwise="the paper draws half-size patches with probability 3/5"),
        "enlarge": left_open(
            "a step on patches of R/2 takes 2 times the batch and one on patches of R/4 4 times, as in Patch "
            "Diffusion's public code, which has no entry for CIFAR-10's quarter patches (8 pixels) and cannot run them"
        ),
    }

    full: float = 0.0
    half: float = 0.6
    enlarge: bool = True

    def __post_init__(self) -> None:
        for field, value in (("full", self.full), ("half", self.half)):
            if not 0 <= value <= 1:
                raise InputError(f"patches.{field} is a probability, in [0, 1], not {value}")

    @abstractmethod
    def choose(self, resolution: int, uniform: float, progress: float) -> tuple[int, int]:
        """(side in pixels, batch factor) for a uniform draw in [0, 1), at a progress of the training in [0, 1)."""

    def factor(self, resolution: int, side: int) -> int:
        """How many times the batch of full images a step on patches of this side takes."""
        return resolution // side if self.enlarge else 1

    def sides(self, resolution: int) -> dict[int, float]:
        """Every patch side that can occur, with the odds of a step to take it."""
        odds = {resolution: self.full, resolution // 2: (1 - self.full) * self.half}
        odds[resolution // 4] = (1 - self.full) * (1 - self.half)
        return {side: chance for side, chance in odds.items() if chance > 0}

    def shares(self, resolution: int) -> dict[int, float]:
        """Every patch side that can occur, with its share of the images seen: steps of small patches take more."""
        images = {side: chance * self.factor(resolution, side) for side, chance in self.sides(resolution).items()}
        return {side: count / sum(images.values()) for side, count in images.items()}

    @property
    def pixels(self) -> float:
        """The mean area of what is trained on, as a share of a full image's, over the images seen."""
        return sum(share * (side / 4) ** 2 for side, share in self.shares(4).items())


@dataclass(frozen=True, kw_only=True)
class PatchSizes(Patches, name="random-patches"):
    """Half-size patches with probability 3/5, quarter-size with 2/5, and optionally the full image, at random."""

    def choose(self, resolution: int, uniform: float, progress: float) -> tuple[int, int]:
        """The same odds throughout."""
        side = resolution // 4
        if uniform < self.full:
            side = resolution
        elif uniform < self.full + (1 - self.full) * self.half:
            side = resolution // 2
        return side, self.factor(resolution, side)


@dataclass(frozen=True, kw_only=True)
class ProgressivePatches(Patches, name="progressive-patches"):
    """Quarter-size patches first, then half-size, full images last, each for its share of the training.

    Patch Diffusion's progressive schedule (Wang et al. 2023, arXiv:2304.12526, section 3.2); the draw is not used.
    """

    sources: ClassVar[Sources] = {OF_ITSELF: differs("Patch Diffusion's schedule of patch sizes, not the paper's")}

    full: float = 0.5

    def choose(self, resolution: int, uniform: float, progress: float) -> tuple[int, int]:
        """From small to large, by progress."""
        side = resolution
        if progress < (1 - self.full) * (1 - self.half):
            side = resolution // 4
        elif progress < 1 - self.full:
            side = resolution // 2
        return side, self.factor(resolution, side)

    @override
    def shares(self, resolution: int) -> dict[int, float]:
        """The odds are shares of the training, whose length is counted in images already."""
        return self.sides(resolution)
