"""Where pictures lie: folders and zip archives; their listing, order, classes and safety.

Names are sorted, so that equal content gives equal data wherever it lies. Hidden files, `__MACOSX` and files whose
suffix is not a picture's are left out. `label_sheets.py` and `class_folders.py` say which class a picture has.
"""

import hashlib
import os
import stat
import threading
import unicodedata
import zlib
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path, PurePosixPath
from typing import IO, Self
from zipfile import BadZipFile, ZipFile, ZipInfo

from typing_extensions import override

from prism_bench.prism.component import Json
from prism_bench.prism.data.colour import BadImageError
from prism_bench.prism.data.decode import Framing, from_bytes, size_of
from prism_bench.prism.data.picture_formats import OF_OTHER_PROGRAMS, read_suffixes, refused_suffixes
from prism_bench.prism.data.user_images.class_folders import by_folders
from prism_bench.prism.data.user_images.label_sheets import SHEETS, by_sheets, is_sheet
from prism_bench.prism.errors import InputError
from prism_bench.prism.images import Pixels

Job = Callable[[int], Pixels]
"""Reads and decodes one picture to the given resolution; BadImageError where that fails. Safe in any thread."""

MAX_FILE = 512 * 2**20
MAX_TOTAL = 256 * 2**30
MAX_RATIO = 200
RATIO_MATTERS = 100 * 2**20, 2**30
"""From how many unpacked bytes (of one member, of all together) a ratio above MAX_RATIO is a zip bomb."""

HASHED_WHOLE = 256 * 2**10
"""Bytes up to which a file's stamp is the hash of all of it."""
SAMPLED = 16 * 2**10
STAMPERS = 8
UTF8_NAMES = 0x800
SUFFIXES = 8
"""How many suffixes of files that are no pictures a message names."""


@dataclass(frozen=True)
class Source(ABC):
    """Pictures in their final order; listing them opens none.

    names: one per picture. groups: the class name of each. remarks: what the user should know of the listing.
    """

    path: Path
    names: tuple[str, ...]
    groups: tuple[str, ...]
    remarks: tuple[str, ...]

    def select(self, keep: Callable[[str], bool]) -> Self:
        """The pictures whose name `keep` accepts."""
        chosen = [index for index, name in enumerate(self.names) if keep(name)]
        return replace(
            self,
            names=tuple(self.names[index] for index in chosen),
            groups=tuple(self.groups[index] for index in chosen),
        )

    @abstractmethod
    def stamps(self) -> list[Json]:
        """What stands for the content of the files, without decoding any: other content, other stamps."""

    @abstractmethod
    def jobs(self, framing: Framing) -> AbstractContextManager[Iterator[Job]]:
        """One job per picture, in order; they must run before the context ends."""

    @abstractmethod
    def sizes(self) -> Counter[tuple[int, int]]:
        """How many pictures have which (width, height), by their headers; bad ones are not counted."""


