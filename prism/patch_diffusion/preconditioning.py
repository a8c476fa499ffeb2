"""EDM's preconditioning and noise levels (Karras et al. 2022, Table 1, column 'Ours')."""

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor


class Coefficients(NamedTuple):
    """c_skip, c_out, c_in, c_noise, each shaped like sigma."""

    skip: Tensor
    out: Tensor
    input: Tensor
    noise: Tensor


def coefficients(sigma: Float[Tensor, "*b"], sigma_data: float) -> Coefficients:
    """The network's input and target have unit variance at every sigma."""
    total = (sigma**2 + sigma_data**2).sqrt()
    return Coefficients(
        skip=sigma_data**2 / total**2,
        out=sigma * sigma_data / total,
        input=1 / total,
        noise=sigma.log() / 4,
    )


def weight(sigma: Float[Tensor, "*b"], sigma_data: float) -> Float[Tensor, "*b"]:
    """1 / c_out^2."""
    return (sigma**2 + sigma_data**2) / (sigma * sigma_data) ** 2


def log_normal(n: int, rng: torch.Generator, mean: float, std: float) -> Float[Tensor, " n"]:
    """n levels with ln sigma ~ N(mean, std^2), on the generator's device."""
    return (torch.randn(n, generator=rng, device=rng.device) * std + mean).exp()
