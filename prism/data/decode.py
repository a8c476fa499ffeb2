"""One picture, from a file's bytes or an array, to uint8 RGB of the working resolution.

Every picture is turned as its EXIF tag says, made RGB, cropped to the central square and resized:

* transparency (RGBA, grey with alpha, transparent palette entries and colour keys) is composited on white before
  resizing, so that the colour of invisible pixels never bleeds in;
* grey is replicated, 16-bit grey is scaled by 1/257 and rounded, palettes are looked up, CMYK is converted by Pillow's
  formula (embedded colour profiles are ignored); of animations the first frame counts;
* where the side left over by the crop is odd, the extra pixel is cut at the right or bottom;
* reducing uses Pillow's Lanczos filter, whose support grows with the factor: it does not alias (Parmar, Zhang, Zhu:
  On Aliased Resizing and Surprising Subtleties in GAN Evaluation, CVPR 2022);
* a picture smaller than the resolution is allowed and enlarged with Pillow's bicubic filter; one of the right size
  keeps every pixel.
"""

import io

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from prism_bench.prism.errors import InputError
from prism_bench.prism.images import Pixels

FORMATS = ("PNG", "JPEG", "BMP", "GIF", "WEBP")
MAX_PIXELS = 80_000_000
"""Largest picture that is decoded; below the size at which Pillow itself warns of a decompression bomb."""


class BadImageError(ValueError):
    """One picture cannot be used; the message is the reason."""


def check_resolution(resolution: int, *, least: int = 4) -> None:
    """Raise InputError, with the nearest valid values, unless `resolution` is a multiple of 4 and at least `least`."""
    if resolution >= least and resolution % 4 == 0:
        return
    below = max(resolution // 4 * 4, least)
    near = f"{below} or {below + 4}" if resolution > least else str(least)
    rule = "a positive multiple of 4" if least == 4 else f"a multiple of 4 and at least {least}"
    raise InputError(f"--resolution must be {rule}, not {resolution}; use {near}")


def from_bytes(data: bytes, resolution: int) -> Pixels:
    """Decode a PNG, JPEG, WebP, BMP or GIF file to uint8 [3, R, R], as the module says.

    Raises:
        BadImageError: empty, truncated, broken, of another format, or of more than MAX_PIXELS pixels.
    """
    if not data:
        raise BadImageError("empty file")
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as image:
            _refuse_giant(*image.size)
            ImageOps.exif_transpose(image, in_place=True)
            return _fit(_to_rgb(image), resolution)
    except BadImageError:
        raise
    except UnidentifiedImageError:
        raise BadImageError("not a PNG, JPEG, WebP, BMP or GIF image") from None
    except Image.DecompressionBombError:
        raise BadImageError(f"more than {MAX_PIXELS / 1e6:.0f} megapixels") from None
    except Exception as error:
        # Pillow's readers answer broken files with many types: OSError, SyntaxError, struct.error, IndexError, ...
        raise BadImageError(str(error) or type(error).__name__) from error


def from_array(pixels: Pixels, resolution: int) -> Pixels:
    """Bring one picture, uint8 [H, W, 1 or 3 or 4], to uint8 [3, R, R], as the module says.

    Raises:
        BadImageError: it has more than MAX_PIXELS pixels.
    """
    _refuse_giant(pixels.shape[1], pixels.shape[0])
    return _fit(_to_rgb(Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels)), resolution)


def _refuse_giant(width: int, height: int) -> None:
    if width * height > MAX_PIXELS:
        raise BadImageError(f"{width}x{height} is more than {MAX_PIXELS / 1e6:.0f} megapixels")


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I"):
        return _sixteen_bit(image)
    if not image.has_transparency_data:
        return image.convert("RGB")
    white = Image.new("RGBA", image.size, (255, 255, 255, 255))
    return Image.alpha_composite(white, image.convert("RGBA")).convert("RGB")


def _sixteen_bit(image: Image.Image) -> Image.Image:
    """16-bit grey by its value: Pillow's own conversion clips or truncates, depending on its version."""
    values = np.asarray(image).astype(np.float64)
    grey = np.clip(np.rint(values / 257), 0, 255).astype(np.uint8)
    grey[values == image.info.get("transparency", -1)] = 255
    return Image.fromarray(grey).convert("RGB")


def _fit(image: Image.Image, resolution: int) -> Pixels:
    width, height = image.size
    side = min(width, height)
    left, top = (width - side) // 2, (height - side) // 2
    # Cropped first: Pillow's resize(box=...) would let the pixels around the box shine in.
    image = image.crop((left, top, left + side, top + side))
    kernel = Image.Resampling.LANCZOS if side > resolution else Image.Resampling.BICUBIC
    image = image.resize((resolution, resolution), kernel)
    return np.asarray(image).transpose(2, 0, 1)
