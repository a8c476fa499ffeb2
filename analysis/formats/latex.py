"""A table as booktabs LaTeX: a document that compiles on its own, or only the part that goes into a paper."""

import re
import textwrap
from collections.abc import Sequence

from prism_bench.analysis import formatting
from prism_bench.analysis.formats.latex_escape import escape
from prism_bench.analysis.table.table_model import Column, Hole, Measured, Quoted, Row, Table, TableCell

_PREAMBLE = r"""\documentclass{article}
\usepackage[margin=2cm]{geometry}
\usepackage{booktabs}
\usepackage{graphicx}
\pagestyle{empty}
\begin{document}
"""
BEGIN_BODY = "% ---- the table: copy from here; needs booktabs and graphicx ----"
END_BODY = "% ---- to here ----"
_MATH_MARKS = {"†": r"$^{\dagger}$", "‡": r"$^{\ddagger}$", "": ""}
_ARROWS = {"↓": r"$\downarrow$", "↑": r"$\uparrow$", "": ""}


def table_tex(table: Table) -> str:
    """A complete document with one table; the lines between the two comments go into another document as they are."""
    return document_tex([table])


def document_tex(tables: Sequence[Table]) -> str:
    """A complete document with several tables, one after the other."""
    return "\n".join([_PREAMBLE, *(table_body(table) for table in tables), r"\end{document}", ""])


def table_body(table: Table) -> str:
    """The table environment alone. Each line of the tabular is one line of text."""
    tabular = [
        rf"\begin{{tabular}}{{{_preamble(table.columns)}}}",
        r"\toprule",
        *_group_headings(table),
        _line([_stub(table), *(_heading(column) for column in table.columns)]),
        r"\midrule",
        *(line for row in table.rows for line in _row(row, table.columns)),
        r"\bottomrule",
        r"\end{tabular}",
    ]
    return "\n".join(
        [
            BEGIN_BODY,
            r"\begin{table}[htbp]",
            r"\centering",
            r"\setlength{\belowcaptionskip}{0.6em}",
            rf"\caption{{{' '.join(_sentence(sentence) for sentence in table.caption)}}}",
            rf"\label{{tab:{_name(table)}}}",
            r"\resizebox{\ifdim\width>\linewidth\linewidth\else\width\fi}{!}{%",
            *tabular,
            "}",
            *_footnotes(table),
            r"\end{table}",
            END_BODY,
            "",
        ]
    )


def _name(table: Table) -> str:
    """The name for cross-references: letters, digits and hyphens."""
    form = table.group if table.stub == "Variant" else "paper form"
    return re.sub(r"[^A-Za-z0-9.]+", "-", f"{table.name} {form}").strip("-")


def _preamble(columns: Sequence[Column]) -> str:
    letters = ["@{}l"]
    previous = ""
    for column in columns:
        gap = r"@{\hspace{2.5em}}" if column.kind == "quoted" and previous != "quoted" else ""
        letters.append(gap + column.side)
        previous = column.kind
    return "".join(letters) + "@{}"


def _group_headings(table: Table) -> list[str]:
    """A line above the headings that sets measured and quoted columns apart, and the rules below it.

    Nothing where there are neither.
    """
    cells, rules, position = [""], [], 2
    for _, words, width in table.blocks:
        if words:
            cells.append(rf"\multicolumn{{{width}}}{{c}}{{{escape(words)}}}")
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
    lines = [escape(part) for part in textwrap.wrap(column.label, width=16, break_long_words=False) or [""]]
    lines[-1] += f" {tail}" if tail else ""
    if len(lines) == 1:
        return lines[0]
    stacked = r"\\".join(lines)
    return rf"\begin{{tabular}}[b]{{@{{}}{column.side}@{{}}}}{stacked}\end{{tabular}}"


def _row(row: Row, columns: Sequence[Column]) -> list[str]:
    cells = [_cell(cell, column) for cell, column in zip(row.cells, columns, strict=True)]
    rule = [r"\midrule"] if row.kind == "floor" else []
    return [*rule, _line([escape(row.label), *cells])]


def _cell(cell: TableCell, column: Column) -> str:
    if isinstance(cell, Hole):
        return f"--{_note(cell.note)}"
    if isinstance(cell, Quoted):
        return rf"\textit{{{column.published(cell)}}}"
    if isinstance(cell, Measured):
        mean = formatting.fixed(cell.mean, column.decimals)
        if cell.half_width is None:  # room for an interval keeps the mean under the means above
            room = rf"\phantom{{{_spread(column.widest, column)}}}" if column.widest is not None else ""
            return mean + _note(cell.note) + room
        marked = rf"\textbf{{{mean}}}" if cell.best else rf"\underline{{{mean}}}" if cell.second else mean
        return marked + _spread(cell.half_width, column) + _note(cell.note)
    return escape(cell.text)


def _spread(half_width: float, column: Column) -> str:
    return rf" $\pm$ {formatting.fixed(half_width, column.decimals)}"


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
