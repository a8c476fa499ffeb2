"""Samplers; ours integrate the probability-flow ODE dx/dsigma = (x - D(x; sigma)) / sigma."""

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from prism_bench.prism.component import Component
from prism_bench.prism.errors import InputError
from prism_bench.prism.sources import OF_ITSELF, Sources, left_open

Denoise = Callable[[Tensor, Tensor], Tensor]
"""(noisy [b, c, h, w], sigma scalar tensor) -> denoised [b, c, h, w]."""
MOST_STEPS = 10_000


@dataclass(frozen=True, kw_only=True)
class Sampler(Component, family="sampler"):
    """How a trained method makes images, in so many steps. A method says which kind fits it (`sampled_by`)."""

    sources: ClassVar[Sources] = {
        "steps": left_open("the number of steps is not named; EDM has 18, Patch Diffusion 50")
    }

    steps: int = 18

    def __post_init__(self) -> None:
        self.check_least("sampler", steps=2)
        if self.steps > MOST_STEPS:
            raise InputError(f"sampler.steps must be at most {MOST_STEPS:,}, not {self.steps:,}; 1,000 are DDPM's")

    @property
    def evaluations(self) -> int:
        """Calls of the network per sample: one a step, unless a member makes more."""
        return self.steps


@dataclass(frozen=True, kw_only=True)
class ODESampler(Sampler):
    """Integrates from noise of standard deviation sigma_max to an image, on EDM's grid (Karras et al. 2022, eq. 5)."""

    sources: ClassVar[Sources] = {
        "sigma_min": left_open("the noise levels of sampling are not named; EDM's"),
        "sigma_max": left_open("the noise levels of sampling are not named; EDM's"),
        "rho": left_open("the noise levels of sampling are not named; EDM's"),
    }

    sigma_min: float = 0.002
    sigma_max: float = 80.0
    rho: float = 7.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.sigma_min < self.sigma_max:
            raise InputError(f"sampler needs 0 < sigma_min < sigma_max, not {self.sigma_min} and {self.sigma_max}")
        if self.rho <= 0:
            raise InputError(f"sampler.rho must be positive, not {self.rho}")

    def sigmas(self) -> Float[Tensor, " n"]:
        """steps + 1 noise levels, float64, strictly decreasing from sigma_max over sigma_min to 0."""
        ramp = torch.linspace(0, 1, self.steps, dtype=torch.float64)
        high, low = self.sigma_max ** (1 / self.rho), self.sigma_min ** (1 / self.rho)
        levels = (high + ramp * (low - high)) ** self.rho
        levels[0], levels[-1] = self.sigma_max, self.sigma_min
        return torch.cat([levels, levels.new_zeros(1)])

    @abstractmethod
    def integrate(self, denoise: Denoise, x: Float[Tensor, "b c h w"], sigmas: Float[Tensor, " n"]) -> Tensor:
        """Carry x, at noise level sigmas[0], to noise level sigmas[-1] (0 gives the image)."""

    def sample(self, denoise: Denoise, noise: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        """Images from standard normal noise."""
        sigmas = self.sigmas().to(noise.device)
        return self.integrate(denoise, noise * sigmas[0].to(noise.dtype), sigmas)


@dataclass(frozen=True, kw_only=True)
class Heun(ODESampler, name="heun"):
    """EDM's deterministic second-order sampler (Karras et al. 2022, algorithm 1): 18 steps are 35 evaluations."""

    sources: ClassVar[Sources] = {OF_ITSELF: left_open("the sampler is not named; Heun is EDM's")}

    @property
    def evaluations(self) -> int:
        """Two a step, one in the last, which ends at sigma = 0."""
        return 2 * self.steps - 1

    def integrate(self, denoise: Denoise, x: Float[Tensor, "b c h w"], sigmas: Float[Tensor, " n"]) -> Tensor:
        """A trapezoidal corrector after each Euler step, except into sigma = 0."""
        for now, after in pairwise(sigmas.to(x.dtype)):
            slope = (x - denoise(x, now)) / now
            guess = x + (after - now) * slope
            if after > 0:
                slope = (slope + (guess - denoise(guess, after)) / after) / 2
                guess = x + (after - now) * slope
            x = guess
        return x


@dataclass(frozen=True, kw_only=True)
class DPMSolverPP2M(ODESampler, name="dpm++2m"):
    """DPM-Solver++(2M) (Lu et al. 2022, arXiv 2211.01095, algorithm 2) in the variable lambda = -ln sigma.

    One evaluation a step: half the cost of Heun on the same grid. The first step and the last (into sigma = 0,
    where lambda is infinite) are of first order.
    """

    sources: ClassVar[Sources] = {
        OF_ITSELF: left_open("the sampler is not named; Heun is EDM's, and this one takes half as many evaluations")
    }

    def integrate(self, denoise: Denoise, x: Float[Tensor, "b c h w"], sigmas: Float[Tensor, " n"]) -> Tensor:
        """Two-step multistep: the denoised image is extrapolated linearly in lambda to the middle of the step."""
        previous: Tensor | None = None
        width_before = 0.0
        for now, after in pairwise(sigmas):
            denoised = denoise(x, now.to(x.dtype))
            if after == 0:
                return denoised
            width = float(now.log() - after.log())
            target = denoised
            if previous is not None:
                target = denoised + (denoised - previous) * (width / (2 * width_before))
            ratio = float(after / now)
            x = ratio * x + (1 - ratio) * target
            previous, width_before = denoised, width
        return x
