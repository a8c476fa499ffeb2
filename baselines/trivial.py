"""Rows that learn nothing: real images (the ceiling), the nearest neighbour returned as it is, and noise (the floor).

They say what a metric is worth. Returning real images is perfect by every distance, and memorisation is what tells it.
"""

from abc import abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
from safetensors.numpy import save_file
from typing_extensions import override

from prism_bench.prism.conditioning.retrieval import Nearest, Retrieval
from prism_bench.prism.data.base import Dataset
from prism_bench.prism.data.split import Ids
from prism_bench.prism.engine.runtime import Report, Runtime
from prism_bench.prism.errors import ComputeError
from prism_bench.prism.images import Pixels
from prism_bench.prism.methods.method import Fitted, Method, SampleRequest, TrainingData
from prism_bench.prism.rng import numpy_rng
from prism_bench.prism.variants.scale import Scale
from prism_bench.prism.variants.variant import Variant


def in_random_order(indices: range, n: int, seed: int) -> Ids:
    """Which of n images stands for each sample: all of them in random order before any comes again."""
    places = [divmod(index, n) for index in indices]
    rounds = {at: numpy_rng(seed, "real images", at).permutation(n) for at in {at for at, _ in places}}
    return np.array([rounds[at][place] for at, place in places])


MODEL, IMAGES = "model.safetensors", "images.npy"


@dataclass(frozen=True, kw_only=True)
class Trivial(Method):
    """What the members share: nothing is trained; the images that samples are taken from are kept."""

    def fit(self, data: TrainingData, *, seed: int, folder: Path, runtime: Runtime, report: Report) -> None:
        """Keep the images."""
        np.save(folder / IMAGES, self.kept(data))
        save_file({}, folder / MODEL)
        report(1, 1, "images")

    @override
    def load(self, folder: Path, *, resolution: int, embedding_dim: int, runtime: Runtime) -> Fitted:
        return Drawing(self, np.load(folder / IMAGES, mmap_mode="r"), resolution)

    @abstractmethod
    def kept(self, data: TrainingData) -> Pixels:
        """The images that `draw` needs, uint8 [n, 3, R, R]; none where it needs none."""

    @abstractmethod
    def draw(self, images: Pixels, request: SampleRequest, resolution: int) -> Pixels:
        """uint8 [n, 3, R, R], one for each index, from the images that were kept."""


@dataclass(frozen=True)
class Drawing:
    """A trivial method, ready to sample."""

    method: Trivial
    images: Pixels
    resolution: int

    def sample(self, request: SampleRequest) -> Pixels:
        """Sampler and number of neighbours do not matter."""
        return self.method.draw(self.images, request, self.resolution)


@dataclass(frozen=True, kw_only=True)
class Real(Trivial):
    """Members that show the images they keep."""

    def draw(self, images: Pixels, request: SampleRequest, resolution: int) -> Pixels:
        """Without repetition until all have been shown."""
        return np.asarray(images[in_random_order(request.indices, len(images), request.seed)])


@dataclass(frozen=True, kw_only=True)
class RealImages(Real, name="real"):
    """Real images of X_train in random order: no D, no network."""

    def kept(self, data: TrainingData) -> Pixels:
        """Those of the training set."""
        return data.images[data.ids]


@dataclass(frozen=True, kw_only=True)
class HeldOutReal(Real, name="held-out-real"):
    """Real images that are no part of X, in random order: what a perfect method would score."""

    sees_held_out: ClassVar[bool] = True
    trained_on: ClassVar[str] = "(none of X)"

    def kept(self, data: TrainingData) -> Pixels:
        """Those outside X."""
        if data.held_out is None:
            raise ComputeError("there are no images outside X")
        return data.held_out


@dataclass(frozen=True, kw_only=True)
class NearestImage(Trivial, name="nearest-image"):
    """The image of D nearest to the pseudo-query, itself left out: retrieval without a network."""

    trained_on: ClassVar[str] = "D"
    largest_k: ClassVar[int] = 2
    """The pseudo-query is its own nearest."""
    retrieval: Retrieval = Nearest()

    @property
    def conditioning(self) -> Retrieval | None:
        """The retrieval."""
        return self.retrieval

    def kept(self, data: TrainingData) -> Pixels:
        """All of X, so that ids are rows."""
        return data.images

    def draw(self, images: Pixels, request: SampleRequest, resolution: int) -> Pixels:
        """The nearest image that is not the pseudo-query."""
        if request.gallery is None:
            raise ComputeError("the nearest image needs a table of neighbours")
        first, second = request.gallery.neighbours[request.queries, :2].T
        return np.asarray(images[np.where(first == request.queries, second, first)])


@dataclass(frozen=True, kw_only=True)
class Noise(Trivial, name="noise"):
    """Independent uniform pixels."""

    trained_on: ClassVar[str] = "(nothing)"

    def kept(self, data: TrainingData) -> Pixels:
        """None."""
        return data.images[:0]

    def draw(self, images: Pixels, request: SampleRequest, resolution: int) -> Pixels:
        """Each image from a generator of its own."""
        shape = (3, resolution, resolution)
        rngs = [numpy_rng(request.seed, "noise image", i) for i in request.indices]
        return np.stack([rng.integers(0, 256, shape, np.uint8) for rng in rngs])


@dataclass(frozen=True, kw_only=True)
class TrivialRow(Variant):
    """What rows that learn nothing share: they are controls, and their method is the same at every scale."""

    control: ClassVar[bool] = True
    shown: ClassVar[Trivial]

    def method(self, scale: Scale) -> Method:
        """Nothing to set."""
        return self.shown


@dataclass(frozen=True, kw_only=True)
class RealImagesRow(TrivialRow, name="real-images"):
    """Control, the ceiling: real images of X_train in place of samples."""

    label: ClassVar[str] = "Real images of X_train"
    shown: ClassVar[Trivial] = RealImages()


@dataclass(frozen=True, kw_only=True)
class HeldOutRow(TrivialRow, name="held-out-images"):
    """Control, the ceiling that memorises nothing: real images that are no part of X in place of samples."""

    label: ClassVar[str] = "Held-out real images"
    shown: ClassVar[Trivial] = HeldOutReal()

    def applies(self, scale: Scale, dataset: Dataset) -> str | None:
        """Where the data keep images out of X."""
        if dataset.held_out is None:
            return "these data keep no images out of X; toyfaces and the test sets of the paper's datasets do"
        return None


@dataclass(frozen=True, kw_only=True)
class NearestImageRow(Variant, name="return-nearest"):
    """Control: the image of D nearest to the pseudo-query, returned as it is."""

    label: ClassVar[str] = "Nearest image of D, returned"
    control: ClassVar[bool] = True

    def method(self, scale: Scale) -> Method:
        """The scale's own retrieval."""
        return NearestImage(retrieval=scale.method.retrieval)


@dataclass(frozen=True, kw_only=True)
class NoiseRow(TrivialRow, name="uniform-noise"):
    """Control, the floor: uniform noise in place of samples."""

    label: ClassVar[str] = "Uniform noise"
    shown: ClassVar[Trivial] = Noise()
