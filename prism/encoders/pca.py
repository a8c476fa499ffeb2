"""Principal components of the pixels: an encoder that needs no weights."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from typing_extensions import override

from prism_bench.prism.data.split import Ids
from prism_bench.prism.encoders.base import Embed, Encoder, Vectors
from prism_bench.prism.encoders.principal import principal_axes
from prism_bench.prism.images import Pixels
from prism_bench.prism.sources import WHOLE, Sources, differs

FIT_ON = 20_000
"""At most this many images of D, evenly spaced, decide the components."""


@dataclass(frozen=True, kw_only=True)
class PixelsPCA(Encoder, name="pixels-pca"):
    """The first principal components of the pixels, fitted on the retrieval set D alone; no weights needed.

    components: how many (capped by the number of pixels and of images). Units: pixel values in [0, 1].
    """

    sources: ClassVar[Sources] = {WHOLE: differs("the paper's neighbours are CLIP's")}

    fitted: ClassVar[bool] = True
    batch: ClassVar[int] = 1024
    components: int = 64

    def __post_init__(self) -> None:
        self.check_least("encoder", components=1)

    @override
    def fitted_on(self, retrieval: Ids) -> Ids:
        return retrieval[:: max(1, -(-len(retrieval) // FIT_ON))]

    def load(self, gallery: Pixels | None, device: str) -> Embed:
        """Fit on `gallery`, by the eigenvectors of its covariance: see `principal_axes`."""
        if gallery is None:
            raise ValueError("pixels-pca is fitted on the retrieval set: pass its images")
        flat = gallery[self.fitted_on(np.arange(len(gallery)))].reshape(-1, int(np.prod(gallery.shape[1:])))
        mean, axes = principal_axes(flat, self.components)
        axes /= 255
        offset = mean @ axes

        def embed(images: Pixels) -> Vectors:
            levels = images.reshape(len(images), -1).astype(np.float64)
            vectors: Vectors = (levels @ axes - offset).astype(np.float32)
            return vectors

        return embed
