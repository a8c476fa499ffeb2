"""The user's own pictures: `--data PATH` of a folder, a .zip or an .npz."""

import hashlib
import os
import warnings
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from typing_extensions import override

from prism_bench.prism.component import Json, canonical, digest_of
from prism_bench.prism.data.base import Dataset, Images, labels_of
from prism_bench.prism.data.decode import BadImageError, check_resolution
from prism_bench.prism.data.user_images.arrays import ArraySource
from prism_bench.prism.data.user_images.picture_sources import FolderSource, Job, Source, ZipSource
from prism_bench.prism.errors import InputError
from prism_bench.prism.images import Pixels

VERSION = 1
"""Raise it when the same files begin to give other pixels, order or classes."""
ARCHIVES: dict[str, Callable[[Path], Source]] = {".zip": ZipSource.of, ".npz": ArraySource.of}
FEWEST = 2
LARGEST = 64 * 2**30
"""Bytes of decoded pixels beyond which no machine we know holds them in memory."""
THREADS = 8
QUEUED_PER_THREAD = 4
SHOWN = 5
"""How many bad files a message names."""

Progress = Callable[[int, int], None]


@dataclass(frozen=True, kw_only=True)
class ImageFiles(Dataset, name="files"):
    """Pictures of your own: `--data PATH` of a folder, a .zip or an .npz.

    Attributes: resolution (a positive multiple of 4), content (SHA-256, hex, of the decoded pixels, labels, class
    names and resolution: the identity of the data wherever it lies).
    """

    resolution: int = 16
    content: str = ""

    def __post_init__(self) -> None:
        check_resolution(self.resolution)

    @property
    @override
    def preparation(self) -> str:
        which = f"with content {self.content[:12]} " if self.content else ""
        return f"the decoded copy of the image files {which}is not in the store; give --data PATH again"


@dataclass(frozen=True)
class Ingested:
    """What `ingest` found: the identity, the pixels, a title for captions, and (name, reason) of each skipped file."""

    dataset: ImageFiles
    images: Images
    title: str
    skipped: tuple[tuple[str, str], ...]


def ingest(path: Path, *, resolution: int, skip_bad: bool = False, progress: Progress | None = None) -> Ingested:
    """List, check and decode the pictures at `path` to uint8 [N, 3, R, R], sorted by name.

    `prism/data/decode.py` tells how a picture becomes RGB of the resolution; beside this file, `picture_sources.py`
    what counts as a picture and which class it has, and `arrays.py` what an .npz holds. Besides the result, memory
    holds a few originals at a time. `progress` hears (done, total) after each picture.

    Raises:
        InputError: nothing there, not readable, unsafe or damaged as a whole; fewer than two pictures; or, unless
            `skip_bad`, a picture that cannot be used (all are tried and counted first).
    """
    check_resolution(resolution)
    source = open_source(path)
    count = len(source.names)
    pixels, bad = decode_all(source, resolution, progress)
    skipped = tuple((source.names[index], reason) for index, reason in sorted(bad.items()))
    if bad and not skip_bad:
        remedy = "Repair or remove them, or pass --skip-bad to go on without them"
        raise InputError(complaint(path, skipped, count, remedy))
    good = [index for index in range(count) if index not in bad]
    if len(good) < FEWEST:
        without = f" ({len(bad)} bad ones skipped)" if bad else ""
        raise InputError(f"--data {path}: {len(good)} usable image{without}; at least {FEWEST} are needed, add some")
    for target, index in enumerate(good if bad else []):
        pixels[target] = pixels[index]
    images = _labelled(pixels[: len(good)], [source.groups[index] for index in good])
    return Ingested(ImageFiles(resolution=resolution, content=content_of(images)), images, _title(path), skipped)


def decode_all(source: Source, resolution: int, progress: Progress | None = None) -> tuple[Pixels, dict[int, str]]:
    """All pictures of a source, uint8 [N, 3, R, R], and why those that cannot be used could not (theirs are noise)."""
    pixels = _room(source.path, len(source.names), resolution)
    with warnings.catch_warnings(), source.jobs() as jobs:
        # Pillow warns of oddities that do not change the picture, and of sizes that `decode` refuses anyway.
        warnings.filterwarnings("ignore", module="PIL")
        return pixels, _run_all(jobs, pixels, progress or _silent)


