"""Where the files of a table lie: alone, as parquet shards in a folder, as `save_to_disk` of `datasets` leaves them."""

import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from prism_bench.prism.data.user_images.picture_sources import by_suffix, is_hidden, is_picture
from prism_bench.prism.data.user_images.table_columns import holds_pictures
from prism_bench.prism.data.user_images.table_files import ArrowFile, ParquetFile
from prism_bench.prism.data.user_images.tables import TableSource
from prism_bench.prism.errors import InputError

SHARD = re.compile(r"[-_.]?\d+(-of-\d+)?$")
"""What numbers the shards of one part: train-00000-of-00003, 0000."""
SPLITS, STATE, INFO = "dataset_dict.json", "state.json", "dataset_info.json"
MOVED = ("_indices_data_files", "_indices_files")
"""Keys under which old versions of `datasets` note that the rows are others than the files', or in another order."""


def one_parquet(path: Path) -> TableSource:
    """A parquet file; raises what `TableSource.of` raises."""
    return TableSource.of(path, [ParquetFile(path, path.name, "")])


def parquet_folder(path: Path, found: Sequence[str], shards: Sequence[str]) -> TableSource:
    """A folder whose files are `found`, the `shards` among them parquet files.

    Raises:
        InputError: there are pictures beside them, or see `TableSource.of`.
        OSError: a file cannot be read.
    """
    pictures = [name for name in found if is_picture(name) and not is_hidden(name)]
    if pictures:
        raise InputError(
            f"--data {path}: it holds {len(pictures):,} pictures ({pictures[0]}, ...) and {len(shards):,} parquet "
            f"files with pictures ({shards[0]}, ...); give the folder of one of the two, or move them apart"
        )
    files = [ParquetFile(path / name, name, SHARD.sub("", str(PurePosixPath(name).with_suffix("")))) for name in shards]
    return TableSource.of(path, files, _left_out(found, shards))


def parquet_shards(path: Path, found: Sequence[str]) -> list[str]:
    """The parquet files of a folder whose pictures are meant; none where it holds pictures and they do not."""
    shards = sorted(name for name in found if PurePosixPath(name).suffix.lower() == ".parquet")
    if not any(is_picture(name) for name in found):
        return shards
    return [name for name in shards if _with_pictures(path / name)]


def saved_folder(path: Path, found: Sequence[str]) -> TableSource:
    """A folder that `save_to_disk` left, with one split or several.

    Raises:
        InputError: what it says of its files is damaged, or see `TableSource.of`.
        OSError: a file cannot be read.
    """
    splits = [""] if SPLITS not in found else sorted(_splits(path))
    files = [file for split in splits for file in _saved(path, split)]
    if not files:
        raise InputError(f"--data {path}: {SPLITS if splits != [''] else STATE} names no files; save it again")
    own = {file.name for file in files} | {SPLITS}
    own |= {str(PurePosixPath(split) / name) for split in splits for name in (STATE, INFO)}
    return TableSource.of(path, files, _left_out(found, own))


def _splits(path: Path) -> list[str]:
    splits = _json(path / SPLITS).get("splits")
    if not isinstance(splits, list) or not all(isinstance(name, str) and _is_plain(name) for name in splits):
        raise InputError(f"--data {path}: {SPLITS} does not say which splits there are; save it again")
    return splits


def _saved(path: Path, split: str) -> Iterator[ArrowFile]:
    folder = path / split
    state = _json(folder / STATE)
    if any(state.get(key) for key in MOVED):
        raise InputError(
            f"--data {folder}: its rows are a selection of those in its files, which an old `datasets` noted apart; "
            "load it there, and save flatten_indices() of it"
        )
    try:
        names = [entry["filename"] for entry in state["_data_files"]]
        if not all(map(_is_plain, names)):
            raise ValueError("a file that lies elsewhere")
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"--data {folder}: {STATE} does not say what its files are ({error}); save it again") from None
    for name in names:
        below = str(PurePosixPath(split) / name)
        if not (folder / name).is_file():
            raise InputError(f"--data {path}: {below}, which its {STATE} names, is not there; copy the whole folder")
        yield ArrowFile(folder / name, below, split)


def _is_plain(name: str) -> bool:
    """Whether it names a file or folder right here."""
    return bool(name) and name not in {".", ".."} and not {"/", "\\", ":"} & set(name)


def _json(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_bytes())
        if isinstance(found, dict):
            return found
        raise ValueError("no object")
    except FileNotFoundError:
        raise InputError(
            f"--data {path.parent}: {path.name} is not there; copy the whole folder, or save it again"
        ) from None
    except ValueError as error:
        raise InputError(f"--data {path}: damaged ({error}); save the data again") from None


def _with_pictures(path: Path) -> bool:
    try:
        return holds_pictures(ParquetFile(path, path.name, "").schema())
    except InputError:
        return False


def _left_out(found: Sequence[str], read: Sequence[str] | set[str]) -> list[str]:
    held = set(read)
    others = by_suffix(name for name in found if name not in held and not is_hidden(name))
    return [f"left out beside the tables: {others}"] if others else []
