"""EDM preconditioning and noise distribution (Karras et al. 2022, Table 1); a plan needs no torch."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal, NamedTuple

from prism_bench.prism.component import Component, added
from prism_bench.prism.errors import InputError
from prism_bench.prism.sources import OF_ITSELF, Sources, differs, given, left_open

if TYPE_CHECKING:
    import torch
    from jaxtyping import Float
    from torch import Tensor


class Coefficients(NamedTuple):
    """c_skip, c_out, c_in, c_noise, each shaped like sigma."""

    skip: "Tensor"
    out: "Tensor"
    input: "Tensor"
    noise: "Tensor"


@dataclass(frozen=True, kw_only=True)
class EDM(Component, family="diffusion", name="edm"):
    """EDM's preconditioning with log-normal training noise: ln sigma ~ N(p_mean, p_std^2).

    sigma is in units of the images, which span [-1, 1]; sigma_data is their standard deviation. loss: the squared
    error's `sum` over the pixels of a patch (the paper's eq. 2, and Patch Diffusion's own code) or its `mean`, the only
    one up to version 0.4.0; under Adam the sum lets large patches weigh more, the mean weighs all alike.
    Differs from the paper: its eq. 2 predicts the noise; with this backbone the two differ by the weight alone.
    """

    sources: ClassVar[Sources] = {
        OF_ITSELF: differs("equation 2 predicts the noise, EDM the image; the two differ by the weight alone"),
        "sigma_data": left_open("no constants of EDM's are named; these are its own"),
        "p_mean": left_open("no distribution of noise levels is named; this is EDM's"),
        "p_std": left_open("no distribution of noise levels is named; this is EDM's"),
        "loss": given(
            "equation 2, a squared norm",
            "sum",
            otherwise="equation 2 sums over pixels, the mean weighs every patch alike",
        ),
    }

    sigma_data: float = 0.5
    p_mean: float = -1.2
    p_std: float = 1.2
    loss: Literal["sum", "mean"] = added("sum", before="mean")

    def __post_init__(self) -> None:
        if self.sigma_data <= 0 or self.p_std <= 0:
            raise InputError(f"diffusion needs sigma_data > 0 and p_std > 0, not {self.sigma_data} and {self.p_std}")

    def coefficients(self, sigma: "Float[Tensor, '*b']") -> Coefficients:
        """EDM Table 1, column 'Ours': the network's input and target have unit variance at every sigma."""
        total = (sigma**2 + self.sigma_data**2).sqrt()
        return Coefficients(
            skip=self.sigma_data**2 / total**2,
            out=sigma * self.sigma_data / total,
            input=1 / total,
            noise=sigma.log() / 4,
        )

    def weight(self, sigma: "Float[Tensor, '*b']") -> "Float[Tensor, '*b']":
        """Loss weight 1 / c_out^2 = (sigma^2 + sigma_data^2) / (sigma sigma_data)^2."""
        return (sigma**2 + self.sigma_data**2) / (sigma * self.sigma_data) ** 2

    def draw_sigma(self, n: int, rng: "torch.Generator") -> "Float[Tensor, ' n']":
        """n training noise levels, on the generator's device."""
        import torch

        return (torch.randn(n, generator=rng, device=rng.device) * self.p_std + self.p_mean).exp()
