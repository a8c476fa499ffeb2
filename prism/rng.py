"""Generators by name and position: seeds are names, not history.

A random number depends on (seed, purpose, position) alone, so that sample i, training step t and the split are
the same whatever was drawn before them, in any batch size, process or order.
"""

import hashlib
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import torch


def seed_for(seed: int, purpose: str, *position: int) -> int:
    """A 63-bit seed for (seed, purpose, position), by SHA-256."""
    text = "/".join([str(seed), purpose, *map(str, position)])
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def numpy_rng(seed: int, purpose: str, *position: int) -> np.random.Generator:
    """A NumPy generator for (seed, purpose, position)."""
    return np.random.default_rng(seed_for(seed, purpose, *position))


def torch_rng(seed: int, purpose: str, *position: int, device: "torch.device | str" = "cpu") -> "torch.Generator":
    """A torch generator for (seed, purpose, position). Draw on the CPU, then move: any device sees the same.

    device: where to draw what would be too much to move; each kind of device then has numbers of its own.
    """
    import torch

    return torch.Generator(device).manual_seed(seed_for(seed, purpose, *position))
