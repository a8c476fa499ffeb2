"""Images through a network in batches that fit the memory."""

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from prism_bench.prism.encoders.base import Embed, Vectors
from prism_bench.prism.errors import ComputeError
from prism_bench.prism.images import Pixels

if TYPE_CHECKING:
    from torch import Tensor


def in_batches(forward: "Callable[[Pixels], Tensor]", batch: int, features: int = 0) -> Embed:
    """An encoder of any number of images from a network's `forward`: uint8 [b, 3, R, R] -> Tensor [b, d], any dtype.

    At most `batch` images at a time; where the device's memory does not suffice, half as many from then on.
    `features`: d, for the empty result of no images.

    Raises:
        ComputeError: the memory does not suffice for a single image.
    """
    size = batch

    def embed(images: Pixels) -> Vectors:
        import torch

        nonlocal size
        parts: list[Vectors] = []
        done = 0
        with torch.inference_mode():
            while done < len(images):
                try:
                    parts.append(forward(images[done : done + size]).float().cpu().numpy())
                except torch.OutOfMemoryError:
                    if size == 1:
                        raise ComputeError(
                            "the device's memory does not suffice to embed a single image; use another --device"
                        ) from None
                    size //= 2
                    continue
                done += len(parts[-1])
        return np.concatenate(parts) if parts else np.empty((0, features), np.float32)

    return embed
