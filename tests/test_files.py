"""The user's own pictures: what each kind of file becomes, what their identity is, and what is refused and why."""

import io
import os
import re
import struct
import tempfile
import threading
import time
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import Mock

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from prism_bench.prism.data.colour import BadImageError
from prism_bench.prism.data.decode import check_resolution, from_array, from_bytes
from prism_bench.prism.data.user_images import image_files
from prism_bench.prism.data.user_images import picture_sources as sources
from prism_bench.prism.data.user_images.class_folders import by_folders
from prism_bench.prism.data.user_images.image_files import (
    QUEUED_PER_THREAD,
    THREADS,
    ImageFiles,
    _decoded,
    ingest,
    listing_digest,
)
from prism_bench.prism.errors import InputError

Pixels = npt.NDArray[np.uint8]
Files = dict[str, bytes]


def encoded(image: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def noise(seed: int, side: int = 8, channels: int = 3) -> Pixels:
    return np.random.default_rng(seed).integers(0, 256, (side, side, channels), dtype=np.uint8)


def noise_png(seed: int, side: int = 8) -> bytes:
    return encoded(Image.fromarray(noise(seed, side)))


def folder_of(path: Path, files: Files) -> Path:
    for name, data in files.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(data)
    path.mkdir(exist_ok=True)
    return path


def zip_of(path: Path, files: Files) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return path


def png_of_size(width: int, height: int) -> bytes:
    """A PNG that claims a size and holds nothing."""
    chunks = [b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0), b"IDAT"]
    sized = [struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body)) for body in chunks]
    return b"\x89PNG\r\n\x1a\n" + b"".join(sized)


def colours(data: bytes) -> set[tuple[int, int, int]]:
    """The distinct RGB values of a 4x4 picture at its own size."""
    return {(int(r), int(g), int(b)) for r, g, b in from_bytes(data, 4).reshape(3, -1).T}


PAIR = {"a.png": noise_png(1), "b.png": noise_png(2)}
CATS_AND_DOGS = {"cat/1.png": noise_png(1), "cat/2.png": noise_png(2), "dog/1.png": noise_png(3)}


# What each colour mode becomes.


def palette(**options: Any) -> bytes:
    image = Image.new("P", (4, 4), 1)
    image.putpalette([10, 20, 30, 200, 100, 50])
    image.putpixel((0, 0), 0)
    return encoded(image, **options)


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (encoded(Image.new("RGB", (4, 4), (1, 2, 3))), {(1, 2, 3)}),
        # 255 * (1 - 128/255) = 127: what is left of white beneath half-transparent red.
        (encoded(Image.new("RGBA", (4, 4), (255, 0, 0, 128))), {(255, 127, 127)}),
        (encoded(Image.new("RGBA", (4, 4), (9, 9, 9, 0))), {(255, 255, 255)}),
        (encoded(Image.new("L", (4, 4), 77)), {(77, 77, 77)}),
        (encoded(Image.new("L", (4, 4), 77), transparency=77), {(255, 255, 255)}),
        (encoded(Image.new("1", (4, 4), 1)), {(255, 255, 255)}),
        # 255 - (255 - 100) * 128/255 = 177.2
        (encoded(Image.new("LA", (4, 4), (100, 128))), {(177, 177, 177)}),
        (palette(), {(10, 20, 30), (200, 100, 50)}),
        (palette(transparency=0), {(255, 255, 255), (200, 100, 50)}),
        (palette(transparency=bytes([255, 0])), {(10, 20, 30), (255, 255, 255)}),
        (encoded(Image.fromarray(np.full((4, 4), 65535, np.uint16))), {(255, 255, 255)}),
        (encoded(Image.fromarray(np.full((4, 4), 100 * 257 + 129, np.uint16))), {(101, 101, 101)}),
        (encoded(Image.new("RGB", (4, 4), (1, 2, 3)), "WEBP", lossless=True), {(1, 2, 3)}),
        (encoded(Image.new("RGB", (4, 4), (1, 2, 3)), "BMP"), {(1, 2, 3)}),
        (encoded(Image.new("L", (4, 4), 9), "GIF"), {(9, 9, 9)}),
        (encoded(Image.new("L", (4, 4), 90), "JPEG", quality=100), {(90, 90, 90)}),
    ],
)
def test_each_colour_mode_becomes_the_stated_rgb(data: bytes, expected: set[tuple[int, int, int]]) -> None:
    assert colours(data) == expected


