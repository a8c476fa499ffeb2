"""The VQ-GAN's losses: reconstruction through the codebook, and the discriminator's."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from prism_bench.baselines.rissole.first_stage.vqgan_network import Discriminator, QuantisedAutoencoder
from prism_bench.prism.data.split import Ids
from prism_bench.prism.engine.runtime import Runtime
from prism_bench.prism.images import to_signed
from prism_bench.prism.methods.method import TrainingData
from prism_bench.prism.rng import numpy_rng
from prism_bench.prism.training.loop import Epochs
from prism_bench.prism.training.placement import placed, sent, taken

LARGEST = 1e4
"""Bound of the adaptive weight (Esser et al. 2021)."""


class Losses(NamedTuple):
    """Weights of the losses; see `VQGAN`."""

    quantisation: float
    commitment: float
    adversarial: float
    adversarial_after: int


class VQGANNetworks(nn.Module):
    """The autoencoder, which is the generator, and its discriminator, which checkpoints hold as `judge`."""

    def __init__(self, autoencoder: QuantisedAutoencoder, discriminator: Discriminator | None) -> None:
        super().__init__()
        self.autoencoder, self.judge = autoencoder, discriminator

    @property
    def discriminator(self) -> Discriminator | None:
        """None where the training has no adversarial loss."""
        return self.judge


class ImageDraw(NamedTuple):
    """What is drawn for a step: which images, ids into X, and which of them are mirrored."""

    step: int
    images: Ids
    mirrored: npt.NDArray[np.bool_]

    @property
    def n(self) -> int:
        """Images."""
        return len(self.images)

    @property
    def facts(self) -> dict[str, float]:
        """k_train is 0: no neighbours."""
        return {"k_train": 0}


class ImageBatch(NamedTuple):
    """Images in [-1, 1] and the step they are seen at."""

    images: Tensor
    step: int


class VQGANObjective:
    """The draw of a step is a function of (seed, step, images seen)."""

    def __init__(
        self, data: TrainingData, losses: Losses, batch_size: int, seed: int, *, flip: bool, runtime: Runtime
    ) -> None:
        self.ids, self.weights, self.seed = data.ids, losses, seed
        self.batch_size, self.flip, self.epochs = batch_size, flip, Epochs(len(data.ids), seed)
        self.device = torch.device(runtime.device)
        (self.images,) = placed([data.images], self.device, runtime.data_share)

    def parameter_groups(self, network: VQGANNetworks) -> list[list[nn.Parameter]]:
        """The generator's weights, and the discriminator's where there is one."""
        return [list(part.parameters()) for part in (network.autoencoder, network.discriminator) if part is not None]

    def draw(self, step: int, seen: int) -> ImageDraw:
        """Half of the images are mirrored where `flip` is set."""
        images = self.ids[self.epochs.rows(seen, self.batch_size)]
        odds = 0.5 if self.flip else 0.0
        return ImageDraw(step, images, numpy_rng(self.seed, "flips", step).random(self.batch_size) < odds)

    def gather(self, draw: ImageDraw) -> ImageBatch:
        """See `ImageBatch`."""
        images = to_signed(taken(self.images, draw.images, self.device))
        if self.flip:
            mirrored = sent(draw.mirrored, self.device)
            images = torch.where(mirrored[:, None, None, None], images.flip(-1), images)
        return ImageBatch(images, draw.step)

    def losses(self, network: VQGANNetworks, batch: ImageBatch) -> Iterator[Tensor | None]:
        """The generator's, then the discriminator's."""
        generator, images, weights = network.autoencoder, batch.images, self.weights
        z = generator.encoder(images)
        quantised = generator.latents(generator.nearest(z.detach()))
        # Straight-through estimator: the gradient passes the codebook as if z itself were decoded.
        reconstruction = generator.restore(z + (quantised - z).detach())
        pixel_loss = F.mse_loss(reconstruction, images)
        commitment = weights.commitment * F.mse_loss(z, quantised.detach())
        loss = pixel_loss + weights.quantisation * (F.mse_loss(quantised, z.detach()) + commitment)
        discriminator = network.discriminator
        if discriminator is None or batch.step < weights.adversarial_after:
            yield loss
            yield None
            return
        generator_loss = F.softplus(-discriminator(reconstruction)).mean()
        weight = _adaptive_weight(pixel_loss, generator_loss, generator.decoder_end.weight)
        yield loss + weights.adversarial * weight * generator_loss
        real, fake = F.softplus(-discriminator(images)), F.softplus(discriminator(reconstruction.detach()))
        yield (real.mean() + fake.mean()) / 2


def _adaptive_weight(pixel_loss: Tensor, generator_loss: Tensor, last: Tensor) -> Tensor:
    """Gives both losses gradients of one norm at the decoder's last layer (Esser et al. 2021, eq. 7)."""
    losses = (pixel_loss, generator_loss)
    pixels, adversarial = (torch.autograd.grad(loss, last, retain_graph=True)[0].norm() for loss in losses)
    weight: Tensor = pixels / (adversarial + 1e-4)
    return weight.clamp(max=LARGEST).detach()
