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
    write_json(folder / STAMPS, _stamps(folder, manifest))


def stamps_hold(folder: Path, manifest: "Manifest") -> bool:
    """Whether every file of a stage looks as it did then. One that was changed without a trace is not seen."""
    try:
        known = json.loads((folder / STAMPS).read_text())
        return bool(known == {name: list(stamp) for name, stamp in _stamps(folder, manifest).items()})
    except (OSError, ValueError):
        return False


def _stamps(folder: Path, manifest: "Manifest") -> dict[str, Stamp]:
    found = {}
    for name, facts in manifest.files.items():
        there = (folder / name).stat()
        found[name] = (facts.sha256, there.st_size, there.st_mtime_ns, there.st_ino)
    return found
