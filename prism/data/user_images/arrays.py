"""Pictures in a NumPy .npz: streamed one by one, never unpickled, never held in memory as a whole."""

import zlib
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from math import prod
from pathlib import Path
from typing import IO, Self
from zipfile import BadZipFile, ZipFile

import numpy as np
from typing_extensions import override

from prism_bench.prism.component import Json
from prism_bench.prism.data.decode import Framing, from_array
from prism_bench.prism.data.user_images.class_folders import ONE_CLASS
from prism_bench.prism.data.user_images.picture_sources import MAX_FILE, Job, Source, refuse_bomb
from prism_bench.prism.errors import InputError

IMAGES = ("images", "arr_0")
CHANNELS = (1, 3, 4)
DAMAGE = (BadZipFile, NotImplementedError, EOFError, zlib.error, ValueError)


@dataclass(frozen=True)
class ArraySource(Source):
    """An .npz with `images` (or `arr_0`) and perhaps `labels`; the order is kept.

    images: uint8 [N, H, W, C], [N, C, H, W] or [N, H, W] with C of 1, 3 or 4; where both could be, C comes last.
    labels: integers or strings [N]; as text they are the class names.
    """

    key: str
    shape: tuple[int, ...]

    @classmethod
    def of(cls, path: Path) -> Self:
        """Read the header and the labels.

        Raises:
            InputError: not an .npz, or its arrays are not as above.
            OSError: it cannot be read.
        """
        try:
            with ZipFile(path) as archive:
                held = {Path(name).stem for name in archive.namelist()}
                key = next((key for key in IMAGES if key in held), "")
                if not key:
                    raise InputError(
                        f"--data {path}: no array 'images' in it (seen: {', '.join(sorted(held))}); add one"
                    )
                with archive.open(f"{key}.npy") as member:
                    shape = _image_shape(member, path, key)
                refuse_bomb(archive.getinfo(f"{key}.npy").file_size, path, "make it anew")
                groups = _labels(archive, path, shape[0]) if "labels" in held else (ONE_CLASS,) * shape[0]
        except InputError:
            raise
        except (*DAMAGE, KeyError) as error:
            raise InputError(f"--data {path}: not an .npz file, or a damaged one ({error}); make it anew") from None
        names = tuple(f"{key}[{index}]" for index in range(shape[0]))
        return cls(path, names, groups, (), key, shape)

    @override
    def stamps(self) -> list[Json]:
        """Size and CRC-32 of the images: an .npz is a zip archive. The labels are known by themselves."""
        with ZipFile(self.path) as archive:
            member = archive.getinfo(f"{self.key}.npy")
        return [[*self.shape], member.file_size, member.CRC]

    @override
    def sizes(self) -> Counter[tuple[int, int]]:
        last = self.shape[-1] in CHANNELS or len(self.shape) == 3
        height, width = self.shape[1:3] if last else self.shape[2:4]
        return Counter({(width, height): self.shape[0]})

    @contextmanager
    def jobs(self, framing: Framing) -> Iterator[Iterator[Job]]:
        """Jobs that hold their picture already; drawing the next job reads the next picture."""
        with ZipFile(self.path) as archive, archive.open(f"{self.key}.npy") as member:
            _image_shape(member, self.path, self.key)
            yield self._stream(member, framing)

    def _stream(self, member: IO[bytes], framing: Framing) -> Iterator[Job]:
        shape = self.shape[1:]
        size = prod(shape)
        grey = len(shape) == 2
        channels_first = not grey and shape[-1] not in CHANNELS
        for name in self.names:
            try:
                data = member.read(size)
                picture = np.frombuffer(data, np.uint8).reshape(shape)
            except DAMAGE as error:
                raise InputError(f"--data {self.path}: damaged at {name} ({error}); make it anew") from None
            if grey:
                picture = picture[..., None]
            shown = picture.transpose(1, 2, 0) if channels_first else picture
            yield partial(from_array, shown, framing=framing)


def _image_shape(member: IO[bytes], path: Path, key: str) -> tuple[int, ...]:
    """Read the header of an .npy stream, which then stands at the first picture."""
    version = np.lib.format.read_magic(member)
    if version != (1, 0):
        raise InputError(f"--data {path}: {key!r} is not a plain uint8 array; save it as one with numpy.savez")
    shape, fortran, dtype = np.lib.format.read_array_header_1_0(member)
    fits = (len(shape) == 4 and (shape[-1] in CHANNELS or shape[1] in CHANNELS)) or (
        len(shape) == 3 and shape[-1] not in CHANNELS
    )
    if dtype != np.uint8 or not fits or 0 in shape[1:]:
        raise InputError(
            f"--data {path}: {key!r} is {dtype} {list(shape)}; it should be uint8 (0 to 255) of [N, H, W, C] or "
            "[N, C, H, W] with C of 1, 3 or 4, or [N, H, W]"
        )
    if fortran:
        raise InputError(f"--data {path}: {key!r} is in Fortran order; save numpy.ascontiguousarray({key})")
    return shape


def _labels(archive: ZipFile, path: Path, count: int) -> tuple[str, ...]:
    if archive.getinfo("labels.npy").file_size > MAX_FILE:
        raise InputError(f"--data {path}: 'labels' is larger than {MAX_FILE >> 20} MiB; give one label per image")
    with archive.open("labels.npy") as member:
        labels = np.lib.format.read_array(member, allow_pickle=False)
    if labels.dtype.kind not in "iubUS" or labels.shape != (count,):
        raise InputError(
            f"--data {path}: 'labels' is {labels.dtype} {list(labels.shape)}; it should hold {count} integers or "
            "strings"
        )
    return tuple(map(str, labels.astype(str).tolist()))