def listing_digest(path: Path, *, resolution: int, skip_bad: bool = False) -> str:
    """Digest what `ingest` would read without decoding it: a key for remembering what it found the last time.

    Over the names with sizes and checksums (zip), sizes and modification times (folder), or the file's size and
    modification time (.npz), the resolution, `skip_bad` and the version of this code. Equal digests mean equal
    results; unequal ones mean nothing.

    Raises:
        InputError: what `ingest` raises before it decodes.
    """
    check_resolution(resolution)
    source = open_source(path)
    named: list[Json] = [[name, *stamp] for name, stamp in zip(source.names, source.stamps, strict=False)]
    return digest_of([type(source).__name__, named, resolution, skip_bad, VERSION])


def native_side(path: Path) -> int:
    """The largest resolution to which the first picture at `path` need not be enlarged, a multiple of 4.

    Raises:
        InputError: see `ingest`.
    """
    return max(4, min(open_source(path).first_size()) // 4 * 4)


def _silent(_done: int, _total: int) -> None:
    pass


def open_source(path: Path) -> Source:
    """List the pictures of a folder, a .zip or an .npz; InputError where there are none or it cannot be read."""
    try:
        if path.is_dir():
            return FolderSource.of(path)
        if not path.exists():
            raise InputError(f"--data {path}: no such file or folder; check the path")
        if path.suffix.lower() not in ARCHIVES:
            raise InputError(
                f"--data {path}: {path.suffix or 'a file without suffix'} is not read; give a folder, .zip or .npz"
            )
        return ARCHIVES[path.suffix.lower()](path)
    except OSError as error:
        where = error.filename or path
        raise InputError(f"--data {path}: {where} cannot be read ({error.strerror}); check its permissions") from None


def _room(path: Path, count: int, resolution: int) -> Pixels:
    if count * 3 * resolution**2 > LARGEST:
        raise InputError(
            f"--data {path}: {count:,} images of {resolution}x{resolution} exceed {LARGEST >> 30} GiB; use a smaller "
            "--resolution or fewer images"
        )
    return np.empty((count, 3, resolution, resolution), np.uint8)


def _run_all(jobs: Iterator[Job], pixels: Pixels, progress: Progress) -> dict[int, str]:
    """Run the jobs in a few threads (Pillow frees the lock) into `pixels`; the reasons of those that failed."""
    bad: dict[int, str] = {}
    total, resolution = len(pixels), pixels.shape[-1]

    def decode(index: int, job: Job) -> None:
        try:
            pixels[index] = job(resolution)
        except BadImageError as error:
            bad[index] = str(error)

    threads = min(THREADS, os.cpu_count() or 1)
    queue: deque[Future[None]] = deque()
    with ThreadPoolExecutor(threads, "decode") as pool:
        for index, job in enumerate(jobs):
            queue.append(pool.submit(decode, index, job))
            if len(queue) >= threads * QUEUED_PER_THREAD:
                queue.popleft().result()
                progress(index + 1 - len(queue), total)
        while queue:
            queue.popleft().result()
            progress(total - len(queue), total)
    return bad


def complaint(path: Path, bad: tuple[tuple[str, str], ...], count: int, remedy: str) -> str:
    """What to say of pictures, (name, reason) each, that cannot be used."""
    shown = "; ".join(f"{name} ({reason})" for name, reason in bad[:SHOWN])
    more = f"; and {len(bad) - SHOWN} more" if len(bad) > SHOWN else ""
    return f"--data {path}: {len(bad)} of {count} images cannot be used: {shown}{more}. {remedy}"


def _labelled(pixels: Pixels, groups: list[str]) -> Images:
    classes = tuple(sorted(set(groups)))
    return Images(pixels, labels_of(groups, classes), classes)


def content_of(images: Images) -> str:
    """SHA-256 (hex) of pixels, labels, class names and shape."""
    header: Json = {"classes": list(images.classes), "shape": list(images.images.shape)}
    sha = hashlib.sha256(canonical(header).encode())
    sha.update(images.labels.astype("<i8").tobytes())
    sha.update(np.ascontiguousarray(images.images).data)
    return sha.hexdigest()


def _title(path: Path) -> str:
    full = path.resolve()
    return full.name if full.is_dir() else full.stem