def test_cmyk_is_converted_to_the_colour_it_prints() -> None:
    data = encoded(Image.new("CMYK", (4, 4), (0, 255, 255, 0)), "JPEG", quality=100)
    # Full magenta and yellow print red; JPEG at full quality may err by a level or two.
    np.testing.assert_allclose(list(colours(data)), [(255, 0, 0)], atol=2)


def test_of_an_animation_the_first_frame_counts() -> None:
    frames = [Image.new("L", (4, 4), 200), Image.new("L", (4, 4), 10)]
    data = encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])
    assert colours(data) == {(200, 200, 200)}


@pytest.mark.parametrize("kind", ["PNG", "WEBP"])
@pytest.mark.parametrize(("tag", "turned"), [(3, 2), (6, 3), (8, 1)])
def test_exif_orientation_is_applied(kind: str, tag: int, turned: int) -> None:
    # Tags 3, 6 and 8 ask for a turn by 180, 90 clockwise (three quarters the other way) and 90 anticlockwise.
    upright, exif = noise(5), Image.Exif()
    exif[0x0112] = tag
    options = {"lossless": True} if kind == "WEBP" else {}
    data = encoded(Image.fromarray(upright), kind, exif=exif, **options)
    np.testing.assert_array_equal(from_bytes(data, 8), np.rot90(upright, turned).transpose(2, 0, 1))


def test_sixteen_bits_are_scaled_and_rounded() -> None:
    # 65535 / 255 = 257, so level * 257 + 128 lies just below the middle between two levels.
    levels = np.arange(255, dtype=np.uint16).reshape(15, 17)[:, 1:16]
    data = encoded(Image.fromarray(np.ascontiguousarray(levels * 257 + 128)))
    np.testing.assert_array_equal(from_bytes(data, 15)[0], levels)


# Crop and resize.


@pytest.mark.parametrize(("size", "resolution"), [((37, 61), 16), ((8, 8), 16), ((300, 200), 16), ((5, 9), 4)])
def test_a_constant_picture_stays_constant(size: tuple[int, int], resolution: int) -> None:
    result = from_bytes(encoded(Image.new("RGB", size, (12, 130, 251))), resolution)
    assert result.shape == (3, resolution, resolution)
    assert (result == np.array([12, 130, 251], np.uint8)[:, None, None]).all()


@pytest.mark.parametrize(("side", "resolution"), [(64, 16), (50, 16), (8, 16)])
def test_a_linear_ramp_stays_symmetric(side: int, resolution: int) -> None:
    ramp = np.broadcast_to(np.linspace(0, 255, side).round().astype(np.uint8)[None, :, None], (side, side, 3)).copy()
    result = from_array(ramp, resolution).astype(int)
    # Value and mirrored value sum to 255; each is rounded twice in two passes, hence one level.
    assert np.abs(result + result[:, :, ::-1] - 255).max() <= 1
    assert (np.diff(result, axis=2) > 0).all()
    np.testing.assert_array_equal(result, result[:, :1].repeat(resolution, axis=1))


@pytest.mark.parametrize(("pad", "axis"), [((4, 4), 0), ((4, 5), 0), ((3, 3), 1), ((3, 4), 1)])
def test_the_central_square_is_taken_and_the_odd_pixel_goes_at_the_end(pad: tuple[int, int], axis: int) -> None:
    square = noise(6, 32)
    widths = [(0, 0)] * 3
    widths[axis] = pad
    np.testing.assert_array_equal(from_array(np.pad(square, widths), 16), from_array(square, 16))


def test_a_picture_of_the_right_size_keeps_every_pixel() -> None:
    np.testing.assert_array_equal(from_array(noise(7), 8), noise(7).transpose(2, 0, 1))


def test_reducing_does_not_alias() -> None:
    # Stripes of one pixel hold no frequency that 16 pixels can show: all that may be left is their mean.
    stripes = np.zeros((64, 64, 1), np.uint8)
    stripes[:, ::2] = 255
    assert np.abs(from_array(stripes, 16)[:, :, 2:-2].astype(float) - 127.5).max() < 3


def test_invisible_colours_do_not_bleed_in() -> None:
    # Transparent black beside opaque white: every pixel is white, whatever the filter mixes.
    pixels = np.full((32, 32, 4), 255, np.uint8)
    pixels[:, ::2] = 0
    assert (from_array(pixels, 16) == 255).all()


