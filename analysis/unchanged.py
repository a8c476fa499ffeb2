"""Files that were made of the same things before stay as they are."""

import hashlib
import json
from collections.abc import Callable, Sequence
from functools import cache
from importlib.metadata import version
from pathlib import Path

from prism_bench.analysis.files import write_file

NOTE = ".made-{}.json"
"""Where a folder notes what its files were made of."""
PACKAGE = Path(__file__).resolve().parents[1]
DRAWN_BY = ("analysis", "experiments/reports")
"""Folders of the package whose code and templates decide what a report looks like."""
LIBRARIES = ("jinja2", "matplotlib", "pandas", "pillow")
Keep = Callable[[Path, str, Sequence[object], Callable[[], list[Path]]], list[Path]]
"""Whether files are made again: `unless_made` or `make_anew`."""


def make_anew(_folder: Path, _name: str, _made_of: Sequence[object], make: Callable[[], list[Path]]) -> list[Path]:
    """What `make` writes, whatever lies there; nothing is noted."""
    return make()


def unless_made(folder: Path, name: str, made_of: Sequence[object], make: Callable[[], list[Path]]) -> list[Path]:
    """What `make` writes; it is called where files of `name` were made of other things, or are not as it left them.

    Args:
        folder: where the files lie.
        name: of the group of files, as part of a file's name.
        made_of: all that the files depend on, as values of JSON. Code and libraries are taken into account.
        make: writes the files into the folder and returns their paths.
    """
    digest = hashlib.sha256(json.dumps([_program(), *made_of]).encode()).hexdigest()
    note = folder / NOTE.format(name)
    known = _files_of(note, digest)
    if known is not None and all(_stamp(folder / file) == stamp for file, stamp in known.items()):
        return [folder / file for file in known]
    paths = make()
    files = {path.relative_to(folder).as_posix(): _stamp(path) for path in paths}
    if paths:
        write_file(note, json.dumps({"made_of": digest, "files": files}).encode())
    return paths


def stamp_of(path: Path | None) -> list[int] | None:
    """Size and time of a file, which change when it is written; None where there is none."""
    return None if path is None else _stamp(path)


def pictures_shown(folder: Path) -> list[list[object]]:
    """The pictures in a folder as they look now, for what shows them."""
    return [[path.name, _stamp(path)] for path in sorted(folder.glob("*.png"))]


def _files_of(note: Path, digest: str) -> dict[str, list[int]] | None:
    """The files that were made of what has this digest, with their stamps; None where others were, or none."""
    try:
        noted = json.loads(note.read_bytes())
        return dict(noted["files"]) if noted["made_of"] == digest else None
    except (OSError, ValueError, TypeError, KeyError):
        return None


def _stamp(path: Path) -> list[int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return [found.st_size, found.st_mtime_ns]


@cache
def _program() -> list[object]:
    """What draws and writes: the code as it lies here, and the libraries."""
    files = sorted(path for folder in DRAWN_BY for path in (PACKAGE / folder).rglob("*.*") if path.suffix != ".pyc")
    return [
        [version(library) for library in LIBRARIES],
        [[path.relative_to(PACKAGE).as_posix(), _stamp(path)] for path in files],
    ]
