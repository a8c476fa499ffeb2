"""The schedule sweep in the paper's form: k_sample down, schedules across, one metric (Table 4)."""

from collections.abc import Iterable
from dataclasses import dataclass

from prism_bench.analysis import formatting
from prism_bench.analysis.frame.joined_rows import Line, lines_of, metrics_of
from prism_bench.analysis.schema.records import Plan, Record, Value, index_records
from prism_bench.analysis.stats.statistics import STUDENT_T, Estimator
from prism_bench.analysis.table.build import (
    QUOTED_MARK,
    SMALL_SCALE_MARK,
    lettered,
    mean_cell,
    published_cell,
    with_best,
)
from prism_bench.analysis.table.caption import caption
from prism_bench.analysis.table.table_model import Column, Hole, Measured, Quoted, Row, Table, TableCell

HEADING = "k_sample"


@dataclass(frozen=True, kw_only=True)
class Sweep:
    """A sweep's cells by schedule and k_sample, in the first metric: `cells` and `quoted` are [schedule][k_sample]."""

    plan: Plan
    metric: Value
    schedules: tuple[str, ...]
    k_samples: tuple[int, ...]
    cells: tuple[tuple[TableCell, ...], ...]
    quoted: tuple[tuple[TableCell, ...], ...]
    source: str


def sweep_of(plan: Plan, records: Iterable[Record], estimator: Estimator = STUDENT_T) -> Sweep | None:
    """The plan as a sweep; None where it is none (rows without several k_sample) or nothing is measured yet."""
    rows = [row for row in plan.rows if "schedule" in row.factors and len({cell.k_sample for cell in row.cells}) > 1]
    lines = lines_of(plan, index_records(records))
    metrics = list(metrics_of(lines).values())
    if not rows or not metrics:
        return None
    metric = metrics[0]
    found = {(line.row.id, line.k_sample): line for line in lines}
    k_samples = sorted({cell.k_sample for row in rows for cell in row.cells if cell.k_sample is not None})
    columns = list(
        dict.fromkeys((quoted.column, quoted.metric, quoted.better) for row in rows for quoted in row.quoted)
    )

    def published(line: Line | None) -> TableCell:
        return published_cell(line, columns[0]) if line is not None and columns else Hole(reason="no published number")

    def measured(line: Line | None) -> TableCell:
        return Hole(reason="not in the plan") if line is None else mean_cell(line, metric.name, estimator)

    at = [[found.get((row.id, k)) for k in k_samples] for row in rows]
    cells = [[measured(line) for line in line_of_k] for line_of_k in at]
    for index in range(len(k_samples)):
        best = with_best([own[index] for own in cells], metric.better, estimator)
        for own, cell in zip(cells, best, strict=True):
            own[index] = cell
    return Sweep(
        plan=plan,
        metric=metric,
        schedules=tuple(row.label for row in rows),
        k_samples=tuple(k_samples),
        cells=tuple(tuple(own) for own in cells),
        quoted=tuple(tuple(published(line) for line in line_of_k) for line_of_k in at),
        source=columns[0][0] if columns else "",
    )


def paper_form(plan: Plan, records: Iterable[Record], estimator: Estimator = STUDENT_T) -> Table | None:
    """A table with a row for each k_sample and a column for each schedule, measured, then quoted; None: see above."""
    sweep = sweep_of(plan, records, estimator)
    if sweep is None:
        return None
    small = SMALL_SCALE_MARK if plan.scale != "paper" and sweep.source else ""
    columns = [*_columns(sweep, "measured", small)]
    blocks = list(sweep.cells)
    if sweep.source:
        columns += _columns(sweep, "quoted", QUOTED_MARK)
        blocks += sweep.quoted
    rows = [
        Row(id=f"k{k}", label=str(k), kind="variant", cells=tuple(block[index] for block in blocks))
        for index, k in enumerate(sweep.k_samples)
    ]
    marked, notes = lettered(rows)
    title, *rest = caption(plan, {sweep.metric.name: sweep.metric}, estimator, SMALL_SCALE_MARK, QUOTED_MARK)
    said = (
        f"Cells: {sweep.metric.label} {'↓' if sweep.metric.better == 'lower' else '↑'}; bold is decided within a row."
    )
    return Table(
        plan=plan,
        columns=tuple(columns),
        rows=tuple(marked),
        caption=(title, said, *rest),
        notes=notes,
        remarks=(),
        estimator=estimator,
        stub=HEADING,
    )


def _columns(sweep: Sweep, kind: str, mark: str) -> list[Column]:
    blocks = sweep.cells if kind == "measured" else sweep.quoted
    numbers = [cell for block in blocks for cell in block]
    means = [value for cell in numbers if isinstance(cell, Measured) for _, value in cell.values]
    published = [cell.value for cell in numbers if isinstance(cell, Quoted)]
    widths = [cell.half_width for cell in numbers if isinstance(cell, Measured) and cell.half_width is not None]
    return [
        Column(
            key=f"{kind}: {label}",
            label=label if kind == "measured" else f"quoted: {label}",
            kind="measured" if kind == "measured" else "quoted",
            better=sweep.metric.better if kind == "measured" else "lower",
            fingerprint=sweep.metric.fingerprint if kind == "measured" else None,
            mark=mark,
            decimals=formatting.decimals(means) if kind == "measured" else formatting.published_decimals(published),
            widest=max(widths, default=None),
        )
        for label in sweep.schedules
    ]
