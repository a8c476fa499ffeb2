"""A table as Markdown: caption, why cells are missing, what each row changes, the choices in force, the cells."""

import json
from collections.abc import Sequence

from prism_bench.analysis import formatting
from prism_bench.analysis.formats.claims_markdown import evidence_markdown
from prism_bench.analysis.formats.markdown_escape import code, escape, markdown_line
from prism_bench.analysis.frame.joined_rows import why_missing
from prism_bench.analysis.schema.records import Plan, Record
from prism_bench.analysis.table.table_model import Column, Hole, Measured, Quoted, Table, TableCell

Picture = tuple[str, str]


def table_markdown(
    table: Table,
    records: Sequence[Record] = (),
    pictures: Sequence[Picture] = (),
    paper_form: Table | None = None,
    further: Sequence[Table] = (),
) -> str:
    """A Markdown page of one table.

    Args:
        table: what `table.build` made.
        records: the records of the plan, for the list of cells.
        pictures: (file name, caption) of pictures that lie beside the page.
        paper_form: the same numbers in the form of the paper's table, where that is another.
        further: more numbers of the same cells.
    """
    sections = [
        f"# {escape(table.plan.title)}",
        *([] if paper_form is None else [_grid(paper_form), *_caption(paper_form), "## In full"]),
        _grid(table),
        *_caption(table),
        *(text for other in further for text in (f"## {escape(other.group)}", _grid(other), *_caption(other))),
        *(f"![{escape(caption)}]({name})\n\n*{escape(caption)}*" for name, caption in pictures),
        *evidence_markdown(table.plan, records, table.estimator),
        _changes(table.plan),
        _choices(table.plan),
        _cells(table.plan, {record.record: record for record in records}),
        f"## How to compute it again\n\n```\n{' '.join(table.plan.command.split())}\n```",
    ]
    return "\n\n".join(section for section in sections if section) + "\n"


def _caption(table: Table) -> list[str]:
    notes = [f"({letter}) {escape(text)}" for letter, text in table.notes] + [escape(text) for text in table.remarks]
    return [" ".join(escape(sentence) for sentence in table.caption), _bullets(notes)]


def _grid(table: Table) -> str:
    headings = [table.stub, *(escape(column.heading) for column in table.columns)]
    rules = ["---", *("---" if column.kind == "words" else "---:" for column in table.columns)]
    lines = [headings, rules]
    for row in table.rows:
        cells = [_cell(cell, column) for cell, column in zip(row.cells, table.columns, strict=True)]
        lines.append([escape(row.label), *cells])
    return "\n".join(markdown_line(line) for line in lines)


def _cell(cell: TableCell, column: Column) -> str:
    if isinstance(cell, Hole):
        return f"--{_note(cell.note)}"
    if isinstance(cell, Quoted):
        return f"*{formatting.fixed(cell.value, column.decimals)}*"
    if isinstance(cell, Measured):
        mean = formatting.fixed(cell.mean, column.decimals)
        spread = "" if cell.half_width is None else f" ± {formatting.fixed(cell.half_width, column.decimals)}"
        return (f"**{mean}**" if cell.best else mean) + spread + _note(cell.note)
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
    lines = [["Choice", "Value"], ["---", "---"]]
    lines += [[escape(name), _plain(value)] for name, value in plan.choices.items()]
    return "## Open choices in force\n\n" + "\n".join(markdown_line(line) for line in lines)


def _cells(plan: Plan, records: dict[str, Record]) -> str:
    lines = [["Variant", "Seed", "k_sample", "Record", "Status"], ["---", "---:", "---:", "---", "---"]]
    for row in plan.rows:
        for cell in row.cells:
            k_sample = "" if cell.k_sample is None else str(cell.k_sample)
            status = why_missing(records.get(cell.record), None) or "done"
            lines.append([escape(row.label), str(cell.seed), k_sample, code(cell.record[:12]), escape(status)])
    return "## Cells\n\n" + "\n".join(markdown_line(line) for line in lines) if len(lines) > 2 else ""


def _plain(value: object) -> str:
    return escape(value if isinstance(value, str) else json.dumps(value, sort_keys=True, ensure_ascii=False))


def _bullets(lines: Sequence[str]) -> str:
    return "\n".join(f"- {line}" for line in lines)
