"""Patches, schedules, aggregators, U-Net, preconditioning: laws from the paper's equations."""

import math
from typing import Literal

import numpy as np
import pytest
import reference
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from prism_bench.experiments.paper.scales import LAPTOP
from prism_bench.prism.component import Component
from prism_bench.prism.conditioning.aggregator_networks import MAB, Attention
from prism_bench.prism.conditioning.aggregators import CrossAttention, MeanPool, SetTransformer
from prism_bench.prism.conditioning.schedules import Decreasing, Fixed, Increasing, Random, Tabulated
from prism_bench.prism.errors import InputError
from prism_bench.prism.patch_diffusion.cropping import coordinate_grid, crop, crop_coordinates, random_corners
from prism_bench.prism.patch_diffusion.denoiser import DDPMpp
from prism_bench.prism.patch_diffusion.diffusion import EDM
from prism_bench.prism.patch_diffusion.network import denoising_loss
from prism_bench.prism.patch_diffusion.patch_method import PatchMethod
from prism_bench.prism.patch_diffusion.patches import PatchSizes
from prism_bench.prism.patch_diffusion.unet import TokenAttention, normalised


def count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


# Patches (paper section 4.2)


def test_patch_sizes_follow_equation_1() -> None:
    """10,000 draws: five standard errors of a binomial share are 5 sqrt(0.6 * 0.4 / 10,000) < 0.025."""
    rng = np.random.default_rng(0)
    drawn = [PatchSizes().choose(32, float(u), 0.0) for u in rng.random(10_000)]
    assert set(drawn) == {(16, 2), (8, 4)}
    assert abs(drawn.count((16, 2)) / len(drawn) - 0.6) < 0.025


def test_full_resolution_mixing_keeps_the_ratio_of_the_patches() -> None:
    sides = PatchSizes(full=0.5).sides(64)
    assert sides == pytest.approx({64: 0.5, 32: 0.3, 16: 0.2})
    assert PatchSizes(full=0.5).choose(64, 0.49, 0.9) == (64, 1)


def test_coordinates_span_the_full_image_and_follow_the_crop() -> None:
    grid = coordinate_grid(8)
    assert grid[0, 0].tolist() == pytest.approx(np.linspace(-1, 1, 8).tolist())
    assert grid[1, :, 0].tolist() == pytest.approx(np.linspace(-1, 1, 8).tolist())
    corners = torch.tensor([[3, 1]])
    cut = crop_coordinates(grid, corners, 4)
    assert torch.equal(cut[0], grid[:, 3:7, 1:5])


def test_crop_is_the_slice() -> None:
    images = torch.arange(2 * 3 * 8 * 8, dtype=torch.int64).remainder(256).to(torch.uint8).reshape(2, 3, 8, 8)
    corners = torch.tensor([[0, 4], [2, 1]])
    cut = crop(images, torch.arange(2), corners, 4)
    assert torch.equal(cut[0], images[0, :, 0:4, 4:8])
    assert torch.equal(cut[1], images[1, :, 2:6, 1:5])


def test_corners_are_uniform_over_valid_positions() -> None:
    corners = random_corners(20_000, 8, 4, np.random.default_rng(0))
    cells = np.bincount(corners[:, 0] * 5 + corners[:, 1], minlength=25)
    expected = 20_000 / 25
    # Chi-square with 24 degrees of freedom exceeds 51.2 once in a thousand.
    assert ((cells - expected) ** 2 / expected).sum() < 51.2
    assert int(corners.max()) == 4


# Schedules (paper section 4.4)


@given(k_max=st.integers(1, 40), epochs_per_k=st.integers(1, 5))
@settings(deadline=None)
def test_decreasing_is_equation_3_and_increasing_its_mirror(k_max: int, epochs_per_k: int) -> None:
    """For divisible epochs, as in the paper: k = k_max + 1 - ceil(e / E_seg)."""
    total = k_max * epochs_per_k
    down = [Decreasing(k_max=k_max).k(e / total) for e in range(1, total + 1)]
    assert down == [k_max + 1 - math.ceil(e / epochs_per_k) for e in range(1, total + 1)]
    assert down[0] == k_max
    assert down[-1] == 1
    assert [Increasing(k_max=k_max).k(e / total) for e in range(1, total + 1)] == down[::-1]


