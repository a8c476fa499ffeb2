"""RISSOLE at three sizes; `--set rissole=NAME` puts any of them into a scale."""

from dataclasses import dataclass

from prism_bench.baselines.rissole.ddpm import Ancestral
from prism_bench.baselines.rissole.first_stage.vqgan import VQGAN
from prism_bench.baselines.rissole.method import Rissole
from prism_bench.baselines.rissole.unet import BlockUNet
from prism_bench.baselines.systems import System
from prism_bench.prism.component import Component
from prism_bench.prism.errors import InputError
from prism_bench.prism.methods.method import AllImages, Method
from prism_bench.prism.methods.sampling import Sampler
from prism_bench.prism.training.adam import Training


def clean(method: Method) -> Rissole:
    """The four choices in which the authors' code may not be what they meant, made our way.

    Neighbours by the whole latent, none of them the image itself, blocks that know their place, less dropout.
    """
    own = rissole_of(method)
    return own.replace(query="whole", exclude_self=True, unet=own.unet.replace(use_pos=True, dropout=0.1))


def literal(method: Method) -> Rissole:
    """The same four as in the authors' code for CIFAR-10."""
    own = rissole_of(method)
    return own.replace(query="first_block", exclude_self=False, unet=own.unet.replace(use_pos=False, dropout=0.5))


def rissole_of(method: Component) -> Rissole:
    """The method, where it is RISSOLE; InputError otherwise."""
    if not isinstance(method, Rissole):
        raise InputError(f"rissole.method={method.name} is not RISSOLE; leave it out, or name another preset")
    return method


@dataclass(frozen=True, kw_only=True)
class RissoleRepo(System, name="rissole_repo"):
    """RISSOLE as its authors' code runs it on CIFAR-10 (49.1M parameters): the row of the paper's Table 1."""

    method: Method = Rissole()
    sampler: Sampler = Ancestral()


@dataclass(frozen=True, kw_only=True)
class RissoleClean(System, name="rissole_clean"):
    """The same network, told which block it sees, with neighbours of whole latents, an image never its own."""

    method: Method = clean(Rissole())
    sampler: Sampler = Ancestral()


_SMALL = Training(
    images=100_000, batch=16, learning_rate=2e-3, rampup_images=5_000, final_fraction=0.0, ema_halflife=5_000
)


@dataclass(frozen=True, kw_only=True)
class RissoleSmall(System, name="rissole_small"):
    """RISSOLE with 0.96M parameters for a CPU: the same mechanism, k = 4, 90 steps, no discriminator.

    90 ancestral steps take 1.4 times the operations of PRISM's samples at scale `laptop`, whose solver needs 12
    evaluations. DDIM, in 50 steps or in 250, leaves some blocks of so briefly trained a network in ruins; fresh noise
    mends them.
    """

    method: Method = clean(
        Rissole(
            first_stage=VQGAN(
                training_set=AllImages(),
                latent_channels=4,
                codebook=256,
                head_dim=16,
                adversarial=0.0,
                flip=False,
                training=_SMALL,
            ),
            k=4,
            flip=False,
            unet=BlockUNet(channels=(32, 64), time_sin=32, time_dim=64, head_dim=16),
            training=_SMALL,
        )
    )
    sampler: Sampler = Ancestral(steps=90)