# Identity.


def npz_of(path: Path, files: Files, *, first: bool = False) -> Path:
    pictures = np.stack([np.asarray(Image.open(io.BytesIO(files[name]))) for name in sorted(files)])
    labels = np.array([name.split("/")[0] for name in sorted(files)])
    np.savez(path, images=pictures.transpose(0, 3, 1, 2) if first else pictures, labels=labels)
    return path


def content(path: Path, resolution: int = 4) -> str:
    return ingest(path, resolution=resolution).dataset.content


def test_folder_zip_and_npz_of_the_same_pictures_are_the_same_data(tmp_path: Path) -> None:
    places = [
        folder_of(tmp_path / "one", CATS_AND_DOGS),
        folder_of(tmp_path / "elsewhere/two", {f"top/{name}": data for name, data in CATS_AND_DOGS.items()}),
        zip_of(tmp_path / "three.zip", dict(reversed(CATS_AND_DOGS.items()))),
        npz_of(tmp_path / "four.npz", CATS_AND_DOGS),
        npz_of(tmp_path / "five.npz", CATS_AND_DOGS, first=True),
    ]
    before = content(places[0])
    os.utime(places[0] / "cat/1.png", (1, 1))
    assert {content(place) for place in places} == {before}
    assert re.fullmatch("[0-9a-f]{64}", before)
    assert len({ingest(place, resolution=4).dataset.digest() for place in places}) == 1


def test_one_pixel_a_label_a_class_name_and_the_resolution_change_the_identity(tmp_path: Path) -> None:
    pixels = noise(1)
    pixels[0, 0, 0] ^= 1
    one_pixel = CATS_AND_DOGS | {"cat/1.png": encoded(Image.fromarray(pixels))}
    moved = {"cat/1.png": noise_png(1), "dog/0.png": noise_png(2), "dog/1.png": noise_png(3)}
    renamed = {name.replace("dog", "eel"): data for name, data in CATS_AND_DOGS.items()}
    sets = [CATS_AND_DOGS, one_pixel, moved, renamed]
    found = [content(folder_of(tmp_path / str(index), files), 8) for index, files in enumerate(sets)]
    assert len({*found, content(tmp_path / "0", 12)}) == 5


def test_image_files_survive_json_and_ask_for_the_path_again() -> None:
    dataset = ImageFiles(resolution=8, content="ab" * 32)
    assert dataset.to_json() == {"component": "dataset/files", "resolution": 8, "content": "ab" * 32}
    with pytest.raises(InputError, match="content abababababab is not in the store; give --data PATH again"):
        dataset.build()


def test_the_listing_digest_changes_when_what_is_read_may_change(tmp_path: Path) -> None:
    folder, archive = folder_of(tmp_path / "f", PAIR), zip_of(tmp_path / "z.zip", PAIR)
    npz = npz_of(tmp_path / "n.npz", CATS_AND_DOGS)
    before = {path: listing_digest(path, resolution=8) for path in (folder, archive, npz)}
    for path, digest in before.items():
        assert listing_digest(path, resolution=12) != digest
        assert listing_digest(path, resolution=8, skip_bad=True) != digest
        os.utime(path / "a.png" if path == folder else path, (1, 1))
        assert listing_digest(path, resolution=8) == digest, "a date says nothing"


def rewritten(path: Path, write: Callable[[Path], object]) -> None:
    """Other content of the same size, under the same name and with the same date."""
    status = path.stat()
    write(path)
    assert path.stat().st_size == status.st_size
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def test_other_content_of_equal_name_size_and_date_is_another_listing(tmp_path: Path) -> None:
    def flat(level: int, **more: Any) -> Callable[[Path], object]:
        return lambda path: np.savez(path, images=np.full((40, 8, 8, 3), level, np.uint8), **more)

    def bitmaps(level: int) -> Files:
        return {name: encoded(Image.new("L", (8, 8), level), "BMP") for name in ("a.bmp", "b.bmp")}

    def big(level: int) -> bytes:
        return encoded(Image.new("RGB", (400, 400), (level, 0, 0)), "BMP")

    folder = folder_of(tmp_path / "folder", bitmaps(1) | {"c.bmp": big(1)})
    labels = [np.array(list(text)) for text in ("a" * 20 + "b" * 20, "b" * 20 + "a" * 20)]
    changes: list[tuple[Path, Path, Callable[[Path], object], Callable[[Path], object]]] = [
        (tmp_path / "a.npz", tmp_path / "a.npz", flat(50), flat(200)),
        (tmp_path / "b.npz", tmp_path / "b.npz", flat(50, labels=labels[0]), flat(50, labels=labels[1])),
        (tmp_path / "c.zip", tmp_path / "c.zip", *(lambda p, n=n: stored_zip(p, bitmaps(n)) for n in (1, 2))),
        (folder, folder / "a.bmp", *(lambda p, n=n: p.write_bytes(bitmaps(n)["a.bmp"]) for n in (1, 2))),
        # Larger than what is hashed as a whole, and changed in one byte that no sample holds.
        (folder, folder / "c.bmp", lambda p: p.write_bytes(big(1)), lambda p: p.write_bytes(one_byte(big(1), 150_000))),
    ]
    for source, file, first, second in changes:
        first(file)
        before = listing_digest(source, resolution=8)
        assert listing_digest(source, resolution=8) == before
        rewritten(file, second)
        assert listing_digest(source, resolution=8) != before, file.name


