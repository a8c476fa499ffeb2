"""Crops and coordinate channels (paper section 4.2)."""

import numpy as np
import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor


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
