"""Stamps: what a file looked like when its checksum was last found right, so that it need not be read again."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

from prism_bench.prism.engine.runtime import write_json

if TYPE_CHECKING:
    from prism_bench.prism.engine.manifest import Manifest

STAMPS = ".stamps.json"

Stamp = tuple[str, int, int, int]
"""SHA-256 (hex), size in bytes, time of the last change in nanoseconds, inode."""


def write_stamps(folder: Path, manifest: "Manifest") -> None:
    """Note how the files of a stage look whose checksums have just been taken or found right."""
    write_json(folder / STAMPS, {name: _stamp(folder, name, manifest) for name in manifest.files})


def stamps_hold(folder: Path, manifest: "Manifest", only: str | None = None) -> bool:
    """Whether every file of a stage, or one of them alone, looks as it did then.

    One that was changed without a trace is not seen.
    """
    try:
        known = json.loads((folder / STAMPS).read_text())
        names = manifest.files if only is None else (only,)
        return all(known[name] == list(_stamp(folder, name, manifest)) for name in names)
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _stamp(folder: Path, name: str, manifest: "Manifest") -> Stamp:
    there = (folder / name).stat()
    return manifest.files[name].sha256, there.st_size, there.st_mtime_ns, there.st_ino
