"""clean-fid's Inception (Parmar, Zhang, Zhu 2022, arXiv:2104.11222): the only encoder whose Fréchet distance is FID."""

from abc import abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from prism_bench.prism.encoders.base import Embed, Encoder
from prism_bench.prism.encoders.batching import in_batches
from prism_bench.prism.images import Pixels
from prism_bench.prism.weights.published_files import WeightFile

if TYPE_CHECKING:
    from torch import Tensor

FEATURES = 2048


@dataclass(frozen=True, kw_only=True)
class Inception(Encoder):
    """What the two modes share: the TorchScript network of 2015-12-05 and its 2048 pooled features."""

    batch: ClassVar[int] = 64
    features: ClassVar[int | None] = FEATURES
    weights: ClassVar[WeightFile] = WeightFile(
        file="inception-2015-12-05.pt",
        sha256="f58cb9b6ec323ed63459aa4fb441fe750cfe39fafad6da5cb504a16f19e958f4",
        url="https://nvlabs-fi-cdn.nvidia.com/stylegan2-ada-pytorch/pretrained/metrics/inception-2015-12-05.pt",
    )
    mode: ClassVar[str]
    resize_inside: ClassVar[bool]
    """Whether the network itself resizes what it is given."""

    @property
    def weights_sha256(self) -> str:
        """What metric fingerprints say of the weights."""
        return self.weights.sha256

    @property
    def frechet_name(self) -> tuple[str, str]:
        """FID, and the mode of clean-fid."""
        return f"fid_{self.mode}", f"FID (clean-fid, {self.mode.replace('_', ' ')})"

    def check(self) -> None:
        """A missing file is fetched here, before anything expensive."""
        self.weights.path()

    def at_hand(self) -> bool:
        """Whether the file has been fetched."""
        return self.weights.at_hand() is not None

    def load(self, gallery: Pixels | None, device: str) -> Embed:
        """uint8 [n, 3, R, R] -> float32 [n, 2048], as clean-fid embeds a folder of PNGs, without writing any.

        Raises:
            InputError: the weight file cannot be had, or is another.
        """
        network = clean_fid_network(self.weights.path().parent, resize_inside=self.resize_inside).to(device)

        def forward(images: Pixels) -> "Tensor":
            features: Tensor = network(self._sized(images).to(device))
            return features

        return in_batches(forward, self.batch, FEATURES)

    @abstractmethod
    def _sized(self, images: Pixels) -> "Tensor":
        """float32 [n, 3, S, S] in [0, 255], as the network takes them."""


@dataclass(frozen=True, kw_only=True)
class InceptionClean(Inception, name="inception"):
    """clean-fid's Inception in mode clean: bicubic, antialiased, not rounded, to 299 px; 2048 features."""

    mode: ClassVar[str] = "clean"
    resize_inside: ClassVar[bool] = False

    def _sized(self, images: Pixels) -> "Tensor":
        import torch
        from cleanfid.resize import build_resizer

        resize = build_resizer(self.mode)
        sized = np.stack([resize(image.transpose(1, 2, 0)) for image in np.asarray(images)])
        return torch.from_numpy(sized.transpose(0, 3, 1, 2).copy())


@dataclass(frozen=True, kw_only=True)
class InceptionLegacy(Inception, name="inception-legacy"):
    """clean-fid's Inception in mode legacy_tensorflow: the network resizes, with aliasing, as EDM's FID does."""

    mode: ClassVar[str] = "legacy_tensorflow"
    resize_inside: ClassVar[bool] = True

    def _sized(self, images: Pixels) -> "Tensor":
        import torch

        return torch.from_numpy(np.array(images, np.float32))


def clean_fid_network(folder: Path, *, resize_inside: bool) -> Any:
    """clean-fid's wrapper around the verified file; it is never asked to download."""
    import warnings

    from cleanfid.inception_torchscript import InceptionV3W

    with warnings.catch_warnings():
        # torch deprecates TorchScript, which is what the file is.
        warnings.filterwarnings("ignore", message=".*torch.jit.*")
        return InceptionV3W(str(folder), download=False, resize_inside=resize_inside).eval()
