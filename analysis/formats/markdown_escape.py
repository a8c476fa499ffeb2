"""Plain text as Markdown."""

import re
from collections.abc import Sequence


def escape(text: str) -> str:
    """Plain text as Markdown that shows it literally; an underscore between letters or digits needs no escape."""
    flat = " ".join(text.split()).replace("&", "&amp;")
    flat = re.sub(r"([\\`*\[\]<>|$~#])", r"\\\1", flat)
    return re.sub(r"(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])", r"\\_", flat)


def code(text: str) -> str:
    """A code span, also of text that holds backticks or bars."""
    flat = " ".join(text.split()).replace("|", r"\|")
    fence = "`" * (1 + max((len(run) for run in re.findall(r"`+", flat)), default=0))
    return f"{fence}{flat}{fence}" if len(fence) == 1 else f"{fence} {flat} {fence}"


def markdown_table(sides: str, *lines: Sequence[str]) -> str:
    """A table of Markdown texts, the heading first; `sides`: l or r for each column."""
    rules = ["---:" if side == "r" else "---" for side in sides]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (lines[0], rules, *lines[1:]))
