"""The only conversion between stored images (uint8) and what networks see (float32 in [-1, 1]); grids."""

import io
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from torch import Tensor

Pixels = npt.NDArray[np.uint8]


def to_signed(images: Pixels) -> "Tensor":
    """uint8 [..., 3, H, W] -> float32 tensor in [-1, 1]: 0 becomes -1 and 255 becomes +1 exactly."""
    import torch

    return torch.from_numpy(np.array(images)).to(torch.float32) / 127.5 - 1.0


def to_uint8(images: "Tensor") -> Pixels:
    """float tensor [..., 3, H, W] in [-1, 1] -> uint8, rounded to the nearest level and clipped.

    Raises:
        ValueError: a value is not finite (a network that diverged must not become a black picture).
    """
    import torch

    if not torch.isfinite(images).all():
        raise ValueError("images hold values that are not finite; the network that made them has diverged")
    scaled = (images.detach().to(torch.float32).cpu() + 1.0) * 127.5
    pixels: Pixels = scaled.round().clamp(0, 255).to(torch.uint8).numpy()
    return pixels


def grid(images: Pixels, columns: int, *, scale: int = 1, gap: int = 2) -> Pixels:
    """Lay uint8 [N, 3, H, W] out in rows of `columns`, each pixel `scale` wide, white gaps: uint8 [H', W', 3]."""
    images = images.repeat(scale, axis=2).repeat(scale, axis=3)
    n, _, height, width = images.shape
    rows = -(-n // columns)
    canvas = np.full((rows * (height + gap) - gap, columns * (width + gap) - gap, 3), 255, np.uint8)
    for index, image in enumerate(images):
        top, left = (index // columns) * (height + gap), (index % columns) * (width + gap)
        canvas[top : top + height, left : left + width] = image.transpose(1, 2, 0)
    return canvas


def png(picture: Pixels) -> bytes:
    """uint8 [H, W, 3] -> the bytes of a PNG file."""
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, format="PNG")
    return buffer.getvalue()
