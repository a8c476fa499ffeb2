"""Where pictures lie: folders and zip archives; their listing, order, classes and safety.

Names are sorted, so that equal content gives equal data wherever it lies. Hidden files, `__MACOSX` and files whose
suffix is not an image's are left out. A picture's class is the first folder of its name, once the folders that
all names share are stripped; where a picture lies in no folder, all belong to one class, "all".
"""

import io
import os
import stat
import threading
import unicodedata
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Self
from zipfile import BadZipFile, ZipFile, ZipInfo

from PIL import Image
from typing_extensions import override

from prism_bench.prism.data.decode import BadImageError, from_bytes
from prism_bench.prism.errors import InputError
from prism_bench.prism.images import Pixels

Job = Callable[[int], Pixels]
"""Reads and decodes one picture to the given resolution; BadImageError where that fails. Safe in any thread."""

READ = frozenset({".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif"})
KNOWN = READ | {".tif", ".tiff", ".heic", ".heif", ".avif", ".jxl", ".jp2", ".svg", ".psd", ".ico", ".jfif", ".jpe"}
"""Suffixes of pictures. Those that are not read are reported as bad, not passed over."""

MAX_FILE = 512 * 2**20
MAX_TOTAL = 256 * 2**30
MAX_RATIO = 200
RATIO_MATTERS = 100 * 2**20, 2**30
"""From how many unpacked bytes (of one member, of all together) a ratio above MAX_RATIO is a zip bomb."""

ONE_CLASS = "all"


@dataclass(frozen=True)
class Source(ABC):
    """Pictures in their final order; listing them opens none.

    names: one per picture. groups: the class name of each. stamps: what changes when a file does.
    """

    path: Path
    names: tuple[str, ...]
    groups: tuple[str, ...]
    stamps: tuple[tuple[int, ...], ...]

    def select(self, keep: Callable[[str], bool]) -> Self:
        """The pictures whose name `keep` accepts."""
        chosen = [index for index, name in enumerate(self.names) if keep(name)]
        return replace(
            self,
            names=tuple(self.names[index] for index in chosen),
            groups=tuple(self.groups[index] for index in chosen),
            stamps=tuple(self.stamps[index] for index in chosen),
        )

    @abstractmethod
    def jobs(self) -> AbstractContextManager[Iterator[Job]]:
        """One job per picture, in order; they must run before the context ends."""

    @abstractmethod
    def first_size(self) -> tuple[int, int]:
        """(width, height) of the first picture in pixels; InputError where it cannot be opened."""


@dataclass(frozen=True)
class FolderSource(Source):
    """All pictures below a folder, links followed."""

    @classmethod
    def of(cls, path: Path) -> Self:
        """List the folder.

        Raises:
            InputError: it holds no picture.
            OSError: it, or a folder in it, cannot be read.
        """
        found = {file.relative_to(path).as_posix(): status for file, status in _walk(path)}
        names = sorted_images(found, path)
        stamps = tuple((found[name].st_size, found[name].st_mtime_ns) for name in names)
        return cls(path, names, class_names(names), stamps)

    def jobs(self) -> AbstractContextManager[Iterator[Job]]:
        """Jobs that read their file themselves."""
        return nullcontext(partial(_decode_file, self.path / name) for name in self.names)

    @override
    def first_size(self) -> tuple[int, int]:
        return size_of((self.path / self.names[0]).read_bytes(), self.names[0])


@dataclass(frozen=True)
class ZipSource(Source):
    """All pictures of a zip archive, read without unpacking it."""

    members: tuple[ZipInfo, ...]

    @classmethod
    def of(cls, path: Path) -> Self:
        """List the archive.

        Raises:
            InputError: not a zip, encrypted, members that point outside it, a zip bomb, or no picture.
            OSError: it cannot be read.
        """
        try:
            with ZipFile(path) as archive:
                members = [member for member in archive.infolist() if not member.is_dir()]
        except (BadZipFile, NotImplementedError, ValueError) as error:
            raise InputError(f"--data {path}: not a zip archive, or a damaged one ({error}); make it anew") from None
        found = {_safe_name(member, path): member for member in members}
        names = sorted_images(found, path)
        chosen = tuple(found[name] for name in names)
        _refuse_unreadable(chosen, path)
        return cls(path, names, class_names(names), tuple((m.file_size, m.CRC) for m in chosen), chosen)

    @override
    def first_size(self) -> tuple[int, int]:
        with ZipFile(self.path) as archive:
            return size_of(archive.read(self.members[0]), self.names[0])

    @override
    def select(self, keep: Callable[[str], bool]) -> Self:
        members = tuple(member for name, member in zip(self.names, self.members, strict=True) if keep(name))
        return replace(super().select(keep), members=members)

    @contextmanager
    def jobs(self) -> Iterator[Iterator[Job]]:
        """Jobs that read their member one at a time (ZipFile's own count of readers is not thread-safe)."""
        lock = threading.Lock()
        with ZipFile(self.path) as archive:
            yield (partial(_decode_member, archive, member, lock) for member in self.members)


def size_of(data: bytes, name: str) -> tuple[int, int]:
    """(width, height) of a picture's file; InputError where it is none."""
    try:
        with Image.open(io.BytesIO(data)) as picture:
            return picture.size
    except (OSError, ValueError, Image.DecompressionBombError) as error:
        raise InputError(f"{name} cannot be opened as a picture ({error}); replace or remove it") from None