def test_random_is_uniform_per_epoch_and_depends_on_seed_and_epoch_alone() -> None:
    schedule = Random(k_max=4)
    drawn = [schedule.k(0.5, epoch=e, seed=1) for e in range(4000)]
    assert drawn == [schedule.k(0.9, epoch=e, seed=1) for e in range(4000)]
    assert drawn[:50] != [schedule.k(0.5, epoch=e, seed=2) for e in range(50)]
    counts = np.bincount(drawn, minlength=5)[1:]
    # Chi-square with 3 degrees of freedom exceeds 16.3 once in a thousand.
    assert ((counts - 1000) ** 2 / 1000).sum() < 16.3


def test_any_function_of_progress_is_a_schedule() -> None:
    schedule = Tabulated.of(lambda p: 1 + round(7 * (1 - p) ** 2), steps=100)
    assert schedule.largest == 1 + round(7 * 0.99**2)
    assert schedule.k(0.5) == 1 + round(7 * 0.25)
    assert schedule.k(1.0) == 1


def test_fixed_is_fixed() -> None:
    assert {Fixed(k_train=5).k(p) for p in (0.01, 0.5, 1.0)} == {5}


# Aggregators (paper section 4.3)


def test_attention_to_tokens_equals_its_slow_twin() -> None:
    torch.manual_seed(0)
    block = TokenAttention(8, 6).double()
    nn.init.normal_(block.out.weight)
    x, tokens = torch.randn(1, 8, 2, 3, dtype=torch.float64), torch.randn(1, 4, 6, dtype=torch.float64)
    tokens[0, 2] = 0
    there = tokens[0, [0, 1, 3]]
    query = block.query(block.norm(x))[0].reshape(8, 6).T
    key, value = block.key_value(there).chunk(2, dim=1)
    key, value = (torch.cat([part.new_zeros(1, 8), part]) for part in (key, value))
    weights = torch.softmax(query @ key.T / 8**0.5, dim=1)
    mixed = (weights @ value).T.reshape(1, 8, 2, 3)
    expected = (x + block.out(mixed)) * 0.5**0.5
    torch.testing.assert_close(block(x, tokens), expected, rtol=1e-9, atol=1e-12)


def test_without_a_token_attention_adds_a_constant_and_is_finite() -> None:
    torch.manual_seed(0)
    block = TokenAttention(8, 6)
    x = torch.randn(2, 8, 2, 2)
    torch.testing.assert_close(block(x, torch.zeros(2, 3, 6)), x * 0.5**0.5)


def test_cross_attention_has_as_many_parameters_as_the_set_transformer() -> None:
    method = LAPTOP.method
    like = method.aggregator
    assert isinstance(like, SetTransformer)
    crossed = method.replace(aggregator=CrossAttention(like=like))
    sizes = [count(one.network(16, 64, 0)) for one in (method, crossed)]
    assert sizes[1] == pytest.approx(sizes[0], rel=2e-4)
    assert count(method.network(16, 64, 0).aggregator) > count(crossed.network(16, 64, 0).aggregator)


def test_a_network_attends_to_any_number_of_tokens_in_any_order() -> None:
    method = LAPTOP.method.replace(aggregator=CrossAttention())
    network = method.network(16, 64, 0).eval()
    for block in network.unet.modules():
        if isinstance(block, TokenAttention):
            nn.init.orthogonal_(block.out.weight)
    # A fresh network hardly answers: its last layer starts near zero.
    nn.init.normal_(network.unet.conv_out.weight)
    noisy, grid = torch.randn(2, 3, 16, 16), torch.zeros(2, 2, 16, 16)
    neighbours = torch.randn(2, 5, 64)

    def denoised(condition: Tensor | None) -> Tensor:
        out: Tensor = network(noisy, torch.ones(2), grid, condition)
        return out.detach()

    plain = denoised(network.condition(neighbours))
    torch.testing.assert_close(denoised(network.condition(neighbours.flip(1))), plain, rtol=1e-4, atol=1e-5)
    assert not torch.allclose(denoised(network.condition(neighbours[:, :1])), plain, atol=1e-4)
    condition = network.condition(neighbours)
    assert condition is not None
    assert torch.isfinite(denoised(torch.zeros_like(condition))).all()


