"""The colours of an opened picture as 8-bit sRGB on white: depth, colour profile, transparency.

* 16 bits a channel, grey or colour, are scaled by 1/257 and rounded. Floating-point values and 32-bit integers are
  refused: their range stands nowhere.
* An embedded ICC profile is converted to sRGB, relative colorimetric with black point compensation. One that moves no
  colour by more than a level is sRGB, and every value stays. One that cannot be used (damaged, or of another kind of
  colours than the picture's) is passed over, as browsers do, and counted.
* Palettes are looked up, grey is replicated, CMYK without a profile is converted by Pillow's formula.
* Transparency (RGBA, grey with alpha, transparent palette entries and colour keys) is composited on white.
"""

import io
import sys
from collections.abc import Callable
from enum import StrEnum
from functools import lru_cache

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageCms, ImageFile, ImageOps


class BadImageError(ValueError):
    """One picture cannot be used; the message is the reason."""


class Remark(StrEnum):
    """What was done to a picture, beyond taking its values, that another reader may do otherwise."""

    TURNED = "turned as their EXIF tag says"
    SIXTEEN_BITS = "of 16 bits, rounded to 8"
    PROFILE = "converted from their colour profile to sRGB"
    BAD_PROFILE = "with a colour profile that cannot be used, taken as sRGB"
    TRANSPARENT = "transparent, put on white"
    CROPPED = "not square, cropped to the central square"
    PADDED = "not square, padded with white"
    STRETCHED = "not square, stretched"
    RESIZED = "resized"


Opener = Callable[[], ImageFile.ImageFile]
Tell = Callable[[Remark], None]
Values = npt.NDArray[np.float64]

ORIENTATION = 0x0112
SWAPPED = {"B": "L", "L": "B", "N": "B" if sys.byteorder == "little" else "L"}
INTENT, FLAGS = ImageCms.Intent.RELATIVE_COLORIMETRIC, ImageCms.Flags.BLACKPOINTCOMPENSATION | ImageCms.Flags.NOCACHE
SPACES = {"L": "GRAY", "RGB": "RGB", "CMYK": "CMYK"}


def srgb_of(again: Opener, tell: Tell) -> Image.Image:
    """The first frame as RGB, upright; `again` opens the file, `tell` hears what was done to it.

    Raises:
        BadImageError: values without a stated range, or 16 bits in a form that is not read.
    """
    with again() as image:
        # Before anything loads the picture: no raw mode is known after that.
        raw = {_raw_mode(tile.args) for tile in image.tile}
        if image.getexif().get(ORIENTATION, 1) != 1:
            tell(Remark.TURNED)
        values = _sixteen_bits(image, raw, again)
        if values is None:
            ImageOps.exif_transpose(image, in_place=True)
            return on_white(image, tell)
        tell(Remark.SIXTEEN_BITS)
        # 65535 / 255 = 257.
        levels = np.clip(np.rint(values / 257), 0, 255).astype(np.uint8)
        shown = Image.fromarray(levels, "CMYK" if image.mode == "CMYK" else None)
        shown.info["icc_profile"] = image.info.get("icc_profile")
        return on_white(shown, tell)


def on_white(image: Image.Image, tell: Tell) -> Image.Image:
    """A picture of 8 bits a channel in any mode as RGB."""
    if image.info.get("icc_profile"):
        image = _converted(image, image.info["icc_profile"], tell)
    if not image.has_transparency_data:
        return image.convert("RGB")
    image = image.convert("RGBA")
    if image.getchannel("A").getextrema() != (255, 255):
        tell(Remark.TRANSPARENT)
    white = Image.new("RGBA", image.size, (255, 255, 255, 255))
    return Image.alpha_composite(white, image).convert("RGB")


