"""Build a table: a pure function of a plan and of the records that are there, in any order."""

from collections.abc import Iterable, Mapping
from dataclasses import replace

from prism_bench.analysis import formatting
from prism_bench.analysis.errors import AnalysisError
from prism_bench.analysis.frame.joined_rows import Line, groups_of, lines_of, metrics_of, summary_of
from prism_bench.analysis.schema.records import Better, Plan, Record, Value, index_records
from prism_bench.analysis.stats.statistics import STUDENT_T, Estimator
from prism_bench.analysis.table.caption import caption, remarks
from prism_bench.analysis.table.efficiency import efficiency_table
from prism_bench.analysis.table.table_model import Column, Hole, Measured, Quoted, Row, Table, TableCell, Text

SMALL_SCALE_MARK = "†"
QUOTED_MARK = "‡"
FLOOR_LABEL = "Real images (floor)"


def further(plan: Plan, records: Iterable[Record], estimator: Estimator = STUDENT_T) -> tuple[Table, ...]:
    """The further tables of a plan: one for each group of values that is not in the main one, and what rows cost."""
    known = tuple(records)
    groups = groups_of(lines_of(plan, index_records(known)))
    costs = efficiency_table(plan, known, estimator)
    return (*(build(plan, known, estimator, group) for group in groups), *(() if costs is None else (costs,)))


def build(plan: Plan, records: Iterable[Record], estimator: Estimator = STUDENT_T, group: str = "") -> Table:
    """The table of a plan from whatever records there are; their order does not matter.

    Costs and published numbers stand in the main table, which is that of the empty group.

    Raises:
        AnalysisError: values of one metric carry two fingerprints, or a quoted number has no place of its own.
    """
    lines = lines_of(plan, index_records(records))
    metrics = metrics_of(lines, group)
    blocks = [*_words(lines), *_measured(lines, metrics, plan, estimator)]
    if not group:
        blocks += [*_costs(lines), *_quoted(lines, plan)]
    columns = tuple(column for column, _ in blocks)
    rows = [
        Row(
            id=line.row.id,
            label=line.label,
            kind=line.kind,
            cells=tuple(cells[index] for _, cells in blocks),
            k_sample=line.k_sample if line.one_of_several else None,
        )
        for index, line in enumerate(lines)
    ]
    if metrics:
        rows.append(_floor_row(lines, columns, metrics, estimator))
    rows, notes = lettered(rows)
    return Table(
        plan=plan,
        columns=columns,
        rows=tuple(rows),
        caption=caption(plan, metrics, estimator, SMALL_SCALE_MARK, QUOTED_MARK, group),
        notes=notes,
        remarks=() if group else remarks(plan, lines, metrics),
        estimator=estimator,
        group=group,
    )


Block = tuple[Column, list[TableCell]]


def _words(lines: tuple[Line, ...]) -> list[Block]:
    blocks: list[Block] = [
        (Column(key="trained_on", label="Trained on", kind="words"), [Text(text=line.row.trained_on) for line in lines])
    ]
    used = {line.k_sample for line in lines if line.k_sample is not None}
    if len(used) > 1:
        texts: list[TableCell] = [Text(text="" if line.k_sample is None else str(line.k_sample)) for line in lines]
        blocks.append((Column(key="k_sample", label="k_sample", kind="count"), texts))
    return blocks


def _measured(lines: tuple[Line, ...], metrics: Mapping[str, Value], plan: Plan, estimator: Estimator) -> list[Block]:
    if plan.kind == "grid":
        return []
    mark = SMALL_SCALE_MARK if plan.scale != "paper" and any(row.quoted for row in plan.rows) else ""
    if not metrics:
        nothing = Column(key="measured", label="Measured", kind="measured", mark=mark)
        return [(nothing, [_hole(line, None) for line in lines])]
    labels = [value.label for value in metrics.values()]
    blocks = []
    for name, value in metrics.items():
        label = value.label if labels.count(value.label) == 1 else f"{value.label} [{name}]"
        numbers = [found.value for line in lines for found in line.values(name).values()]
        cells = with_best([mean_cell(line, name, estimator) for line in lines], value.better, estimator)
        widths = [cell.half_width for cell in cells if isinstance(cell, Measured) and cell.half_width is not None]
        column = Column(
            key=name,
            label=f"{label} ({value.unit})" if value.unit else label,
            kind="measured",
            better=value.better,
            fingerprint=value.fingerprint,
            mark=mark,
            decimals=formatting.decimals(numbers),
            widest=max(widths, default=None),
        )
        blocks.append((column, cells))
    return blocks


def mean_cell(line: Line, metric: str, estimator: Estimator) -> TableCell:
    """The mean of a line's seeds with its interval, or why there is none."""
    values = {seed: value.value for seed, value in sorted(line.values(metric).items())}
    if not values:
        return _hole(line, metric)
    interval = estimator.interval(list(values.values()))
    missing = line.missing(metric)
    note = f"{len(values)} of {len(line.cells)} seeds; {summary_of(missing, len(line.cells))}" if missing else None
    return Measured(mean=interval.mean, half_width=interval.half_width, values=tuple(values.items()), note=note)


