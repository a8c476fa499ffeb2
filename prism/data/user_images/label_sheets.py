"""Sheets of labels among the pictures: StyleGAN's dataset.json, and metadata.csv, .jsonl, .parquet, and labels.csv.

A sheet is used where it gives every picture a label and says clearly which; otherwise it is named, with the reason.
"""

import csv
import io
import json
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import PurePosixPath

from prism_bench.prism.data.user_images.class_folders import Labelling

FILE_COLUMNS = ("file_name", "filename", "file", "image", "image_path", "path")
LABEL_COLUMNS = ("label", "class", "class_name", "category")

Entries = Iterator[tuple[str, object]]


class UnclearError(ValueError):
    """A sheet cannot be used; the message is the reason."""


def by_sheets(names: Sequence[str], sheets: Mapping[str, Callable[[], bytes]]) -> Labelling | None:
    """The labels of all pictures by the first kind of sheet that has them; None, with no remarks, where none is there.

    sheets: path among the pictures -> what reads it. Sheets of one name in several folders (train/metadata.csv,
    test/metadata.csv) are one; each names the pictures from its own folder on, or by their bare names.
    Where none can be used, `groups` is empty and `remarks` say why.
    """
    remarks: list[str] = []
    for kind in READERS:
        found = sorted(path for path in sheets if is_sheet(path) == kind)
        if found:
            shown = found[0] if len(found) == 1 else kind
            try:
                return Labelling(_matched(names, _entries(kind, found, sheets)), (*remarks, f"classes from {shown}"))
            except UnclearError as error:
                remarks.append(f"the labels of {shown} are not used: {error}")
    return Labelling((), tuple(remarks)) if remarks else None


def is_sheet(path: str) -> str | None:
    """The kind of sheet that a file is by its name; None for other files."""
    name = PurePosixPath(path).name.lower()
    return name if name in READERS else None


def _entries(kind: str, found: Sequence[str], sheets: Mapping[str, Callable[[], bytes]]) -> dict[str, str]:
    """The label of each path that some sheets of a kind name."""
    labels: dict[str, str] = {}
    for path in found:
        try:
            for name, label in READERS[kind](sheets[path]()):
                if isinstance(label, list | dict | float):
                    raise UnclearError(f"{name} has {json.dumps(label)[:40]}, which names no class")
                if label is not None and label != "":
                    place = PurePosixPath(path).parent / name.replace("\\", "/")
                    labels[unicodedata.normalize("NFC", str(place))] = str(label)
        except UnclearError:
            raise
        except (ValueError, TypeError, LookupError, AttributeError, OSError, NotImplementedError, csv.Error) as error:
            raise UnclearError(f"it cannot be read ({error})") from None
    return labels


def _matched(names: Sequence[str], labels: Mapping[str, str]) -> tuple[str, ...]:
    paths = [unicodedata.normalize("NFC", name) for name in names]
    if not labels.keys() & set(paths):
        bare = [PurePosixPath(path).name for path in paths]
        listed = {PurePosixPath(path).name: label for path, label in labels.items()}
        if len(set(bare)) == len(bare) and len(listed) == len(labels):
            labels, paths = listed, bare
    return one_for_each(names, [labels.get(path) for path in paths])


def one_for_each(names: Sequence[str], labels: Sequence[str | None]) -> tuple[str, ...]:
    """The labels of pictures; UnclearError where some picture has none, or each has another."""
    missing = [name for name, label in zip(names, labels, strict=True) if label is None]
    if missing:
        raise UnclearError(f"it has none for {len(missing):,} of {len(names):,} pictures ({missing[0]}, ...)")
    groups = tuple(label for label in labels if label is not None)
    if len(names) > 1 and max(Counter(groups).values()) == 1:
        raise UnclearError("each picture has another one")
    return groups


def _of_stylegan(data: bytes) -> Entries:
    labels = json.loads(_text(data))["labels"]
    if labels is None:
        raise UnclearError("it has none")
    yield from labels.items() if isinstance(labels, dict) else labels


def _of_csv(data: bytes) -> Entries:
    yield from _of_rows(csv.DictReader(io.StringIO(_text(data))))


def _of_lines(data: bytes) -> Entries:
    yield from _of_rows(json.loads(line) for line in _text(data).splitlines() if line.strip())


def _of_parquet(data: bytes) -> Entries:
    import pyarrow.parquet as pq  # takes a while to load

    with pq.ParquetFile(io.BytesIO(data)) as file:
        # The other columns may be large: embeddings, texts.
        file_column, label_column = _columns(file.schema_arrow.names)
        for batch in file.iter_batches(columns=[file_column, label_column]):
            yield from _of_rows(batch.to_pylist())


def _text(data: bytes) -> str:
    return data.decode("utf-8-sig")


def _of_rows(rows: Iterable[Mapping[str, object]]) -> Entries:
    for row in rows:
        file, label = _columns(row)
        value = row[label]
        yield str(row[file]).strip(), value.strip() if isinstance(value, str) else value


def _columns(columns: Iterable[str]) -> tuple[str, str]:
    """Which columns name the picture and its label."""
    named = {str(column).strip().lower(): column for column in columns}
    file = next((named[column] for column in FILE_COLUMNS if column in named), None)
    label = next((named[column] for column in LABEL_COLUMNS if column in named), None)
    if file is None or label is None:
        wanted = ", ".join(FILE_COLUMNS if file is None else LABEL_COLUMNS)
        raise UnclearError(f"it has the columns {', '.join(named)}, and none of {wanted}")
    return file, label


READERS: dict[str, Callable[[bytes], Entries]] = {
    "dataset.json": _of_stylegan,
    "metadata.csv": _of_csv,
    "labels.csv": _of_csv,
    "metadata.jsonl": _of_lines,
    "metadata.parquet": _of_parquet,
}
"""What reads each kind of sheet, the surest first."""
SHEETS = tuple(READERS)
