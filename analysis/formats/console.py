"""A table for the terminal: rich draws it, and no line of it is wider than asked."""

import io
import textwrap
from collections.abc import Sequence
from typing import Literal

from rich import box
from rich.cells import cell_len
from rich.console import Console, Group, RenderableType
from rich.table import Table as Grid
from rich.text import Text as Words

from prism_bench.analysis import formatting
from prism_bench.analysis.table.results import Results
from prism_bench.analysis.table.table_model import Column, Hole, Measured, Quoted, Table, TableCell

_HEADING_WIDTH = 16
_GAP = 2
_FIRST = {"measured": 1, "quoted": 2, "count": 3, "words": 4}
"""Which kinds of columns go last where there is no room for all."""


def table_text(table: Table, width: int = 100, *, first: Sequence[str] = (), every: bool = False) -> str:
    """The same as `console_table` in plain text."""
    lines = io.StringIO()
    plain_console = Console(file=lines, width=max(width, 20), color_system=None, legacy_windows=False)
    plain_console.print(console_table(table, width, first=first, every=every))
    return "\n".join(line.rstrip() for line in lines.getvalue().splitlines()) + "\n"


def console_table(
    table: Table, width: int = 100, *, first: Sequence[str] = (), every: bool = False, whole: str = ""
) -> Group:
    """The table, its caption and its notes, no wider than `width`; a * behind the mean for the best, a + for the
    second best.

    Columns that do not fit are left out and named, those last whose keys are in `first`; with `every` they stand in
    further tables below. A column that is wider than everything alone is shown nonetheless. whole: what else shows
    every column.
    """
    labels, shared = formatting.apart([row.label for row in table.rows])
    labels = [plain(label) for label in labels]
    columns = [_Drawn(column, [row.cells[index] for row in table.rows]) for index, column in enumerate(table.columns)]
    stub = _stub(labels, table.stub, columns, width)
    groups = _groups(columns, width - stub, first)
    shown = groups if every else groups[:1]
    left_out = [column for column in columns if not any(column in group for group in shown)]
    parts: list[RenderableType] = []
    for group in shown:
        parts += [_grid(table, labels, group, stub), ""]
    words = [f"All rows: {plain(shared)}."] if shared else []
    if left_out:
        words.append(_left_out(left_out, stub + sum(column.room for column in columns), whole))
    words.append(" ".join(plain(sentence) for sentence in table.caption))
    if any(cell.best for cell in table.measured):
        words[-1] += " A * stands for bold, a + for underlined."
    words += [f"({letter}) {plain(text)}" for letter, text in table.notes]
    words += [plain(text) for text in table.remarks]
    wide = max(width, 20)
    parts += [Words("\n".join(textwrap.wrap(text, wide, break_long_words=False))) for text in words if text]
    return Group(*parts)


class _Drawn:
    """A column spelled: its heading and, for each row, the three parts of a cell padded to one width."""

    def __init__(self, column: Column, cells: Sequence[TableCell]) -> None:
        self.column = column
        self.heading = textwrap.wrap(plain(column.heading), _HEADING_WIDTH, break_long_words=False) or [""]
        parts = [_cell(cell, column) for cell in cells]
        widths = [max((cell_len(part[place]) for part in parts), default=0) for place in range(3)]
        # The means stand under each other, whatever stands behind them.
        self.cells = [
            Words(
                main + spread + " " * (widths[1] - cell_len(spread)) + note + " " * (widths[2] - cell_len(note)),
                style=_style(cell),
            )
            for (main, spread, note), cell in zip(parts, cells, strict=True)
        ]

    @property
    def room(self) -> int:
        """Its width with the gap before it."""
        return _GAP + max(cell_len(line) for line in (*self.heading, *(cell.plain for cell in self.cells)))


def _style(cell: TableCell) -> str:
    if isinstance(cell, Measured):
        return "bold" if cell.best else "underline" if cell.second else ""
    return "dim" if isinstance(cell, Quoted | Hole) else ""


