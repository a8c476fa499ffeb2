"""Files of rows, parquet and Arrow's streams: read some rows at a time, never as a whole."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from typing_extensions import override

from prism_bench.prism.errors import InputError

BUFFER = 2**20
"""Bytes of a column that are read at once: a row group may hold thousands of pictures."""
POINTER = b"version https://git-lfs"


@dataclass(frozen=True)
class TableFile(ABC):
    """One file of rows. name: below the path that the user gave. part: what its rows belong to, a split mostly."""

    path: Path
    name: str
    part: str

    @abstractmethod
    def schema(self) -> pa.Schema:
        """Its columns; InputError where it is damaged."""

    @abstractmethod
    def count(self) -> int:
        """The number of its rows; InputError where it is damaged."""

    @abstractmethod
    def column(self, name: str, rows: int) -> Iterator[pa.Array]:
        """The values of a column in order, at most `rows` at a time; InputError where it is damaged."""


@dataclass(frozen=True)
class ParquetFile(TableFile):
    """A parquet file. A column is read through a buffer: memory holds a few pages, whatever a row group is."""

    @override
    def schema(self) -> pa.Schema:
        with self._opened() as file:
            return file.schema_arrow

    @override
    def count(self) -> int:
        with self._opened() as file:
            return int(file.metadata.num_rows)

    @override
    def column(self, name: str, rows: int) -> Iterator[pa.Array]:
        with self._opened() as file:
            for batch in file.iter_batches(rows, columns=[name], use_threads=False):
                yield batch.column(0)

    @contextmanager
    def _opened(self) -> Iterator[pq.ParquetFile]:
        with _damage_told(self.path), pq.ParquetFile(self.path, buffer_size=BUFFER, pre_buffer=False) as file:
            yield file


@dataclass(frozen=True)
class ArrowFile(TableFile):
    """A stream of record batches, as `datasets` saves them, mapped: only the pages that are looked at are read."""

    @override
    def schema(self) -> pa.Schema:
        with self._opened() as stream:
            return stream.schema

    @override
    def count(self) -> int:
        with self._opened() as stream:
            return sum(batch.num_rows for batch in stream)

    @override
    def column(self, name: str, rows: int) -> Iterator[pa.Array]:
        with self._opened() as stream:
            for batch in stream:
                values = batch.column(name)
                # Unlike parquet's reader, that of streams believes what a file says of where its values lie.
                values.validate(full=True)
                yield from (values.slice(start, rows) for start in range(0, len(values), rows))

    @contextmanager
    def _opened(self) -> Iterator[pa.RecordBatchStreamReader]:
        with _damage_told(self.path), pa.memory_map(str(self.path)) as file, pa.ipc.open_stream(file) as stream:
            yield stream


@contextmanager
def _damage_told(path: Path) -> Iterator[None]:
    """What pyarrow says of a damaged file as an InputError; OSError where the file cannot be read at all."""
    try:
        yield
    except InputError:
        raise
    except (pa.ArrowException, ValueError, OSError) as error:
        if isinstance(error, OSError) and error.errno:
            raise
        if path.stat().st_size < 2**10 and path.read_bytes().startswith(POINTER):
            raise InputError(f"--data {path}: a pointer of Git LFS, not the file; fetch it with git lfs pull") from None
        said = str(error).partition("\n")[0]
        raise InputError(
            f"--data {path}: damaged, or of another kind than its name says ({said}); fetch or make it anew"
        ) from None