def _sixteen_bits(image: ImageFile.ImageFile, raw: set[str], again: Opener) -> Values | None:
    """Values of 0 to 65535 of a picture that has 16 bits a channel, upright, [H, W] or [H, W, C]; None for others."""
    if image.mode == "F" or (image.mode == "I" and image.format not in {"PNG", "PPM"}):
        kind = "floating-point values" if image.mode == "F" else "integers, signed or of more than 16 bits,"
        raise BadImageError(f"{kind} whose range it does not say; convert it to 8 or 16 bits")
    if image.mode.startswith("I"):
        ImageOps.exif_transpose(image, in_place=True)
        grey = np.asarray(image).astype(np.float64)
        grey[grey == image.info.get("transparency", -1)] = 65535
        return grey
    if not any(mode[-4:-1] == ";16" for mode in raw):
        return None
    (mode, *others) = raw
    if others or mode.partition(";")[0] not in {"RGB", "RGBA", "RGBX", "LA", "CMYK"}:
        raise BadImageError(f"16 bits as {', '.join(sorted(raw))} are not read; convert it to 8 bits")
    if mode.startswith("LA"):
        pairs = _read_as("RGBA", again)
        return 256 * pairs[..., [0, 0, 0, 2]] + pairs[..., [1, 1, 1, 3]]
    values = 256 * _read_as(mode, again) + _read_as(mode[:-1] + SWAPPED[mode[-1]], again)
    key = image.info.get("transparency")
    if key is None:
        return values
    alpha = np.where((values == key).all(axis=-1, keepdims=True), 0.0, 65535.0)
    return np.concatenate([values, alpha], axis=-1)


def _raw_mode(args: object) -> str:
    return str(args[0] if isinstance(args, tuple) and args else args)


def _read_as(mode: str, again: Opener) -> Values:
    """The levels of 0 to 255, upright, [H, W, C], with their bytes understood as `mode`.

    Pillow opens colours of 16 bits with 8, the higher byte of each value; told the other byte order, the lower one.
    """
    with again() as image:
        image.tile = [
            tile._replace(args=(mode, *tile.args[1:]) if isinstance(tile.args, tuple) else mode) for tile in image.tile
        ]
        # Pillow turns a TIFF when it loads one, and others here.
        image.load()
        ImageOps.exif_transpose(image, in_place=True)
        return np.asarray(image).astype(np.float64)


def _converted(image: Image.Image, profile: bytes, tell: Tell) -> Image.Image:
    """A picture with its profile's colours as sRGB; as it is where they are, or where the profile cannot be used."""
    mode = "CMYK" if image.mode == "CMYK" else "L" if image.mode in {"1", "L", "LA"} else "RGB"
    try:
        transform = _to_srgb(profile, mode)
    except (ImageCms.PyCMSError, OSError, ValueError):
        tell(Remark.BAD_PROFILE)
        return image
    if transform is None:
        return image
    tell(Remark.PROFILE)
    alpha = image.convert("RGBA").getchannel("A") if image.has_transparency_data else None
    made = _applied(transform, image.convert(mode))
    if alpha is not None:
        made.putalpha(alpha)
    return made


@lru_cache(maxsize=32)
def _to_srgb(profile: bytes, mode: str) -> ImageCms.ImageCmsTransform | None:
    """The way from a profile to sRGB; None where it is sRGB. PyCMSError or ValueError where it cannot be used."""
    given = ImageCms.ImageCmsProfile(io.BytesIO(profile))
    space = given.profile.xcolor_space.strip()
    if space != SPACES[mode]:
        raise ValueError(f"a profile of {space} in a picture of {mode}")
    transform = ImageCms.buildTransform(given, ImageCms.createProfile("sRGB"), mode, "RGB", INTENT, FLAGS)
    if mode == "CMYK":
        return transform
    levels = np.arange(0, 256, 15, dtype=np.uint8)
    colours = levels[None] if mode == "L" else np.stack(np.meshgrid(*[levels] * 3), axis=-1).reshape(1, -1, 3)
    shown = Image.fromarray(colours)
    moved = np.asarray(_applied(transform, shown), np.int16) - np.asarray(shown.convert("RGB"), np.int16)
    return transform if np.abs(moved).max() > 1 else None


def _applied(transform: ImageCms.ImageCmsTransform, image: Image.Image) -> Image.Image:
    made = Image.new("RGB", image.size)
    transform.apply(image, made)
    return made
