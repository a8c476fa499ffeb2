"""What the VQ-GAN learns: to restore images through its codewords, and to deceive a judge."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from prism_bench.baselines.rissole.first_stage.vqgan_network import Discriminator, QuantisedAutoencoder
from prism_bench.prism.methods.method import TrainingData
from prism_bench.prism.rng import numpy_rng
from prism_bench.prism.training.loop import Epochs
from torch import Tensor, nn

LARGEST = 1e4
"""Bound of the adaptive factor (Esser et al. 2021)."""


class Losses(NamedTuple):
    """Weights of the losses; see `baselines.rissole.vqgan.VQGAN`."""

    quantisation: float
    commitment: float
    adversarial: float
    adversarial_after: int


class Players(nn.Module):
    """The autoencoder and the one that judges it."""

    def __init__(self, autoencoder: QuantisedAutoencoder, judge: Discriminator | None) -> None:
        super().__init__()
        self.autoencoder, self.judge = autoencoder, judge


class ImageBatch(NamedTuple):
    """Images in [-1, 1] and the step they are seen at."""

    images: Tensor
    step: int
    k: int = 0

    @property
    def n(self) -> int:
        """Images."""
        return len(self.images)

    def to(self, device: torch.device) -> "ImageBatch":
        """The same batch on another device."""
        return self._replace(images=self.images.to(device))


class VQGANObjective:
    """Draws the batch of any step from (seed, step, images seen), as the patches' does."""

    def __init__(self, data: TrainingData, losses: Losses, batch: int, seed: int, *, flip: bool) -> None:
        self.images, self.ids, self.weights, self.batch, self.seed = data.images, data.ids, losses, batch, seed
        self.flip, self.epochs = flip, Epochs(len(data.ids), seed)

    def players(self, network: Players) -> list[list[nn.Parameter]]:
        """The autoencoder's weights, and the judge's where there is one."""
        own = [list(network.autoencoder.parameters())]
        return own if network.judge is None else [*own, list(network.judge.parameters())]

    def draw(self, step: int, seen: int) -> ImageBatch:
        """Half of the images are mirrored where `flip` is set."""
        pixels = np.ascontiguousarray(self.images[self.ids[self.epochs.rows(seen, self.batch)]])
        images = torch.from_numpy(pixels).to(torch.float32) / 127.5 - 1
        if self.flip:
            mirrored = torch.from_numpy(numpy_rng(self.seed, "flips", step).random(self.batch) < 0.5)
            images = torch.where(mirrored[:, None, None, None], images.flip(-1), images)
        return ImageBatch(images, step)

    def losses(self, network: Players, batch: ImageBatch) -> Iterator[Tensor | None]:
        """The autoencoder's, then the judge's."""
        own, images, weights = network.autoencoder, batch.images, self.weights
        z = own.encoder(images)
        codewords = own.latents(own.nearest(z.detach()))
        # The gradient goes past the codewords, as if the nearest one were the encoder's own answer.
        restored = own.restore(z + (codewords - z).detach())
        pixels = F.mse_loss(restored, images)
        quantised = F.mse_loss(codewords, z.detach()) + weights.commitment * F.mse_loss(z, codewords.detach())
        loss = pixels + weights.quantisation * quantised
        judge = network.judge
        if judge is None or batch.step < weights.adversarial_after:
            yield loss
            yield None
            return
        deceived = F.softplus(-judge(restored)).mean()
        factor = _factor(pixels, deceived, own.decoder_end.weight)
        yield loss + weights.adversarial * factor * deceived
        yield (F.softplus(-judge(images)).mean() + F.softplus(judge(restored.detach())).mean()) / 2


def _factor(pixels: Tensor, deceived: Tensor, last: Tensor) -> Tensor:
    """Brings the judge's pull on the decoder's last layer to the length of that of the pixels."""
    wanted, got = (torch.autograd.grad(loss, last, retain_graph=True)[0].norm() for loss in (pixels, deceived))
    factor: Tensor = wanted / (got + 1e-4)
    return factor.clamp(max=LARGEST).detach()
