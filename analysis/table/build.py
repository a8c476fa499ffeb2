"""Build a table: a pure function of a plan and its frame."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

import pandas as pd

from prism_bench.analysis import formatting
from prism_bench.analysis.errors import AnalysisError
from prism_bench.analysis.frame.table_lines import Metric, TableLines
from prism_bench.analysis.schema.records import Better, Plan
from prism_bench.analysis.stats.contrasts import Contrasts, pool_groups
from prism_bench.analysis.stats.ranking import ranking
from prism_bench.analysis.stats.statistics import LEVEL, STUDENT_T, Estimator
from prism_bench.analysis.table.caption import (
    QUOTED_MARK,
    SMALL_SCALE_MARK,
    caption,
    further_caption,
    further_details,
    remarks,
)
from prism_bench.analysis.table.efficiency import efficiency_table
from prism_bench.analysis.table.sizes import published_sizes, quoted_size_blocks, size_blocks, size_remarks
from prism_bench.analysis.table.table_model import Block, Column, Hole, Measured, Quoted, Row, Table, TableCell, Text

FLOOR_LABEL = "Real images (baseline)"


def further(plan: Plan, lines: TableLines, estimator: Estimator = STUDENT_T) -> tuple[Table, ...]:
    """The further tables of a plan: one for each group of values that is not in the main one, and what rows cost."""
    groups = [build(plan, lines, estimator, group) for group in lines.groups]
    others = (published_sizes(plan, lines), efficiency_table(plan, lines, estimator))
    return (*groups, *(table for table in others if table is not None))


def build(plan: Plan, lines: TableLines, estimator: Estimator = STUDENT_T, group: str = "") -> Table:
    """The table of a plan from the lines of its frame.

    Costs and published numbers stand in the main table, which is that of the empty group.

    Raises:
        AnalysisError: values of one metric carry two fingerprints, or a quoted number has no place of its own.
    """
    metrics = lines.metrics(group)
    blocks = [] if group else _words(lines)
    if plan.kind != "grid":
        mark = SMALL_SCALE_MARK if not group and marked(plan.scale, lines) else ""
        blocks += measured_columns(lines, metrics, mark, estimator)
    if not group:
        blocks += [*size_blocks(lines), *_quoted(lines), *quoted_size_blocks(lines)]
    return replace(
        table_of(lines, blocks, metrics, estimator),
        name=plan.name,
        scale=plan.scale,
        caption=further_caption(plan, metrics, group) if group else caption(plan, metrics, estimator),
        remarks=() if group else (*remarks(plan, lines, metrics), *size_remarks(plan, lines)),
        details=further_details(plan, metrics) if group else (),
        group=group,
    )


def table_of(lines: TableLines, blocks: list[Block], metrics: Mapping[str, Metric], estimator: Estimator) -> Table:
    """Columns and their cells as a table with the real-data baseline below, still without words around it."""
    columns = tuple(column for column, _ in blocks)
    rows = [
        Row(
            id=line.row,
            label=line.label,
            kind="control" if line.control else "variant",
            cells=tuple(cells[line.Index] for _, cells in blocks),
            k_sample=line.k_sample if line.several else None,
        )
        for line in lines.lines.itertuples()
    ]
    if metrics:
        rows.append(_floor_row(lines, columns, metrics, estimator))
    rows, notes = lettered(rows)
    return Table(columns=columns, rows=tuple(rows), notes=notes, estimator=estimator)


def marked(scale: str, lines: TableLines) -> bool:
    """Whether measured columns carry the mark of a small scale: where published numbers stand beside them."""
    return scale != "paper" and len(lines.quoted) > 0


def _words(lines: TableLines) -> list[Block]:
    trained_on: list[TableCell] = [Text(text=text) for text in lines.lines["trained_on"]]
    blocks = [(Column(key="trained_on", label="Trained on", kind="words"), trained_on)]
    if lines.lines["k_sample"].nunique() > 1:
        texts: list[TableCell] = [Text(text="" if pd.isna(k) else str(k)) for k in lines.lines["k_sample"]]
        blocks.append((Column(key="k_sample", label="k_sample", kind="count"), texts))
    return blocks


def measured_columns(lines: TableLines, metrics: Mapping[str, Metric], mark: str, estimator: Estimator) -> list[Block]:
    """A column for each metric; one of reasons where there is none yet."""
    numbers = lines.lines.index
    if not metrics:
        nothing = Column(key="measured", label="Measured", kind="measured", mark=mark)
        return [(nothing, [_hole(lines, line, None) for line in numbers])]
    labels = [metric.label for metric in metrics.values()]
    blocks = []
    for name, metric in metrics.items():
        label = metric.label if labels.count(metric.label) == 1 else f"{metric.label} [{name}]"
        label = f"{label} ({metric.unit})" if metric.unit else label
        means = {line: mean_cell(lines, line, name, estimator) for line in numbers}
        cells = with_best(means, lines, metric, estimator)
        blocks.append((measured_column(name, label, metric, mark, cells), cells))
    return blocks


def measured_column(key: str, label: str, metric: Metric, mark: str, cells: Sequence[TableCell]) -> Column:
    """A column of a metric that spells and aligns these cells."""
    shown = [cell for cell in cells if isinstance(cell, Measured)]
    return Column(
        key=key,
        label=label,
        kind="measured",
        better=metric.better,
        fingerprint=metric.fingerprint,
        mark=mark,
        decimals=formatting.decimals(value for cell in shown for _, value in cell.values),
        widest=max((cell.half_width for cell in shown if cell.half_width is not None), default=None),
    )


def quoted_column(name: str, better: Better, cells: Sequence[TableCell]) -> Column:
    """A column of published numbers that spells these cells."""
    decimals = formatting.published_decimals(cell.value for cell in cells if isinstance(cell, Quoted))
    label = f"quoted: {name}"
    return Column(key=label, label=label, kind="quoted", better=better, mark=QUOTED_MARK, decimals=decimals)


def mean_cell(lines: TableLines, line: int, metric: str, estimator: Estimator) -> TableCell:
    """The mean of a line's seeds with its interval, or why there is none."""
    values = lines.of(metric, line)
    if not values:
        return _hole(lines, line, metric)
    asked = lines.lines.at[line, "seeds"]
    note = f"{len(values)} of {asked} seeds; {lines.summary(line, metric)}" if len(values) < asked else None
    return _mean(values, note, estimator)