def sorted_images(found: Iterable[str], path: Path) -> tuple[str, ...]:
    """Pick and sort the names of pictures; InputError that tells what was seen instead where there is none."""
    names = [name for name in found if not _hidden(name)]
    images = [name for name in names if PurePosixPath(name).suffix.lower() in KNOWN]
    if not images:
        seen = Counter(PurePosixPath(name).suffix.lower() or "no suffix" for name in names)
        what = ", ".join(f"{count} x {suffix}" for suffix, count in seen.most_common(8)) or "nothing"
        raise InputError(
            f"--data {path}: no images found (seen: {what}); it should hold {', '.join(sorted(READ))} files"
        )
    return tuple(sorted(images, key=lambda name: unicodedata.normalize("NFC", name)))


def class_names(names: Sequence[str]) -> tuple[str, ...]:
    """Find the class of each name by the rule of the module, in NFC (archives made on macOS are not)."""
    folders = [PurePosixPath(unicodedata.normalize("NFC", name)).parts[:-1] for name in names]
    shared = 0
    while all(len(parts) > shared and parts[shared] == folders[0][shared] for parts in folders):
        shared += 1
    if any(len(parts) == shared for parts in folders):
        return (ONE_CLASS,) * len(names)
    return tuple(parts[shared] for parts in folders)


def _hidden(name: str) -> bool:
    return any(part.startswith(".") or part == "__MACOSX" for part in PurePosixPath(name).parts)


def _walk(top: Path) -> Iterator[tuple[Path, os.stat_result]]:
    """Every regular file below `top`; a folder that links lead to twice is entered once."""

    def refuse(error: OSError) -> None:
        raise error

    entered = {os.path.realpath(top)}
    for folder, below, files in os.walk(top, onerror=refuse, followlinks=True):
        fresh = {os.path.realpath(Path(folder, name)): name for name in sorted(below, reverse=True)}
        below[:] = sorted(name for real, name in fresh.items() if real not in entered)
        entered |= fresh.keys()
        for file in files:
            path = Path(folder, file)
            # A dangling link has no target to look at: its own status lists it, and reading it tells what is wrong.
            status = path.stat() if path.exists() else path.lstat()
            if stat.S_ISREG(status.st_mode) or stat.S_ISLNK(status.st_mode):
                yield path, status


def _decode_file(path: Path, resolution: int) -> Pixels:
    _refuse_format(path.name)
    try:
        if path.stat().st_size > MAX_FILE:
            raise BadImageError(f"larger than {MAX_FILE >> 20} MiB")
        data = path.read_bytes()
    except OSError as error:
        raise BadImageError(f"cannot be read: {error.strerror}") from error
    return from_bytes(data, resolution)


def _decode_member(archive: ZipFile, member: ZipInfo, lock: threading.Lock, resolution: int) -> Pixels:
    _refuse_format(member.filename)
    try:
        with lock:
            data = archive.read(member)
    except Exception as error:
        # A damaged member shows as BadZipFile, zlib.error, EOFError, NotImplementedError, ... by where it is damaged.
        raise BadImageError(f"damaged in the archive: {error}") from error
    return from_bytes(data, resolution)


def _refuse_format(name: str) -> None:
    suffix = PurePosixPath(name).suffix.lower()
    if suffix not in READ:
        raise BadImageError(f"{suffix} images are not read; convert it to PNG")


def _safe_name(member: ZipInfo, path: Path) -> str:
    """Spell the member's name with forward slashes; InputError where it points outside the archive."""
    name = member.filename.replace("\\", "/")
    parts = PurePosixPath(name).parts
    if name.startswith("/") or ".." in parts or (parts and parts[0].endswith(":")):
        raise InputError(
            f"--data {path}: its member {member.filename!r} points outside the archive, which no honest archive needs; "
            "do not unpack it, and make a clean archive of the images alone"
        )
    return name


def _refuse_unreadable(members: Sequence[ZipInfo], path: Path) -> None:
    for member in members:
        if member.flag_bits & 1:
            raise InputError(
                f"--data {path}: its member {member.filename!r} is encrypted; unpack it with its password and give the "
                "folder"
            )
        suspect = _explodes(member.file_size, member.compress_size, RATIO_MATTERS[0])
        if suspect or member.file_size > MAX_FILE:
            raise InputError(
                f"--data {path}: its member {member.filename!r} would unpack from {member.compress_size:,} to "
                f"{member.file_size:,} bytes (allowed: {MAX_FILE >> 20} MiB, and {MAX_RATIO} times the packed size); "
                "a zip bomb? remove it from the archive"
            )
    refuse_bomb(sum(member.file_size for member in members), path, "unpack it and give the folder")


def refuse_bomb(total: int, path: Path, remedy: str) -> None:
    """Raise InputError if the file at `path` would unpack to too many bytes, absolutely or for its size."""
    packed = path.stat().st_size
    if total > MAX_TOTAL or _explodes(total, packed, RATIO_MATTERS[1]):
        raise InputError(
            f"--data {path}: {packed:,} bytes would unpack to {total:,} (allowed: {MAX_TOTAL >> 30} GiB, and "
            f"{MAX_RATIO} times the packed size); a zip bomb? if not, {remedy}"
        )


def _explodes(size: int, packed: int, least: int) -> bool:
    return size > least and size > MAX_RATIO * packed
