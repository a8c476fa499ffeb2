"""What reads a path of the user's: a folder of pictures or of tables, a .zip, an .npz, a .parquet."""

from collections.abc import Callable
from pathlib import Path

from prism_bench.prism.data.user_images.arrays import ArraySource
from prism_bench.prism.data.user_images.label_sheets import is_sheet
from prism_bench.prism.data.user_images.picture_sources import (
    FolderSource,
    Source,
    ZipSource,
    files_below,
    is_hidden,
    what_to_do_with,
)
from prism_bench.prism.errors import InputError


def open_source(path: Path) -> Source:
    """List the pictures of a path; InputError where there are none, it is of no kind that is read, or unreadable."""
    try:
        if path.is_dir():
            return _folder(path)
        if not path.exists():
            raise InputError(f"--data {path}: no such file or folder; check the path")
        kind = path.suffix.lower()
        if kind not in FILES:
            remedy = what_to_do_with([path.name]) or "give a folder, .zip, .npz or .parquet"
            raise InputError(f"--data {path}: {path.suffix or 'a file without suffix'} is not read; {remedy}")
        return FILES[kind](path)
    except OSError as error:
        where = error.filename or path
        raise InputError(f"--data {path}: {where} cannot be read ({error.strerror}); check its permissions") from None


def _folder(path: Path) -> Source:
    found = files_below(path)
    shown = [name for name in found if not is_hidden(name)]
    # pyarrow takes a while to load, and most folders are of pictures.
    if "dataset_dict.json" in shown or {"state.json", "dataset_info.json"} <= set(shown):
        from prism_bench.prism.data.user_images.table_layouts import saved_folder

        return saved_folder(path, shown)
    tables = [name for name in shown if name.lower().endswith(".parquet") and not is_sheet(name)]
    if tables:
        from prism_bench.prism.data.user_images.table_layouts import parquet_folder, parquet_shards

        shards = parquet_shards(path, [name for name in shown if not is_sheet(name)])
        if shards:
            return parquet_folder(path, shown, shards)
    return FolderSource.listed(path, found)


def _parquet(path: Path) -> Source:
    from prism_bench.prism.data.user_images.table_layouts import one_parquet

    return one_parquet(path)


FILES: dict[str, Callable[[Path], Source]] = {".zip": ZipSource.of, ".npz": ArraySource.of, ".parquet": _parquet}
