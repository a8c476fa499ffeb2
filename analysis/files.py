"""Files of a report: each appears whole or not at all, and a disk that fills up leaves nothing beside them."""

import contextlib
import io
import uuid
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def write_file(path: Path, content: bytes) -> Path:
    """Write a file and the folders above it, unless it holds these bytes already; returns where.

    Raises:
        OSError: it cannot be written; it names `path`, where the old bytes stay.
    """
    if _holds(path, content):
        return path
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_bytes(content)
        temporary.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise OSError(error.errno, error.strerror, str(path)) from error
    return path


def _holds(path: Path, content: bytes) -> bool:
    try:
        return path.stat().st_size == len(content) and path.read_bytes() == content
    except OSError:
        return False


def write_figure(figure: "Figure", path: Path, dpi: int | None = None) -> Path:
    """Write a figure in the format of the path's suffix, without a date or the library's version; returns where."""
    drawn = io.BytesIO()
    kind = path.suffix.removeprefix(".")
    silent = {"png": ("Software",), "pdf": ("Creator", "Producer", "CreationDate")}[kind]
    figure.savefig(drawn, format=kind, dpi="figure" if dpi is None else dpi, metadata=dict.fromkeys(silent))
    return write_file(path, drawn.getvalue())
