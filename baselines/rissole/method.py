"""RISSOLE as a method: a first stage, a database of its latents, and a U-Net that denoises their blocks."""

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch.utils.flop_counter import FlopCounterMode
from typing_extensions import override

from prism_bench.baselines.rissole.block_objective import BlockObjective, Views
from prism_bench.baselines.rissole.database import Database, keys, retrieve, rows_of
from prism_bench.baselines.rissole.ddpm import DDPM, DDPMSampler
from prism_bench.baselines.rissole.first_stage.first_stage import (
    WEIGHTS,
    Autoencoder,
    Codes,
    FirstStage,
    encode_all,
    file_metadata,
    first_stage_in,
    metadata_of,
    open_autoencoder,
)
from prism_bench.baselines.rissole.first_stage.vqgan import VQGAN
from prism_bench.baselines.rissole.fitted import FittedRissole
from prism_bench.baselines.rissole.unet import BlockUNet, UNet
from prism_bench.prism.data.split import Ids, Parts
from prism_bench.prism.encoders.base import Vectors
from prism_bench.prism.engine.runtime import Report, Runtime
from prism_bench.prism.errors import ComputeError, InputError
from prism_bench.prism.methods.method import AllImages, Fitted, Method, TrainingData, TrainingSet
from prism_bench.prism.methods.sampling import Sampler
from prism_bench.prism.patch_diffusion.flops import BACKWARD
from prism_bench.prism.rng import seed_for
from prism_bench.prism.sources import WHOLE, Sources, left_open
from prism_bench.prism.training.adam import Training
from prism_bench.prism.training.checkpoint import Checkpoints
from prism_bench.prism.training.loop import train

FIRST, UNET = "first_stage.", "unet."


