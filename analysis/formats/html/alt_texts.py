"""What is to be seen on a picture, in words and numbers, for those who do not see it."""

from collections.abc import Iterable

from prism_bench.analysis import formatting
from prism_bench.analysis.figures.quality_compute import PICTURE
from prism_bench.analysis.figures.sweep_figures import CURVES, HEATMAP
from prism_bench.analysis.table.results import Results
from prism_bench.analysis.table.sweep import Sweep
from prism_bench.analysis.table.table_model import Column, Measured, Row, Table, TableCell

MOST = 12
"""Things that are told one by one."""


def figure(part: Results, name: str, caption: str) -> str:
    """The words for a picture of numbers or samples; its caption where there is no more to say."""
    first = _first(part.table)
    told = {
        "overview.png": _rows(part, "A strip of samples for each of"),
        "intervals.png": _of_table(part.table),
        PICTURE: "" if first is None else _of_cost(part, *first),
        CURVES: "" if part.sweep is None else _of_sweep(part.sweep),
        HEATMAP: "" if part.sweep is None else _of_sweep(part.sweep),
        "training-curves.png": _of_training(part),
        "memorisation.png": _rows(part, "Samples and the real images nearest to them, for each of"),
        "memorisation-distances.png": _of_groups(part),
    }
    return told.get(name) or caption


def grid(part: Results, row: Row) -> str:
    """The words for the samples of a row."""
    seeds = part.plan.seeds
    seed = f", seed {seeds[0]}" if seeds else ""
    cells = zip(part.shown.columns, _cells(part.shown, row), strict=True)
    numbers = _listed(f"{column.label} {_spelled(cell, column)}" for column, cell in cells if _known(cell))
    return f"Samples of {row.label}{seed}" + (f"; over all its samples {numbers}" if numbers else "")


def _rows(part: Results, words: str) -> str:
    labels = [row.label for row in part.shown.rows if row.kind != "floor"]
    return f"{words} {_listed(labels)}." if labels else ""


def _of_table(table: Table) -> str:
    """FD: PatchD 312 ± 12, PRISM 290 ± 9; far correlation: ..."""
    measured = [(index, column) for index, column in enumerate(table.columns) if column.kind == "measured"]
    return " ".join(
        f"{column.label}: {numbers}." for index, column in measured if (numbers := _numbers(table, index, column))
    )


def _of_cost(part: Results, index: int, column: Column) -> str:
    operations = part.lines.lines[["row"]].join(part.lines.costs).groupby("row")["train_flops"].first()
    points = [
        f"{row.label} {formatting.operations(operations[row.id])}, {_spelled(row.cells[index], column)}"
        for row in part.table.rows
        if _known(row.cells[index]) and operations.get(row.id, 0.0) > 0
    ]
    return f"Operations of the training and {column.label}: {_listed(points, '; ')}." if points else ""


def _of_sweep(sweep: Sweep) -> str:
    lines = []
    for label, cells in zip(sweep.schedules, sweep.cells, strict=True):
        known = {k: cell.mean for k, cell in zip(sweep.k_samples, cells, strict=True) if isinstance(cell, Measured)}
        places = formatting.decimals(known.values())
        lines.append(f"{label} {_listed(f'{formatting.fixed(mean, places)} at {k}' for k, mean in known.items())}")
    return f"{sweep.metric.label} by k_sample: {_listed(lines, '; ')}."


def _of_training(part: Results) -> str:
    images = [record.cost.images for record in part.records if record.cost.images]
    longest = f" up to {formatting.count(max(images))} training images" if images else ""
    return _rows(part, f"Loss and k_train{longest}, a line for each of")


def _of_groups(part: Results) -> str:
    """The numbers of further tables that say how near samples come to what they were trained on."""
    told = [_of_table(table) for table in part.further if any("nearest" in one.label for one in table.columns)]
    return " ".join(filter(None, told))


def _first(table: Table) -> tuple[int, Column] | None:
    return next(((at, column) for at, column in enumerate(table.columns) if column.kind == "measured"), None)


def _numbers(table: Table, index: int, column: Column) -> str:
    own = [(row.label, row.cells[index]) for row in table.rows if _known(row.cells[index])]
    return _listed(f"{label} {_spelled(cell, column)}" for label, cell in own)


def _cells(table: Table, row: Row) -> tuple[TableCell, ...]:
    return next(one.cells for one in table.rows if (one.id, one.k_sample) == (row.id, row.k_sample))


def _known(cell: TableCell) -> bool:
    return isinstance(cell, Measured)


def _spelled(cell: TableCell, column: Column) -> str:
    if not isinstance(cell, Measured):
        return "--"
    spread = "" if cell.half_width is None else f" ± {formatting.fixed(cell.half_width, column.decimals)}"
    return f"{formatting.fixed(cell.mean, column.decimals)}{spread}"


def _listed(words: Iterable[str], between: str = ", ") -> str:
    """Words one by one, and how many more there are."""
    told = list(words)
    more = [f"and {len(told) - MOST} more"] if len(told) > MOST else []
    return between.join([*told[:MOST], *more])
