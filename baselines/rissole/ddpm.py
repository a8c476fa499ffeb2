"""DDPM's noise process (Ho et al. 2020, arXiv:2006.11239) and its samplers, ancestral and DDIM."""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar

import torch
from jaxtyping import Float, Int
from torch import Tensor

from prism_bench.prism.component import Component
from prism_bench.prism.errors import InputError
from prism_bench.prism.methods.integration import widest
from prism_bench.prism.methods.sampling import MOST_STEPS, Sampler
from prism_bench.prism.sources import WHOLE, Sources, left_open

Predict = Callable[[Tensor, int], Tensor]
"""(noisy [b, ...], time step from 0) -> the noise in it."""


@dataclass(frozen=True, kw_only=True)
class DDPM(Component, family="noise_process", name="ddpm"):
    """x_t = sqrt(a_t) x_0 + sqrt(1 - a_t) noise, with a_t the product of 1 - beta up to t, beta rising linearly.

    shared_t: one time step for each position and batch, as in the authors' code, instead of one for each block.
    scale_latents: latents are divided by their standard deviation first; the authors train on raw latents, so that
    their noise levels depend on how the first stage came out.
    """

    steps: int = 1000
    beta_start: float = 1e-4
    beta_end: float = 0.02
    shared_t: bool = False
    scale_latents: bool = True

    def __post_init__(self) -> None:
        self.check_least("process", steps=2)
        if self.steps > MOST_STEPS:
            raise InputError(f"process.steps must be at most {MOST_STEPS:,}, not {self.steps:,}")
        if not 0 < self.beta_start <= self.beta_end < 1:
            raise InputError(f"process needs 0 < beta_start <= beta_end < 1, not {self.beta_start} and {self.beta_end}")

    def signal(self) -> Float[Tensor, " t"]:
        """a_t for t = 0 ... steps - 1, float64, falling."""
        betas = torch.linspace(self.beta_start, self.beta_end, self.steps, dtype=torch.float64)
        return (1 - betas).cumprod(0)

    def noisy(self, clean: Tensor, noise: Tensor, t: Int[Tensor, " b"]) -> Tensor:
        """x_t for a time step each."""
        kept = self.signal().to(widest(clean.device)).to(clean.device)[t].reshape(-1, *[1] * (clean.ndim - 1))
        return kept.sqrt().to(clean.dtype) * clean + (1 - kept).sqrt().to(clean.dtype) * noise


@dataclass(frozen=True, kw_only=True)
class DDPMSampler(Sampler):
    """Goes back through `steps` of the process's time steps, evenly spaced, the last and the first among them.

    One step is DDIM's generalised step (Song et al. 2021, arXiv:2010.02502, eq. 12 and 16), eta of the noise fresh.
    """

    sources: ClassVar[Sources] = {WHOLE: left_open("of RISSOLE the paper names a number alone; see docs/baselines.md")}

    eta: ClassVar[float]

    def times(self, process: DDPM) -> list[int]:
        """The time steps, from the noisiest on."""
        return [round(t) for t in torch.linspace(process.steps - 1, 0, self.steps, dtype=torch.float64).tolist()]

    def sample(self, predict: Predict, noise: Tensor, process: DDPM, fresh: Callable[[], Tensor]) -> Tensor:
        """x_0 from standard normal noise; `fresh` gives noise of the same shape for a step that wants it."""
        kept = {t: float(a) for t, a in enumerate(process.signal())}
        x = noise
        for t, after in pairwise([*self.times(process), -1]):
            now, then = kept[t], kept.get(after, 1.0)
            guess = predict(x, t)
            clean = (x - (1 - now) ** 0.5 * guess) / now**0.5
            spread = self.eta * ((1 - then) / (1 - now) * (1 - now / then)) ** 0.5
            x = then**0.5 * clean + max(1 - then - spread**2, 0.0) ** 0.5 * guess
            if spread > 0:
                x = x + spread * fresh()
        return x


@dataclass(frozen=True, kw_only=True)
class Ancestral(DDPMSampler, name="ddpm"):
    """DDPM's ancestral sampler: with as many steps as the process has, its posterior of variance beta-tilde.

    With fewer, the same over the steps that are left (DDIM's eta = 1).
    """

    eta: ClassVar[float] = 1.0
    steps: int = 1000


@dataclass(frozen=True, kw_only=True)
class DDIM(DDPMSampler, name="ddim"):
    """DDIM: deterministic, of first order, and good in far fewer steps."""

    eta: ClassVar[float] = 0.0
    steps: int = 50
