"""A table as plain text for the terminal: no colours, aligned, never wider than asked where words allow."""

import textwrap
from collections.abc import Sequence

from rich.cells import cell_len

from prism_bench.analysis import formatting
from prism_bench.analysis.table.results import Results
from prism_bench.analysis.table.table_model import Column, Hole, Measured, Quoted, Table, TableCell

_HEADING_WIDTH = 16
_GAP = "  "


def table_text(table: Table, width: int = 100) -> str:
    """The table, its caption and its notes within `width` character cells; a * behind the mean for the best, a + for
    the second best.

    Columns that do not fit go into a next block below; a single column wider than that is not cut.
    """
    labels = [table.stub, *(row.label for row in table.rows)]
    columns = [_lines(column, [row.cells[index] for row in table.rows]) for index, column in enumerate(table.columns)]
    stub = _padded([[plain(labels[0])], *[[plain(label)] for label in labels[1:]]], left=True)
    blocks = [_joined(stub, group) for group in _blocks(stub, columns, width)]
    wide = max(width, 20)
    words = [" ".join(plain(sentence) for sentence in table.caption)]
    if any(cell.best for cell in table.measured):
        words[0] += " A * stands for bold, a + for underlined."
    words += [f"({letter}) {plain(text)}" for letter, text in table.notes]
    words += [plain(text) for text in table.remarks]
    prose = "\n".join(textwrap.fill(text, wide, break_long_words=False) for text in words)
    return "\n\n".join([*blocks, prose]) + "\n"


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


def _lines(column: Column, cells: Sequence[TableCell]) -> list[list[str]]:
    """Heading (some lines) and cells (one line each), padded to one width. A bar sets quoted columns apart."""
    heading = textwrap.wrap(plain(column.heading), _HEADING_WIDTH, break_long_words=False) or [""]
    parts = [_cell(cell, column) for cell in cells]
    widths = [max((len(part[place]) for part in parts), default=0) for place in range(3)]
    bodies = []
    for main, spread, note in parts:  # the means stand under each other, whatever stands behind them
        bodies.append([main + spread.ljust(widths[1]) + note.ljust(widths[2])])
    padded = _padded([heading, *bodies], left=column.kind == "words")
    if column.kind != "quoted":
        return padded
    return [[f"| {line}" for line in lines] for lines in padded]


def _padded(entries: Sequence[list[str]], *, left: bool) -> list[list[str]]:
    wide = max(cell_len(line) for lines in entries for line in lines)

    def pad(line: str) -> str:
        space = " " * (wide - cell_len(line))
        return line + space if left else space + line

    return [[pad(line) for line in lines] for lines in entries]


def _blocks(stub: list[list[str]], columns: list[list[list[str]]], width: int) -> list[list[list[list[str]]]]:
    """Groups of columns that fit beside the labels; a column that fits nowhere stands alone."""
    room = width - cell_len(stub[0][0])
    blocks: list[list[list[list[str]]]] = []
    used = room + 1
    for column in columns:
        wide = len(_GAP) + cell_len(column[0][0])
        if used + wide > room:
            blocks.append([])
            used = 0
        blocks[-1].append(column)
        used += wide
    return blocks or [[]]


def _joined(stub: list[list[str]], columns: list[list[list[str]]]) -> str:
    everything = [stub, *columns]
    height = max(len(column[0]) for column in everything)
    lines = []
    for level in range(height):  # headings stand on the bottom line of their row
        lines.append(_GAP.join(_from_bottom(column[0], height - 1 - level) for column in everything))
    lines.append("-" * max(cell_len(line) for line in lines))
    for index in range(1, len(stub)):
        lines.append(_GAP.join(column[index][0] for column in everything))
    return "\n".join(line.rstrip() for line in lines)


def _from_bottom(lines: list[str], distance: int) -> str:
    if distance < len(lines):
        return lines[len(lines) - 1 - distance]
    bar = "|" if lines[0].startswith("| ") else ""
    return bar + " " * (cell_len(lines[0]) - len(bar))


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