def test_set_transformer_sizes_are_the_papers() -> None:
    """Section 5.3 counts 2M and 7M more with it (CLIP's 512 dimensions); projecting the heads is further from that."""
    assert count(SetTransformer().build(512, 64)) == 2_128_384
    assert count(SetTransformer().build(512, 128)) == 7_664_640
    blocks = 2 + 2 + 1 + 2
    projected = SetTransformer(projection=True)
    assert count(projected.build(512, 64)) == 2_128_384 + blocks * (256 + 1) * 256
    assert count(projected.build(512, 128)) == 7_664_640 + blocks * (512 + 1) * 512


@pytest.mark.parametrize("projection", [False, True])
def test_attention_block_equals_its_slow_twin(projection: bool) -> None:
    torch.manual_seed(0)
    block = MAB(6, 10, 8, Attention(2, projection)).double()
    x, y = torch.randn(1, 3, 6, dtype=torch.float64), torch.randn(1, 5, 10, dtype=torch.float64)
    allowed = [True, False, True, True, False]
    q, k, v = (part[0].detach().numpy() for part in (block.query(x), block.key(y), block.value(y)))
    mixed = torch.from_numpy(reference.attention(q, k, v, 2, allowed))
    h = block.norm_attention(torch.from_numpy(q) + (block.projection(mixed) if projection else mixed))
    expected = block.norm_feed(h + torch.relu(block.feed(h)))
    torch.testing.assert_close(block(x, y, torch.tensor([allowed]))[0], expected, rtol=1e-9, atol=1e-12)


def test_mean_is_the_mean_direction() -> None:
    pair = torch.tensor([[[1.0, 0.0], [0.0, 3.0]]])
    out = MeanPool().build(2, 8)(pair, torch.ones(1, 2, dtype=torch.bool))
    torch.testing.assert_close(out, torch.tensor([[1.0, 1.0]]))
    plain = MeanPool(plain=True).build(2, 8)(pair, torch.ones(1, 2, dtype=torch.bool))
    torch.testing.assert_close(plain, torch.tensor([[0.5, 0.5]]) * 2**0.5)


def test_heads_that_do_not_divide_the_width_are_refused() -> None:
    with pytest.raises(InputError, match="does not divide the width 4C = 32"):
        SetTransformer(heads=3).build(16, 8)


# U-Net (Karras et al. 2022; sizes of the paper's Table 6)


@pytest.mark.parametrize(
    ("resolution", "channels", "blocks", "attention", "without", "with_condition"),
    [
        (32, 64, 3, (8, 16), 11_643_139, 11_659_587),
        (64, 128, 2, (16,), 35_127_555, 35_193_219),
        (64, 128, 4, (8, 16), 55_735_043, 55_800_707),
        (64, 64, 3, (8, 16), 11_377_923, 11_394_371),
    ],
    ids=["cifar10", "celeba", "imagenet100", "afhqv2"],
)
def test_parameter_counts_are_exact(
    resolution: int, channels: int, blocks: int, attention: tuple[int, ...], without: int, with_condition: int
) -> None:
    config = DDPMpp(channels=channels, blocks=blocks, attention=attention)
    assert count(config.build(resolution, 0)) == without
    assert count(config.build(resolution, 4 * channels)) == with_condition


def small_unet(condition: int = 0) -> nn.Module:
    torch.manual_seed(0)
    return DDPMpp(channels=8, multipliers=(1, 2), blocks=1, attention=(8,), dropout=0.0).build(16, condition).eval()


@pytest.mark.parametrize("side", [4, 8, 16, 20])
def test_unet_is_fully_convolutional(side: int) -> None:
    assert small_unet()(torch.zeros(2, 5, side, side), torch.zeros(2), None).shape == (2, 3, side, side)


def test_attention_levels_are_those_of_the_full_image() -> None:
    """A network for 16x16 attends at level 1 (8x8), whatever the patch it sees."""
    names = [
        n
        for n, m in DDPMpp(multipliers=(1, 2), blocks=1, attention=(8,)).build(16, 0).named_modules()
        if n.endswith("attention")
    ]
    assert sorted(names) == ["bottom.0.attention", "decoder.1.attention", "encoder.2.attention"]


