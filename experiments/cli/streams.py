"""What a command says, to whatever takes it: a terminal of other letters, a pipe that closes, a disk that is full."""

import codecs
import contextlib
import errno
import os
import unicodedata
from io import TextIOWrapper
from typing import TextIO

SPELT = {
    "±": "+/-",
    "\N{MULTIPLICATION SIGN}": "x",
    "\N{MINUS SIGN}": "-",
    "\N{EN DASH}": "-",
    "—": "-",
    "─": "-",
    "…": "...",
    "≤": "<=",
    "≥": ">=",
    "↑": "^",
    "↓": "v",
    "·": ".",
}
"""Signs of ours as they are spelt where an encoding has none for them."""


def write_in_its_letters(*streams: TextIO | None) -> None:
    """Spell what a stream's encoding has no letters for (ASCII, cp1252), instead of failing amid a table."""
    codecs.register_error("spelt", _spelt)
    for stream in streams:
        if isinstance(stream, TextIOWrapper):  # others, a notebook's, take any text
            stream.reconfigure(errors="spelt")


def _spelt(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    letters = error.object[error.start : error.end]
    return "".join(SPELT.get(letter) or _plain(letter) for letter in letters), error.end


def _plain(letter: str) -> str:
    return unicodedata.normalize("NFKD", letter).encode("ascii", "ignore").decode() or "?"


def is_closed_pipe(error: BaseException | None) -> bool:
    """Whether who read the output has gone (`prism-bench ... | head -1`)."""
    return isinstance(error, OSError) and error.errno == errno.EPIPE


def abandon(stream: TextIO | None) -> None:
    """Drop what a stream could not write, which Python would try once more at its end."""
    if stream is None:
        return
    try:
        stream.flush()
    except OSError:
        with contextlib.suppress(OSError, ValueError), open(os.devnull, "w") as nothing:  # noqa: PTH123
            os.dup2(nothing.fileno(), stream.fileno())
