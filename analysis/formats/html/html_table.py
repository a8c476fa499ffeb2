"""A table on the page: measured and quoted columns apart, and under each row its samples."""

from collections.abc import Sequence
from pathlib import Path

from prism_bench.analysis import formatting
from prism_bench.analysis.formats.html.html_escape import Markup, join, picture, scroll, tag, text
from prism_bench.analysis.table.table_model import Column, Hole, Measured, Quoted, Row, Table, TableCell


def table_html(table: Table, pictures: Path | None = None) -> Markup:
    """The table with its caption and notes; `pictures` is the folder that holds the rows' sample grids."""
    body: list[Markup] = []
    for row in table.rows:
        body.append(_row(row, table.columns))
        samples = _samples(row, pictures)
        if samples is not None:
            inner = tag("td", tag("div", samples, class_="fit"), colspan=len(table.columns) + 1)
            body.append(tag("tr", inner, class_="samples"))
    grid = tag("table", tag("thead", _groups(table), _headings(table)), tag("tbody", join(body)), class_="main")
    notes = [tag("li", f"({letter}) {words}") for letter, words in table.notes]
    notes += [tag("li", words) for words in table.remarks]
    return join(
        [
            scroll(grid),
            tag("p", " ".join(table.caption), class_="caption"),
            *([tag("ul", join(notes), class_="notes")] if notes else []),
        ]
    )


def _groups(table: Table) -> Markup:
    cells = [tag("td", "")]
    for kind, words, width in table.blocks:
        if words:
            cells.append(tag("th", words, colspan=width, scope="colgroup", class_=f"group {kind}"))
        else:
            cells.append(tag("td", "", colspan=width))
    return tag("tr", *cells)


def _headings(table: Table) -> Markup:
    headings = [tag("th", column.heading, scope="col", class_=_kind(column)) for column in table.columns]
    return tag("tr", tag("th", table.stub, scope="col"), *headings)


def _kind(column: Column) -> str:
    return column.kind if column.kind == "words" else f"n {column.kind}"


def _row(row: Row, columns: Sequence[Column]) -> Markup:
    cells = [_cell(cell, column) for cell, column in zip(row.cells, columns, strict=True)]
    return tag("tr", tag("th", row.label, scope="row"), *cells, class_=row.kind)


def _cell(cell: TableCell, column: Column) -> Markup:
    if isinstance(cell, Measured):
        return _measured(cell, column)
    if isinstance(cell, Quoted):
        return tag("td", tag("i", column.published(cell)), class_=_kind(column))
    if isinstance(cell, Hole):
        return tag("td", "--", _note(cell.note), class_=f"{_kind(column)} hole", title=cell.reason)
    return tag("td", cell.text, class_=_kind(column))


def _measured(cell: Measured, column: Column) -> Markup:
    mean = formatting.fixed(cell.mean, column.decimals)
    spread = ""
    if cell.half_width is not None:
        spread = tag("span", f" ± {formatting.fixed(cell.half_width, column.decimals)}", class_="spread")
    seeds = formatting.listing(f"seed {seed}: {value:.6g}" for seed, value in cell.values)
    marked = tag("b", mean) if cell.best else tag("u", mean) if cell.second else text(mean)
    return tag("td", marked, spread, _note(cell.note), class_=_kind(column), title=seeds)


def _note(letter: str | None) -> Markup:
    return tag("sup", letter) if letter else Markup("")


def _samples(row: Row, pictures: Path | None) -> Markup | None:
    if pictures is None or row.kind == "floor":
        return None
    names = [f"grid-{row.id}-k{row.k_sample}.png", f"grid-{row.id}.png"] if row.k_sample else [f"grid-{row.id}.png"]
    path = next((pictures / name for name in names if (pictures / name).is_file()), None)
    if path is None:
        return None
    return tag("details", tag("summary", "samples"), picture(path, f"Samples of {row.label}, first seed"))