def _mean(values: Mapping[int, float], note: str | None, estimator: Estimator) -> Measured:
    interval = estimator.interval(list(values.values()), LEVEL)
    return Measured(mean=interval.mean, half_width=interval.half_width, values=tuple(values.items()), note=note)


def _hole(lines: TableLines, line: int, metric: str | None, otherwise: str = "no metric was measured") -> TableCell:
    """Why a line has no number; `otherwise` where its cells are finished."""
    return Hole(reason=lines.summary(line, metric) or otherwise)


def with_best(
    cells: Mapping[int, TableCell], lines: TableLines, metric: Metric, estimator: Estimator
) -> list[TableCell]:
    """The cells, by the numbers of their lines, with the best and the second best marked where they can be told.

    Rows that have learnt nothing do not compete: real images would win every column.
    """
    shown = {line: cell for line, cell in cells.items() if isinstance(cell, Measured) and line not in lines.untrained}
    values = {line: dict(cell.values) for line, cell in shown.items()}
    found = ranking(Contrasts.of(values, metric, estimator, pool_groups(lines)))
    return [
        replace(cell, best=line == found.best, second=line == found.second) if isinstance(cell, Measured) else cell
        for line, cell in cells.items()
    ]


def _quoted(lines: TableLines) -> list[Block]:
    blocks = []
    for metric, better in dict.fromkeys(zip(lines.quoted["metric"], lines.quoted["better"], strict=True)):
        cells = [published_cell(lines, line, metric, better) for line in lines.lines.index]
        blocks.append((quoted_column(metric, better, cells), cells))
    return blocks


def published_cell(lines: TableLines, line: int, metric: str, better: Better) -> TableCell:
    """The published number for a line; one that names no k_sample fits only a row with a single k_sample."""
    fitting, others = (
        [number for number in own if (number.metric, number.better) == (metric, better)]
        for own in lines.published(line)
    )
    if len(fitting) > 1:
        raise AnalysisError(f"{fitting[0].label}: {len(fitting)} quoted numbers for {metric}; keep one")
    if fitting:
        return Quoted(value=fitting[0].value)
    if any(pd.isna(number.k_sample) for number in others):
        return Hole(reason="the published number does not name a k_sample")
    return Hole(reason="no published number")


def _floor_row(
    lines: TableLines, columns: tuple[Column, ...], metrics: Mapping[str, Metric], estimator: Estimator
) -> Row:
    cells: list[TableCell] = []
    for column in columns:
        metric = metrics.get(column.key)
        cells.append(Text(text="") if metric is None else _floor(lines.floors.get(metric.name), metric, estimator))
    return Row(id="floor", label=FLOOR_LABEL, kind="floor", cells=tuple(cells))


def _floor(values: pd.DataFrame | None, metric: Metric, estimator: Estimator) -> TableCell:
    if values is None:
        return Hole(reason="no real-data baseline was measured")
    sizes = values["floor_n"].fillna(metric.n).unique().tolist()
    elsewhere = f"the real-data baseline was measured at n = {formatting.listing(sorted(sizes))}"
    note = None if sizes == [metric.n] else elsewhere
    means = values.drop_duplicates(["seed", "floor"]).groupby("seed")["floor"].mean()
    cell = _mean((means if means.nunique() > 1 else means.head(1)).to_dict(), note, estimator)
    return cell if math.isnan(metric.floor_spread) else replace(cell, half_width=metric.floor_spread)


def lettered(rows: list[Row]) -> tuple[list[Row], tuple[tuple[str, str], ...]]:
    """Give each distinct note a letter, in reading order."""
    letters: dict[str, str] = {}

    def marked(cell: TableCell) -> TableCell:
        text = cell.reason if isinstance(cell, Hole) else cell.note if isinstance(cell, Measured) else None
        if text is None or isinstance(cell, Text | Quoted):
            return cell
        return replace(cell, note=letters.setdefault(text, formatting.letter(len(letters))))

    lettered = [replace(row, cells=tuple(marked(cell) for cell in row.cells)) for row in rows]
    return lettered, tuple((mark, text) for text, mark in letters.items())
