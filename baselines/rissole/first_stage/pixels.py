"""A first stage that changes nothing: diffusion of blocks of pixels."""

from dataclasses import dataclass
from pathlib import Path

from jaxtyping import Float, Integer
from torch import Tensor

from prism_bench.baselines.rissole.first_stage.first_stage import Autoencoder, FirstStage
from prism_bench.prism.engine.runtime import Report, Runtime
from prism_bench.prism.images import to_levels, to_signed
from prism_bench.prism.methods.method import TrainingData


@dataclass(frozen=True, kw_only=True)
class PixelStage(FirstStage, name="pixels"):
    """The identity: latents are the images. Nothing to train; RISSOLE without its autoencoder."""

    def latent(self, resolution: int) -> tuple[int, int]:
        """(3, R)."""
        return 3, resolution

    def autoencoder(self, resolution: int) -> Autoencoder:
        """No weights."""
        return Identity()

    def trained(
        self, data: TrainingData, *, seed: int, folder: Path, runtime: Runtime, report: Report
    ) -> tuple[FirstStage, Autoencoder]:
        """At once."""
        report(1, 1, "images")
        return self, Identity()

    def training_flops(self, resolution: int, embedding_dim: int) -> float:
        """None."""
        return 0.0


class Identity(Autoencoder):
    """Codes are bytes, latents numbers in [-1, 1]."""

    def encode(self, images: Float[Tensor, "b 3 r r"]) -> Integer[Tensor, "b 3 r r"]:
        """uint8."""
        return to_levels(images)

    def latents(self, codes: Integer[Tensor, "*b 3 r r"]) -> Float[Tensor, "*b 3 r r"]:
        """In [-1, 1]."""
        return to_signed(codes)

    def decode(self, latents: Float[Tensor, "b 3 r r"]) -> Float[Tensor, "b 3 r r"]:
        """As they are."""
        return latents
