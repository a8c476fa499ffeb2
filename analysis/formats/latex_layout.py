"""How a table is laid out so that it fits a column or a page at the normal size of letters: widths are estimated."""

import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from itertools import groupby, product

from prism_bench.analysis import formatting
from prism_bench.analysis.formats.latex_escape import escape
from prism_bench.analysis.table.table_model import Column, Hole, Measured, Quoted, Table, TableCell

COLUMN, PAGE = 234.0, 345.0
"""Points: a column of ICML, CVPR or IEEE (3.25 inches), and the text of LaTeX's own article, the narrowest page."""
GAP = 7.0
"""Points between columns."""
LINES = 36
"""Lines of a page that a table may fill."""
HEADING = 12
"""Letters of a heading before it is broken."""
GROUPS = {"measured": "measured", "quoted": "quoted"}
SCRIPT = 0.78
"""Width of an index against that of a letter."""
_WIDTHS = {
    2.78: "ijl.,:;'!|",
    3.33: " -[]I",
    3.9: "frst()",
    4.5: "cez/",
    5.0: "agov0123456789",
    5.3: "kqxy",
    5.56: "bdhnpuS*?",
    6.8: "ELFPZJ",
    7.3: "ABCRTwXUY",
    7.8: "DGHKNOQV+=<>~^$#%&_\\{}@",
    9.2: "mMW",
}
"""Computer Modern at 10 pt, in classes of about equal letters."""
_WIDTH = {letter: width for width, letters in _WIDTHS.items() for letter in letters}


@dataclass(frozen=True, kw_only=True)
class Layout:
    """letters: of a label before it is broken. below: whether spreads stand below the means, or behind them as indices.

    wide: whether the table needs the width of a page where there are two columns. blocks: the columns, by number, of
    each of the parts that stand below each other.
    """

    letters: int | None
    below: bool
    wide: bool
    blocks: tuple[tuple[int, ...], ...]


def layout_of(table: Table) -> Layout:
    """The first that fits: in a column, in a page, in parts below each other."""
    every = tuple(range(len(table.columns)))
    for layout in _choices(every):
        lines = max((len(label_lines(row.label, layout.letters)) for row in table.rows), default=1)
        limit = PAGE if layout.wide else COLUMN
        if lines <= (3 if layout.below else 2) and _width(table, layout, every) <= limit:
            return layout
    return _in_parts(table, Layout(letters=24, below=False, wide=True, blocks=(every,)))


def _choices(every: tuple[int, ...]) -> Iterator[Layout]:
    for below, letters in product((False, True), (None, 24, 18, 14)):
        yield Layout(letters=letters, below=below, wide=False, blocks=(every,))
    for letters in (None, 32, 24, 18):
        yield Layout(letters=letters, below=False, wide=True, blocks=(every,))


def _in_parts(table: Table, layout: Layout) -> Layout:
    """As many columns in a part as fit; at least one. Published numbers have parts of their own."""
    parts: list[list[int]] = [[]]
    for index in range(len(table.columns)):
        other = parts[-1] and table.columns[index].kind == "quoted" != table.columns[parts[-1][-1]].kind
        if parts[-1] and (other or _width(table, layout, [*parts[-1], index]) > PAGE):
            parts.append([])
        parts[-1].append(index)
    return replace(layout, blocks=tuple(map(tuple, parts)))


def floats_of(table: Table, layout: Layout) -> list[list[tuple[int, ...]]]:
    """The parts of a table, those together that a page is high enough for; at least one."""
    lines = 3 + sum(len(label_lines(row.label, layout.letters)) for row in table.rows)
    together = max(1, LINES // lines)
    blocks = layout.blocks
    return [list(blocks[start : start + together]) for start in range(0, len(blocks), together)]


def label_lines(label: str, letters: int | None) -> list[str]:
    """A label in lines; a word that is longer stands alone."""
    return [label] if letters is None else textwrap.wrap(label, letters, break_long_words=False) or [""]


def heading_lines(column: Column) -> list[str]:
    """A heading in lines; that a number is quoted stands above."""
    label = column.label.removeprefix("quoted: ")
    return textwrap.wrap(label, HEADING, break_long_words=False) or [""]


def sign_line(lines: Sequence[str]) -> int:
    """Which line of a heading its arrow and mark stand behind: the last, or the first where that has more room."""
    return 0 if len(lines) > 1 and len(lines[0]) + 2 < len(lines[-1]) else -1


def group_words(table: Table, columns: Sequence[int]) -> list[tuple[str, int]]:
    """What stands above headings where there are published numbers, and over how many columns."""
    kinds = [table.columns[index].kind for index in columns]
    words = GROUPS if "quoted" in kinds else {}
    return [(words.get(kind, ""), len(list(own))) for kind, own in groupby(kinds)]


def spread_of(cell: TableCell, column: Column) -> str | None:
    """What stands behind ±; None where nothing does."""
    known = isinstance(cell, Measured) and cell.half_width is not None
    return formatting.fixed(cell.half_width, column.decimals) if known else None  # type: ignore[union-attr, arg-type]


def _width(table: Table, layout: Layout, columns: Sequence[int]) -> float:
    labels = [line for row in table.rows for line in label_lines(row.label, layout.letters)] + [table.stub]
    widths = [max(map(width, labels))]
    for index in columns:
        column = table.columns[index]
        cells = [_cell(row.cells[index], column, below=layout.below) for row in table.rows]
        lines = heading_lines(column)
        headings = [width(line) for line in lines]
        headings[sign_line(lines)] += 8.0 * bool(column.arrow) + 4.0 * bool(column.mark)
        widths.append(max(*cells, *headings))
    start = 1
    for words, count in group_words(table, columns):
        widths[start] += max(0.0, width(words) - sum(widths[start : start + count]) - GAP * (count - 1))
        start += count
    quoted = [table.columns[index].kind == "quoted" for index in columns]
    return sum(widths) + GAP * len(columns) + (10.0 if any(quoted) and not all(quoted) else 0.0)


def _cell(cell: TableCell, column: Column, *, below: bool) -> float:
    if isinstance(cell, Hole):
        return width("--")
    if isinstance(cell, Quoted):
        return width(column.published(cell))
    if not isinstance(cell, Measured):
        return width(cell.text)
    mean = width(formatting.fixed(cell.mean, column.decimals).replace("-", "+")) * (1.15 if cell.best else 1.0)
    spread = 0.0 if column.widest is None else width(f"+{formatting.fixed(column.widest, column.decimals)}") * SCRIPT
    return max(mean, spread) if below else mean + spread


def width(text: str) -> float:
    """Points of plain text set in Computer Modern at 10 pt, about."""
    return sum(map(_letter, text))


@cache
def _letter(letter: str) -> float:
    known = _WIDTH.get(letter)
    if known is not None:
        return known
    return 37.0 if escape(letter).startswith(r"\texttt{U+") else 7.8
