"""RISSOLE's first stage: a small VQ-GAN (after Esser et al. 2021, arXiv:2012.09841)."""

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Self

import torch
from torch.utils.flop_counter import FlopCounterMode
from typing_extensions import override

from prism_bench.baselines.rissole.first_stage.first_stage import Autoencoder, FirstStage
from prism_bench.baselines.rissole.first_stage.layers import check_widths
from prism_bench.baselines.rissole.first_stage.vqgan_network import Discriminator, QuantisedAutoencoder
from prism_bench.baselines.rissole.first_stage.vqgan_objective import Losses, VQGANNetworks, VQGANObjective
from prism_bench.prism.engine.runtime import Report, Runtime
from prism_bench.prism.errors import InputError
from prism_bench.prism.methods.method import TrainingData
from prism_bench.prism.patch_diffusion.flops import BACKWARD
from prism_bench.prism.rng import seed_for
from prism_bench.prism.training.adam import Training
from prism_bench.prism.training.loop import train


@dataclass(frozen=True, kw_only=True)
class VQGAN(FirstStage, name="vqgan"):
    """Convolutions down to a small latent of codebook entries, and back; the defaults are the authors', for 32x32.

    channels: a level each, every one of which halves the image. latent_channels, codebook: width and number of the
    codebook's entries. heads, head_dim: attention at the bottom. quantisation: weight of the quantisation loss (1 for
    the codebook, `commitment` for the encoder). adversarial: weight of the discriminator's, after the adaptive
    weight of the publication; 0 trains without one. adversarial_after: steps without it at the start.

    Differs from the authors' code: no perceptual loss, which needs the weights of a VGG; the weights of codebook and
    encoder are not exchanged, and that of the discriminator does not cancel; attention has a norm and a skip.
    """

    channels: tuple[int, ...] = (32,)
    latent_channels: int = 10
    codebook: int = 1024
    heads: int = 4
    head_dim: int = 64
    quantisation: float = 0.9
    commitment: float = 0.25
    adversarial: float = 0.1
    adversarial_after: int = 1000
    flip: bool = True
    training: Training = Training(
        images=15_000_000, batch=512, learning_rate=2e-4, rampup_images=0, ema_halflife=1, ema_rampup=0.0
    )

    def __post_init__(self) -> None:
        check_widths(self.channels, "first_stage.channels")
        self.check_least("first_stage", heads=1, head_dim=1, adversarial_after=0)
        self.check_least("first_stage", quantisation=0, commitment=0, adversarial=0)
        for field, least in (("latent_channels", 1), ("codebook", 2)):
            if not least <= getattr(self, field) < 2**15:
                value = getattr(self, field)
                raise InputError(f"first_stage.{field} must be from {least} to {2**15 - 1:,}, not {value}")

    @override
    def check(self, resolution: int) -> None:
        step = 2 ** len(self.channels)
        if resolution % step:
            raise InputError(
                f"resolution {resolution} cannot be halved {len(self.channels)} times, as the first stage's "
                f"channels={self.channels} needs; use {max(resolution // step, 1) * step}"
            )

    @override
    def check_training(self, resolution: int, seed: int) -> None:
        self.training.check_learns(self.training.batch)
        self.training.check_whole("RISSOLE's first stage")

    @override
    def latent(self, resolution: int) -> tuple[int, int]:
        return self.latent_channels, resolution // 2 ** len(self.channels)

    @override
    def autoencoder(self, resolution: int) -> Autoencoder:
        return self._network()

    def _network(self) -> QuantisedAutoencoder:
        return QuantisedAutoencoder(
            self.channels,
            latent=self.latent_channels,
            codebook=self.codebook,
            heads=self.heads,
            head_dim=self.head_dim,
        )

    @override
    def trained(
        self, data: TrainingData, *, seed: int, folder: Path, runtime: Runtime, report: Report
    ) -> tuple[FirstStage, Autoencoder]:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed_for(seed, "initial weights"))
            networks = VQGANNetworks(self._network(), Discriminator() if self.adversarial else None)
        networks.to(runtime.device)
        losses = Losses(self.quantisation, self.commitment, self.adversarial, self.adversarial_after)
        objective = VQGANObjective(data, losses, self.training.batch, seed, flip=self.flip, runtime=runtime)
        average = train(networks, objective, self.training, seed=seed, folder=folder, runtime=runtime, report=report)
        return self, average.autoencoder

    def training_flops(self, resolution: int, embedding_dim: int) -> float:
        """Encoder, codebook and decoder; and the discriminator, thrice a step, from its first step on."""
        encode, decode, discriminate = _operations(self, resolution)
        steps = self.training.images / self.training.batch
        adversarial = max(0.0, 1 - self.adversarial_after / steps) if self.adversarial else 0.0
        return (1 + BACKWARD) * (encode + decode + 3 * adversarial * discriminate) * self.training.images

    def within(self, flops: float, resolution: int) -> Self:
        """Fewer or more images; by what one costs with the discriminator where there is one."""
        encode, decode, discriminate = _operations(self, resolution)
        each = (1 + BACKWARD) * (encode + decode + (3 * discriminate if self.adversarial else 0.0))
        images = max(self.training.batch, int(flops / each))
        return self.replace(training=self.training.lasting(images))

    @override
    def decoding_flops(self, resolution: int) -> float:
        return _operations(self, resolution)[1]

    def trainable(self, resolution: int, embedding_dim: int) -> int:
        """The autoencoder's and the discriminator's."""
        networks = [self._network(), *([Discriminator()] if self.adversarial else [])]
        return sum(weight.numel() for network in networks for weight in network.parameters())

    def active(self, weight: str) -> bool:
        """All but the encoder."""
        return not weight.startswith("encoder.")


@lru_cache(maxsize=64)
def _operations(own: VQGAN, resolution: int) -> tuple[float, float, float]:
    """Operations of one image: encoding, decoding (both search the codebook), discriminating."""
    channels, side = own.latent(resolution)
    with torch.device("meta"), torch.no_grad():
        network, discriminator = own._network().eval(), Discriminator().eval()
        image, latent = torch.empty(1, 3, resolution, resolution), torch.empty(1, channels, side, side)
        counts = []
        for count in (lambda: network.encode(image), lambda: network.decode(latent), lambda: discriminator(image)):
            with FlopCounterMode(display=False) as counter:
                count()
            counts.append(float(counter.get_total_flops()))
    encode, decode, discriminate = counts
    return encode, decode, discriminate
