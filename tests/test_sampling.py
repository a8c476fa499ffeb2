"""Samplers: what their contract does not say."""

import math
from collections.abc import Callable
from itertools import pairwise

import pytest
import torch
from torch import Tensor

from prism_bench.prism.errors import InputError
from prism_bench.prism.methods.integration import widest
from prism_bench.prism.methods.sampling import DPMSolverPP2M, Heun, ODESampler, UniPC
from prism_bench.testing.sampling import ideal, order_between


def test_the_instrument_tells_orders_apart() -> None:
    """DPM-Solver++ without its history is the first-order method."""

    class Euler:
        def replace(self, **changes: float) -> "Euler":
            self.heun = Heun(**changes)  # type: ignore[arg-type]
            return self

        def sigmas(self) -> Tensor:
            return self.heun.sigmas()

        def integrate(self, denoise: object, x: Tensor, sigmas: Tensor) -> Tensor:
            for now, after in pairwise(sigmas):
                x = x + (after - now) * (x - ideal(x, now)) / now
            return x

    assert order_between(Euler(), 128, 256) == pytest.approx(1.0, abs=0.15)  # type: ignore[arg-type]


def test_eighteen_heun_steps_are_35_evaluations() -> None:
    assert Heun().evaluations == 35
    assert DPMSolverPP2M().evaluations == 18
    assert UniPC(steps=12).evaluations == 12


def test_bad_grids_are_refused() -> None:
    with pytest.raises(InputError, match=r"steps must be at least 2, not 1"):
        Heun(steps=1)
    with pytest.raises(InputError, match="0 < sigma_min < sigma_max"):
        Heun(sigma_min=100.0)
    for rho in (1e-3, 1e17):
        with pytest.raises(InputError, match=r"sampler.rho = \S+ gives no 18 noise levels that fall"):
            Heun(rho=rho)
    assert Heun(rho=0.5).sigmas().diff().max() < 0


def two_hills(x: float, sigma: float) -> float:
    """The denoiser of N(-1, 0.5^2) and N(1, 0.5^2), each half of the data: no straight line in anything."""
    spread = 0.25 + sigma**2
    return (0.25 * x + sigma**2 * math.tanh(x / spread)) / spread


def unipc_by_the_paper(levels: list[float], x: float, denoise: Callable[[float, float], float]) -> float:
    """Scalars, lambda and h as in Zhao et al. 2023, with alpha = 1 and B(h) = e^h - 1.

    In terms of the denoised image h changes its sign: B = e^-h - 1, r = (lambda of the node before - lambda) / h; the
    one coefficient of UniP-2 and that of UniC-1 are a half.
    """
    lambdas = [-math.log(level) for level in levels[:-1]]
    known = [denoise(x, levels[0])]
    for i in range(1, len(lambdas)):
        h = lambdas[i] - lambdas[i - 1]
        carried = levels[i] / levels[i - 1] * x - math.expm1(-h) * known[-1]
        guess = carried
        if i > 1:
            r = (lambdas[i - 2] - lambdas[i - 1]) / h
            guess = carried - math.expm1(-h) * 0.5 * (known[-2] - known[-1]) / r
        known.append(denoise(guess, levels[i]))
        x = carried - math.expm1(-h) * 0.5 * (known[-1] - known[-2])
    return known[-1]


def test_unipc_is_the_papers_algorithm_step_by_step() -> None:
    sampler = UniPC(steps=7, rho=5.0)
    noise = torch.tensor([-0.4, 0.01, 0.3, 1.7], dtype=torch.float64)

    def denoise(x: Tensor, sigma: Tensor) -> Tensor:
        return torch.tensor([two_hills(float(one), float(sigma)) for one in x], dtype=x.dtype).reshape(x.shape)

    found = sampler.sample(denoise, noise.reshape(4, 1, 1, 1))
    levels = sampler.sigmas().tolist()
    slow = [unipc_by_the_paper(levels, float(one) * levels[0], two_hills) for one in noise]
    assert found.flatten().tolist() == pytest.approx(slow, rel=1e-9)


@pytest.mark.parametrize("sampler", [DPMSolverPP2M(steps=3), UniPC(steps=3)])
def test_steps_in_lambda_are_exact_where_the_denoised_image_stays(sampler: ODESampler) -> None:
    """x - D then shrinks as sigma does, however long the steps are."""
    start, sigmas = torch.full((1, 1, 1, 1), 80.0, dtype=torch.float64), sampler.sigmas()[:-1]
    found = sampler.integrate(lambda x, _: torch.full_like(x, 0.3), start, sigmas)
    exact = 0.3 + (80.0 - 0.3) * float(sigmas[-1] / sigmas[0])
    assert float(found) == pytest.approx(exact, rel=1e-9)


def error_on_gaussians(sampler: ODESampler) -> float:
    """Root mean square over directions of data whose spreads are as those of images, 0.01 to 1.

    The solution from sigma_max to 0 is x = noise * sigma_max * spread / sqrt(spread^2 + sigma_max^2).
    """
    spreads = torch.logspace(-2, 0, 31, dtype=torch.float64).reshape(1, 31, 1, 1)

    def ideal_of_each(x: Tensor, sigma: Tensor) -> Tensor:
        return x * spreads**2 / (spreads**2 + sigma**2)

    found = sampler.sample(ideal_of_each, torch.ones_like(spreads))
    exact = sampler.sigma_max * spreads / (spreads**2 + sampler.sigma_max**2).sqrt()
    return float((found - exact).square().mean().sqrt())


def test_levels_and_corrector_each_lower_the_error() -> None:
    """Twelve evaluations with both are nearer to the solution than eighteen of DPM-Solver++(2M) with neither."""
    both = error_on_gaussians(UniPC(steps=12))
    assert both < 0.6 * error_on_gaussians(DPMSolverPP2M(steps=12, sigma_min=0.02, rho=1000.0))
    assert both < 0.3 * error_on_gaussians(UniPC(steps=12, sigma_min=0.002, rho=7.0))
    assert both < 0.3 * error_on_gaussians(DPMSolverPP2M(steps=18))


def test_unipcs_levels_are_nearly_geometric() -> None:
    levels = UniPC(steps=12).sigmas()[:-1]
    ratios = levels[:-1] / levels[1:]
    assert float(ratios.max() / ratios.min()) < 1.01


def test_levels_lie_in_the_widest_numbers_that_a_device_has() -> None:
    """float64 in a tensor of Apple's GPU is an error, which would come after the whole training."""
    assert [widest(torch.device(name)) for name in ("cpu", "cuda", "mps")] == [
        torch.float64,
        torch.float64,
        torch.float32,
    ]
