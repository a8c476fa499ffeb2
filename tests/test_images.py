"""The only conversion between stored images and what networks see."""

import numpy as np
import pytest
import torch

from prism_bench.prism.images import to_levels, to_signed, to_uint8

LEVELS = torch.arange(256, dtype=torch.uint8)


def test_every_level_comes_back_and_the_ends_are_exact() -> None:
    signed = to_signed(LEVELS)
    assert signed.dtype == torch.float32
    assert (float(signed[0]), float(signed[255])) == (-1.0, 1.0)
    assert torch.equal(to_levels(signed), LEVELS)
    assert to_uint8(signed).tolist() == list(range(256))


def test_values_between_levels_are_rounded_and_those_outside_clipped() -> None:
    step = 2 / 255
    images = torch.tensor([-1.3, -1 + 0.4 * step, -1 + 0.6 * step, 1.3])
    assert to_uint8(images).tolist() == [0, 0, 1, 255]
    assert to_uint8(images).dtype == np.uint8


def test_what_is_not_finite_is_no_image() -> None:
    with pytest.raises(ValueError, match="the network that made them has diverged"):
        to_uint8(torch.tensor([0.0, float("nan")]))
