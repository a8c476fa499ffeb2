"""The schedule sweep in the paper's form: k_sample down, schedules across, one metric (Table 4)."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from prism_bench.analysis.frame.table_lines import Metric, TableLines
from prism_bench.analysis.schema.records import Better, Plan
from prism_bench.analysis.stats.statistics import STUDENT_T, Estimator
from prism_bench.analysis.table.build import (
    lettered,
    mean_cell,
    measured_column,
    published_cell,
    quoted_column,
    with_best,
)
from prism_bench.analysis.table.caption import SMALL_SCALE_MARK, caption, unmarked
from prism_bench.analysis.table.short_caption import how, marks, short_label, where
from prism_bench.analysis.table.spread import Spread
from prism_bench.analysis.table.table_model import Hole, Row, Table, TableCell

HEADING = "k_sample"


class Published(NamedTuple):
    """A column of published numbers: its title, its metric and the direction in which that improves."""

    column: str
    metric: str
    better: Better

    @property
    def heading(self) -> str:
        """The metric alone, with its direction."""
        return f"{self.metric.removeprefix(f'{self.column} ')} {'↓' if self.better == 'lower' else '↑'}"


@dataclass(frozen=True, kw_only=True)
class Sweep:
    """A sweep's cells by schedule and k_sample, in the first metric: `cells` and `quoted` are [schedule][k_sample].

    `rows` are the ids of the schedules' rows.
    """

    plan: Plan
    metric: Metric
    rows: tuple[str, ...]
    schedules: tuple[str, ...]
    k_samples: tuple[int, ...]
    cells: tuple[tuple[TableCell, ...], ...]
    quoted: tuple[tuple[TableCell, ...], ...]
    source: Published | None


def sweep_of(plan: Plan, lines: TableLines, estimator: Estimator = STUDENT_T) -> Sweep | None:
    """The plan as a sweep; None where it is none (rows without several k_sample) or nothing is measured yet."""
    metric = next(iter(lines.metrics().values()), None)
    scheduled = [row.id for row in plan.rows if "schedule" in row.factors]
    swept = lines.lines[lines.lines["several"] & lines.lines["row"].isin(scheduled)]
    if swept.empty or metric is None:
        return None
    rows = swept.drop_duplicates("row")
    numbers = {(line.row, line.k_sample): line.Index for line in swept.itertuples()}
    k_samples = tuple(sorted(swept["k_sample"].dropna().unique().tolist()))
    quoted = lines.quoted[lines.quoted["of_row"].isin(rows["of_row"])].head(1)
    source = next((Published(*one) for one in quoted[["group", "metric", "better"]].itertuples(index=False)), None)

    def published(line: int | None) -> TableCell:
        if line is None or source is None:
            return Hole(reason="no published number")
        return published_cell(lines, line, source.metric, source.better)

    at = [[numbers.get((row, k)) for k in k_samples] for row in rows["row"]]
    by_k = [_ranked([own[i] for own in at], lines, metric, estimator) for i in range(len(k_samples))]
    return Sweep(
        plan=plan,
        metric=metric,
        rows=tuple(row.id for row in plan.rows if row.id in set(rows["row"])),
        schedules=tuple(row.label for row in plan.rows if row.id in set(rows["row"])),
        k_samples=k_samples,
        cells=tuple(zip(*by_k, strict=True)),
        quoted=tuple(tuple(published(line) for line in own) for own in at),
        source=source,
    )


def _ranked(at: Sequence[int | None], lines: TableLines, metric: Metric, estimator: Estimator) -> list[TableCell]:
    """The cells of one k_sample, the best of them marked."""
    cells = {line: mean_cell(lines, line, metric.name, estimator) for line in at if line is not None}
    marked = dict(zip(cells, with_best(cells, lines, metric, estimator), strict=True))
    return [Hole(reason="not in the plan") if line is None else marked[line] for line in at]


def paper_form(sweep: Sweep, estimator: Estimator = STUDENT_T, spread: Spread = "ci") -> Table:
    """A table with a row for each k_sample and a column for each schedule, measured, then quoted.

    spread: what its caption says of the cells, which hold intervals (`spread.with_spread` changes them).
    """
    plan = sweep.plan
    small = SMALL_SCALE_MARK if plan.scale != "paper" and sweep.source is not None else ""
    measured, quoted = ([cell for own in blocks for cell in own] for blocks in (sweep.cells, sweep.quoted))
    columns = [measured_column(f"measured: {it}", it, sweep.metric, small, measured) for it in sweep.schedules]
    blocks = list(sweep.cells)
    if sweep.source is not None:
        columns += [quoted_column(label, sweep.source.better, quoted) for label in sweep.schedules]
        blocks += sweep.quoted
    rows = [
        Row(id=f"k{k}", label=str(k), kind="variant", cells=tuple(block[index] for block in blocks))
        for index, k in enumerate(sweep.k_samples)
    ]
    marked, notes = lettered(rows)
    quotes = "" if sweep.source is None else f", quoted: {sweep.source.heading}"
    said = f"Cells: {short_label(sweep.metric)} {sweep.metric.arrow}{quotes}"
    table = Table(
        name=plan.name,
        scale=plan.scale,
        columns=tuple(columns),
        rows=tuple(marked),
        notes=notes,
        estimator=estimator,
        stub=HEADING,
    )
    in_rows = "Bold and underlined are decided within a row."
    return replace(
        table,
        caption=(where(plan), f"{said}. {how(plan, table, [sweep.metric], spread)}", *marks(plan, table)),
        details=(*unmarked(caption(plan, {sweep.metric.name: sweep.metric}, estimator, spread)), in_rows),
    )
