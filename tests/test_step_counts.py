"""A training step: its operations and copies counted, which no machine changes; its equality with the plain form."""

import copy
import importlib
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
import torch.utils.deterministic
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from typing_extensions import override

from prism_bench.experiments.paper.scales import LAPTOP
from prism_bench.prism.conditioning.aggregator_networks import MAB, Attention
from prism_bench.prism.conditioning.schedules import Fixed
from prism_bench.prism.engine.pool import prepare_process
from prism_bench.prism.engine.runtime import Runtime
from prism_bench.prism.patch_diffusion.patch_method import PatchMethod
from prism_bench.prism.patch_diffusion.patches import PatchSizes
from prism_bench.prism.training.flat import ALIGNED, Weights

COPIES = {"aten.copy_", "aten.clone", "aten._to_copy", "aten.cat"}
VIEWS = {
    "view",
    "_unsafe_view",
    "t",
    "transpose",
    "permute",
    "expand",
    "unsqueeze",
    "squeeze",
    "slice",
    "select",
    "split",
    "as_strided",
    "detach",
    "alias",
    "unbind",
    "_reshape_alias",
    "movedim",
}


class Counted(TorchDispatchMode):
    """Operations by name, views left out, and the bytes that copies and joins write."""

    def __init__(self) -> None:
        super().__init__()
        self.operations: Counter[str] = Counter()
        self.copied = 0

    @override
    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        name = str(func.overloadpacket)
        if name.removeprefix("aten.") not in VIEWS:
            self.operations[name] += 1
        if name in COPIES and isinstance(out, Tensor):
            self.copied += out.nbytes
        return out


