"""The user's own pictures, decoded: `--data PATH` of a folder, a .zip, an .npz or a .parquet."""

import hashlib
import os
import warnings
from collections import Counter, deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from math import prod
from pathlib import Path
from shutil import disk_usage

import numpy as np
from typing_extensions import override

from prism_bench.prism.component import Json, canonical, digest_of
from prism_bench.prism.data.base import Dataset, Images, labels_of
from prism_bench.prism.data.colour import BadImageError, Remark
from prism_bench.prism.data.decode import CROPPED, Fit, Framing
from prism_bench.prism.data.user_images.open_source import open_source
from prism_bench.prism.data.user_images.picture_sources import Job, Source
from prism_bench.prism.engine.rows_file import MemoryRows, RowsFile, read_parts
from prism_bench.prism.errors import InputError
from prism_bench.prism.images import Pixels

VERSION = 2
"""Raise it when the same files begin to give other pixels, order or classes."""
FEWEST = 2
THREADS = 8
QUEUED_PER_THREAD = 4
SHOWN = 5
"""How many bad files a message names."""

Progress = Callable[[int, int], None]


@dataclass(frozen=True, kw_only=True)
class ImageFiles(Dataset, name="files"):
    """Pictures of your own: `--data PATH` of a folder, a .zip, an .npz or a .parquet.

    Attributes: resolution (methods ask for a multiple of 4), content (SHA-256, hex, of the decoded pixels, labels,
    class names and resolution: the identity of the data wherever it lies).
    """

    resolution: int = 16
    content: str = ""

    def __post_init__(self) -> None:
        self.check_least("dataset", resolution=1)

    @property
    @override
    def preparation(self) -> str:
        which = f"with content {self.content[:12]} " if self.content else ""
        return f"the decoded copy of the image files {which}is not in the store; give --data PATH again"


@dataclass(frozen=True)
class Ingested:
    """What `ingest` found: the identity, the pixels and a title for captions.

    skipped: (name, reason) of each bad file. remarks: what the user should know of the listing. done: how many
    pictures something was done to that another reader may do otherwise.
    """

    dataset: ImageFiles
    images: Images
    title: str
    skipped: tuple[tuple[str, str], ...]
    remarks: tuple[str, ...]
    done: Counter[Remark]


def ingest(
    path: Path,
    *,
    resolution: int,
    skip_bad: bool = False,
    fit: Fit = "crop",
    progress: Progress | None = None,
    file: Path | None = None,
) -> Ingested:
    """List, check and decode the pictures at `path` to uint8 [N, 3, R, R], sorted by name.

    `prism/data/decode.py` tells how a picture becomes RGB of the resolution; beside this file, `picture_sources.py`
    what counts as a picture and which class it has, `arrays.py` what an .npz holds, and `tables.py` what tables do,
    whose rows, as those of an .npz, keep their order. Besides the result, memory
    holds a few originals at a time. `progress` hears (done, total) after each picture. file: an .npy file that takes
    the pixels, so that they may be more than memory holds; the result is then memory-mapped.

    Raises:
        InputError: nothing there, not readable, unsafe or damaged as a whole; fewer than two pictures; or, unless
            `skip_bad`, a picture that cannot be used (all are tried and counted first); no room for the pixels.
    """
    source = open_source(path)
    count = len(source.names)
    done: list[Remark] = []
    pixels, bad = decode_all(source, resolution, progress, Framing(fit, done.append), file)
    skipped = tuple((source.names[index], reason) for index, reason in sorted(bad.items()))
    if bad and not skip_bad:
        remedy = "Repair or remove them, or pass --skip-bad to go on without them"
        raise InputError(complaint(path, skipped, count, remedy))
    good = [index for index in range(count) if index not in bad]
    if len(good) < FEWEST:
        without = f" ({len(bad)} bad ones skipped)" if bad else ""
        raise InputError(f"--data {path}: {len(good)} usable image{without}; at least {FEWEST} are needed, add some")
    images = _labelled(pixels, [source.groups[index] for index in good])
    dataset = ImageFiles(resolution=resolution, content=content_of(images))
    return Ingested(dataset, images, _title(path), skipped, source.remarks, Counter(done))


