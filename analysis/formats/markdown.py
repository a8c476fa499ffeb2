"""A table as Markdown: caption, why cells are missing, what each row changes, the choices in force, the cells."""

from collections.abc import Sequence

import pandas as pd

from prism_bench.analysis import formatting
from prism_bench.analysis.formats.claims_markdown import evidence_markdown, verdicts_markdown
from prism_bench.analysis.formats.markdown_escape import code, escape, markdown_table
from prism_bench.analysis.schema.records import Plan
from prism_bench.analysis.table.ledger import LEDGER, ledger_lines
from prism_bench.analysis.table.results import Results
from prism_bench.analysis.table.table_model import Column, Hole, Measured, Quoted, Table, TableCell

Picture = tuple[str, str]


def table_markdown(results: Results, pictures: Sequence[Picture] = ()) -> str:
    """A Markdown page of one plan's tables; `pictures` lie beside it."""
    plan, form, first = results.plan, results.paper_form, results.shown
    others = [*([] if results.others is None else [results.others]), *results.further]
    sections = [
        f"# {escape(plan.title)}",
        verdicts_markdown(results),
        *([] if form is None else [table_grid(form), *_caption(form), f"## {first.group}"]),
        table_grid(first),
        *_caption(first),
        *(f"![{escape(caption)}]({name})\n\n*{escape(caption)}*" for name, caption in pictures),
        *evidence_markdown(results),
        *(text for other in others for text in (f"## {escape(other.group)}", table_grid(other), *_caption(other))),
        _details([first, *others]),
        _changes(plan),
        _choices(plan),
        _cells(results),
        "\n".join(["## How to compute it again\n\n```", *(" ".join(it.split()) for it in plan.commands), "```"]),
    ]
    return "\n\n".join(section for section in sections if section) + "\n"


def _caption(table: Table) -> list[str]:
    notes = [f"({letter}) {escape(text)}" for letter, text in table.notes] + [escape(text) for text in table.remarks]
    return [" ".join(escape(sentence) for sentence in table.caption), _bullets(notes)]


def _details(tables: Sequence[Table]) -> str:
    """How the numbers were measured, each sentence once."""
    lines = [escape(sentence) for sentence in dict.fromkeys(it for table in tables for it in table.details)]
    return f"## How it was measured\n\n{_bullets(lines)}" if lines else ""


def table_grid(table: Table) -> str:
    """The numbers of a table."""
    lines = [[table.stub, *(escape(column.heading) for column in table.columns)]]
    for row in table.rows:
        cells = [_cell(cell, column) for cell, column in zip(row.cells, table.columns, strict=True)]
        lines.append([escape(row.label), *cells])
    return markdown_table("l" + "".join(column.side for column in table.columns), *lines)


def _cell(cell: TableCell, column: Column) -> str:
    if isinstance(cell, Hole):
        return f"--{_note(cell.note)}"
    if isinstance(cell, Quoted):
        return f"*{column.published(cell)}*"
    if isinstance(cell, Measured):
        mean = formatting.fixed(cell.mean, column.decimals)
        spread = "" if cell.half_width is None else f" ± {formatting.fixed(cell.half_width, column.decimals)}"
        marked = f"**{mean}**" if cell.best else f"<u>{mean}</u>" if cell.second else mean
        return marked + spread + _note(cell.note)
    return escape(cell.text)


def _note(letter: str | None) -> str:
    return f" ({letter})" if letter else ""


def _changes(plan: Plan) -> str:
    """What each row changes of the base row, and a warning where that is more than one thing at once."""
    lines = []
    for row in plan.rows:
        if row.declined:
            lines.append(f"{escape(row.label)}: not computed, {escape(row.declined)}")
            continue
        parts = [f"{code(path)} {_plain(old)} → {_plain(new)}" for path, (old, new) in row.changes.items()]
        warning = f" ({len(parts)} changes at once: their effects are not separated)" if len(parts) > 1 else ""
        lines.append(f"{escape(row.label)}: {'; '.join(parts) or 'nothing, it is the base'}{warning}")
    return f"## What each row changes\n\n{_bullets(lines)}" if lines else ""


def _choices(plan: Plan) -> str:
    if not plan.choices:
        return ""
    lines = [[escape(name), _plain(value)] for name, value in plan.choices.items()]
    choices = "## Open choices in force\n\n" + markdown_table("ll", ["Choice", "Value"], *lines)
    ledger = [[code(path), *map(escape, rest)] for path, *rest in ledger_lines(plan)]
    return f"{choices}\n\n{markdown_table('lllll', list(LEDGER), *ledger)}" if ledger else choices


def _cells(results: Results) -> str:
    lines = [["Variant", "Seed", "k_sample", "Record", "Status"]]
    for cell in results.lines.every_cell.itertuples():
        k_sample = "" if pd.isna(cell.k_sample) else str(cell.k_sample)
        lines.append([escape(cell.label), str(cell.seed), k_sample, code(cell.record[:12]), escape(cell.state)])
    return "## Cells\n\n" + markdown_table("lrrll", *lines) if len(lines) > 1 else ""


def _plain(value: object) -> str:
    return escape(formatting.setting(value))


def _bullets(lines: Sequence[str]) -> str:
    return "\n".join(f"- {line}" for line in lines)