def _hole(line: Line, metric: str | None, otherwise: str = "no metric was measured") -> TableCell:
    """Why a line has no number; `otherwise` where its cells are finished."""
    if not line.cells:
        return Hole(reason=line.row.declined or "no cell of this row is in the plan")
    missing = line.missing(metric)
    return Hole(reason=summary_of(missing, len(line.cells)) if missing else otherwise)


def with_best(cells: list[TableCell], better: Better, estimator: Estimator) -> list[TableCell]:
    """Mark the best cell where the paired interval of its difference to the next best excludes 0."""
    sign = 1 if better == "lower" else -1
    ranked = [(sign * cell.mean, index, cell) for index, cell in enumerate(cells) if isinstance(cell, Measured)]
    ranked.sort(key=lambda item: item[:2])
    if len(ranked) > 1:
        (_, index, first), (_, _, second) = ranked[:2]
        if estimator.separable(dict(first.values), dict(second.values)):
            cells[index] = replace(first, best=True)
    return cells


def _costs(lines: tuple[Line, ...]) -> list[Block]:
    blocks: list[Block] = []
    sizes = [[record.parameters for record in line.done() if record.parameters is not None] for line in lines]
    if any(sizes):
        column = Column(key="parameters", label="Parameters", kind="count")
        cells: list[TableCell] = []
        for line, known in zip(lines, sizes, strict=True):
            spelled = formatting.listing(formatting.parameters(size) for size in sorted(set(known)))
            cells.append(Text(text=spelled) if known else _hole(line, None, "not recorded"))
        blocks.append((column, cells))
    times = [
        [record.cost.train_seconds for record in line.done() if record.cost.train_seconds is not None] for line in lines
    ]
    if any(times):
        column = Column(key="train_seconds", label="Training time", kind="count")
        spent: list[TableCell] = []
        for line, taken in zip(lines, times, strict=True):
            spelled = formatting.duration(sum(taken) / len(taken)) if taken else ""
            spent.append(Text(text=spelled) if taken else _hole(line, None, "not recorded"))
        blocks.append((column, spent))
    return blocks


def _quoted(lines: tuple[Line, ...], plan: Plan) -> list[Block]:
    keys = dict.fromkeys((number.column, number.metric, number.better) for row in plan.rows for number in row.quoted)
    blocks = []
    for name, metric, better in keys:
        cells = [published_cell(line, (name, metric, better)) for line in lines]
        column = Column(
            key=f"quoted: {name} {metric}",
            label=f"quoted: {name} {metric}",
            kind="quoted",
            better=better,
            mark=QUOTED_MARK,
            decimals=formatting.published_decimals(cell.value for cell in cells if isinstance(cell, Quoted)),
        )
        blocks.append((column, cells))
    return blocks


def published_cell(line: Line, column: tuple[str, str, Better]) -> TableCell:
    """The published number for a line; one that names no k_sample fits only a row with a single k_sample."""
    several = len({cell.k_sample for cell in line.row.cells}) > 1
    found = [number for number in line.row.quoted if (number.column, number.metric, number.better) == column]
    fitting = [number for number in found if number.k_sample == line.k_sample or not (several or number.k_sample)]
    if len(fitting) > 1:
        raise AnalysisError(f"{line.row.label}: {len(fitting)} quoted numbers for {column[0]} {column[1]}; keep one")
    if fitting:
        return Quoted(value=fitting[0].value)
    if any(number.k_sample is None for number in found):
        return Hole(reason="the published number does not name a k_sample")
    return Hole(reason="no published number")


def _floor_row(
    lines: tuple[Line, ...], columns: tuple[Column, ...], metrics: Mapping[str, Value], estimator: Estimator
) -> Row:
    cells: list[TableCell] = []
    for column in columns:
        cells.append(_floor(lines, metrics[column.key], estimator) if column.key in metrics else Text(text=""))
    return Row(id="floor", label=FLOOR_LABEL, kind="floor", cells=tuple(cells))


def _floor(lines: tuple[Line, ...], metric: Value, estimator: Estimator) -> TableCell:
    by_seed: dict[int, set[float]] = {}
    sizes: set[int] = set()
    for line in lines:
        for seed, value in line.values(metric.name).items():
            if value.floor is not None:
                by_seed.setdefault(seed, set()).add(value.floor)
                sizes.add(metric.n if value.floor_n is None else value.floor_n)
    if not by_seed:
        return Hole(reason="no floor was measured")
    note = None if sizes == {metric.n} else f"the floor was measured at n = {formatting.listing(sorted(sizes))}"
    means = {seed: sum(sorted(found)) / len(found) for seed, found in sorted(by_seed.items())}
    if len(set(means.values())) == 1:
        seed, mean = next(iter(means.items()))
        return Measured(mean=mean, half_width=None, values=((seed, mean),), note=note)
    interval = estimator.interval(list(means.values()))
    return Measured(mean=interval.mean, half_width=interval.half_width, values=tuple(means.items()), note=note)


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