def stored_zip(path: Path, files: Files) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in files.items():
            archive.writestr(zipfile.ZipInfo(name), data)


def one_byte(data: bytes, at: int) -> bytes:
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


def test_a_moved_folder_has_the_same_listing_digest(tmp_path: Path) -> None:
    before = listing_digest(folder_of(tmp_path / "f", PAIR), resolution=8)
    (tmp_path / "f").rename(tmp_path / "g")
    assert listing_digest(tmp_path / "g", resolution=8) == before


# Order, classes and what is left out.


@pytest.mark.parametrize("put", [folder_of, lambda path, files: zip_of(path.with_suffix(".zip"), files)])
def test_pictures_are_sorted_by_name_and_classed_by_folder(tmp_path: Path, put: Callable[..., Path]) -> None:
    clutter = {
        "data/.DS_Store": b"x",
        "__MACOSX/data/cat/._1.png": b"x",
        "data/README.txt": b"x",
        "__MACOSX/b.png": b"",
        "data/.h/a.png": b"",
    }
    files = {f"data/{name}": data for name, data in reversed(CATS_AND_DOGS.items())} | clutter
    found = ingest(put(tmp_path / "my pets", files), resolution=8)
    assert found.images.classes == ("cat", "dog")
    assert found.images.labels.tolist() == [0, 0, 1]
    assert found.images.labels.dtype == np.int64
    assert found.title == "my pets"
    assert found.skipped == ()
    for index, seed in enumerate((1, 2, 3)):
        np.testing.assert_array_equal(found.images.images[index], noise(seed).transpose(2, 0, 1))


@pytest.mark.parametrize(
    "names", [("a.png", "b.PNG"), ("cat/a.png", "b.png"), ("only/a.png", "only/b.png"), ("x/a.png", "x/y/b.png")]
)
def test_pictures_outside_class_folders_are_one_class(tmp_path: Path, names: tuple[str, str]) -> None:
    found = ingest(folder_of(tmp_path / "f", dict(zip(names, PAIR.values(), strict=True))), resolution=4)
    assert found.images.classes == ("all",)
    assert found.images.labels.tolist() == [0, 0]


def test_the_first_folder_below_the_shared_ones_is_the_class(tmp_path: Path) -> None:
    assert by_folders(["s/t/cat/x/1.png", "s/t/dog/2.png"]).groups == ("cat", "dog")


def test_names_are_equal_whichever_way_accents_are_written() -> None:
    decomposed, composed = "e\N{COMBINING ACUTE ACCENT}", "\N{LATIN SMALL LETTER E WITH ACUTE}"
    assert by_folders([f"{decomposed}/1.png", "f/1.png"]).groups == (composed, "f")
    shuffled = [f"{decomposed}/2.png", f"{composed}/1.png"]
    assert sources.sorted_images(shuffled, Path()) == tuple(reversed(shuffled))


def test_archives_made_on_windows_have_folders_too(tmp_path: Path) -> None:
    files = {name.replace("/", "\\"): data for name, data in CATS_AND_DOGS.items()}
    assert content(zip_of(tmp_path / "w.zip", files)) == content(folder_of(tmp_path / "f", CATS_AND_DOGS))


