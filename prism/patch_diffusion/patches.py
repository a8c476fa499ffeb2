"""Patch sizes, crops and coordinate channels (paper section 4.2, equation 1)."""

from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor

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
        """Every patch side that can occur, with the share of steps that take it."""
        odds = {resolution: self.full, resolution // 2: (1 - self.full) * self.half}
        odds[resolution // 4] = (1 - self.full) * (1 - self.half)
        return {side: chance for side, chance in odds.items() if chance > 0}

    @property
    def pixels(self) -> float:
        """The mean area of what is trained on, as a share of a full image's, over the images seen."""
        sides = {side: chance * self.factor(4, side) for side, chance in self.sides(4).items()}
        return sum(share * (side / 4) ** 2 for side, share in sides.items()) / sum(sides.values())


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


def coordinate_grid(resolution: int) -> Float[Tensor, "2 r r"]:
    """x and y of every pixel of the full image: pixel 0 is -1, pixel R-1 is +1."""
    axis = torch.linspace(-1.0, 1.0, resolution)
    y, x = torch.meshgrid(axis, axis, indexing="ij")
    return torch.stack([x, y])


def random_corners(n: int, resolution: int, side: int, rng: np.random.Generator) -> Int[np.ndarray, "n 2"]:
    """One (row, column) of the upper left pixel per image, uniform over the positions where the patch fits."""
    return rng.integers(0, resolution - side + 1, (n, 2))


def crop(
    images: UInt8[Tensor, "m c r r"], rows: Int[Tensor, " n"], corners: Int[Tensor, "n 2"], side: int
) -> UInt8[Tensor, "n c s s"]:
    """The side x side patch of each image named by its row, at its corner; channels last in memory."""
    down, across = _pixels(corners, side)
    return images[rows[:, None, None], :, down[:, :, None], across[:, None, :]].permute(0, 3, 1, 2)


def crop_on_host(
    images: UInt8[np.ndarray, "m c r r"], rows: Int[np.ndarray, " n"], corners: Int[np.ndarray, "n 2"], side: int
) -> UInt8[Tensor, "n c s s"]:
    """What `crop` gives, of an array that may be memory-mapped: no more of it is read than the patches."""
    windows = np.lib.stride_tricks.sliding_window_view(images, (side, side), axis=(2, 3))
    patches = torch.from_numpy(windows[rows, :, corners[:, 0], corners[:, 1]])
    return patches.contiguous(memory_format=torch.channels_last)


def crop_coordinates(grid: Float[Tensor, "2 r r"], corners: Int[Tensor, "n 2"], side: int) -> Float[Tensor, "n 2 s s"]:
    """The coordinates of each patch in its full image: the crop of the coordinates; channels last in memory."""
    down, across = _pixels(corners, side)
    return grid.movedim(0, -1)[down[:, :, None], across[:, None, :]].permute(0, 3, 1, 2)


def _pixels(corners: Tensor, side: int) -> tuple[Tensor, Tensor]:
    """The rows and the columns that each patch covers, [n, side] each."""
    span = torch.arange(side, device=corners.device)
    return corners[:, 0, None] + span, corners[:, 1, None] + span
