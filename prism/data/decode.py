"""One picture, from a file's bytes or an array, to uint8 RGB of the working resolution.

Every picture is turned as its EXIF tag says, made RGB (`colour.py`), brought to a square and resized:

* a picture that is not square is cropped to its central square, padded with white, or stretched (`Fit`); an odd pixel
  is cut, or added, at the right or bottom;
* of animations the first frame counts;
* reducing uses Pillow's Lanczos filter, whose support grows with the factor: it does not alias (Parmar, Zhang, Zhu:
  On Aliased Resizing and Surprising Subtleties in GAN Evaluation, CVPR 2022);
* a picture smaller than the resolution is allowed and enlarged with Pillow's bicubic filter; one of the right size
  keeps every pixel.
"""

import io
from dataclasses import dataclass
from typing import IO, Literal

import numpy as np
from PIL import Image, ImageFile, UnidentifiedImageError

from prism_bench.prism.data.colour import ORIENTATION, BadImageError, Remark, Tell, on_white, srgb_of
from prism_bench.prism.data.picture_formats import read_formats
from prism_bench.prism.errors import InputError
from prism_bench.prism.images import Pixels

Fit = Literal["crop", "pad", "stretch"]
FITTED = {"crop": Remark.CROPPED, "pad": Remark.PADDED, "stretch": Remark.STRETCHED}
MAX_PIXELS = 80_000_000
"""Largest picture that is decoded; below the size at which Pillow itself warns of a decompression bomb."""


def _unheard(_remark: Remark) -> None:
    pass


@dataclass(frozen=True)
class Framing:
    """How pictures are brought to a square. `tell` hears of each picture what was done to it; from any thread."""

    fit: Fit = "crop"
    tell: Tell = _unheard


CROPPED = Framing()


def check_resolution(resolution: int, *, least: int = 4) -> None:
    """Raise InputError, with the nearest valid values, unless `resolution` is a multiple of 4 and at least `least`."""
    if resolution >= least and resolution % 4 == 0:
        return
    below = max(resolution // 4 * 4, least)
    near = f"{below} or {below + 4}" if resolution > least else str(least)
    rule = "a positive multiple of 4" if least == 4 else f"a multiple of 4 and at least {least}"
    raise InputError(f"--resolution must be {rule}, not {resolution}; use {near}")


def from_bytes(data: bytes, resolution: int, framing: Framing = CROPPED) -> Pixels:
    """Decode a picture's file to uint8 [3, R, R], as the module says.

    Raises:
        BadImageError: empty, truncated, broken, of a format that is not read, or of more than MAX_PIXELS pixels.
    """
    if not data:
        raise BadImageError("empty file")

    def again() -> ImageFile.ImageFile:
        image = Image.open(io.BytesIO(data), formats=read_formats())
        _refuse_giant(*image.size)
        return image

    remarks: list[Remark] = []
    try:
        pixels = _fit(srgb_of(again, remarks.append), resolution, framing.fit, remarks.append)
    except BadImageError:
        raise
    except UnidentifiedImageError:
        raise BadImageError("not a picture of a format that is read") from None
    except Image.DecompressionBombError:
        raise BadImageError(f"more than {MAX_PIXELS / 1e6:.0f} megapixels") from None
    except Exception as error:
        # Pillow's readers answer broken files with many types: OSError, SyntaxError, struct.error, IndexError, ...
        raise BadImageError(str(error) or type(error).__name__) from error
    for remark in remarks:
        framing.tell(remark)
    return pixels


def from_array(pixels: Pixels, resolution: int, framing: Framing = CROPPED) -> Pixels:
    """Bring one picture, uint8 [H, W, 1 or 3 or 4], to uint8 [3, R, R], as the module says.

    Raises:
        BadImageError: it has more than MAX_PIXELS pixels.
    """
    _refuse_giant(pixels.shape[1], pixels.shape[0])
    image = on_white(Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels), framing.tell)
    return _fit(image, resolution, framing.fit, framing.tell)


def size_of(file: IO[bytes]) -> tuple[int, int]:
    """(width, height) of a picture as it is shown, by the header of its file.

    Raises:
        BadImageError: it cannot be opened.
    """
    try:
        with Image.open(file, formats=read_formats()) as image:
            width, height = image.size
            # To look for the tag of a PNG is to decode it. Values of 5 and above lie on their side.
            lying = width != height and image.getexif().get(ORIENTATION, 1) >= 5
            return (height, width) if lying else (width, height)
    except Exception as error:
        raise BadImageError(str(error) or type(error).__name__) from error


def _refuse_giant(width: int, height: int) -> None:
    if width * height > MAX_PIXELS:
        raise BadImageError(f"{width}x{height} is more than {MAX_PIXELS / 1e6:.0f} megapixels")


def _fit(image: Image.Image, resolution: int, fit: Fit, tell: Tell) -> Pixels:
    if image.width != image.height:
        tell(FITTED[fit])
        image = _square(image, fit)
    if image.size != (resolution, resolution):
        tell(Remark.RESIZED)
    kernel = Image.Resampling.LANCZOS if max(image.size) > resolution else Image.Resampling.BICUBIC
    image = image.resize((resolution, resolution), kernel)
    return np.asarray(image).transpose(2, 0, 1)


def _square(image: Image.Image, fit: Fit) -> Image.Image:
    """The central square, or the picture on a white one; as it is where resizing is to stretch it."""
    width, height = image.size
    if fit == "stretch":
        return image
    if fit == "pad":
        side = max(width, height)
        made = Image.new("RGB", (side, side), "white")
        made.paste(image, ((side - width) // 2, (side - height) // 2))
        return made
    side = min(width, height)
    left, top = (width - side) // 2, (height - side) // 2
    # Cropped first: Pillow's resize(box=...) would let the pixels around the box shine in.
    return image.crop((left, top, left + side, top + side))
