"""Samplers against closed forms on Gaussian data."""

import math
from itertools import pairwise

import pytest
import torch
from prism_bench.prism.component import Component
from prism_bench.prism.errors import InputError
from prism_bench.prism.methods.sampling import DPMSolverPP2M, Heun, ODESampler
from torch import Tensor

S = 0.5
"""Standard deviation of the data."""
ODE_SAMPLERS = sorted(name for name, kind in Component.members["sampler"].items() if issubclass(kind, ODESampler))


def ideal(noisy: Tensor, sigma: Tensor) -> Tensor:
    """The denoiser of N(0, S^2): the posterior mean."""
    return noisy * S**2 / (S**2 + sigma**2)


def exact(noise: Tensor, sigma_max: float, sigma_min: float) -> Tensor:
    """The ODE's solution for Gaussian data: x(sigma) is proportional to sqrt(S^2 + sigma^2)."""
    return noise * sigma_max * math.sqrt((S**2 + sigma_min**2) / (S**2 + sigma_max**2))


def slope(sampler: ODESampler, coarse: int, fine: int) -> float:
    """Measured order between two numbers of steps, without the last step into sigma = 0, in float64."""
    noise = torch.ones(1, 1, 1, 1, dtype=torch.float64)
    errors = []
    for steps in (coarse, fine):
        s = sampler.replace(steps=steps, sigma_min=0.02, sigma_max=20.0)
        sigmas = s.sigmas()[:-1]
        end = s.integrate(ideal, noise * sigmas[0], sigmas)
        errors.append(float((end - exact(noise, 20.0, 0.02)).abs()))
    return math.log(errors[0] / errors[1]) / math.log(fine / coarse)


@pytest.mark.parametrize("sampler", [Heun(), DPMSolverPP2M()])
def test_order_two(sampler: ODESampler) -> None:
    assert slope(sampler, 128, 256) == pytest.approx(2.0, abs=0.15)


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

    assert slope(Euler(), 128, 256) == pytest.approx(1.0, abs=0.15)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ODE_SAMPLERS)
def test_grid_is_strictly_decreasing_with_exact_ends(name: str) -> None:
    sampler = Component.members["sampler"][name]()
    assert isinstance(sampler, ODESampler)
    sigmas = sampler.sigmas()
    assert len(sigmas) == sampler.steps + 1
    assert (sigmas[1:] < sigmas[:-1]).all()
    assert (float(sigmas[0]), float(sigmas[-2]), float(sigmas[-1])) == (80.0, 0.002, 0.0)


@pytest.mark.parametrize("name", ODE_SAMPLERS)
def test_evaluations_are_what_is_stated_and_samples_have_the_datas_spread(name: str) -> None:
    sampler = Component.members["sampler"][name]()
    assert isinstance(sampler, ODESampler)
    calls = []

    def counted(noisy: Tensor, sigma: Tensor) -> Tensor:
        calls.append(float(sigma))
        return ideal(noisy, sigma)

    noise = torch.ones(1, 3, 2, 2, dtype=torch.float64)
    sampler.sample(counted, noise)
    assert len(calls) == sampler.evaluations
    # 18 steps of these second-order methods are 6 per cent off on this problem, four times as many a sixteenth of that.
    out = sampler.replace(steps=72).sample(counted, noise)
    assert float(out.mean()) == pytest.approx(S, rel=0.01)


def test_eighteen_heun_steps_are_35_evaluations() -> None:
    assert Heun().evaluations == 35
    assert DPMSolverPP2M().evaluations == 18


def test_bad_grids_are_refused() -> None:
    with pytest.raises(InputError, match=r"steps must be at least 2, not 1"):
        Heun(steps=1)
    with pytest.raises(InputError, match="0 < sigma_min < sigma_max"):
        Heun(sigma_min=100.0)