def test_links_are_followed_and_loops_end(tmp_path: Path) -> None:
    folder_of(tmp_path / "real", PAIR)
    linked = folder_of(tmp_path / "f", {"own/c.png": noise_png(4)})
    (linked / "far").symlink_to(tmp_path / "real")
    (linked / "own/loop").symlink_to(linked)
    assert ingest(linked, resolution=4).images.classes == ("far", "own")
    assert len(ingest(linked, resolution=4).images.images) == 3


def test_npz_labels_and_shapes(tmp_path: Path) -> None:
    grey = np.random.default_rng(0).integers(0, 256, (4, 8, 8), dtype=np.uint8)
    for index, (name, array) in enumerate([("images", grey), ("arr_0", grey[..., None]), ("images", grey[:, None])]):
        arrays: dict[str, Any] = {name: array, "labels": np.array([7, 7, 3, 7])}
        np.savez(tmp_path / f"{index}.npz", **arrays)
        found = ingest(tmp_path / f"{index}.npz", resolution=8).images
        np.testing.assert_array_equal(found.images, grey[:, None].repeat(3, axis=1))
        assert (found.classes, found.labels.tolist()) == (("3", "7"), [1, 1, 0, 1])
    np.savez_compressed(tmp_path / "rgba.npz", images=np.full((2, 8, 8, 4), 128, np.uint8))
    # 255 - (255 - 128) * 128/255 = 191.3
    assert (ingest(tmp_path / "rgba.npz", resolution=8).images.images == 191).all()


