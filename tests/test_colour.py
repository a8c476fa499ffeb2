"""Depth, colour profiles, transparency and formats of pictures' files: the values that come out."""

import io
import struct
import zlib
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image, ImageCms

from prism_bench.prism.data.colour import BadImageError, Remark
from prism_bench.prism.data.decode import Framing, from_bytes
from prism_bench.prism.data.picture_formats import read_suffixes, refused_suffixes

Deep = npt.NDArray[np.uint16]


def encoded(image: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def decoded(data: bytes, side: int = 4, **framing: Any) -> tuple[npt.NDArray[np.uint8], list[Remark]]:
    """The pixels [H, W, 3], and what was remarked."""
    remarks: list[Remark] = []
    pixels = from_bytes(data, side, Framing(tell=remarks.append, **framing))
    return pixels.transpose(1, 2, 0), remarks


# 16 bits.


def deep_png(values: Deep, *chunks: tuple[bytes, bytes]) -> bytes:
    height, width, channels = values.shape
    kind = {1: 0, 2: 4, 3: 2, 4: 6}[channels]
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    header = struct.pack(">IIBBBBB", width, height, 16, kind, 0, 0, 0)
    parts = [(b"IHDR", header), *chunks, (b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    sized = [
        struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body)) for name, body in parts
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(sized)


def deep_tiff(values: Deep, order: str, turned: int = 1) -> bytes:
    height, width, channels = values.shape
    bits, data = struct.pack(f"{order}{channels}H", *[16] * channels), values.astype(f"{order}u2").tobytes()
    entries = {256: width, 257: height, 259: 1, 262: 2, 274: turned, 277: channels, 278: height, 279: len(data)}
    after = 8 + 2 + 12 * (len(entries) + 2) + 4
    table = [(tag, 4, 1, value) for tag, value in entries.items()]
    table += [(258, 3, channels, after), (273, 4, 1, after + len(bits))]
    body = b"".join(struct.pack(f"{order}HHII", *entry) for entry in sorted(table))
    start = b"II*\0" if order == "<" else b"MM\0*"
    return start + struct.pack(f"{order}IH", 8, len(table)) + body + bytes(4) + bits + data


DEEP = np.random.default_rng(0).integers(0, 65536, (9, 9, 4)).astype(np.uint16)
DEEP[0, :5, 0] = [0, 65535, 100 * 257 + 128, 100 * 257 + 129, 255]
RGB, ROUNDED = DEEP[..., :3], np.rint(DEEP / 257)


@pytest.mark.parametrize(
    "data", [deep_png(DEEP[..., :3]), deep_tiff(DEEP[..., :3], "<"), deep_tiff(DEEP[..., :3], ">")]
)
def test_sixteen_bits_of_colour_are_rounded_as_those_of_grey_are(data: bytes) -> None:
    pixels, remarks = decoded(data, 9)
    np.testing.assert_array_equal(pixels, ROUNDED[..., :3])
    assert remarks == [Remark.SIXTEEN_BITS]
    grey, _ = decoded(deep_png(DEEP[..., :1]), 9)
    np.testing.assert_array_equal(grey[..., 0], pixels[..., 0])


@pytest.mark.parametrize("channels", [2, 4])
def test_sixteen_bits_with_transparency_are_rounded_and_put_on_white(channels: int) -> None:
    values = DEEP[..., :channels].copy()
    values[..., -1] = np.where(np.arange(9) < 4, 0, 65535)
    pixels, remarks = decoded(deep_png(values), 9)
    colours = np.rint(values[..., : channels - 1] / 257) + np.zeros(3)
    np.testing.assert_array_equal(pixels[:, :4], 255)
    np.testing.assert_array_equal(pixels[:, 4:], colours[:, 4:])
    assert remarks == [Remark.SIXTEEN_BITS, Remark.TRANSPARENT]


def test_a_transparent_colour_of_sixteen_bits_is_that_colour_alone() -> None:
    values = np.full((4, 4, 3), 1000, np.uint16)
    values[0, 0] = 1001, 1000, 1000  # Equal to the others in its higher bytes.
    pixels, _ = decoded(deep_png(values, (b"tRNS", struct.pack(">3H", 1000, 1000, 1000))))
    assert pixels[0, 0].tolist() == [4, 4, 4]
    assert (pixels.reshape(16, 3)[1:] == 255).all()


@pytest.mark.parametrize(("tag", "turns"), [(3, 2), (6, 3), (8, 1)])
def test_deep_pictures_are_turned_once(tag: int, turns: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = tag
    chunk = (b"eXIf", exif.tobytes().removeprefix(b"Exif\0\0"))
    for data in (deep_png(DEEP[..., :3], chunk), deep_tiff(DEEP[..., :3], "<", tag)):
        pixels, remarks = decoded(data, 9)
        np.testing.assert_array_equal(pixels, np.rot90(ROUNDED[..., :3], turns))
        assert Remark.TURNED in remarks


def test_values_without_a_stated_range_are_refused() -> None:
    for values, words in (
        (np.ones((4, 4), np.float32), "floating-point values whose range"),
        (np.ones((4, 4), np.int32), "integers, signed or of more than 16 bits,"),
    ):
        with pytest.raises(BadImageError, match=f"{words}.*convert it to 8 or 16 bits"):
            decoded(encoded(Image.fromarray(values), "TIFF"))


def test_a_map_of_1023_levels_uses_the_whole_range() -> None:
    pixels, _ = decoded(b"P5 4 4 1023\n" + struct.pack(">16H", 1023, 0, 512, *[0] * 13))
    assert pixels[0, :3, 0].tolist() == [255, 0, round(512 / 1023 * 255)]


# Colour profiles.

P3 = ((0.51512, 0.2412, -0.00105), (0.29198, 0.69225, 0.04189), (0.1571, 0.06657, 0.78407))
"""Display-P3's red, green and blue in XYZ, adapted to D50."""


def profile(space: bytes, tags: dict[bytes, bytes]) -> bytes:
    """An ICC profile of version 2 for a display."""
    table, data, start = b"", b"", 128 + 4 + 12 * len(tags)
    for name, body in tags.items():
        padded = body + bytes(-len(body) % 4)
        table += name + struct.pack(">II", start + len(data), len(body))
        data += padded
    head = struct.pack(">I4sI4s4s4s", start + len(data), b"", 0x02400000, b"mntr", space, b"XYZ ")
    head += bytes(12) + b"acsp" + bytes(28) + struct.pack(">3i", *(round(v * 65536) for v in (0.9642, 1, 0.8249)))
    return head.ljust(128, b"\0") + struct.pack(">I", len(tags)) + table + data


def xyz(*values: float) -> bytes:
    return b"XYZ \0\0\0\0" + struct.pack(">3i", *(round(value * 65536) for value in values))


def curve(levels: npt.NDArray[np.float64]) -> bytes:
    return b"curv\0\0\0\0" + struct.pack(f">I{len(levels)}H", len(levels), *np.rint(levels * 65535).astype(int))


LINE = np.linspace(0, 1, 1024)
SRGB_CURVE = np.where(LINE <= 0.04045, LINE / 12.92, ((LINE + 0.055) / 1.055) ** 2.4)
WHITE = {b"wtpt": xyz(0.9642, 1, 0.8249)}
DISPLAY_P3 = profile(
    b"RGB ",
    WHITE
    | dict(zip((b"rXYZ", b"gXYZ", b"bXYZ"), (xyz(*colour) for colour in P3), strict=True))
    | dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), curve(SRGB_CURVE)),
)
LINEAR_GREY = profile(b"GRAY", WHITE | {b"kTRC": curve(LINE)})


@pytest.mark.parametrize(("kind", "options"), [("PNG", {}), ("WEBP", {"lossless": True}), ("TIFF", {})])
def test_colours_of_a_profile_become_srgb(kind: str, options: dict[str, Any]) -> None:
    image = Image.new("RGB", (4, 4), (230, 60, 40))
    pixels, remarks = decoded(encoded(image, kind, icc_profile=DISPLAY_P3, **options))
    # In linear light, by the published matrix from Display-P3 to sRGB: (0.9587, 0.0139, 0.0041).
    np.testing.assert_allclose(pixels[0, 0], (251, 31, 13), atol=1)
    assert remarks == [Remark.PROFILE]
    assert decoded(encoded(image, kind, **options))[0][0, 0].tolist() == [230, 60, 40]


def test_a_profile_changes_colours_and_leaves_transparency() -> None:
    image = Image.new("RGBA", (4, 4), (230, 60, 40, 255))
    image.putpixel((0, 0), (230, 60, 40, 0))
    pixels, _ = decoded(encoded(image, icc_profile=DISPLAY_P3))
    assert pixels[0, 0].tolist() == [255, 255, 255]
    np.testing.assert_allclose(pixels[1, 1], (251, 31, 13), atol=1)


def test_a_profile_of_grey_is_used_too_at_either_depth() -> None:
    # Linear light of 1/4 is sRGB 137.
    for data in (
        encoded(Image.new("L", (4, 4), 64), icc_profile=LINEAR_GREY),
        deep_png(np.full((4, 4, 1), 64 * 257, np.uint16), (b"iCCP", b"x\0\0" + zlib.compress(LINEAR_GREY))),
    ):
        pixels, remarks = decoded(data)
        assert abs(int(pixels[0, 0, 0]) - 137) <= 1
        assert Remark.PROFILE in remarks


def test_a_profile_that_is_srgb_moves_nothing() -> None:
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    pixels = np.random.default_rng(0).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    found, remarks = decoded(encoded(Image.fromarray(pixels), icc_profile=srgb), 8)
    np.testing.assert_array_equal(found, pixels)
    assert remarks == []


def test_a_profile_that_cannot_be_used_is_passed_over_and_counted() -> None:
    image = Image.new("RGB", (4, 4), (230, 60, 40))
    for broken in (b"no profile at all", DISPLAY_P3[:200], LINEAR_GREY):
        pixels, remarks = decoded(encoded(image, icc_profile=broken))
        assert pixels[0, 0].tolist() == [230, 60, 40]
        assert remarks == [Remark.BAD_PROFILE]


# Formats.


SUFFIXES = (
    ".avif .bmp .dds .dib .gif .icns .ico .j2k .jfif .jp2 .jpe .jpeg .jpg .mpo .pcx .pgm .png .pnm .ppm .qoi .sgi "
    ".tga .tif .tiff .webp"
)


@pytest.mark.parametrize("suffix", SUFFIXES.split())
def test_a_picture_of_every_common_suffix_is_read(suffix: str) -> None:
    kind = Image.registered_extensions().get(suffix)
    if kind not in Image.SAVE:
        pytest.skip(f"this Pillow cannot write {suffix}")
    assert suffix in read_suffixes()
    pixels, _ = decoded(encoded(Image.new("RGB", (64, 64), (200, 100, 40)), kind), 64)
    np.testing.assert_allclose(pixels, np.broadcast_to((200, 100, 40), (64, 64, 3)), atol=4)


def test_every_suffix_that_pillow_opens_is_read_or_refused_or_no_picture() -> None:
    opened = {suffix for suffix, name in Image.registered_extensions().items() if name in Image.OPEN}
    none = {".bufr", ".grib", ".h5", ".hdf", ".iim", ".mpeg", ".mpg", ".ps"}
    assert opened - read_suffixes() - refused_suffixes().keys() <= none
    assert refused_suffixes()[".svg"] == refused_suffixes()[".eps"] == "a vector graphic"
    assert ".heic" in refused_suffixes()
    assert not read_suffixes() & (refused_suffixes().keys() | none)


# Pictures that are not square.


def test_other_pictures_than_squares_are_cropped_padded_or_stretched() -> None:
    wide = np.zeros((8, 16, 3), np.uint8)
    wide[:, :4], wide[:, 4:12], wide[:, 12:] = 10, 100, 200
    data = encoded(Image.fromarray(wide))
    cropped, remarks = decoded(data, 8)
    assert (cropped == 100).all()
    assert remarks == [Remark.CROPPED]
    padded, remarks = decoded(data, 16, fit="pad")
    np.testing.assert_array_equal(padded[4:12], wide)
    assert (padded[:4] == 255).all()
    assert (padded[12:] == 255).all()
    assert remarks == [Remark.PADDED]
    stretched, remarks = decoded(data, 8, fit="stretch")
    assert remarks == [Remark.STRETCHED, Remark.RESIZED]
    np.testing.assert_allclose(stretched[3, [0, 4, 7], 0], (10, 100, 200), atol=8)
    assert (stretched == stretched[:1]).all()
    for fit in ("crop", "pad", "stretch"):
        square = Image.fromarray(wide[:, :8])
        np.testing.assert_array_equal(decoded(encoded(square), 8, fit=fit)[0], wide[:, :8])
