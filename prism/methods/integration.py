"""How the samplers integrate the probability-flow ODE, from noise at sigmas[0] to noise at sigmas[-1]."""

from collections.abc import Callable
from itertools import pairwise
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

Denoise = Callable[[Tensor, Tensor], Tensor]
"""(noisy [b, c, h, w], sigma scalar tensor) -> denoised [b, c, h, w]."""


def widest(device: torch.device) -> torch.dtype:
    """The numbers in which levels lie on a device: float64, which Apple's (mps) does not have."""
    return torch.float32 if device.type == "mps" else torch.float64


def noise_levels(steps: int, sigma_min: float, sigma_max: float, rho: float) -> Float[Tensor, " n"]:
    """steps + 1 levels, float64, strictly decreasing from sigma_max over sigma_min to 0 (Karras et al. 2022, eq. 5)."""
    ramp = torch.linspace(0, 1, steps, dtype=torch.float64)
    high, low = sigma_max ** (1 / rho), sigma_min ** (1 / rho)
    levels = (high + ramp * (low - high)) ** rho
    levels[0], levels[-1] = sigma_max, sigma_min
    return torch.cat([levels, levels.new_zeros(1)])


def heun(denoise: Denoise, x: Float[Tensor, "b c h w"], sigmas: Float[Tensor, " n"]) -> Float[Tensor, "b c h w"]:
    """Karras et al. 2022, algorithm 1: a trapezoidal corrector after each Euler step, except into sigma = 0."""
    for now, after in pairwise(sigmas.to(x.dtype)):
        slope = (x - denoise(x, now)) / now
        guess = x + (after - now) * slope
        if after > 0:
            slope = (slope + (guess - denoise(guess, after)) / after) / 2
            guess = x + (after - now) * slope
        x = guess
    return x


def dpm_solver_2m(
    denoise: Denoise, x: Float[Tensor, "b c h w"], sigmas: Float[Tensor, " n"]
) -> Float[Tensor, "b c h w"]:
    """Lu et al. 2022, algorithm 2: the denoised image is extrapolated linearly in lambda to the middle of the step."""
    before: Evaluated | None = None
    for now, after in pairwise(sigmas):
        found = Evaluated(denoise(x, now.to(x.dtype)), now)
        if after == 0:
            return found.denoised
        x = carried(x, extrapolated(found, before, after), now, after)
        before = found
    return x


def unipc(denoise: Denoise, x: Float[Tensor, "b c h w"], sigmas: Float[Tensor, " n"]) -> Float[Tensor, "b c h w"]:
    """x is what the predictor says of the level that is reached, `start` the corrected image at the one before."""
    start = x
    before: Evaluated | None = None
    for now, after in pairwise(sigmas):
        found = Evaluated(denoise(x, now.to(x.dtype)), now)
        if after == 0:
            return found.denoised
        if before is not None:
            x = carried(start, (before.denoised + found.denoised) / 2, before.sigma, now)
        start = x
        x = carried(start, extrapolated(found, before, after), now, after)
        before = found
    return x


class Evaluated(NamedTuple):
    """What the network said at a noise level."""

    denoised: Tensor
    sigma: Tensor


def extrapolated(found: Evaluated, before: Evaluated | None, after: Tensor) -> Tensor:
    """The denoised image in the middle (in lambda) of the step to `after`, by the line through the last two."""
    if before is None:
        return found.denoised
    width = float(found.sigma.log() - after.log())
    width_before = float(before.sigma.log() - found.sigma.log())
    return found.denoised + (found.denoised - before.denoised) * (width / (2 * width_before))


def carried(x: Tensor, denoised: Tensor, now: Tensor, after: Tensor) -> Tensor:
    """x of noise level `now` at the level `after`: the exact solution for a denoised image that is constant between."""
    ratio = float(after / now)
    return ratio * x + (1 - ratio) * denoised
