"""Laws of samplers, against closed forms on Gaussian data, and of denoisers."""

import math
from typing import ClassVar

import pytest
import torch
from torch import Tensor, nn

from prism_bench.prism.errors import InputError
from prism_bench.prism.methods.sampling import ODESampler, Sampler
from prism_bench.prism.patch_diffusion.denoiser import Denoiser
from prism_bench.prism.patch_diffusion.unet import INPUT_CHANNELS, OUTPUT_CHANNELS
from prism_bench.testing.component import ComponentContract

SPREAD = 0.5
"""Standard deviation of the data."""


def ideal(noisy: Tensor, sigma: Tensor) -> Tensor:
    """The denoiser of N(0, SPREAD^2): the posterior mean."""
    return noisy * SPREAD**2 / (SPREAD**2 + sigma**2)


def order_between(sampler: ODESampler, coarse: int, fine: int) -> float:
    """The measured order between two numbers of steps, float64, without the last step into sigma = 0.

    For Gaussian data the ODE's solution is proportional to sqrt(SPREAD^2 + sigma^2).
    """
    high, low = 20.0, 0.02
    noise = torch.ones(1, 1, 1, 1, dtype=torch.float64)
    exact = noise * high * math.sqrt((SPREAD**2 + low**2) / (SPREAD**2 + high**2))
    errors = []
    for steps in (coarse, fine):
        one = sampler.replace(steps=steps, sigma_min=low, sigma_max=high)
        sigmas = one.sigmas()[:-1]
        errors.append(float((one.integrate(ideal, noise * sigmas[0], sigmas) - exact).abs()))
    return math.log(errors[0] / errors[1]) / math.log(fine / coarse)


class SamplerContract(ComponentContract):
    """How many steps a sampler takes, and what they cost."""

    def test_evaluations_grow_with_the_steps(self, member: Sampler) -> None:
        """At least one for each."""
        few, many = member.replace(steps=4), member.replace(steps=9)
        assert 4 <= few.evaluations < many.evaluations

    def test_fewer_than_two_steps_are_refused(self, member: Sampler) -> None:
        """When the value is made."""
        with pytest.raises(InputError, match="steps must be at least 2, not 1"):
            member.replace(steps=1)


class ODESamplerContract(SamplerContract):
    """A sampler of the probability-flow ODE; `order` is the one its docstring states."""

    order: ClassVar[float] = 2.0

    def test_the_grid_decreases_strictly_and_has_exact_ends(self, member: ODESampler) -> None:
        """sigma_max, ..., sigma_min, 0."""
        sigmas = member.sigmas()
        assert len(sigmas) == member.steps + 1
        assert bool((sigmas[1:] < sigmas[:-1]).all())
        assert (float(sigmas[0]), float(sigmas[-2]), float(sigmas[-1])) == (member.sigma_max, member.sigma_min, 0.0)

    def test_it_has_the_order_it_states(self, member: ODESampler) -> None:
        """Within 0.15, which tells orders apart, between 128 and 256 steps."""
        assert order_between(member, 128, 256) == pytest.approx(self.order, abs=0.15)

    def test_it_calls_the_network_as_often_as_it_says(self, member: ODESampler) -> None:
        """Costs and hours are estimated from `evaluations`."""
        calls = []

        def counted(noisy: Tensor, sigma: Tensor) -> Tensor:
            calls.append(float(sigma))
            return ideal(noisy, sigma)

        member.sample(counted, torch.ones(1, 3, 2, 2, dtype=torch.float64))
        assert len(calls) == member.evaluations

    def test_samples_have_the_spread_of_the_data(self, member: ODESampler) -> None:
        """To a percent with 72 steps, the last one, into sigma = 0, included."""
        noise = torch.ones(1, 3, 2, 2, dtype=torch.float64)
        out = member.replace(steps=72).sample(ideal, noise)
        assert float(out.mean()) == pytest.approx(SPREAD, rel=0.01)

    def test_a_sample_does_not_depend_on_its_batch(self, member: ODESampler) -> None:
        """Nor on the order in it."""
        noise = torch.randn(5, 3, 4, 4, generator=torch.Generator().manual_seed(0))
        together = member.sample(ideal, noise)
        torch.testing.assert_close(member.sample(ideal, noise[2:3]), together[2:3], rtol=1e-5, atol=1e-6)


class DenoiserContract(ComponentContract):
    """A fully convolutional network that takes patches of any side that `check` lets pass."""

    resolution: ClassVar[int] = 16

    def network(self, member: Denoiser, dim: int, *, tokens: bool = False) -> nn.Module:
        """Narrow, with weights that no zero hides; the same at every call."""
        torch.manual_seed(0)
        network = member.replace(channels=8).build(self.resolution, dim, tokens=tokens).eval()
        for weight in network.parameters():
            nn.init.normal_(weight, std=0.1)
        return network

    def test_an_impossible_resolution_is_refused(self, member: Denoiser) -> None:
        """With the value in the message."""
        member.check(self.resolution, (self.resolution // 2, self.resolution // 4))
        with pytest.raises(InputError, match=r"\d"):
            member.check(1, (1,))

    @pytest.mark.parametrize("side", [4, 8, 16])
    def test_every_patch_side_gives_an_image_of_its_size(self, member: Denoiser, side: int) -> None:
        """[b, 5, s, s] -> [b, 3, s, s], finite, without a condition."""
        out = self.network(member, 0)(torch.randn(2, INPUT_CHANNELS, side, side), torch.zeros(2), None)
        assert out.shape == (2, OUTPUT_CHANNELS, side, side)
        assert bool(torch.isfinite(out).all())

    def test_a_patch_does_not_depend_on_its_batch(self, member: Denoiser) -> None:
        """In evaluation; up to float32 rounding, relative to the size of the result."""
        network, rng = self.network(member, 6), torch.Generator().manual_seed(0)
        x, noise, condition = (torch.randn(*s, generator=rng) for s in ((3, INPUT_CHANNELS, 8, 8), (3,), (3, 6)))
        together = network(x, noise, condition).detach()
        alone = network(x[1:2], noise[1:2], condition[1:2]).detach()
        torch.testing.assert_close(alone, together[1:2], rtol=1e-4, atol=1e-5 * float(together.abs().max()))

    def test_noise_level_and_condition_reach_the_output(self, member: Denoiser) -> None:
        """Each by itself."""
        network, x = self.network(member, 6), torch.randn(1, INPUT_CHANNELS, 8, 8)
        plain = network(x, torch.zeros(1), torch.zeros(1, 6))
        for noise, condition in ((torch.ones(1), torch.zeros(1, 6)), (torch.zeros(1), torch.ones(1, 6))):
            assert float((network(x, noise, condition) - plain).detach().abs().max()) > 1e-6

    def test_tokens_are_a_set_and_one_of_zeros_is_none(self, member: Denoiser) -> None:
        """As neighbours are."""
        network, rng = self.network(member, 6, tokens=True), torch.Generator().manual_seed(0)
        x, tokens = torch.randn(1, INPUT_CHANNELS, 8, 8, generator=rng), torch.randn(1, 4, 6, generator=rng)
        plain = network(x, torch.zeros(1), tokens).detach()
        padded = torch.cat([torch.zeros(1, 2, 6), tokens.flip(1)], dim=1)
        same = network(x, torch.zeros(1), padded).detach()
        torch.testing.assert_close(same, plain, rtol=1e-4, atol=1e-5 * float(plain.abs().max()))
        other = network(x, torch.zeros(1), 2 * tokens).detach()
        assert float((other - plain).abs().max()) > 1e-6
