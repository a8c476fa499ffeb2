"""Arrays larger than memory: .npy files written and read some rows at a time.

Nothing is mapped: a process that maps a file and touches all of it is as large as the file.
"""

import mmap
import os
from collections.abc import Iterator
from math import prod
from pathlib import Path
from shutil import disk_usage
from types import TracebackType
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from prism_bench.prism.errors import InputError

Array = npt.NDArray[Any]
READ_BYTES = 2**24


class RowsFile:
    """An .npy file, open to write rows of it; the same bytes as `numpy.save` of the array that they make."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = path.open("r+b")
        np.lib.format.read_magic(self._file)
        self.shape, _, self.dtype = np.lib.format.read_array_header_1_0(self._file)
        self._offset = self._file.tell()
        self._row = prod(self.shape[1:]) * self.dtype.itemsize

    @classmethod
    def create(cls, path: Path, shape: tuple[int, ...], dtype: npt.DTypeLike, *, keep: bool = False) -> Self:
        """A new file of that shape, over one that is there; rows that are not written hold zeros.

        keep: what the rows of a file of that name hold, whatever its beginning and its length were.

        Raises:
            InputError: the disk has no room for it.
        """
        size, free = prod(shape) * np.dtype(dtype).itemsize, disk_usage(path.parent).free
        if size > free and not keep:  # what is kept has its room already
            raise InputError(
                f"{path}: {' x '.join(map(str, shape))} values take {size / 2**30:,.1f} GiB, and {free / 2**30:,.1f} "
                "GiB are free on its disk; ask for fewer or smaller ones, or for another disk with --store"
            )
        with path.open("r+b" if keep else "wb") as file:
            _write_header(file, shape, np.dtype(dtype))
            file.truncate(file.tell() + size)
        return cls(path)

    def write(self, start: int, rows: Array) -> None:
        """Write rows [n, ...] from row `start` on."""
        if rows.shape[1:] != self.shape[1:] or start + len(rows) > self.shape[0]:
            raise ValueError(f"rows of shape {rows.shape} do not fit at {start} of {self.shape} ({self.path.name})")
        self._file.seek(self._offset + start * self._row)
        self._file.write(np.ascontiguousarray(rows, self.dtype).data)

    def read(self, rows: range) -> bytes:
        """The bytes of consecutive rows."""
        self._file.seek(self._offset + rows.start * self._row)
        return self._file.read(len(rows) * self._row)

    def flush(self) -> None:
        """Return when all that was written is on the disk."""
        self._file.flush()
        os.fsync(self._file.fileno())

    def shorten(self, count: int) -> None:
        """Keep the first `count` rows alone. The header has room for any number, so that they stay where they are."""
        self.shape = (count, *self.shape[1:])
        self._file.seek(0)
        _write_header(self._file, self.shape, self.dtype)
        self._file.truncate(self._offset + count * self._row)

    def array(self) -> Array:
        """What was written, memory-mapped; no more rows."""
        self.close()
        found: Array = np.load(self.path, mmap_mode="r")
        return found

    def close(self) -> None:
        """No more rows."""
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()


class MemoryRows:
    """The same for an array in memory."""

    def __init__(self, shape: tuple[int, ...], dtype: npt.DTypeLike) -> None:
        self._array: Array = np.empty(shape, dtype)

    def write(self, start: int, rows: Array) -> None:
        """Write rows [n, ...] from row `start` on."""
        self._array[start : start + len(rows)] = rows

    def shorten(self, count: int) -> None:
        """Keep the first `count` rows alone."""
        self._array = self._array[:count]

    def array(self) -> Array:
        """What was written."""
        return self._array

    def close(self) -> None:
        """No more rows."""


def _write_header(file: Any, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
    description = np.lib.format.dtype_to_descr(dtype)
    np.lib.format.write_array_header_1_0(file, {"descr": description, "fortran_order": False, "shape": shape})


def read_parts(array: Array) -> Iterator[Array]:
    """Copies of consecutive rows of an array, some megabytes each; those of a mapped file are read from the file."""
    row = max(1, prod(array.shape[1:]) * array.itemsize)
    step = max(1, READ_BYTES // row)
    for start in range(0, len(array), step):
        yield read_rows(array, slice(start, min(start + step, len(array))))


def read_rows(array: Array, rows: slice) -> Array:
    """Consecutive rows (both ends given); those of a mapped file are read from it into a copy."""
    # A view of a map does not tell where in the file it begins.
    base: object = array.base
    if not isinstance(array, np.memmap) or not isinstance(base, mmap.mmap) or not array.flags.c_contiguous:
        return np.asarray(array[rows])
    file: np.memmap[Any, Any] = array
    count, row = rows.stop - rows.start, prod(file.shape[1:])
    offset = file.offset + rows.start * row * file.itemsize
    found = np.fromfile(str(file.filename), file.dtype, count * row, offset=offset)
    return found.reshape(count, *file.shape[1:])