def test_norm_tiles_see_each_quarter_as_a_patch_of_its_own_and_change_no_patch() -> None:
    """Without convolutions across the seams (1x1 kernels) a full image is then four patches side by side."""
    torch.manual_seed(0)
    norm = nn.GroupNorm(2, 8)
    x = torch.randn(2, 8, 16, 16) * torch.linspace(0.1, 5, 16)
    tiled = normalised(norm, x, 2)
    for top in (0, 8):
        for left in (0, 8):
            part = x[:, :, top : top + 8, left : left + 8]
            torch.testing.assert_close(tiled[:, :, top : top + 8, left : left + 8], norm(part))
    assert (tiled - norm(x)).abs().max() > 0.1
    config = DDPMpp(channels=8, multipliers=(1, 2), blocks=1, attention=(8,), dropout=0.0)
    plain, other = config.build(16, 0), config.replace(norm_tiles=True).build(16, 0)
    other.load_state_dict(plain.state_dict())
    for parameter in [*plain.parameters(), *other.parameters()]:
        nn.init.constant_(parameter, 0.05)
    for side, equal in ((8, True), (4, True), (16, False)):
        image = torch.randn(1, 5, side, side)
        gap = (plain(image, torch.zeros(1), None) - other(image, torch.zeros(1), None)).abs().max()
        assert (float(gap.detach()) == 0) is equal


def test_the_condition_reaches_the_output() -> None:
    unet = small_unet(6)
    for parameter in unet.parameters():
        if parameter.abs().max() < 1e-3:
            nn.init.normal_(parameter, std=0.1)
    x, noise = torch.randn(1, 5, 8, 8), torch.zeros(1)
    one, other = unet(x, noise, torch.zeros(1, 6)), unet(x, noise, torch.ones(1, 6))
    assert (one - other).abs().max() > 1e-4


def test_a_resolution_that_the_levels_cannot_halve_is_refused() -> None:
    three = PatchMethod(denoiser=DDPMpp(multipliers=(2, 2, 2, 2)))
    with pytest.raises(
        InputError, match=r"patches of 4 pixels.*cannot halve 3 times; use a resolution that 32 divides"
    ):
        three.check(16)
    with pytest.raises(InputError, match="resolution 18 is not divisible by 4"):
        PatchMethod().check(18)
    PatchMethod().check(32)


# Preconditioning (Karras et al. 2022, Table 1)


@pytest.mark.parametrize("sigma", [0.002, 0.1, 0.5, 3.0, 80.0])
def test_network_input_and_target_have_unit_variance(sigma: float) -> None:
    """Closed forms for data of standard deviation sigma_data: var(c_in x) = 1, var(target) = 1."""
    edm = EDM()
    s = torch.tensor([sigma], dtype=torch.float64)
    c = edm.coefficients(s)
    variance = edm.sigma_data**2
    assert float(c.input**2 * (variance + s**2)) == pytest.approx(1, rel=1e-9)
    # The target is (y - c_skip (y + n)) / c_out.
    target = ((1 - c.skip) ** 2 * variance + c.skip**2 * s**2) / c.out**2
    assert float(target) == pytest.approx(1, rel=1e-6)
    assert float(edm.weight(s) * c.out**2) == pytest.approx(1, rel=1e-9)


def test_training_noise_is_log_normal() -> None:
    """20,000 draws; five standard errors of mean and standard deviation."""
    logs = EDM().draw_sigma(20_000, torch.Generator().manual_seed(0)).log()
    assert abs(float(logs.mean()) + 1.2) < 5 * 1.2 / math.sqrt(20_000)
    assert abs(float(logs.std()) - 1.2) < 5 * 1.2 / math.sqrt(40_000)


def test_at_vanishing_noise_the_denoiser_returns_its_input() -> None:
    network = PatchMethod(
        aggregator=Component.members["aggregator"]["none"](),  # type: ignore[arg-type]
        denoiser=DDPMpp(channels=8, multipliers=(1, 2), blocks=1, attention=(), dropout=0.0),
    ).network(16, 0, seed=0)
    x = torch.rand(2, 3, 8, 8) * 2 - 1
    out = network(x, torch.full((2,), 1e-5), torch.zeros(2, 2, 8, 8), None)
    torch.testing.assert_close(out, x, rtol=0, atol=1e-4)