@pytest.fixture
def training(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The benchmark, which has the plain form."""
    monkeypatch.syspath_prepend(str(Path(__file__).parents[1]))
    return importlib.import_module("benchmarks.speed.training")


def prism(k: int) -> PatchMethod:
    return LAPTOP.method.replace(schedule=Fixed(k_train=k))


def counted(make: Callable[[PatchMethod, int], Callable[[], object]], method: PatchMethod) -> Counted:
    """What a step on patches of 4 does, after a first that makes Adam's moments."""
    run = make(method.replace(patches=PatchSizes(half=0.0)), 16)
    run()
    with Counted() as found:
        run()
    return found


def test_a_step_does_no_more_operations_and_copies_than_it_did(training: ModuleType) -> None:
    patchd = counted(training.step_of, training.patchd(LAPTOP.method))
    assert patchd.operations.total() <= 590
    assert patchd.copied <= 3.1e6
    for k, operations, copied in ((8, 340, 2.8e6), (1, 270, 0.1e6)):
        found = counted(training.step_of, prism(k))
        assert found.operations.total() - patchd.operations.total() <= operations, k
        assert found.copied - patchd.copied <= copied, k


def test_optimiser_and_average_are_one_operation_each(training: ModuleType) -> None:
    found = counted(training.step_of, prism(8)).operations
    assert [found[f"aten.{name}"] for name in ("_fused_adam_", "lerp_", "zero_")] == [1, 1, 1]
    plain = counted(training.plain_step_of, prism(8)).operations
    assert found.total() < 0.8 * plain.total()


@pytest.mark.parametrize("k", [1, 3])
def test_the_network_equals_its_plain_form(training: ModuleType, k: int) -> None:
    """In float64: result with and without a gradient, and the gradients, at weights that are not the initial ones."""
    network = prism(k).network(16, 8, 0).double()
    rng = torch.Generator().manual_seed(0)
    for weight in network.parameters():
        weight.data += 0.1 * torch.randn(weight.shape, generator=rng, dtype=torch.float64)
    plain = training.PlainNetwork(network)
    for side in (4, 16):
        noisy, grid = torch.randn(2, 5, side, side, generator=rng, dtype=torch.float64).split([3, 2], dim=1)
        neighbours = torch.randn(2, k, 8, generator=rng, dtype=torch.float64)
        sigma = torch.tensor([0.1, 2.0], dtype=torch.float64)
        ours = network(noisy, sigma, grid, network.condition(neighbours))
        expected = plain(noisy, sigma, grid, plain.condition(neighbours))
        torch.testing.assert_close(ours, expected, rtol=1e-14, atol=1e-13)
        with torch.no_grad():
            sampled = network(noisy, sigma, grid, network.condition(neighbours))
        torch.testing.assert_close(sampled, expected, rtol=1e-14, atol=1e-13)
        weights = list(network.parameters())
        grads = (torch.autograd.grad(out.square().sum(), weights, allow_unused=True) for out in (ours, expected))
        for one, other in zip(*grads, strict=True):
            assert other is not None
            found = torch.zeros_like(other) if one is None else one
            torch.testing.assert_close(found, other, rtol=1e-9, atol=1e-11 * max(1.0, float(other.abs().max())))


def test_a_step_in_float32_equals_its_plain_form(training: ModuleType) -> None:
    """A loss to 1e-4 of itself, gradients to 1e-3 of their length."""
    for method in (prism(3), training.patchd(LAPTOP.method)):
        training.equal_steps(training.step_of(method, 16)(), training.plain_step_of(method, 16)())


def test_what_all_sets_are_asked_by_one_point_is_what_each_is_asked_by_its_own() -> None:
    torch.manual_seed(0)
    block = MAB(6, 10, 8, Attention(2)).double()
    points, sets = torch.randn(1, 3, 6, dtype=torch.float64), torch.randn(4, 5, 10, dtype=torch.float64)
    mask = torch.rand(4, 5) < 0.6
    mask[:, 0] = True
    expected = block(points.expand(4, -1, -1), sets, mask)
    torch.testing.assert_close(block(points, sets, mask), expected, rtol=1e-13, atol=1e-14)
    sets[~mask] = 7.0
    torch.testing.assert_close(block(points, sets, mask), expected, rtol=1e-13, atol=1e-14)


def test_one_key_is_what_a_softmax_over_it_gives() -> None:
    """The general form, to whose one key a masked one is added; keys have no gradient then, not even a rounding's."""
    torch.manual_seed(0)
    block = MAB(6, 10, 8, Attention(2)).double()
    x, y = torch.randn(4, 3, 6, dtype=torch.float64), torch.randn(4, 1, 10, dtype=torch.float64)
    mask = torch.tensor([[True, False]]).expand(4, -1)
    alone = block(x, y, mask[:, :1])
    torch.testing.assert_close(alone, block(x, torch.cat([y, y + 1], dim=1), mask), rtol=1e-13, atol=1e-14)
    alone.sum().backward()
    assert block.key.weight.grad is None


def test_weights_lie_flat_as_they_were() -> None:
    """Shapes, order in memory and values; a gradient that a step does not know is 0, and momentum goes on."""
    torch.manual_seed(0)
    module = nn.Sequential(nn.Conv2d(3, 5, 3), nn.Conv2d(5, 2, 1)).to(memory_format=torch.channels_last)
    twin = copy.deepcopy(module)
    weights = Weights(list(module.parameters()), 0.1)
    for weight, other in zip(module.parameters(), twin.parameters(), strict=True):
        assert torch.equal(weight, other)
        assert weight.stride() == other.stride()
        assert weight.grad is not None
        assert weight.grad.stride() == other.stride()
        assert weight.storage_offset() % ALIGNED == 0
        assert weight.untyped_storage().data_ptr() == weights.numbers.untyped_storage().data_ptr()
    adam = torch.optim.Adam(twin.parameters(), lr=0.1)
    for knows in (True, False, True):
        for network, zero in ((module, weights.gradient.zero_), (twin, lambda: adam.zero_grad(set_to_none=False))):
            zero()
            x = torch.ones(1, 3, 4, 4)
            (network(x) if knows else network[0](x)).square().sum().backward()
        weights.move(0.1)
        adam.step()
    for weight, other in zip(module.parameters(), twin.parameters(), strict=True):
        torch.testing.assert_close(weight, other, rtol=1e-4, atol=1e-5)


def test_a_worker_does_not_fill_memory_and_puts_the_setting_back() -> None:
    before = torch.utils.deterministic.fill_uninitialized_memory
    put_back = prepare_process(Runtime(threads=torch.get_num_threads()))
    try:
        assert not torch.utils.deterministic.fill_uninitialized_memory
    finally:
        put_back()
    assert torch.utils.deterministic.fill_uninitialized_memory == before
