"""digits: a small set of real pictures that is already on the disk."""

from dataclasses import dataclass

import numpy as np

from prism_bench.prism.data.base import Dataset, Images
from prism_bench.prism.data.decode import check_resolution
from prism_bench.prism.errors import InputError

SIDE = 8
WHITE = 16
"""The original pictures are 8x8 with grey levels from 0 (paper) to 16 (ink)."""


@dataclass(frozen=True, kw_only=True)
class Digits(Dataset, name="digits"):
    """1,797 real handwritten digits of 8x8, enlarged; they come with scikit-learn, nothing to download.

    Attributes: resolution (a multiple of 4, at least 8). Ink is white on black, grey replicated to RGB; enlarged with
    Pillow's bicubic filter in floating point and rounded once. Classes are the digits "0" to "9".
    Source: Alpaydin and Kaynak, Optical Recognition of Handwritten Digits, UCI (1998), test part.
    """

    resolution: int = 16

    def __post_init__(self) -> None:
        check_resolution(self.resolution, least=SIDE)

    def build(self) -> Images:
        """Enlarge all pictures: uint8 [1797, 3, R, R], about a second.

        Raises:
            InputError: scikit-learn is not installed.
        """
        try:
            from sklearn.datasets import load_digits
        except ImportError:
            raise InputError(
                "the digits come with scikit-learn, which is not installed; pip install scikit-learn"
            ) from None
        from PIL import Image

        bundle = load_digits()
        size = (self.resolution, self.resolution)
        grey = np.empty((len(bundle.images), *size), np.float32)
        for index, picture in enumerate(bundle.images.astype(np.float32) * np.float32(255 / WHITE)):
            grey[index] = np.asarray(Image.fromarray(picture).resize(size, Image.Resampling.BICUBIC))
        levels = np.clip(np.rint(grey), 0, 255).astype(np.uint8)
        classes = tuple(map(str, bundle.target_names))
        return Images(np.repeat(levels[:, None], 3, axis=1), bundle.target.astype(np.int64), classes)