def test_progress_is_told_and_ends_at_the_total(tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    path = zip_of(tmp_path / "many.zip", {f"{i}.png": noise_png(i, 4) for i in range(100)})
    ingest(path, resolution=4, progress=lambda done, total: told.append((done, total)))
    assert told == [(done, 100) for done in range(1, 101)]


def test_only_a_few_originals_are_held_at_once() -> None:
    total, lock = 200, threading.Lock()
    held: list[int] = [0]

    def finish(resolution: int) -> Pixels:
        time.sleep(0.001)
        with lock:
            held.append(held[-1] - 1)
        return np.zeros((3, resolution, resolution), np.uint8)

    def draw() -> Iterator[Callable[[int], Pixels]]:
        for _ in range(total):
            with lock:
                held.append(held[-1] + 1)
            yield finish

    assert all(picture.shape == (3, 4, 4) for picture in _decoded(draw(), 4))
    assert held[-1] == 0
    assert 1 < max(held) <= THREADS * QUEUED_PER_THREAD


# Bad pictures.

GOOD = noise_png(1, 32)
JPEG = encoded(Image.fromarray(noise(1, 32)), "JPEG")
CORRUPT = GOOD[:60] + bytes(byte ^ 255 for byte in GOOD[60:80]) + GOOD[80:]


@pytest.mark.parametrize(
    ("name", "data", "reason"),
    [
        ("x.png", b"", "empty file"),
        ("x.png", b"just some text", "not a picture of a format that is read"),
        ("x.png", GOOD[: len(GOOD) // 2], "truncated"),
        ("x.png", CORRUPT, "broken data stream"),
        ("x.jpg", JPEG[: len(JPEG) // 2], "Truncated"),
        ("x.png", png_of_size(9000, 9000), "9000x9000 is more than 80 megapixels"),
        ("x.png", png_of_size(10000, 10000), "more than 80 megapixels"),
        ("x.png", png_of_size(50000, 50000), "more than 80 megapixels"),
        ("x.svg", b"<svg/>", r"\.svg is a vector graphic; convert it to PNG"),
        ("x.HEIC", b"heic", r"\.heic is not read by Pillow as installed here; convert it to PNG"),
    ],
)
def test_a_bad_picture_is_named_with_its_reason_or_skipped(tmp_path: Path, name: str, data: bytes, reason: str) -> None:
    places = [folder_of(tmp_path / "f", PAIR | {name: data}), zip_of(tmp_path / "f.zip", PAIR | {name: data})]
    for path in places:
        with pytest.raises(
            InputError, match=rf"1 of 3 images cannot be used: {re.escape(name)} \(.*({reason}).*--skip-bad"
        ):
            ingest(path, resolution=8)
        found = ingest(path, resolution=8, skip_bad=True)
        assert [skipped for skipped, _ in found.skipped] == [name]
        assert re.search(reason, found.skipped[0][1])
        assert found.dataset.content == content(folder_of(tmp_path / "good", PAIR), 8)


def test_all_bad_pictures_are_counted_and_the_first_ones_named(tmp_path: Path) -> None:
    path = folder_of(tmp_path / "f", PAIR | {f"bad{i}.png": b"" for i in range(9)})
    with pytest.raises(
        InputError, match=r"9 of 11 images cannot be used: bad0\.png \(empty file\).*bad4.*; and 4 more\."
    ):
        ingest(path, resolution=4)


def test_skipping_in_the_middle_keeps_pictures_and_labels_together(tmp_path: Path) -> None:
    files = {
        "cat/0.png": b"",
        "cat/1.png": noise_png(1),
        "dog/0.png": b"",
        "eel/0.png": noise_png(2),
        "eel/1.png": b"?",
    }
    found = ingest(folder_of(tmp_path / "f", files), resolution=8, skip_bad=True)
    assert found.images.classes == ("cat", "eel")
    assert found.images.labels.tolist() == [0, 1]
    for index, seed in enumerate((1, 2)):
        np.testing.assert_array_equal(found.images.images[index], noise(seed).transpose(2, 0, 1))
    assert [name for name, _ in found.skipped] == ["cat/0.png", "dog/0.png", "eel/1.png"]


def test_a_damaged_member_is_one_bad_picture(tmp_path: Path) -> None:
    path = tmp_path / "f.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for name, data in PAIR.items():
            archive.writestr(name, data)
    damaged = bytearray(path.read_bytes())
    damaged[damaged.index(b"IDAT") + 20] ^= 255
    path.write_bytes(damaged)
    with pytest.raises(InputError, match=r"1 of 2 images cannot be used: a\.png \(damaged in the archive: Bad CRC"):
        ingest(path, resolution=4)


def test_a_dangling_link_is_a_bad_picture(tmp_path: Path) -> None:
    path = folder_of(tmp_path / "f", PAIR)
    (path / "c.png").symlink_to(tmp_path / "gone.png")
    with pytest.raises(InputError, match=r"c\.png \(cannot be read: No such file"):
        ingest(path, resolution=4)


def test_a_huge_file_is_a_bad_picture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "MAX_FILE", 2**20)
    path = folder_of(tmp_path / "f", PAIR | {"c.png": bytes(2**20 + 1)})
    with pytest.raises(InputError, match=r"c\.png \(larger than 1 MiB\)"):
        ingest(path, resolution=4)


# Bad places.


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("gone", None, "gone: no such file or folder; check the path"),
        ("pictures.rar", b"Rar!", r"\.rar is not read; unpack it and give the folder"),
        ("picture", b"?", "a file without suffix is not read"),
        ("f.zip", b"no zip at all", "not a zip archive"),
        ("f.zip", b"", "not a zip archive"),
        ("f.npz", b"no zip at all", r"not an \.npz file"),
    ],
)
def test_a_path_that_is_no_source_is_refused(tmp_path: Path, name: str, data: bytes | None, message: str) -> None:
    if data is not None:
        (tmp_path / name).write_bytes(data)
    for act in (ingest, listing_digest):
        with pytest.raises(InputError, match=message):
            act(tmp_path / name, resolution=8)


@pytest.mark.parametrize("put", [folder_of, lambda path, files: zip_of(path.with_suffix(".zip"), files)])
@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({}, "no images found .seen: nothing"),
        (
            {"a.txt": b"", "b.txt": b"", "c": b""},
            r"no images found .seen: 2 x \.txt, 1 x no suffix.; it should hold \.apng",
        ),
        ({"a.png": noise_png(1)}, "1 usable image; at least 2 are needed"),
    ],
)
def test_too_few_pictures_are_refused(tmp_path: Path, put: Callable[..., Path], files: Files, message: str) -> None:
    with pytest.raises(InputError, match=message):
        ingest(put(tmp_path / "f", files), resolution=8)


def test_too_few_usable_pictures_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"1 usable image .1 bad ones skipped."):
        ingest(folder_of(tmp_path / "f", {"a.png": noise_png(1), "b.png": b""}), resolution=8, skip_bad=True)