def test_the_optimal_denoiser_minimises_the_loss_to_its_closed_form() -> None:
    """For y ~ N(0, s^2) the best denoiser is c_skip x; its weighted loss is exactly 1 at every sigma.

    Monte Carlo over 2 * 3 * 64 * 64 = 24,576 pixels: the mean of a chi-square variable, standard error
    sqrt(2 / 24,576) < 0.01, bound five of them. A wrong denoiser is worse.
    """
    edm = EDM(loss="mean")
    rng = torch.Generator().manual_seed(0)
    clean = 0.5 * torch.randn(2, 3, 64, 64, generator=rng)
    noise = torch.randn(2, 3, 64, 64, generator=rng)
    sigma = torch.tensor([0.3, 2.0])
    grid = torch.zeros(2, 2, 64, 64)

    class Linear(nn.Module):
        def __init__(self, gain: float) -> None:
            super().__init__()
            self.gain = gain

        def forward(self, noisy: Tensor, sigma: Tensor, *_: Tensor | None) -> Tensor:
            return self.gain * edm.coefficients(sigma).skip[:, None, None, None] * noisy

    best = float(denoising_loss(Linear(1.0), edm, clean, noise, sigma, grid, None))
    assert abs(best - 1) < 0.05
    assert float(denoising_loss(Linear(0.8), edm, clean, noise, sigma, grid, None)) > best + 0.05


@pytest.mark.parametrize("loss", ["sum", "mean"])
def test_the_loss_equals_its_slow_twin(loss: Literal["sum", "mean"]) -> None:
    """The paper's eq. 2, patch by patch and pixel by pixel in float64."""
    edm = EDM(loss=loss)
    rng = torch.Generator().manual_seed(1)
    clean, noise = torch.randn(2, 3, 3, 4, 4, generator=rng, dtype=torch.float64)
    sigma = torch.tensor([0.1, 0.7, 5.0], dtype=torch.float64)
    grid = torch.zeros(3, 2, 4, 4, dtype=torch.float64)
    total = 0.0
    for image in range(3):
        s = float(sigma[image])
        weight = (s**2 + 0.25) / (s * 0.5) ** 2
        errors = [
            (0.9 * (y + s * e) - y) ** 2
            for y, e in zip(clean[image].flatten().tolist(), noise[image].flatten().tolist(), strict=True)
        ]
        total += weight * sum(errors) / (1 if loss == "sum" else len(errors)) / 3

    class Shrunk(nn.Module):
        def forward(self, noisy: Tensor, *_: Tensor | None) -> Tensor:
            return 0.9 * noisy

    assert float(denoising_loss(Shrunk(), edm, clean, noise, sigma, grid, None)) == pytest.approx(total, rel=1e-12)


def test_the_sum_weighs_patches_by_their_pixels() -> None:
    """As Patch Diffusion's own code: the gradients of patches of 4 and 8 pixels are as 1 to 4, of the mean 1 to 1."""
    gain = torch.tensor(0.9, requires_grad=True)

    class Scaled(nn.Module):
        def forward(self, noisy: Tensor, *_: Tensor | None) -> Tensor:
            return gain * noisy

    sigma = torch.tensor([1.0])
    for loss, expected in (("sum", 4.0), ("mean", 1.0)):
        slopes = []
        for side in (4, 8):
            clean, noise, grid = (
                torch.ones(1, 3, side, side),
                torch.ones(1, 3, side, side),
                torch.zeros(1, 2, side, side),
            )
            found = denoising_loss(Scaled(), EDM(loss=loss), clean, noise, sigma, grid, None)
            slopes.append(float(torch.autograd.grad(found, gain)[0]))
        assert slopes[1] / slopes[0] == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(
    ("channels", "multipliers"), [(48, (1, 2)), (80, (1, 2)), (132, (2, 2)), (36, (1, 4)), (64, (1, 2))]
)
def test_any_width_that_is_allowed_can_be_built(channels: int, multipliers: tuple[int, ...]) -> None:
    """Skip connections add up to widths that 32 groups need not divide."""
    denoiser = DDPMpp(channels=channels, multipliers=multipliers, blocks=1, attention=(8,))
    with torch.device("meta"):
        network = denoiser.build(16, 0)
        groups = [layer for layer in network.modules() if isinstance(layer, nn.GroupNorm)]
        assert network(torch.empty(1, 5, 16, 16), torch.empty(1), None).shape == (1, 3, 16, 16)
    assert groups
    for layer in groups:
        assert layer.num_channels // layer.num_groups >= 4
        assert layer.num_groups <= 32
        if layer.num_channels % min(32, layer.num_channels // 4) == 0:
            assert layer.num_groups == min(32, layer.num_channels // 4), "as it always was"