@dataclass(frozen=True)
class FolderSource(Source):
    """All pictures below a folder, links followed."""

    @classmethod
    def listed(cls, path: Path, found: Sequence[str]) -> Self:
        """The pictures among the files of a folder, `found` (see `files_below`); InputError where there are none."""
        names = sorted_images(found, path)
        readers = {name: (path / name).read_bytes for name in found if not is_hidden(name) and is_sheet(name)}
        beside = [name for name in SHEETS if os.access(path.resolve().parent / name, os.R_OK)]
        remarks = [f"{name} beside the folder is not looked at: move it into it" for name in beside]
        return cls(path, names, *_listed(names, found, readers, remarks))

    @override
    def stamps(self) -> list[Json]:
        """Read a little of each file in a few threads: where folders are far away, most of the time is waiting."""
        with ThreadPoolExecutor(STAMPERS, "stamp") as pool:
            return list(pool.map(stamp_of, (self.path / name for name in self.names)))

    def jobs(self, framing: Framing) -> AbstractContextManager[Iterator[Job]]:
        """Jobs that read their file themselves."""
        return nullcontext(partial(_decode_file, self.path / name, framing) for name in self.names)

    @override
    def sizes(self) -> Counter[tuple[int, int]]:
        return sizes_of(partial(_opened, self.path / name) for name in self.names)


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
                found = {_safe_name(it, path): it for it in archive.infolist() if not it.is_dir()}
                names = sorted_images(found, path)
                chosen = tuple(found[name] for name in names)
                sheets = {name: found[name] for name in found if not is_hidden(name) and is_sheet(name)}
                _refuse_unreadable((*chosen, *sheets.values()), path)
                readers = {name: partial(archive.read, member) for name, member in sheets.items()}
                return cls(path, names, *_listed(names, found, readers), chosen)
        except InputError:
            raise
        except (BadZipFile, NotImplementedError, ValueError, zlib.error) as error:
            raise InputError(f"--data {path}: not a zip archive, or a damaged one ({error}); make it anew") from None

    @override
    def stamps(self) -> list[Json]:
        """Size and CRC-32, as the archive's directory has them; reading a member checks them."""
        return [[member.file_size, member.CRC] for member in self.members]

    @override
    def sizes(self) -> Counter[tuple[int, int]]:
        with ZipFile(self.path) as archive:
            return sizes_of(partial(archive.open, member) for member in self.members)

    @override
    def select(self, keep: Callable[[str], bool]) -> Self:
        members = tuple(member for name, member in zip(self.names, self.members, strict=True) if keep(name))
        return replace(super().select(keep), members=members)

    @contextmanager
    def jobs(self, framing: Framing) -> Iterator[Iterator[Job]]:
        """Jobs that read their member one at a time (ZipFile's own count of readers is not thread-safe)."""
        lock = threading.Lock()
        with ZipFile(self.path) as archive:
            yield (partial(_decode_member, archive, member, lock, framing) for member in self.members)


def _opened(path: Path) -> IO[bytes]:
    return path.open("rb")


def sizes_of(files: Iterable[Callable[[], IO[bytes]]]) -> Counter[tuple[int, int]]:
    """How many of some pictures' files have which (width, height)."""
    sizes: Counter[tuple[int, int]] = Counter()
    for opened in files:
        # What cannot be opened is told when it is to be decoded.
        with suppress(BadImageError, OSError, BadZipFile, NotImplementedError, zlib.error), opened() as file:
            sizes[size_of(file)] += 1
    return sizes


def sorted_images(found: Iterable[str], path: Path) -> tuple[str, ...]:
    """Pick and sort the names of pictures; InputError that tells what was seen instead where there is none."""
    names = [name for name in found if not is_hidden(name)]
    images = [name for name in names if is_picture(name)]
    if not images:
        what = by_suffix(names) or "nothing"
        remedy = what_to_do_with(names) or f"it should hold {', '.join(sorted(read_suffixes()))} files"
        raise InputError(f"--data {path}: no images found (seen: {what}); {remedy}")
    return tuple(sorted(images, key=lambda name: unicodedata.normalize("NFC", name)))


def what_to_do_with(names: Iterable[str]) -> str:
    """How the pictures in files of another kind come to be read; empty where that is not known."""
    seen = {_suffix(name) for name in names}
    return next((remedy for suffix, remedy in OF_OTHER_PROGRAMS.items() if suffix in seen), "")


