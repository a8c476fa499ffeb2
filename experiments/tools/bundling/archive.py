"""Writes a bundle's zip: the same contents give the same bytes."""

import shutil
import zipfile
from pathlib import Path

from prism_bench.experiments.tools.bundling.contents import CHUNK, Contents
from prism_bench.prism.engine.runtime import whole_file
from prism_bench.prism.engine.store import file_digest
from prism_bench.prism.errors import InputError

EPOCH = (1980, 1, 1, 0, 0, 0)
"""The time of every member: the earliest that a zip can hold."""


def check_target(out: Path, *, force: bool) -> None:
    """See that the zip can be written, before anything is read.

    Raises:
        InputError: not a .zip, or there already.
    """
    if out.suffix != ".zip":
        raise InputError(f"--out {out}: a bundle is a .zip; name it {out.name}.zip")
    if out.exists() and not force:
        raise InputError(f"--out {out} is there already; name another file, or overwrite it with --force")


def write_bundle(contents: Contents, out: Path) -> str:
    """Write the zip, whole or not at all; the same contents give the same bytes. Returns its SHA-256.

    Raises:
        InputError: it cannot be written.
    """
    try:
        with whole_file(out) as file, zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
            for name in sorted([*contents.held, *contents.files]):
                _add(archive, name, contents)
    except OSError as error:
        raise InputError(f"--out {out} cannot be written ({error.strerror}); name a file in another folder") from None
    return file_digest(out)


def _add(archive: zipfile.ZipFile, name: str, contents: Contents) -> None:
    info = zipfile.ZipInfo(name, EPOCH)
    info.compress_type, info.create_system, info.external_attr = zipfile.ZIP_DEFLATED, 3, 0o644 << 16
    if name in contents.held:
        archive.writestr(info, contents.held[name])
        return
    path = contents.files[name]
    info.file_size = path.stat().st_size
    with path.open("rb") as source, archive.open(info, "w") as target:
        shutil.copyfileobj(source, target, CHUNK)
