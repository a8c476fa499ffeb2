"""A table as booktabs LaTeX: to be input into a paper, and as a document that compiles on its own."""

import re
from collections.abc import Iterable, Sequence

from prism_bench.analysis import formatting
from prism_bench.analysis.formats.latex_escape import escape
from prism_bench.analysis.formats.latex_layout import (
    GAP,
    Layout,
    floats_of,
    group_words,
    heading_lines,
    label_lines,
    layout_of,
    sign_line,
    spread_of,
)
from prism_bench.analysis.table.table_model import Column, Hole, Measured, Quoted, Row, Table, TableCell, Text

_PREAMBLE = r"""\documentclass{article}
\usepackage[margin=2cm]{geometry}
\usepackage{booktabs}
\pagestyle{empty}
\begin{document}
"""
PACKAGES = r"% Needs \usepackage{booktabs} and no other package."
BEGIN_BODY = "% ---- the table: copy from here; needs booktabs ----"
END_BODY = "% ---- to here ----"
_MATH_MARKS = {"†": r"$^{\dagger}$", "‡": r"$^{\ddagger}$", "": ""}
_ARROWS = {"↓": r"$\downarrow$", "↑": r"$\uparrow$", "": ""}


def table_tex(table: Table) -> str:
    """A complete document with one table; the lines between the two comments go into another document as they are."""
    return document_tex([table])


def document_tex(tables: Sequence[Table]) -> str:
    """A complete document with several tables, one after the other, and how they were measured."""
    return "\n".join([_PREAMBLE, *map(table_body, tables), *details_tex(tables), r"\end{document}", ""])


def input_tex(tables: Sequence[Table]) -> str:
    """Tables to be input into a paper."""
    return "\n".join([PACKAGES, "", *map(table_body, tables)])


def appendix_tex(first: Table, others: Sequence[Table]) -> str:
    """The tables of an appendix, to be input, and how all of them, the first too, were measured."""
    return "\n".join([PACKAGES, "", *map(table_body, others), *details_tex([first, *others])])


def details_tex(tables: Iterable[Table]) -> list[str]:
    """How tables were measured: a paragraph for each, in which no sentence is said twice."""
    said: set[str] = set()
    paragraphs = []
    for table in tables:
        own = [sentence for sentence in dict.fromkeys(table.details) if sentence not in said]
        said.update(own)
        if own:
            heading = rf"\paragraph{{Table~\ref{{tab:{_name(table)}}}.}}"
            paragraphs.append("\n".join([heading, *(_sentence(sentence) for sentence in own), ""]))
    return paragraphs


def table_body(table: Table) -> str:
    """The table environment alone, as wide as it must be. Each line of a tabular is one line of text.

    A table that is too high for a page goes on in another environment.
    """
    layout = layout_of(table)
    parts = floats_of(table, layout)
    caption, label = [_sentence(sentence) for sentence in table.caption], f"tab:{_name(table)}"
    floats = [_float(table, layout, parts[0], " ".join(caption), label, last=len(parts) == 1)]
    for number, blocks in enumerate(parts[1:], start=2):
        words = f"{caption[0]} (Continued.)" if caption else "(Continued.)"
        floats.append(_float(table, layout, blocks, words, f"{label}-{number}", last=number == len(parts)))
    return "\n".join([BEGIN_BODY, *floats, END_BODY, ""])


def _float(
    table: Table, layout: Layout, blocks: Sequence[Sequence[int]], caption: str, label: str, *, last: bool
) -> str:
    environment = "table*" if layout.wide else "table"
    return "\n".join(
        [
            rf"\begin{{{environment}}}[tb]",
            r"\centering",
            rf"\setlength{{\tabcolsep}}{{{GAP / 2:g}pt}}",
            r"\setlength{\belowcaptionskip}{0.6em}",
            rf"\caption{{{caption}}}",
            rf"\label{{{label}}}",
            "\n\\par\\medskip\n".join(_tabular(table, layout, block) for block in blocks),
            *(_footnotes(table) if last else []),
            rf"\end{{{environment}}}",
        ]
    )


def _tabular(table: Table, layout: Layout, block: Sequence[int]) -> str:
    columns = [table.columns[index] for index in block]
    # In a part that measures nothing the baseline would be an empty line.
    told = [row for row in table.rows if row.kind != "floor" or any(_said(row.cells[index]) for index in block)]
    rows = [_row(row, columns, [row.cells[index] for index in block], layout) for row in told]
    apart = r"\addlinespace" if any(len(lines) > 1 for lines in rows) else ""
    lines: list[str] = []
    for row, own in zip(told, rows, strict=True):
        lines += [] if not lines else [r"\midrule"] if row.kind == "floor" else [apart] if apart else []
        lines += own
    return "\n".join(
        [
            rf"\begin{{tabular}}{{{_preamble(columns)}}}",
            r"\toprule",
            *_group_headings(table, block),
            _line([_stub(table), *(_heading(column) for column in columns)]),
            r"\midrule",
            *lines,
            r"\bottomrule",
            r"\end{tabular}",
        ]
    )


