"""toyfaces: procedural faces between two curtains, with known truth about which regions must agree.

The curtains share one colour and lie more than half an image apart with the figure between them, so no training
patch (at most half the side) ever shows both: what a model knows of their agreement it can only know through the
conditioning. Eyes, hair and shirt agree left and right at short range, which patches can learn by themselves.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import numpy.typing as npt
from typing_extensions import override

from prism_bench.prism.data.base import AgreeingRegions, Box, Dataset, Images
from prism_bench.prism.engine.rows_file import MemoryRows, RowsFile
from prism_bench.prism.errors import InputError
from prism_bench.prism.rng import numpy_rng

Array = npt.NDArray[np.float32]

CURTAIN = 0.235
"""Width of each curtain; the gap between them, 0.53 of the side, exceeds the largest patch (one half)."""
HAIR_COLOURS = {
    "black": (0.10, 0.09, 0.10),
    "brown": (0.36, 0.22, 0.12),
    "blond": (0.88, 0.74, 0.42),
    "red": (0.66, 0.28, 0.12),
}
OVERSAMPLING = 4
"""Drawn at four times the resolution and averaged down: antialiased edges."""
BLOCK = 256
"""Images drawn at once; bounds the memory, does not change a pixel."""


@dataclass(frozen=True, kw_only=True)
class ToyFaces(Dataset, name="toyfaces"):
    """Procedural faces between two curtains whose colours must agree; nothing to download.

    Attributes: resolution (even, at least 16), size (images), seed (of the drawing, not of any experiment).
    Image i is a function of (seed, i) alone, so a smaller set is a prefix of a larger one.
    Classes are the four hair colours.
    """

    resolution: int = 16
    size: int = 6000
    seed: int = 0

    agreeing: ClassVar[tuple[AgreeingRegions, ...]] = (
        AgreeingRegions("curtains", "far", Box(0.0, 0.0, 0.19, 1.0), Box(0.81, 0.0, 1.0, 1.0)),
        AgreeingRegions("shirt", "near", Box(0.345, 0.86, 0.45, 1.0), Box(0.55, 0.86, 0.655, 1.0)),
        AgreeingRegions("hair", "near", Box(0.37, 0.05, 0.50, 0.19), Box(0.50, 0.05, 0.63, 0.19)),
        AgreeingRegions("eyes", "near", Box(0.37, 0.42, 0.44, 0.49), Box(0.56, 0.42, 0.63, 0.49)),
    )

    def __post_init__(self) -> None:
        if self.resolution < 16 or self.resolution % 2:
            raise InputError(
                f"toyfaces needs an even resolution of at least 16, not {self.resolution}; use 16, 32 or 64"
            )
        if self.size < 1:
            raise InputError(f"toyfaces needs a size of at least 1, not {self.size}")

    @property
    def held_out(self) -> Dataset:
        """As many faces from the next seed."""
        return self.replace(seed=self.seed + 1)

    def build(self) -> Images:
        """Draw all images: 10,000 of 32x32 in a few seconds on one core."""
        return self._drawn(MemoryRows(self._shape, np.uint8))

    @override
    def write(self, file: Path) -> Images:
        with RowsFile.create(file, self._shape, np.uint8) as rows:
            return self._drawn(rows)

    @property
    def _shape(self) -> tuple[int, ...]:
        return self.size, 3, self.resolution, self.resolution

    def _drawn(self, rows: MemoryRows | RowsFile) -> Images:
        truth = self._attributes()
        for start in range(0, self.size, BLOCK):
            block = {name: values[start : start + BLOCK] for name, values in truth.items()}
            rows.write(start, _draw(block, self.resolution))
        return Images(rows.array(), truth["hair_class"].astype(np.int64), tuple(HAIR_COLOURS), truth)

    def _attributes(self) -> dict[str, Array]:
        """Ground truth per image; colours are RGB in [0, 1], positions in fractions of the side."""
        uniform = np.stack([numpy_rng(self.seed, "toyfaces", i).random(17, np.float32) for i in range(self.size)])
        (hue, saturation, value, shirt_hue, skin, hair, iris, dx, dy, width, mouth) = uniform.T[:11]
        left, right = uniform.T[11:14], uniform.T[14:17]
        palette = np.array(list(HAIR_COLOURS.values()), np.float32)
        hair_class = (hair * len(palette)).astype(np.int64)
        pale, dark = np.array([0.98, 0.84, 0.74], np.float32), np.array([0.55, 0.38, 0.28], np.float32)
        return {
            "curtain": _cloth(hue, saturation, value),
            "shirt": _hsv(shirt_hue, np.full_like(hue, 0.6), np.full_like(hue, 0.75)),
            "skin": pale + skin[:, None] * (dark - pale),
            "hair": palette[hair_class],
            "hair_class": hair_class.astype(np.float32),
            "iris": _hsv(0.05 + 0.6 * iris, np.full_like(iris, 0.7), np.full_like(iris, 0.5)),
            "wall_left": _cloth(*left),
            "wall_right": _cloth(*right),
            "offset": 0.02 * np.stack([2 * dx - 1, 2 * dy - 1], axis=1),
            "head_width": 0.125 + 0.02 * width,
            "mouth": mouth,
        }


def _draw(truth: dict[str, Array], resolution: int) -> npt.NDArray[np.uint8]:
    """A block of images, drawn back to front: wall, curtains, shirt, neck, hair, face, eyes, mouth."""
    side = resolution * OVERSAMPLING
    axis = (np.arange(side, dtype=np.float32) + 0.5) / side
    y, x = axis[None, :, None], axis[None, None, :]
    n = len(truth["mouth"])

    def per_image(values: Array) -> Array:
        return values[:, None, None]

    canvas = np.broadcast_to(truth["wall_left"][:, :, None, None], (n, 3, side, side)).copy()

    def paint(mask: npt.NDArray[np.bool_], colour: Array) -> None:
        np.copyto(canvas, colour[:, :, None, None], where=np.broadcast_to(mask, (n, side, side))[:, None])

    dx, dy = per_image(truth["offset"][:, 0]), per_image(truth["offset"][:, 1])
    cx, cy, a = 0.5 + dx, 0.46 + dy, per_image(truth["head_width"])
    paint(x >= 0.5, truth["wall_right"])
    paint((x < CURTAIN) | (x >= 1 - CURTAIN), truth["curtain"])
    # Shoulders widen towards the bottom but end before the curtains begin.
    paint((y > 0.78 + dy) & (np.abs(x - cx) < np.minimum(0.13 + 0.9 * (y - 0.78 - dy), 0.24)), truth["shirt"])
    paint((np.abs(x - cx) < 0.06) & (y > cy) & (y < 0.82 + dy), truth["skin"] * np.float32(0.9))
    # Hair reaches the upper edge, so that the figure stands between the curtains over the whole height.
    paint((np.abs(x - cx) < a + 0.045) & (y < cy + 0.12), truth["hair"])
    paint(((x - cx) / a) ** 2 + ((y - cy - 0.04) / 0.27) ** 2 < 1, truth["skin"])
    paint((y < cy - 0.16) & (np.abs(x - cx) < a + 0.045), truth["hair"])
    for sign in (-1.0, 1.0):
        ex = cx + sign * 0.094
        paint((np.abs(x - ex) < 0.045) & (np.abs(y - cy) < 0.04), np.ones((n, 3), np.float32))
        paint((x - ex) ** 2 + (y - cy) ** 2 < 0.035**2, truth["iris"])
    lips = np.broadcast_to(np.array([0.75, 0.25, 0.28], np.float32), (n, 3))
    paint((np.abs(x - cx) < 0.04 + 0.05 * per_image(truth["mouth"])) & (np.abs(y - cy - 0.19) < 0.02), lips)
    small = canvas.reshape(n, 3, resolution, OVERSAMPLING, resolution, OVERSAMPLING).mean(axis=(3, 5))
    pixels: npt.NDArray[np.uint8] = (np.clip(small, 0, 1) * 255).round().astype(np.uint8)
    return pixels


def _cloth(hue: Array, saturation: Array, value: Array) -> Array:
    """The colours that curtains and walls are drawn from alike, so that no colour gives away which is which."""
    return _hsv(hue, 0.55 + 0.45 * saturation, 0.45 + 0.5 * value)


def _hsv(hue: Array, saturation: Array, value: Array) -> Array:
    """HSV in [0, 1] -> RGB in [0, 1], float32 [N, 3] (the hexcone formula, vectorised)."""
    shift = np.array([5, 3, 1], np.float32)
    k = (shift[None, :] + hue[:, None] * 6) % 6
    ramp = np.clip(np.minimum(k, 4 - k), 0, 1)
    rgb: Array = (value[:, None] * (1 - saturation[:, None] * ramp)).astype(np.float32)
    return rgb
