"""Amounts as people say them."""

import math
from collections.abc import Collection, Iterator, Sequence


def duration(seconds: float) -> str:
    """12 s, 3 min 20 s, 2 h 05 min, 3 days."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 5400:
        return f"{int(seconds // 60)} min {int(seconds % 60):02d} s"
    if seconds < 48 * 3600:
        return f"{int(seconds // 3600)} h {int(seconds % 3600 // 60):02d} min"
    return f"{seconds / 86400:,.0f} days"


def size(count: int) -> str:
    """3 kB, 4.2 MB, 1.0 GB, 2.5 TB (powers of ten)."""
    for unit, amount in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6)):
        if count >= amount:
            return f"{count / amount:,.1f} {unit}"
    return f"{math.ceil(count / 1e3)} kB"


def counted(count: int, noun: str) -> str:
    """1 stage, 3 stages."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def columns(rows: Sequence[Sequence[str]], right: Collection[int] = ()) -> Iterator[str]:
    """Lines of a plain table, its head among the rows; the columns of `right` (numbers) end in one line."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = (
            text.rjust(width) if index in right else text.ljust(width)
            for index, (text, width) in enumerate(zip(row, widths, strict=True))
        )
        yield "  ".join(cells).rstrip()
