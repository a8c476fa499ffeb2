"""EDM preconditioning and noise distribution (Karras et al. 2022, Table 1); a plan needs no torch."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

from prism_bench.prism.component import Component, added
from prism_bench.prism.errors import InputError
from prism_bench.prism.sources import OF_ITSELF, Sources, differs, given, left_open

if TYPE_CHECKING:
    import torch
    from jaxtyping import Float
    from torch import Tensor

    from prism_bench.prism.patch_diffusion.preconditioning import Coefficients


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

    def coefficients(self, sigma: "Float[Tensor, '*b']") -> "Coefficients":
        """EDM Table 1, column 'Ours': the network's input and target have unit variance at every sigma."""
        from prism_bench.prism.patch_diffusion.preconditioning import coefficients

        return coefficients(sigma, self.sigma_data)

    def weight(self, sigma: "Float[Tensor, '*b']") -> "Float[Tensor, '*b']":
        """Loss weight 1 / c_out^2 = (sigma^2 + sigma_data^2) / (sigma sigma_data)^2."""
        from prism_bench.prism.patch_diffusion.preconditioning import weight

        return weight(sigma, self.sigma_data)

    def draw_sigma(self, n: int, rng: "torch.Generator") -> "Float[Tensor, ' n']":
        """n training noise levels, on the generator's device."""
        from prism_bench.prism.patch_diffusion.preconditioning import log_normal

        return log_normal(n, rng, self.p_mean, self.p_std)
