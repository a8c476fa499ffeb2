"""The columns that a table shows at first, and its other columns as a further table."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

from prism_bench.analysis import formatting
from prism_bench.analysis.frame.table_lines import Metric
from prism_bench.analysis.schema.records import Plan
from prism_bench.analysis.table.build import lettered
from prism_bench.analysis.table.caption import caption, unmarked
from prism_bench.analysis.table.column_names import find
from prism_bench.analysis.table.short_caption import encoders, how, marks, where, with_short_labels
from prism_bench.analysis.table.spread import Spread
from prism_bench.analysis.table.table_model import Column, Hole, Measured, Row, Table, TableCell, Text

OTHERS = "Other columns"
EVERY, QUOTED = "all", "quoted"
"""Words for every column of the main table, and for the published numbers."""
COST = "train_seconds"
COHERENCE = "far"
"""How metrics of global coherence begin."""


class Picked(NamedTuple):
    """A column, and the table that has it."""

    table: Table
    at: int

    @property
    def column(self) -> Column:
        """The column itself."""
        return self.table.columns[self.at]


def usual_columns(plan: Plan, metrics: Mapping[str, Metric]) -> list[str]:
    """Three to five: the outcomes that the plan's claims are judged by, KID, and the time of the training.

    Of a plan that names no outcome, the first metric and the first of global coherence.
    """
    outcomes = [outcome.metric for claim in plan.claims for outcome in claim.outcomes if outcome.metric in metrics]
    first = [*list(metrics)[:1], *[name for name in metrics if name.startswith(COHERENCE)][:1]]
    kernel = [name for name in metrics if name.startswith("kid")][:1]
    return list(dict.fromkeys([*(outcomes or first), *kernel, COST]))


def known_columns(table: Table, further: Sequence[Table]) -> dict[str, Picked]:
    """All columns that may be asked for, by name: those of the main table, then those of further tables."""
    found: dict[str, Picked] = {}
    for one in (table, *further):
        for index, column in enumerate(one.columns):
            found.setdefault(column.key, Picked(one, index))
    return found


def wanted_columns(names: Sequence[str], table: Table, known: Mapping[str, Picked]) -> tuple[list[str], list[str]]:
    """The keys of the columns that are asked for, in that order, and the names that no column has.

    Raises:
        AnalysisError: a name begins several columns.
    """
    own = [column.key for column in table.columns]
    groups = {EVERY: own, QUOTED: [column.key for column in table.columns if column.kind == "quoted"]}
    keys: list[str] = []
    missing: list[str] = []
    for name in names:
        if name in groups:
            keys += groups[name]
            continue
        key = find(name, own, [key for key in known if key not in own])
        keys += [] if key is None else [key]
        missing += [name] if key is None else []
    return list(dict.fromkeys(keys)), missing


def shown_table(
    plan: Plan,
    table: Table,
    further: Sequence[Table],
    metrics: Mapping[str, Metric],
    names: Sequence[str] = (),
    spread: Spread = "ci",
) -> Table:
    """The main table with some of its columns, or with some of further tables; () stands for the usual ones.

    Its caption has two sentences, and one more for each mark; `details` are the words of the whole.

    metrics: those of the main table. names: see `wanted_columns`; those that are not there are told in `details`.

    Raises:
        AnalysisError: a name begins several columns.
    """
    known = known_columns(table, further)
    asked, missing = wanted_columns(names, table, known)
    keys = asked or [key for key in usual_columns(plan, metrics) if key in known]
    picked = [known[key] for key in keys] or [known[column.key] for column in table.columns[:1]]
    if not metrics and not asked:
        picked = [known["measured"], *picked] if "measured" in known else picked
    shown = _of(table, picked)
    shown = replace(shown, columns=with_short_labels(shown.columns, metrics))
    own = [metrics[column.key] for column in shown.columns if column.key in metrics]
    absent = [f"{name} was not measured here." for name in missing]
    return replace(
        shown,
        caption=(where(plan), how(plan, shown, own, spread), *marks(plan, shown)),
        details=(
            *unmarked(caption(plan, metrics, table.estimator, spread)),
            *_equal(table, shown),
            *table.remarks,
            *absent,
        ),
        remarks=(),
    )


def other_table(plan: Plan, table: Table, shown: Table) -> Table | None:
    """The columns of the main table that are not shown and not equal in all rows; None where there is none."""
    known, there = known_columns(table, ()), {column.key for column in shown.columns}
    if any(row.k_sample is not None for row in table.rows):
        there.add("k_sample")  # labels say it
    picked = [one for key, one in known.items() if key not in there and not _constant(table, one.at)]
    if not picked:
        return None
    # Numbers of one kind side by side: words and sizes, then what was measured, then what is quoted.
    rest = _of(table, sorted(picked, key=lambda one: ["words", "count", "measured", "quoted"].index(one.column.kind)))
    return replace(rest, caption=(f"{OTHERS}: {plan.title}.", *marks(plan, rest)), details=(), remarks=(), group=OTHERS)


def whole_table(table: Table, shown: Table, others: Table) -> Table:
    """The shown columns, then the others, with one set of letters for the notes of both.

    table: the main table; its rows, and its marks beside published numbers.
    """
    whole = _of(table, [Picked(one, index) for one in (shown, others) for index in range(len(one.columns))])
    columns = whole.columns
    if any(column.kind == "quoted" for column in columns):
        mark = {column.key: column.mark for column in table.columns}
        columns = tuple(replace(column, mark=mark.get(column.key, column.mark)) for column in columns)
    return replace(shown, columns=columns, rows=whole.rows, notes=whole.notes)


def shortened(table: Table, metrics: Mapping[str, Metric]) -> Table:
    """A further table with the encoders of its metrics in its caption and not in its headings."""
    columns = with_short_labels(table.columns, metrics)
    short = [new.key for new, old in zip(columns, table.columns, strict=True) if new.label != old.label]
    told = [f"{words[0].upper()}{words[1:]}." for words in encoders([metrics[key] for key in short], most=2)]
    title, *rest = table.caption
    return replace(table, columns=columns, caption=(title, *told, *rest))


def _constant(table: Table, index: int) -> str | None:
    """The words that all rows have in a column of words or sizes; None where they differ, or there is but one row."""
    cells = [row.cells[index] for row in table.rows if row.kind != "floor"]
    texts = {cell.text if isinstance(cell, Text) else None for cell in cells}
    return texts.pop() or None if len(cells) > 1 and len(texts) == 1 else None


def _equal(table: Table, shown: Table) -> list[str]:
    """What all rows have alike that is not shown, as a sentence."""
    there = {column.key for column in shown.columns}
    equal = [(column, _constant(table, index)) for index, column in enumerate(table.columns)]
    told = [f"{column.label} {words}" for column, words in equal if words and column.key not in there]
    return [f"The same in all rows: {formatting.listing(told)}."] if told else []


def _of(table: Table, picked: Sequence[Picked]) -> Table:
    """The rows of a table with these columns. Marks stand only beside published numbers."""
    quoted = any(one.column.kind == "quoted" for one in picked)
    columns = tuple(one.column if quoted else replace(one.column, mark="") for one in picked)
    cells = [{(row.id, row.k_sample): _told(row.cells[one.at], one.table) for row in one.table.rows} for one in picked]
    rows = [_row(row, [own.get((row.id, row.k_sample), Text(text="")) for own in cells]) for row in table.rows]
    kept = [row for row in rows if row.kind != "floor" or any(isinstance(cell, Measured) for cell in row.cells)]
    lettered_rows, notes = lettered(kept)
    return replace(table, columns=columns, rows=tuple(lettered_rows), notes=notes)


def _row(row: Row, cells: Sequence[TableCell]) -> Row:
    return replace(row, cells=tuple(cells))


def _told(cell: TableCell, table: Table) -> TableCell:
    """A cell with the words of its note in place of the letter that they have in its table."""
    if isinstance(cell, Measured) and cell.note is not None:
        return replace(cell, note=dict(table.notes)[cell.note])
    return replace(cell, note=None) if isinstance(cell, Hole) else cell