def decode_all(
    source: Source,
    resolution: int,
    progress: Progress | None = None,
    framing: Framing = CROPPED,
    file: Path | None = None,
) -> tuple[Pixels, dict[int, str]]:
    """The pictures of a source that can be used, uint8 [n, 3, R, R] in order, and why the others cannot, by index.

    file: see `ingest`.
    """
    total, done = len(source.names), 0
    bad: dict[int, str] = {}
    rows = new_rows(source.path, total, resolution, file)
    with warnings.catch_warnings(), closing(rows), source.jobs(framing) as jobs:
        # Pillow warns of oddities that do not change the picture, and of sizes that `decode` refuses anyway.
        warnings.filterwarnings("ignore", module="PIL")
        for done, picture in enumerate(_decoded(jobs, resolution), start=1):
            if isinstance(picture, str):
                bad[done - 1] = picture
            else:
                rows.write(done - 1 - len(bad), picture[None])
            if progress is not None:
                progress(done, total)
        rows.shorten(done - len(bad))
        return rows.array(), bad


def listing_digest(path: Path, *, resolution: int, skip_bad: bool = False, fit: Fit = "crop") -> str:
    """Digest what `ingest` would read without decoding it: a key for remembering what it found the last time.

    Over names, classes and what stands for the content of the files (`Source.stamps`), the resolution, `skip_bad`,
    `fit` and the version of this code. Equal digests mean equal results; unequal ones mean nothing.

    Raises:
        InputError: what `ingest` raises before it decodes.
    """
    source = open_source(path)
    listed: list[Json] = [type(source).__name__, list(source.names), list(source.groups), source.stamps()]
    return digest_of([*listed, resolution, skip_bad, fit, VERSION])


def new_rows(path: Path, count: int, resolution: int, file: Path | None = None) -> MemoryRows | RowsFile:
    """Room for at most `count` pictures from `path`: in memory, or in an .npy file.

    Raises:
        InputError: there is not as much.
    """
    shape = (count, 3, resolution, resolution)
    try:
        if file is None:
            return MemoryRows(shape, np.uint8)
        if prod(shape) <= disk_usage(file.parent).free:
            return RowsFile.create(file, shape, np.uint8)
        where = f"{disk_usage(file.parent).free / 2**30:.1f} GiB are free on the disk of {file.parent}"
    except MemoryError:
        where = "memory has no room for them"
    remedy = "use a smaller --resolution or fewer images" + ("" if file is None else ", or another disk with --store")
    size = f"{count:,} images of {resolution}x{resolution} take {prod(shape) / 2**30:.1f} GiB"
    raise InputError(f"--data {path}: {size}, and {where}; {remedy}")


def _decoded(jobs: Iterator[Job], resolution: int) -> Iterator[Pixels | str]:
    """Run the jobs in a few threads (Pillow frees the lock): the pictures, or what is wrong with them, in order."""

    def decode(job: Job) -> Pixels | str:
        try:
            return job(resolution)
        except BadImageError as error:
            return str(error)

    threads = min(THREADS, os.cpu_count() or 1)
    queue: deque[Future[Pixels | str]] = deque()
    with ThreadPoolExecutor(threads, "decode") as pool:
        for job in jobs:
            queue.append(pool.submit(decode, job))
            if len(queue) >= threads * QUEUED_PER_THREAD:
                yield queue.popleft().result()
        while queue:
            yield queue.popleft().result()


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
    for part in read_parts(images.images):
        sha.update(np.ascontiguousarray(part).data)
    return sha.hexdigest()


def _title(path: Path) -> str:
    full = path.resolve()
    return full.name if full.is_dir() else full.stem