def _listed(
    names: Sequence[str],
    found: Iterable[str],
    sheets: Mapping[str, Callable[[], bytes]],
    remarks: Sequence[str] = (),
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The classes of the pictures, by a sheet or else by folders, and what to say of them and of what is left out."""
    by_sheet = by_sheets(names, sheets)
    told = list(remarks) + list(by_sheet.remarks if by_sheet else ())
    groups = by_sheet.groups if by_sheet else ()
    if not groups:
        labelling = by_folders(names)
        groups = labelling.groups
        told += labelling.remarks
    others = by_suffix(name for name in found if not (is_hidden(name) or is_picture(name) or is_sheet(name)))
    return groups, (*told, *([f"left out as no pictures: {others}"] if others else ()))


def _suffix(name: str) -> str:
    """In lower case; spaces at its end, which some downloads leave, are none of it."""
    return PurePosixPath(name.rstrip()).suffix.lower()


def is_picture(name: str) -> bool:
    """Whether a file is a picture by its name, be it one that is read or one that is refused."""
    return _suffix(name) in read_suffixes() | refused_suffixes().keys()


def by_suffix(names: Iterable[str]) -> str:
    """How many files have which suffix, the most frequent first."""
    seen = Counter(_suffix(name) or "no suffix" for name in names)
    most = sorted(seen.items(), key=lambda item: (-item[1], item[0]))
    return ", ".join(f"{count:,} x {suffix}" for suffix, count in most[:SUFFIXES])


def is_hidden(name: str) -> bool:
    """Whether a file, or a folder that it lies in, is hidden, or clutter of macOS."""
    return any(part.startswith(".") or part == "__MACOSX" for part in PurePosixPath(name).parts)


def files_below(top: Path) -> list[str]:
    """The files of a folder and of those in it, links followed, with forward slashes; OSError as reading it raises."""
    return [file.relative_to(top).as_posix() for file in _walk(top)]


def _walk(top: Path) -> Iterator[Path]:
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
                yield path


def stamp_of(path: Path) -> Json:
    """A small file's hash; of a larger one that of its beginning, middle and end with size, inode and times.

    The time of the last change of the inode cannot be set back, as `cp -p`, `tar` and `touch` set that of the content.
    """
    try:
        with path.open("rb") as file:
            status = os.fstat(file.fileno())
            if status.st_size <= HASHED_WHOLE:
                return hashlib.sha256(file.read()).hexdigest()
            sha = hashlib.sha256()
            for start in (0, status.st_size // 2, status.st_size - SAMPLED):
                file.seek(start)
                sha.update(file.read(SAMPLED))
            return [status.st_size, status.st_ino, status.st_mtime_ns, status.st_ctime_ns, sha.hexdigest()]
    except OSError as error:
        # One that cannot be read is a bad picture, which is said when it is to be decoded.
        return error.strerror


def _decode_file(path: Path, framing: Framing, resolution: int) -> Pixels:
    _refuse_format(path.name)
    try:
        if path.stat().st_size > MAX_FILE:
            raise BadImageError(f"larger than {MAX_FILE >> 20} MiB")
        data = path.read_bytes()
    except OSError as error:
        raise BadImageError(f"cannot be read: {error.strerror}") from error
    return from_bytes(data, resolution, framing)


def _decode_member(
    archive: ZipFile, member: ZipInfo, lock: threading.Lock, framing: Framing, resolution: int
) -> Pixels:
    _refuse_format(member.filename)
    try:
        with lock:
            data = archive.read(member)
    except Exception as error:
        # A damaged member shows as BadZipFile, zlib.error, EOFError, NotImplementedError, ... by where it is damaged.
        raise BadImageError(f"damaged in the archive: {error}") from error
    return from_bytes(data, resolution, framing)


def _refuse_format(name: str) -> None:
    why = refused_suffixes().get(_suffix(name))
    if why is not None:
        raise BadImageError(f"{_suffix(name)} is {why}; convert it to PNG")


def _spelled(member: ZipInfo) -> str:
    """A member's name: UTF-8 where the archive says so or its bytes are that, else cp437, as of old."""
    if member.flag_bits & UTF8_NAMES:
        return member.filename
    try:
        return member.filename.encode("cp437").decode("utf-8")
    except UnicodeError:
        return member.filename


def _safe_name(member: ZipInfo, path: Path) -> str:
    """Spell the member's name with forward slashes; InputError where it points outside the archive."""
    name = _spelled(member).replace("\\", "/")
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