@contextmanager
def nobody() -> Iterator[Path]:
    """A folder open to all, and a user whom file permissions bind (they do not bind root)."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        root = os.geteuid() == 0
        try:
            yield Path(name)
        finally:
            if root:
                os.seteuid(0)


def become_nobody() -> None:
    if os.geteuid() == 0:
        os.seteuid(65534)


@pytest.mark.skipif(not hasattr(os, "seteuid"), reason="needs POSIX permissions")
def test_what_may_not_be_read_is_said_so() -> None:
    with nobody() as top:
        folder_of(top / "f", PAIR)
        (top / "f/a.png").chmod(0)
        folder_of(top / "g", {"cat/a.png": b"", "dog/a.png": b""})
        (top / "g/dog").chmod(0)
        zip_of(top / "h.zip", PAIR).chmod(0)
        become_nobody()
        with pytest.raises(InputError, match=r"1 of 2 .*a\.png \(cannot be read: Permission denied\)"):
            ingest(top / "f", resolution=4)
        with pytest.raises(InputError, match=r"g/dog cannot be read \(Permission denied\); check its permissions"):
            ingest(top / "g", resolution=4)
        with pytest.raises(InputError, match=r"h\.zip cannot be read \(Permission denied\)"):
            ingest(top / "h.zip", resolution=4)


@pytest.mark.parametrize("name", ["../a.png", "x/../../a.png", "/etc/a.png", "..\\a.png", "C:\\a.png", "../notes.txt"])
def test_members_that_point_outside_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match=rf"member '{re.escape(repr(name)[1:-1])}' points outside the archive"):
        ingest(zip_of(tmp_path / "f.zip", PAIR | {name: noise_png(3)}), resolution=4)


def test_an_encrypted_archive_is_refused(tmp_path: Path) -> None:
    path = zip_of(tmp_path / "f.zip", PAIR)
    data = bytearray(path.read_bytes())
    data[data.index(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(data)
    with pytest.raises(
        InputError, match=r"member 'a\.png' is encrypted; unpack it with its password and give the folder"
    ):
        ingest(path, resolution=4)


def test_a_zip_bomb_is_refused(tmp_path: Path) -> None:
    path = zip_of(tmp_path / "f.zip", PAIR | {"c.bmp": bytes(101 * 2**20)})
    with pytest.raises(InputError, match=r"member 'c\.bmp' would unpack from \d+,\d+ to 105,906,176 bytes .*zip bomb"):
        ingest(path, resolution=4, skip_bad=True)


def test_a_large_member_and_a_large_total_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = zip_of(tmp_path / "f.zip", PAIR | {"c.png": noise_png(3, 32)})
    with monkeypatch.context() as patch:
        patch.setattr(sources, "MAX_FILE", 2000)
        with pytest.raises(InputError, match=r"member 'c\.png' would unpack"):
            ingest(path, resolution=4)
    with monkeypatch.context() as patch:
        patch.setattr(sources, "MAX_TOTAL", 3000)
        with pytest.raises(InputError, match=r"bytes would unpack to 3,\d+ .*unpack it and give the folder"):
            ingest(path, resolution=4)


def test_a_member_that_lies_about_its_size_is_read_no_further(tmp_path: Path) -> None:
    path = zip_of(tmp_path / "f.zip", PAIR | {"c.png": bytes(2**20)})
    data = bytearray(path.read_bytes())
    at = data.rindex(b"PK\x01\x02")
    data[at + 24 : at + 28] = struct.pack("<I", 100)
    path.write_bytes(data)
    with pytest.raises(InputError, match=r"c\.png \(damaged in the archive: Bad CRC"):
        ingest(path, resolution=4)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"pictures": np.zeros((2, 8, 8, 3), np.uint8)}, "no array 'images' in it .seen: pictures"),
        ({"images": np.zeros((2, 8, 8, 3), np.float32)}, r"'images' is float32 \[2, 8, 8, 3\]; it should be uint8"),
        ({"images": np.zeros((2, 8, 8, 2), np.uint8)}, r"'images' is uint8 \[2, 8, 8, 2\]"),
        ({"images": np.zeros((8, 8, 3), np.uint8)}, r"'images' is uint8 \[8, 8, 3\]"),
        ({"images": np.zeros((2, 0, 8, 3), np.uint8)}, r"'images' is uint8 \[2, 0, 8, 3\]"),
        ({"images": np.array([None, "x"])}, r"'images' is object \[2\]"),
        (
            {"images": np.asfortranarray(np.zeros((2, 8, 8, 3), np.uint8))},
            "Fortran order; save numpy.ascontiguousarray",
        ),
        (
            {"images": np.zeros((2, 8, 8), np.uint8), "labels": np.zeros(3, int)},
            r"'labels' is int64 \[3\]; .*2 integers",
        ),
        ({"images": np.zeros((2, 8, 8), np.uint8), "labels": np.zeros(2)}, r"'labels' is float64 \[2\]"),
        ({"images": np.zeros((2, 8, 8), np.uint8), "labels": np.array([None, "x"])}, "damaged one .Object arrays"),
        ({"images": np.zeros((1, 8, 8), np.uint8)}, "1 usable image; at least 2"),
    ],
)
def test_an_npz_with_other_arrays_is_refused(tmp_path: Path, arrays: dict[str, Any], message: str) -> None:
    np.savez(tmp_path / "f.npz", **arrays)
    with pytest.raises(InputError, match=message):
        ingest(tmp_path / "f.npz", resolution=8)


def test_a_damaged_npz_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "f.npz"
    np.savez(path, images=np.stack([noise(1, 64), noise(2, 64)]))
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 255
    path.write_bytes(data)
    # The checksum is known only once all has been read.
    with pytest.raises(InputError, match=r"damaged at images\[1\] \(Bad CRC"):
        ingest(path, resolution=8)


@pytest.mark.parametrize(
    ("resolution", "least", "message"),
    [
        (18, 4, "must be a positive multiple of 4, not 18; use 16 or 20"),
        (3, 4, "not 3; use 4$"),
        (0, 4, "not 0; use 4$"),
        (-8, 4, "not -8; use 4$"),
        (4, 8, "must be a multiple of 4 and at least 8, not 4; use 8$"),
        (9, 8, "not 9; use 8 or 12"),
    ],
)
def test_the_resolution_is_a_positive_multiple_of_four(resolution: int, least: int, message: str) -> None:
    with pytest.raises(InputError, match=message):
        check_resolution(resolution, least=least)


def test_a_side_that_is_no_multiple_of_four_is_for_evaluation(tmp_path: Path) -> None:
    path = folder_of(tmp_path / "f", {"a.png": noise_png(1, 9), "b.png": noise_png(2, 9)})
    np.testing.assert_array_equal(ingest(path, resolution=9).images.images[1], noise(2, 9).transpose(2, 0, 1))
    with pytest.raises(InputError, match="at least 1, not 0"):
        ImageFiles(resolution=0)


def test_a_set_for_which_there_is_no_room_is_refused_before_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = r"2 images of 200000x200000 take 223.5 GiB, and 0.5 GiB are free on the disk of .*use a smaller"
    monkeypatch.setattr(image_files, "disk_usage", lambda _: SimpleNamespace(free=2**29))
    with pytest.raises(InputError, match=words):
        ingest(folder_of(tmp_path / "f", PAIR), resolution=200_000, file=tmp_path / "images.npy")
    assert not (tmp_path / "images.npy").exists()
    monkeypatch.setattr(image_files, "MemoryRows", Mock(side_effect=MemoryError))
    with pytest.raises(InputError, match=r"take 223.5 GiB, and memory has no room for them"):
        ingest(tmp_path / "f", resolution=200_000)


@pytest.mark.parametrize("kind", ["folder", "zip", "npz"])
def test_decoding_into_a_file_gives_the_bytes_that_memory_gives(tmp_path: Path, kind: str) -> None:
    files = {f"{'ab'[index % 2]}/{index:03d}.png": noise_png(index) for index in range(70)} | {"a/033.png": b"broken"}
    if kind == "npz":
        np.savez(tmp_path / "f.npz", images=np.random.default_rng(0).integers(0, 256, (70, 9, 9, 3), np.uint8))
    path = {
        "folder": lambda: folder_of(tmp_path / "f", files),
        "zip": lambda: zip_of(tmp_path / "f.zip", files),
        "npz": lambda: tmp_path / "f.npz",
    }[kind]()
    plain = ingest(path, resolution=8, skip_bad=True)
    mapped = ingest(path, resolution=8, skip_bad=True, file=tmp_path / "images.npy")
    assert isinstance(mapped.images.images, np.memmap)
    assert (mapped.dataset, mapped.skipped) == (plain.dataset, plain.skipped)
    assert (mapped.images.labels == plain.images.labels).all()
    np.save(tmp_path / "plain.npy", plain.images.images)
    assert (tmp_path / "images.npy").read_bytes() == (tmp_path / "plain.npy").read_bytes()


def test_a_giant_array_is_a_bad_picture() -> None:
    with pytest.raises(BadImageError, match="9000x9000 is more than 80 megapixels"):
        from_array(np.broadcast_to(np.zeros(1, np.uint8), (9000, 9000, 1)), 4)
