"""Arrays made batch by batch that survive a crash: embeddings, samples, features."""

import hashlib
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt

from prism_bench.prism.engine.rows_file import RowsFile
from prism_bench.prism.engine.runtime import Report, StopRequestedError

PARTIAL, BLOCKS = ".partial", ".blocks"
"""Beside an array `x.npy` in a work folder: what there is of it, and the checksums of its batches."""
BLOCK = re.compile(rb"(\d+) ([0-9a-f]{64})\n")


def fill_rows(
    path: Path,
    shape: tuple[int, ...],
    dtype: npt.DTypeLike,
    *,
    batch: int,
    make: Callable[[range], npt.NDArray[np.generic]],
    report: Report,
    unit: str,
) -> None:
    """Write the .npy file `path`, calling `make(rows)` for consecutive ranges of at most `batch` rows.

    Batches made by an interrupted call are kept where their checksums hold: batches always begin at multiples of
    `batch`, so the result is the same bytes. Rows are written, not mapped: the process does not grow with the file.

    Raises:
        StopRequestedError: the process was asked to stop; the rows made so far are kept.
    """
    partial, blocks = path.with_suffix(PARTIAL), path.with_suffix(BLOCKS)
    if path.exists():
        path.replace(partial)
    known = dict(_known(blocks)) if partial.exists() else {}
    with RowsFile.create(partial, shape, dtype, keep=bool(known)) as file, blocks.open("ab" if known else "wb") as kept:
        for start in range(0, shape[0], batch):
            rows = range(start, min(start + batch, shape[0]))
            if start not in known or known[start] != _checksum(file.read(rows)):
                made = np.ascontiguousarray(make(rows), dtype)
                file.write(start, made)
                file.flush()
                kept.write(f"{start} {_checksum(made.tobytes())}\n".encode())
                kept.flush()
                os.fsync(kept.fileno())
            report(rows.stop, shape[0], unit)
            if report.should_stop() and rows.stop < shape[0]:
                raise StopRequestedError
    partial.replace(path)


def _known(path: Path) -> Iterator[tuple[int, str]]:
    """(first row, checksum) of the batches that were written; a line that was cut off or damaged is passed over."""
    if path.exists():
        for line in path.read_bytes().splitlines(keepends=True):
            if found := BLOCK.fullmatch(line):
                yield int(found[1]), found[2].decode()


def _checksum(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
