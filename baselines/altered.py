"""Rows of real images that were altered: how large a distance is that a reader can see, or cannot.

A distance of 100 means nothing by itself. Noise that nobody sees, or the loss of everything that holds an image
together: these rows say what either costs, by every metric of the table.
"""

from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt
from typing_extensions import override

from prism_bench.baselines.trivial import Trivial, TrivialRow, in_random_order
from prism_bench.prism.data.split import Ids
from prism_bench.prism.errors import InputError
from prism_bench.prism.images import Pixels
from prism_bench.prism.methods.method import SampleRequest, TrainingData
from prism_bench.prism.rng import numpy_rng


def levels(values: npt.NDArray[np.float64]) -> Pixels:
    """Rounded and clipped to uint8."""
    clipped: Pixels = np.clip(values.round(), 0, 255).astype(np.uint8)
    return clipped


def repaired(images: Pixels, partners: Pixels) -> Pixels:
    """The left halves of uint8 [n, 3, R, R] beside the right halves of as many others."""
    half = images.shape[-1] // 2
    return np.concatenate([images[..., :half], partners[..., half:]], axis=-1)


def blurred(images: Pixels, window: int = 3) -> Pixels:
    """The mean over windows of so many pixels along each side, the border repeated."""
    from scipy.ndimage import uniform_filter

    return levels(uniform_filter(images.astype(np.float64), (1, 1, window, window), mode="nearest"))


def flat(images: Pixels) -> Pixels:
    """Each image as its own mean colour."""
    return levels(np.broadcast_to(images.mean(axis=(2, 3), keepdims=True), images.shape))


@dataclass(frozen=True, kw_only=True)
class Altered(Trivial):
    """Real images of X_train in random order, without repetition until all have been shown, and then altered."""

    def kept(self, data: TrainingData) -> Pixels:
        """Those of the training set."""
        return data.images[data.ids]

    def draw(self, images: Pixels, request: SampleRequest, resolution: int) -> Pixels:
        """Which image comes, and how it is altered, follows from the index and the seed alone."""
        return self.altered(images, in_random_order(request.indices, len(images), request.seed), request)

    @abstractmethod
    def altered(self, images: Pixels, rows: Ids, request: SampleRequest) -> Pixels:
        """uint8 [len(rows), 3, R, R], made of these rows of the images that were kept."""


@dataclass(frozen=True, kw_only=True)
class RepairedHalves(Altered, name="real-repaired-halves"):
    """The right half is another image's; every image lends its right half to one other, so that halves stay real."""

    @override
    def altered(self, images: Pixels, rows: Ids, request: SampleRequest) -> Pixels:
        if len(images) < 2:
            raise InputError(f"halves of different images need at least 2 of them, not {len(images)}")
        around = numpy_rng(request.seed, "right halves").permutation(len(images))
        partner = np.empty_like(around)
        partner[around] = np.roll(around, 1)
        return repaired(np.asarray(images[rows]), np.asarray(images[partner[rows]]))


@dataclass(frozen=True, kw_only=True)
class PixelNoise(Altered, name="real-pixel-noise"):
    """Independent normal noise on every value; sd: its standard deviation, in levels of 0 to 255."""

    sd: float = 5.0

    def __post_init__(self) -> None:
        if not self.sd > 0:
            raise InputError(f"method.sd must be positive, not {self.sd}")

    @override
    def altered(self, images: Pixels, rows: Ids, request: SampleRequest) -> Pixels:
        rngs = [numpy_rng(request.seed, "pixel noise", i) for i in request.indices]
        return levels(
            images[rows].astype(np.float64) + np.stack([rng.normal(0, self.sd, images.shape[1:]) for rng in rngs])
        )


@dataclass(frozen=True, kw_only=True)
class Blurred(Altered, name="real-blurred"):
    """The mean over windows of `window` pixels along each side."""

    window: int = 3

    def __post_init__(self) -> None:
        self.check_least("method", window=2)

    @override
    def altered(self, images: Pixels, rows: Ids, request: SampleRequest) -> Pixels:
        return blurred(np.asarray(images[rows]), self.window)


@dataclass(frozen=True, kw_only=True)
class Flat(Altered, name="flat"):
    """Each image as its own mean colour: no structure at all."""

    @override
    def altered(self, images: Pixels, rows: Ids, request: SampleRequest) -> Pixels:
        return flat(np.asarray(images[rows]))


@dataclass(frozen=True, kw_only=True)
class RepairedHalvesRow(TrivialRow, name="repaired-halves"):
    """Control: real images of X_train with right halves of other ones: no coherence across the middle."""

    label: ClassVar[str] = "Real, right halves of others"
    shown: ClassVar[Trivial] = RepairedHalves()


@dataclass(frozen=True, kw_only=True)
class NoiseOf5Row(TrivialRow, name="noise-5"):
    """Control: real images of X_train with pixel noise of SD 5 (of 255), which is hardly seen."""

    label: ClassVar[str] = "Real, noise of SD 5"
    shown: ClassVar[Trivial] = PixelNoise(sd=5.0)


@dataclass(frozen=True, kw_only=True)
class NoiseOf10Row(TrivialRow, name="noise-10"):
    """Control: real images of X_train with pixel noise of SD 10 (of 255)."""

    label: ClassVar[str] = "Real, noise of SD 10"
    shown: ClassVar[Trivial] = PixelNoise(sd=10.0)


@dataclass(frozen=True, kw_only=True)
class BlurredRow(TrivialRow, name="blurred"):
    """Control: real images of X_train, blurred over 3 x 3 pixels."""

    label: ClassVar[str] = "Real, blurred"
    shown: ClassVar[Trivial] = Blurred()


@dataclass(frozen=True, kw_only=True)
class FlatRow(TrivialRow, name="flat-images"):
    """Control: real images of X_train, each as its own mean colour."""

    label: ClassVar[str] = "Flat images"
    shown: ClassVar[Trivial] = Flat()
