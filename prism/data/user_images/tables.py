"""Pictures in the rows of parquet and Arrow files, as `datasets` and the Hugging Face Hub write them."""

import io
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Self

import pyarrow as pa
from typing_extensions import override

from prism_bench.prism.component import Json
from prism_bench.prism.data.colour import BadImageError
from prism_bench.prism.data.decode import Framing, from_bytes
from prism_bench.prism.data.user_images.class_folders import ONE_CLASS, Labelling
from prism_bench.prism.data.user_images.label_sheets import UnclearError, one_for_each
from prism_bench.prism.data.user_images.picture_sources import MAX_FILE, Job, Source, sizes_of, stamp_of
from prism_bench.prism.data.user_images.table_columns import Columns, NoPicturesError, columns_of
from prism_bench.prism.data.user_images.table_files import TableFile
from prism_bench.prism.errors import InputError
from prism_bench.prism.images import Pixels

PICTURES, LABELS = 32, 2**14
"""Rows that are read at a time."""
UNLABELLED = -1
"""What stands for no label among numbers of classes that have names."""
SHOWN = 8


@dataclass(frozen=True)
class TableSource(Source):
    """The pictures of some files, whose rows follow one another; all have the same columns of pictures and labels."""

    files: tuple[TableFile, ...]
    column: str

    @classmethod
    def of(cls, path: Path, files: Sequence[TableFile], remarks: Sequence[str] = ()) -> Self:
        """Look at the columns and read the labels; remarks: what to say of the listing besides.

        Raises:
            InputError: no column of pictures or several, files whose columns differ, no rows, or a damaged file.
            OSError: one cannot be read.
        """
        columns = _agreed(path, files)
        counts = [file.count() for file in files]
        names = tuple(f"{file.name}[{row}]" for file, count in zip(files, counts, strict=True) for row in range(count))
        if not names:
            raise InputError(f"--data {path}: the tables hold no rows ({_files_of(files)}); give one with pictures")
        groups, told = _labelled(columns, files, names)
        told += _parts(files, counts)
        if columns.others:
            told += (f"columns left out: {_some(columns.others)}",)
        return cls(path, names, groups, (*told, *remarks), tuple(files), columns.image)

    @override
    def stamps(self) -> list[Json]:
        """The column, and each file as one in a folder."""
        return [self.column, *(stamp_of(file.path) for file in self.files)]

    @override
    def jobs(self, framing: Framing) -> AbstractContextManager[Iterator[Job]]:
        """Jobs that hold their picture's bytes already; drawing the next job reads the next."""
        return nullcontext(partial(_decode, data, framing) for data in self._pictures())

    @override
    def sizes(self) -> Counter[tuple[int, int]]:
        return sizes_of(partial(io.BytesIO, data) for data in self._pictures() if data)

    def _pictures(self) -> Iterator[bytes | None]:
        """The file in each row that `names` names; None where the row has none."""
        kept = set(self.names)
        for file in self.files:
            cells = chain.from_iterable(file.column(self.column, PICTURES))
            for row, cell in enumerate(cells):
                name = f"{file.name}[{row}]"
                if name in kept:
                    yield self._held(cell, name)

    def _held(self, cell: pa.Scalar, name: str) -> bytes | None:
        struct = isinstance(cell, pa.StructScalar) and cell.is_valid
        data: bytes | None = (cell["bytes"] if struct else cell).as_py()
        if data is None and struct and "path" in cell and cell["path"].is_valid:
            raise InputError(
                f"--data {self.path}: {name} says where its picture lies (`path`) and does not hold it (`bytes`); give "
                "the folder of the pictures, or what save_to_disk of `datasets` leaves, which holds them (to_parquet "
                "does not)"
            )
        return data


def _decode(data: bytes | None, framing: Framing, resolution: int) -> Pixels:
    if data is None:
        raise BadImageError("the row holds no picture")
    if len(data) > MAX_FILE:
        raise BadImageError(f"larger than {MAX_FILE >> 20} MiB")
    return from_bytes(data, resolution, framing)


def _agreed(path: Path, files: Sequence[TableFile]) -> Columns:
    """The columns of all the files."""
    found: dict[Columns, str] = {}
    for file in files:
        try:
            found.setdefault(columns_of(file.schema()), file.name)
        except NoPicturesError as error:
            raise InputError(f"--data {path}: {file.name}: {error}") from None
    first, *others = found
    for other in others:
        if (other.image, other.label, other.names) != (first.image, first.label, first.names):
            raise InputError(
                f"--data {path}: {found[first]} has {_told(first)}, and {found[other]} has {_told(other)}; give the "
                "folder, or the file, of one of them"
            )
    return first


def _told(columns: Columns) -> str:
    label = "no labels" if columns.label is None else f"labels in {columns.label!r}"
    named = f" of {len(columns.names)} classes with names" if columns.names else ""
    return f"pictures in {columns.image!r} and {label}{named}"


def _labelled(columns: Columns, files: Sequence[TableFile], names: Sequence[str]) -> Labelling:
    """The class of each row, and what to say of that."""
    pictures = f"pictures from the column {columns.image!r}"
    one = (ONE_CLASS,) * len(names)
    if columns.label is None:
        return Labelling(one, (f"{pictures}; no classes: {columns.why}",))
    try:
        labels = [label for file in files for label in _labels(file, columns.label, _spelled(columns.names))]
        return Labelling(one_for_each(names, labels), (f"{pictures}, classes from {columns.label!r}",))
    except UnclearError as error:
        return Labelling(one, (f"{pictures}; the labels of {columns.label!r} are not used: {error}",))


def _labels(file: TableFile, column: str, spelled: Callable[[object], str | None]) -> Iterator[str | None]:
    for values in file.column(column, LABELS):
        try:
            found = values.to_pylist()
        except ValueError as error:
            raise UnclearError(f"{file.name} holds some that are no text ({error})") from None
        yield from map(spelled, found)


def _spelled(names: Sequence[str]) -> Callable[[object], str | None]:
    """What makes a class name of a value: None of one that stands for no label; UnclearError of one without a name."""

    def spelled(value: object) -> str | None:
        if value is None or value == "":
            return None
        if not names or not isinstance(value, int):
            return str(value)
        if value == UNLABELLED:
            return None
        if not 0 <= value < len(names):
            raise UnclearError(f"{value} is none of its {len(names)} classes")
        return names[value]

    return spelled


def _parts(files: Sequence[TableFile], counts: Sequence[int]) -> tuple[str, ...]:
    rows: Counter[str] = Counter()
    for file, count in zip(files, counts, strict=True):
        rows[file.part] += count
    if len(rows) == 1:
        return ()
    return (f"read as one set: {_some([f'{part} ({count:,})' for part, count in rows.items()])}",)


def _files_of(files: Sequence[TableFile]) -> str:
    return _some([file.name for file in files])


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return f"{', '.join(names[:SHOWN])}{more}"