@dataclass(frozen=True, kw_only=True)
class Rissole(Method, name="rissole"):
    """Diffusion of latent blocks, each guided by the same block of the k nearest latents of a database.

    factor: blocks along a side. k: neighbours, the same in training and sampling (the network's input is as wide).
    query: what neighbours are found by, the whole latent or its first block alone. database: the training images
    themselves, or the retrieval set D. exclude_self: in training an image is not its own neighbour. flip: every image
    is learnt from in its mirror image too.

    Source: RISSOLE (arXiv:2408.17095) and its authors' code; the defaults are those of its CIFAR-10 runs. Differs
    from it: images at their own resolution, every image encoded once (the authors' database mixes blocks of mirrored
    and plain copies), exact search, and see `BlockUNet`, `DDPM` and `VQGAN`.
    """

    sources: ClassVar[Sources] = {
        WHOLE: left_open("another publication's method, of which the paper names a number alone; see docs/baselines.md")
    }

    sampled_by: ClassVar[type] = DDPMSampler
    guided: ClassVar[bool] = True
    keeps: ClassVar[str] = "a database of latents of the images, from which its first stage makes the pictures again"
    training_set: TrainingSet = AllImages()
    first_stage: FirstStage = VQGAN(training_set=AllImages())
    factor: int = 2
    k: int = 10
    query: Literal["first_block", "whole"] = "first_block"
    database: Literal["train", "D"] = "train"
    exclude_self: bool = False
    flip: bool = True
    unet: BlockUNet = BlockUNet()
    process: DDPM = DDPM()
    training: Training = Training(
        images=10_000_000, batch=1024, learning_rate=2e-4, rampup_images=0, ema_halflife=1, ema_rampup=0.0
    )

    def __post_init__(self) -> None:
        for field in ("factor", "k"):
            if getattr(self, field) < 1:
                raise InputError(f"RISSOLE's {field} must be at least 1, not {getattr(self, field)}")
        if not isinstance(self.first_stage, FirstStage):
            raise InputError(f"first_stage={self.first_stage.name} is no first stage of RISSOLE; use vqgan or pixels")

    @property
    def first(self) -> Method:
        """The first stage."""
        return self.first_stage

    @override
    def check(self, resolution: int) -> None:
        self.first_stage.check(resolution)
        _, side = self.first_stage.latent(resolution)
        if side % self.factor:
            fits = ", ".join(str(factor) for factor in range(1, side + 1) if side % factor == 0)
            raise InputError(
                f"a latent of {side}x{side} cannot be cut into {self.factor}x{self.factor} equal blocks: factor must "
                f"divide {side}; use one of {fits}, or another resolution than {resolution}"
            )
        self.unet.check(side // self.factor)

    @property
    @override
    def sampled_in(self) -> str:
        return self.training.precision

    @override
    def check_training(self, resolution: int, seed: int) -> None:
        self.training.check_learns(self.training.batch)
        self.training.check_whole("RISSOLE's U-Net")

    @override
    def check_parts(self, parts: Parts) -> None:
        ids = self.training_set.ids(parts)
        if self.database == "train" and not np.isin(parts.retrieval, ids).all():
            raise InputError(
                f"RISSOLE trained on {self.training_set.words} with database=train would not hold the images of D, "
                "which samples are guided by; use database=D or training_set=X"
            )
        held = len(self._held(parts))
        itself = self.exclude_self and bool(np.isin(ids, self._held(parts)).any())
        if self.k > held - itself:
            raise InputError(
                f"RISSOLE's k = {self.k} is more than its database holds: {held} latents"
                f"{', the query itself not counted' if itself else ''}; use k <= {held - itself}, or more images"
            )

    @override
    def retrieved_from(self, parts: Parts) -> int:
        return len(self._held(parts))

    def _held(self, parts: Parts) -> Ids:
        """Which images the database holds."""
        return self.training_set.ids(parts) if self.database == "train" else parts.retrieval

    @override
    def check_sampler(self, sampler: Sampler) -> None:
        super().check_sampler(sampler)
        if sampler.steps > self.process.steps:
            raise InputError(
                f"sampler.steps = {sampler.steps} but the noise process has {self.process.steps} steps; use as many "
                "or fewer"
            )

    def block(self, resolution: int) -> tuple[int, int]:
        """Channels and side of a block."""
        channels, side = self.first_stage.latent(resolution)
        return channels, side // self.factor

    def build(self, resolution: int) -> UNet:
        """The U-Net, with weights from torch's generator."""
        channels, _ = self.block(resolution)
        return self.unet.build(channels, self.k, self.factor**2)

    @override
    def fit(self, data: TrainingData, *, seed: int, folder: Path, runtime: Runtime, report: Report) -> None:
        if data.first is None:
            raise ComputeError("RISSOLE needs the folder of its trained first stage")
        module = open_autoencoder(data.first / WEIGHTS).to(runtime.device).eval().requires_grad_(requires_grad=False)
        views, database = self._retrieved(data, module, runtime)
        database.save(folder)
        scale = _spread(module, views.codes[:, 0], runtime.device) if self.process.scale_latents else 1.0
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed_for(seed, "initial weights"))
            network = self.build(data.images.shape[-1]).to(runtime.device)
        objective = BlockObjective(
            views,
            module,
            self.process,
            block=self.block(data.images.shape[-1]),
            factor=self.factor,
            scale=scale,
            batch_size=self.training.batch,
            seed=seed,
            device=runtime.device,
        )
        average = train(network, objective, self.training, seed=seed, folder=folder, runtime=runtime, report=report)
        self._save(average, scale, data.first, folder)
        Checkpoints(folder, runtime.checkpoint_seconds).remove()

    def _retrieved(self, data: TrainingData, module: Autoencoder, runtime: Runtime) -> tuple[Views, Database]:
        """The codes of the training images, and their neighbours in the database."""
        whole = self.query == "whole"

        def searched(codes: Codes) -> Vectors:
            return keys(module, codes, self.factor, runtime.device, whole=whole)

        flips = (False, True) if self.flip else (False,)
        views = [encode_all(module, data.images, data.ids, runtime.device, flip=flip) for flip in flips]
        itself = self.database == "train"
        ids = data.ids if itself else data.retrieval
        codes = views[0] if itself else encode_all(module, data.images, ids, runtime.device)
        held = searched(codes)
        own = rows_of(data.ids, ids) if self.exclude_self else None
        found = [retrieve(searched(view), held, self.k, threads=runtime.threads, own=own) for view in views]
        database = Database(ids, codes, retrieve(held, held, self.k, threads=runtime.threads))
        return Views(np.stack(views, axis=1), np.stack(found, axis=1), codes), database

    def _save(self, network: UNet, scale: float, first: Path, folder: Path) -> None:
        """Both networks in one file, which says what the first stage is."""
        weights = {f"{UNET}{name}": value.cpu().contiguous() for name, value in network.state_dict().items()}
        weights |= {f"{FIRST}{name}": value for name, value in load_file(first / WEIGHTS).items()}
        save_file(weights, folder / WEIGHTS, file_metadata(*first_stage_in(first / WEIGHTS), latent_scale=scale))

    @override
    def load(self, folder: Path, *, resolution: int, embedding_dim: int, runtime: Runtime) -> Fitted:
        # The file says what its first stage is, so that one taken from elsewhere need not be named again.
        network = self.replace(first_stage=first_stage_in(folder / WEIGHTS)[0]).build(resolution)
        weights = load_file(folder / WEIGHTS)
        network.load_state_dict({name[len(UNET) :]: value for name, value in weights.items() if name.startswith(UNET)})
        module = open_autoencoder(folder / WEIGHTS, FIRST)
        return FittedRissole(
            network=network.to(runtime.device).eval(),
            module=module.to(runtime.device).eval(),
            database=Database.load(folder),
            process=self.process,
            factor=self.factor,
            scale=float(metadata_of(folder / WEIGHTS)["latent_scale"]),
            device=runtime.device,
            training=self.training,
        )

    def training_flops(self, resolution: int, embedding_dim: int) -> float:
        """Of the U-Net's training alone: the first stage counts its own."""
        return (1 + BACKWARD) * _all_blocks(self, resolution) * self.training.images

    def sampling_flops(self, sampler: Sampler, resolution: int, embedding_dim: int, k_sample: int) -> float:
        """Every block's every step, and one decoding."""
        return sampler.evaluations * _all_blocks(self, resolution) + self.first_stage.decoding_flops(resolution)

    def trainable(self, resolution: int, embedding_dim: int) -> int:
        """The U-Net's."""
        return sum(weight.numel() for weight in self.build(resolution).parameters())

    def active(self, weight: str) -> bool:
        """What its first stage leaves idle in sampling is idle here."""
        return not weight.startswith(FIRST) or self.first_stage.active(weight.removeprefix(FIRST))


@lru_cache(maxsize=64)
def _all_blocks(method: Rissole, resolution: int) -> float:
    """Operations of one forward pass of all blocks of an image."""
    (channels, width), blocks = method.block(resolution), method.factor**2
    with torch.device("meta"), torch.no_grad(), FlopCounterMode(display=False) as counter:
        block, number = torch.empty(1, channels, width, width), torch.zeros(1, dtype=torch.long)
        method.build(resolution).eval()(block, number, torch.empty(1, method.k * channels, width, width), number)
    return float(blocks * counter.get_total_flops())


@torch.inference_mode()
def _spread(module: Autoencoder, codes: Codes, device: str) -> float:
    """Standard deviation of all numbers of the latents of codes, evenly spaced: all, or 4,096 to 8,191 of them."""
    few = codes[:: max(1, len(codes) // 4096)]
    return float(module.latents(torch.from_numpy(np.ascontiguousarray(few)).to(device)).std())