def _said(cell: TableCell) -> bool:
    return not isinstance(cell, Text) or bool(cell.text)


def _name(table: Table) -> str:
    """The name for cross-references: letters, digits and hyphens."""
    return re.sub(r"[^A-Za-z0-9.]+", "-", f"{table.name} {table.group}").strip("-")


def _preamble(columns: Sequence[Column]) -> str:
    letters = ["@{}l"]
    previous = ""
    for column in columns:
        gap = r"@{\hspace{1.5em}}" if column.kind == "quoted" and previous not in ("", "quoted") else ""
        letters.append(gap + column.side)
        previous = column.kind
    return "".join(letters) + "@{}"


def _group_headings(table: Table, block: Sequence[int]) -> list[str]:
    """A line above the headings that sets measured and quoted columns apart, and the rules below it.

    Nothing where there are neither.
    """
    cells, rules, position = [""], [], 2
    for text, width in group_words(table, block):
        if text:
            cells.append(rf"\multicolumn{{{width}}}{{c}}{{{escape(text)}}}")
            rules.append(rf"\cmidrule(lr){{{position}-{position + width - 1}}}")
        else:
            cells.extend([""] * width)
        position += width
    return [_line(cells), "".join(rules)] if rules else []


def _stub(table: Table) -> str:
    """The heading of the labels; variants need none."""
    return "" if table.stub == "Variant" else escape(table.stub)


def _heading(column: Column) -> str:
    """Label, arrow and mark, broken into short lines and set above each other."""
    tail = _ARROWS[column.arrow] + _MATH_MARKS[column.mark]
    lines = [escape(part) for part in heading_lines(column)]
    lines[sign_line(lines)] += f" {tail}" if tail else ""
    if len(lines) == 1:
        return lines[0]
    stacked = r"\\".join(lines)
    return rf"\begin{{tabular}}[b]{{@{{}}{column.side}@{{}}}}{stacked}\end{{tabular}}"


def _row(row: Row, columns: Sequence[Column], cells: Sequence[TableCell], layout: Layout) -> list[str]:
    """The lines of a row: a long label goes on below, and spreads stand there too where there is no room beside."""
    labels = [escape(line) for line in label_lines(row.label, layout.letters)]
    pairs = list(zip(cells, columns, strict=True))
    first = [_cell(cell, column, beside=not layout.below) for cell, column in pairs]
    second = [_below(cell, column) if layout.below else "" for cell, column in pairs]
    height = max(len(labels), 2 if any(second) else 1)
    labels += [""] * (height - len(labels))
    empty = [""] * len(cells)
    return [_line([label, *part]) for label, part in zip(labels, [first, second, *[empty] * height], strict=False)]


def _cell(cell: TableCell, column: Column, *, beside: bool) -> str:
    if isinstance(cell, Hole):
        return f"--{_note(cell.note)}"
    if isinstance(cell, Quoted):
        return rf"\textit{{{column.published(cell).replace('-', '$-$')}}}"
    if isinstance(cell, Measured):
        mean = formatting.fixed(cell.mean, column.decimals).replace("-", "$-$")
        marked = rf"\textbf{{{mean}}}" if cell.best else rf"\underline{{{mean}}}" if cell.second else mean
        spread = spread_of(cell, column)
        if beside and spread is not None:
            return marked + _index(spread) + _note(cell.note)
        return marked + _note(cell.note) + (_room(column) if beside else "")
    return escape(cell.text)


def _below(cell: TableCell, column: Column) -> str:
    spread = spread_of(cell, column)
    return "" if spread is None else rf"{{\scriptsize $\pm${spread}}}"


def _index(spread: str) -> str:
    return rf"$_{{\pm{spread}}}$"


def _room(column: Column) -> str:
    """Room for a spread keeps a mean that has none under the means above."""
    if column.widest is None:
        return ""
    return rf"\phantom{{{_index(formatting.fixed(column.widest, column.decimals))}}}"


def _note(letter: str | None) -> str:
    return rf"\rlap{{$^{{\mathrm{{{letter}}}}}$}}" if letter else ""


def _sentence(text: str) -> str:
    """A sentence of the caption, its leading mark raised as in the headings."""
    mark = text[0] if text[:1] in ("†", "‡") else ""
    return _MATH_MARKS[mark] + escape(text[len(mark) :])


def _footnotes(table: Table) -> list[str]:
    notes = [rf"$^{{\mathrm{{{letter}}}}}$ {escape(text)}." for letter, text in table.notes]
    notes += [escape(text) for text in table.remarks]
    if not notes:
        return []
    return [r"\par\smallskip", rf"\parbox{{\linewidth}}{{\footnotesize {' '.join(notes)}}}"]


def _line(cells: Sequence[str]) -> str:
    return " & ".join(cells) + r" \\"
