"""Samplers; ours integrate the probability-flow ODE dx/dsigma = (x - D(x; sigma)) / sigma.

How they do stands in integration.py: a plan needs no torch.
"""

from abc import abstractmethod
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, ClassVar

from prism_bench.prism.component import Component
from prism_bench.prism.errors import InputError
from prism_bench.prism.sources import OF_ITSELF, Sources, left_open

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor

    from prism_bench.prism.methods.integration import Denoise

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
        if not self._falls():
            raise InputError(
                f"sampler.rho = {self.rho} gives no {self.steps} noise levels that fall from {self.sigma_max} to "
                f"{self.sigma_min}; EDM's is 7"
            )

    def _falls(self) -> bool:
        """Whether the noise levels can be told apart and fall, as far as numbers of 64 bits go."""
        try:
            first, last = self.sigma_max ** (1 / self.rho), self.sigma_min ** (1 / self.rho)
            levels = [(first + at / (self.steps - 1) * (last - first)) ** self.rho for at in range(self.steps)]
        except OverflowError:
            return False
        return all(one > other > 0 for one, other in pairwise(levels))

    def sigmas(self) -> "Float[Tensor, ' n']":
        """steps + 1 noise levels, float64, strictly decreasing from sigma_max over sigma_min to 0."""
        from prism_bench.prism.methods.integration import noise_levels

        return noise_levels(self.steps, self.sigma_min, self.sigma_max, self.rho)

    @abstractmethod
    def integrate(self, denoise: "Denoise", x: "Float[Tensor, 'b c h w']", sigmas: "Float[Tensor, ' n']") -> "Tensor":
        """Carry x, at noise level sigmas[0], to noise level sigmas[-1] (0 gives the image)."""

    def sample(self, denoise: "Denoise", noise: "Float[Tensor, 'b c h w']") -> "Float[Tensor, 'b c h w']":
        """Images from standard normal noise."""
        from prism_bench.prism.methods.integration import widest

        sigmas = self.sigmas().to(widest(noise.device)).to(noise.device)
        return self.integrate(denoise, noise * sigmas[0].to(noise.dtype), sigmas)


@dataclass(frozen=True, kw_only=True)
class Heun(ODESampler, name="heun"):
    """EDM's deterministic second-order sampler (Karras et al. 2022, algorithm 1): 18 steps are 35 evaluations."""

    sources: ClassVar[Sources] = {OF_ITSELF: left_open("the sampler is not named; Heun is EDM's")}

    @property
    def evaluations(self) -> int:
        """Two a step, one in the last, which ends at sigma = 0."""
        return 2 * self.steps - 1

    def integrate(self, denoise: "Denoise", x: "Float[Tensor, 'b c h w']", sigmas: "Float[Tensor, ' n']") -> "Tensor":
        """A trapezoidal corrector after each Euler step, except into sigma = 0."""
        from prism_bench.prism.methods.integration import heun

        return heun(denoise, x, sigmas)


@dataclass(frozen=True, kw_only=True)
class DPMSolverPP2M(ODESampler, name="dpm++2m"):
    """DPM-Solver++(2M) (Lu et al. 2022, arXiv 2211.01095, algorithm 2) in the variable lambda = -ln sigma.

    One evaluation a step: half the cost of Heun on the same grid. The first step and the last (into sigma = 0,
    where lambda is infinite) are of first order.
    """

    sources: ClassVar[Sources] = {
        OF_ITSELF: left_open("the sampler is not named; Heun is EDM's, and this one takes half as many evaluations")
    }

    def integrate(self, denoise: "Denoise", x: "Float[Tensor, 'b c h w']", sigmas: "Float[Tensor, ' n']") -> "Tensor":
        """Two-step multistep: the denoised image is extrapolated linearly in lambda to the middle of the step."""
        from prism_bench.prism.methods.integration import dpm_solver_2m

        return dpm_solver_2m(denoise, x, sigmas)


@dataclass(frozen=True, kw_only=True)
class UniPC(ODESampler, name="unipc"):
    """UniPC's predictor UniP-2 and corrector UniC-1 (Zhao et al. 2023, arXiv 2302.04867), one evaluation a step.

    Both with B2(h) = e^h - 1 and in terms of the denoised image. The predictor is then the step of DPM-Solver++(2M).
    At its end the network is evaluated, as the next step needs anyway; the corrector takes the step again with the mean
    of the denoised images at both ends. Second order. Steps of first order are the first predictor and the last (into
    sigma = 0).

    The levels are nearly geometric, that is uniform in lambda = -ln sigma as in Lu et al. 2022: of 12 of EDM's, with
    rho = 7, each is 1.7 to 7 times the next, the largest ratios at the bottom. sigma_min is 2.5 steps of an 8-bit
    image (docs/performance.md).
    """

    sources: ClassVar[Sources] = {
        OF_ITSELF: left_open("the sampler is not named; Heun is EDM's, and this one needs a third as many"),
        "sigma_min": left_open("the noise levels of sampling are not named; 2.5 steps of an 8-bit image"),
        "rho": left_open("the noise levels of sampling are not named; nearly geometric"),
    }

    sigma_min: float = 0.02
    rho: float = 1000.0

    def integrate(self, denoise: "Denoise", x: "Float[Tensor, 'b c h w']", sigmas: "Float[Tensor, ' n']") -> "Tensor":
        """Predictor and corrector."""
        from prism_bench.prism.methods.integration import unipc

        return unipc(denoise, x, sigmas)
