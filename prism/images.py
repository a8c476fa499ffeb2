"""The only conversion between stored images (uint8) and what networks see (float32 in [-1, 1]); grids."""

import hashlib
import io
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from torch import Tensor

Pixels = npt.NDArray[np.uint8]


def content_order(images: Pixels) -> npt.NDArray[np.int64]:
    """The rows of uint8 [n, 3, H, W] sorted by the SHA-256 of their bytes: one order, however files are named."""
    return np.argsort([hashlib.sha256(image.tobytes()).digest() for image in images], kind="stable")


def to_signed(levels: "Tensor") -> "Tensor":
    """uint8 tensor [..., 3, H, W] -> float32 in [-1, 1] on its device: 0 becomes -1 and 255 becomes +1 exactly."""
    return levels.float() / 127.5 - 1


def to_levels(images: "Tensor") -> "Tensor":
    """float32 tensor [..., 3, H, W] in [-1, 1] -> uint8 on its device, rounded to the nearest level and clipped."""
    return ((images + 1) * 127.5).round().clamp(0, 255).byte()


def to_uint8(images: "Tensor") -> Pixels:
    """float tensor [..., 3, H, W] in [-1, 1] -> stored images, by `to_levels`.

    Raises:
        ValueError: a value is not finite (a network that diverged must not become a black picture).
    """
    import torch

    if not torch.isfinite(images).all():
        raise ValueError("images hold values that are not finite; the network that made them has diverged")
    pixels: Pixels = to_levels(images.detach().float().cpu()).numpy()
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