def _stub(labels: Sequence[str], heading: str, columns: Sequence[_Drawn], width: int) -> int:
    """The width of the labels: their own where there is room, else so much that two columns fit; they wrap."""
    own = max(map(cell_len, [heading, *labels]), default=0)
    longest_word = max((cell_len(word) for label in [heading, *labels] for word in label.split()), default=0)
    others = sum(column.room for column in columns)
    least = width - max(sum(sorted(column.room for column in columns)[-2:]), width * 3 // 5)
    return own if own + others <= width else min(own, max(longest_word, least, 12))


def _groups(columns: Sequence[_Drawn], room: int, first: Sequence[str]) -> list[list[_Drawn]]:
    """The columns that are shown, and what would follow in further tables, each in the table's order.

    The first group takes what matters most; a column that fits nowhere stands alone.
    """
    rank = {column: _rank(column.column, first) for column in columns}
    left, groups = sorted(columns, key=rank.__getitem__), []
    while left:
        group, used = [left[0]], left[0].room
        for column in left[1:]:
            if used + column.room <= room:
                group.append(column)
                used += column.room
        groups.append(sorted(group, key=list(columns).index))
        left = [column for column in left if column not in group]
    return groups or [[]]


def _rank(column: Column, first: Sequence[str]) -> tuple[int, int]:
    if column.key in first:
        return 0, first.index(column.key)
    return _FIRST[column.kind], 0


def _grid(table: Table, labels: Sequence[str], columns: Sequence[_Drawn], stub: int) -> Grid:
    """One drawn table, the real-data baseline apart. The box has a blank of its own between columns."""
    grid = Grid(box=box.SIMPLE_HEAD, padding=(0, 0, 0, _GAP - 1), pad_edge=False, show_edge=False)
    grid.add_column(plain(table.stub), width=stub, overflow="fold", vertical="bottom")
    for column in columns:
        side: Literal["left", "right"] = "left" if column.column.kind == "words" else "right"
        heading = Words("\n".join(column.heading))
        grid.add_column(heading, justify=side, no_wrap=True, vertical="bottom")
    for index, (row, label) in enumerate(zip(table.rows, labels, strict=True)):
        ends = index + 1 < len(table.rows) and (row.kind == "floor") != (table.rows[index + 1].kind == "floor")
        grid.add_row(Words(label), *(column.cells[index] for column in columns), end_section=ends)
    return grid


def _left_out(columns: Sequence[_Drawn], room: int, whole: str) -> str:
    names = formatting.listing(plain(column.column.heading) for column in columns)
    where = f"; {whole}" if whole else ""
    return f"Not shown for want of room: {names} (-v, or {room} columns{where})."


def said_of(results: Results, width: int = 100) -> str:
    """What the results say, in sentences, and the verdicts on the claims; empty where there is nothing to say."""
    sentences = (textwrap.fill(plain(sentence), width, break_long_words=False) for sentence in results.headline)
    head = "".join(f"{sentence}\n" for sentence in sentences)
    return "\n".join(filter(None, (head, verdicts_text(results, width))))


def verdicts_text(results: Results, width: int = 100) -> str:
    """Each claim with the verdict and the evidence of its outcomes, within `width`; empty where there are none."""
    lines = []
    for result in results.claims if results.plan.kind == "table" else ():
        lines.append(textwrap.fill(plain(f"{result.claim.text} ({result.claim.source}):"), width))
        for one in result.judged:
            told = plain(": ".join(filter(None, (one.title, one.sentence))))
            lines.append(textwrap.fill(told, width, initial_indent="  ", subsequent_indent="    "))
    return "\n".join([*lines, ""]) if lines else ""


def plain(text: str) -> str:
    """One line of printable text: white space becomes a space, control characters a question mark."""
    return "".join(character if character.isprintable() else "?" for character in " ".join(text.split()))


def _cell(cell: TableCell, column: Column) -> tuple[str, str, str]:
    """What the column is aligned on, what stands behind it, and the letter of a number's note."""
    if isinstance(cell, Hole):
        return "--", _note(cell.note), ""
    if isinstance(cell, Quoted):
        return column.published(cell), "", ""
    if isinstance(cell, Measured):
        mean = formatting.fixed(cell.mean, column.decimals) + ("*" if cell.best else "+" if cell.second else "")
        if cell.half_width is None:
            return mean, _note(cell.note), ""
        return mean, f" ± {formatting.fixed(cell.half_width, column.decimals)}", _note(cell.note)
    return plain(cell.text), "", ""


def _note(letter: str | None) -> str:
    return f" ({letter})" if letter else ""
