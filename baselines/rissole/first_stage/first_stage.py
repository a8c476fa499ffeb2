"""RISSOLE's first stage: images become latents and come back; diffusion sees latents alone."""

import json
from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import torch
from jaxtyping import Float, Integer
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from typing_extensions import override

from prism_bench.baselines.trivial import in_random_order
from prism_bench.prism.component import canonical, from_json
from prism_bench.prism.data.split import Ids
from prism_bench.prism.engine.runtime import Report, Runtime
from prism_bench.prism.errors import ComputeError, InputError
from prism_bench.prism.images import Pixels, to_signed, to_uint8
from prism_bench.prism.methods.method import Fitted, Method, SampleRequest, TrainingData
from prism_bench.prism.methods.sampling import Sampler
from prism_bench.prism.training.checkpoint import Checkpoints

Codes = np.ndarray[Any, np.dtype[np.integer[Any]]]
"""[n, ...]: how latents are stored."""
WEIGHTS, CODES = "model.safetensors", "codes.npy"
BATCH = 256
"""Images encoded or decoded at once."""


class Autoencoder(nn.Module, ABC):
    """Images to codes (as they are stored), codes to latents (what diffusion sees), latents to images."""

    @abstractmethod
    def encode(self, images: Float[Tensor, "b 3 r r"]) -> Integer[Tensor, "b *code"]:
        """Codes of images in [-1, 1]."""

    @abstractmethod
    def latents(self, codes: Integer[Tensor, "*b s s"]) -> Float[Tensor, "*b c s s"]:
        """What codes stand for."""

    @abstractmethod
    def decode(self, latents: Float[Tensor, "b c s s"]) -> Float[Tensor, "b 3 r r"]:
        """Images in [-1, 1]; the latents may be any numbers."""


@dataclass(frozen=True, kw_only=True)
class FirstStage(Method):
    """A first stage, trained as any method is. Its samples are its own training images, encoded and decoded again.

    What they score is the floor of what RISSOLE can reach with it, by every metric (for FID: rFID).
    """

    keeps: ClassVar[str] = "the latents of its training images, from which it makes the pictures again"

    @abstractmethod
    def latent(self, resolution: int) -> tuple[int, int]:
        """Channels and side of the latent of an image."""

    @abstractmethod
    def autoencoder(self, resolution: int) -> Autoencoder:
        """The module with fresh weights."""

    @abstractmethod
    def training_flops(self, resolution: int, embedding_dim: int) -> float:
        """Never None: every first stage can tell."""

    def within(self, flops: float, resolution: int) -> Self:
        """The same, trained for no more than so many operations; as it is where it trains nothing."""
        return self

    @abstractmethod
    def trained(
        self, data: TrainingData, *, seed: int, folder: Path, runtime: Runtime, report: Report
    ) -> tuple["FirstStage", Autoencoder]:
        """The module with its final weights, and the first stage whose `autoencoder` it fits into."""

    def decoding_flops(self, resolution: int) -> float:
        """Operations of decoding one image."""
        return 0.0

    def sampling_flops(self, sampler: Sampler, resolution: int, embedding_dim: int, k_sample: int) -> float:
        """One decoding."""
        return self.decoding_flops(resolution)

    def fit(self, data: TrainingData, *, seed: int, folder: Path, runtime: Runtime, report: Report) -> None:
        """Train, and keep the codes of the training images."""
        own, module = self.trained(data, seed=seed, folder=folder, runtime=runtime, report=report)
        module = module.to(runtime.device).eval()
        np.save(folder / CODES, encode_all(module, data.images, data.ids, runtime.device))
        resolution = data.images.shape[-1]
        weights = {name: value.cpu().contiguous() for name, value in module.state_dict().items()}
        save_file(weights, folder / WEIGHTS, file_metadata(own, resolution))
        Checkpoints(folder, runtime.checkpoint_seconds).remove()

    @override
    def load(self, folder: Path, *, resolution: int, embedding_dim: int, runtime: Runtime) -> Fitted:
        module = open_autoencoder(folder / WEIGHTS).to(runtime.device).eval()
        return Reconstructing(module, np.load(folder / CODES, mmap_mode="r"), runtime)


@dataclass(frozen=True)
class Reconstructing:
    """A first stage, ready to show what it makes of its training images."""

    module: Autoencoder
    codes: Codes
    runtime: Runtime

    @torch.inference_mode()
    def sample(self, request: SampleRequest) -> Pixels:
        """Training images in random order, without repetition until all have been shown."""
        chosen = self.codes[in_random_order(request.indices, len(self.codes), request.seed)]
        codes = torch.from_numpy(np.ascontiguousarray(chosen)).to(self.runtime.device)
        return to_uint8(self.module.decode(self.module.latents(codes)))


@torch.inference_mode()
def encode_all(module: Autoencoder, images: Pixels, ids: Ids, device: str, *, flip: bool = False) -> Codes:
    """The codes of the images with these ids, in batches; of their mirror images with `flip`."""
    found = []
    for start in range(0, len(ids), BATCH):
        pixels = torch.from_numpy(np.ascontiguousarray(images[ids[start : start + BATCH]])).to(device)
        clean = to_signed(pixels)
        found.append(module.encode(clean.flip(-1) if flip else clean).cpu().numpy())
    return np.concatenate(found)


METADATA_KEY = "prism_bench"


def file_metadata(own: FirstStage, resolution: int, **facts: float) -> dict[str, str]:
    """What a weight file says of itself: one text, as a file with several does not have the same bytes every time."""
    return {METADATA_KEY: canonical({"first_stage": own.to_json(), "resolution": resolution, **facts})}


def metadata_of(file: Path) -> dict[str, Any]:
    """What a weight file says of itself; InputError where it says nothing."""
    try:
        with safe_open(file, "pt") as opened:
            header = opened.metadata() or {}
    except (OSError, SafetensorError) as error:
        raise InputError(f"{file} cannot be read as safetensors ({error}); name the file of a first stage") from None
    if METADATA_KEY not in header:
        raise InputError(
            f"{file} does not say what first stage it holds; take the model.safetensors of a first stage trained here"
        )
    facts: dict[str, Any] = json.loads(header[METADATA_KEY])
    return facts


def first_stage_in(file: Path) -> tuple[FirstStage, int]:
    """The first stage that a weight file holds, and the resolution it was trained at.

    Raises:
        InputError: the file holds no first stage.
    """
    facts = metadata_of(file)
    own = from_json(facts["first_stage"])
    if not isinstance(own, FirstStage):
        raise InputError(f"{file} holds a {own.family}/{own.name}, not a first stage")
    return own, int(facts["resolution"])


def open_autoencoder(file: Path, prefix: str = "") -> Autoencoder:
    """The module that a weight file holds, under `prefix`."""
    own, resolution = first_stage_in(file)
    module = own.autoencoder(resolution)
    weights = {name.removeprefix(prefix): value for name, value in load_file(file).items() if name.startswith(prefix)}
    if weights.keys() != module.state_dict().keys():
        raise ComputeError(f"{file} does not hold the weights of the first stage that it names")
    module.load_state_dict(weights)
    return module
