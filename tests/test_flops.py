"""Counted operations: against a real forward and backward pass, and the ways they must scale."""

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from prism_bench.experiments.paper.scales import LAPTOP
from prism_bench.prism.conditioning.aggregators import NoConditioning
from prism_bench.prism.methods.sampling import Heun
from prism_bench.prism.patch_diffusion.patches import PatchSizes

METHOD = LAPTOP.method


def measured(side: int) -> float:
    """Operations of one training step on one patch, counted while it runs."""
    network = METHOD.network(16, 64, 0)
    with FlopCounterMode(display=False) as counter:
        condition = network.condition(torch.randn(1, METHOD.largest_k, 64))
        noisy, grid = torch.randn(1, 3, side, side), torch.zeros(1, 2, side, side)
        network(noisy, torch.ones(1), grid, condition).sum().backward()
    return float(counter.get_total_flops())


@pytest.mark.parametrize(("side", "sizes"), [(8, PatchSizes(half=1.0)), (16, PatchSizes(full=1.0))])
def test_training_is_what_a_real_step_takes(side: int, sizes: PatchSizes) -> None:
    one = METHOD.replace(patches=sizes, training=METHOD.training.replace(images=1))
    # The first layer needs no gradient of its input, which "twice the forward pass" does not know.
    assert one.training_flops(16, 64) == pytest.approx(measured(side), rel=0.03)


def test_training_is_linear_in_images_and_patches_are_cheaper_than_images() -> None:
    twice = METHOD.replace(training=METHOD.training.replace(images=2 * METHOD.training.images))
    assert twice.training_flops(16, 64) == pytest.approx(2 * METHOD.training_flops(16, 64))
    whole = METHOD.replace(patches=PatchSizes(full=1.0))
    assert METHOD.training_flops(16, 64) < whole.training_flops(16, 64) / 3


def test_sampling_is_linear_in_evaluations_but_for_the_aggregator() -> None:
    few, many = (METHOD.sampling_flops(Heun(steps=steps), 16, 64, 4) for steps in (5, 9))
    plain = METHOD.replace(aggregator=NoConditioning())
    bare = [plain.sampling_flops(Heun(steps=steps), 16, 0, 1) for steps in (5, 9)]
    assert bare[1] / bare[0] == pytest.approx(Heun(steps=9).evaluations / Heun(steps=5).evaluations)
    assert many - few == pytest.approx(bare[1] - bare[0])
    assert few > bare[0]
