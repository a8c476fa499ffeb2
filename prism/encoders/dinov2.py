"""DINOv2 (Oquab et al. 2023, arXiv:2304.07193) by timm: the encoder that Stein et al. 2023 (arXiv:2306.04675) find to
rank generative models most as people do.
"""

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from prism_bench.prism.encoders.base import Embed, Encoder
from prism_bench.prism.encoders.batching import in_batches
from prism_bench.prism.errors import InputError, first_line
from prism_bench.prism.images import Pixels
from prism_bench.prism.weights.published_files import kept_digest

if TYPE_CHECKING:
    from torch import Tensor

WEIGHTS = "model.safetensors"
PATCH = 14


@dataclass(frozen=True, kw_only=True)
class DINOv2(Encoder, name="dinov2"):
    """DINOv2's normalised class token, ViT-L/14 by default (1024 features); ImageNet's mean and deviation.

    Attributes: model, a DINOv2 of timm's ("vit_small_patch14_dinov2.lvd142m" is fourteen times as small), and
    input_size, the side to which images are resized (bicubic, antialiased), a multiple of 14.
    The weights come from the Hugging Face cache or the network, as safetensors.
    """

    batch: ClassVar[int] = 64
    model: str = "vit_large_patch14_dinov2.lvd142m"
    input_size: int = 224

    def __post_init__(self) -> None:
        if "dinov2" not in self.model:
            raise InputError(f"encoder.model must be a DINOv2 of timm's, not {self.model}")
        if self.input_size < PATCH or self.input_size % PATCH:
            raise InputError(f"encoder.input_size must be a multiple of {PATCH}, not {self.input_size}")

    @property
    def weights_sha256(self) -> str | None:
        """Of the file in use; None where it has not been fetched."""
        cached = self._cached()
        return None if cached is None else kept_digest(cached)

    def check(self) -> None:
        """A missing file is fetched here, before anything expensive."""
        if find_spec("timm") is None:
            raise InputError("the encoder dinov2 needs timm; pip install timm")
        if not self.at_hand():
            self._network("cpu")

    def at_hand(self) -> bool:
        """Whether the weights lie in the Hugging Face cache."""
        return self._cached() is not None

    def load(self, gallery: Pixels | None, device: str) -> Embed:
        """uint8 [n, 3, R, R] -> float32 [n, d].

        Raises:
            InputError: no such model, or the weights cannot be had.
        """
        import torch
        from timm.data.constants import IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD

        network = self._network(device)
        mean, deviation = (
            torch.tensor(values, device=device).view(3, 1, 1)
            for values in (IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD)
        )
        size = (self.input_size, self.input_size)

        def forward(images: Pixels) -> "Tensor":
            pixels = torch.from_numpy(np.array(images)).to(device, torch.float32)
            resized = torch.nn.functional.interpolate(pixels, size, mode="bicubic", antialias=True).clamp(0, 255)
            features: Tensor = network((resized / 255 - mean) / deviation)
            return features

        return in_batches(forward, self.batch)

    def _cached(self) -> Path | None:
        from huggingface_hub import try_to_load_from_cache

        found = try_to_load_from_cache(f"timm/{self.model}", WEIGHTS)
        return Path(found) if isinstance(found, str) else None

    def _network(self, device: str) -> Any:
        """The network in eval mode, pooled to its class token; never random weights."""
        import timm

        if self.model not in timm.list_pretrained():
            raise InputError(
                f"timm has no pretrained model {self.model!r}; timm.list_pretrained('*dinov2*') names them"
            )
        try:
            network = timm.create_model(
                self.model, pretrained=True, num_classes=0, global_pool="token", img_size=self.input_size
            )
        except Exception as error:
            raise InputError(
                f"the weights of {self.model} could not be had ({first_line(error)}); fetch them once where there is a "
                "network (they stay in the Hugging Face cache, HF_HOME), or look through another encoder "
                "(`list encoder`)"
            ) from None
        return network.eval().to(device)
