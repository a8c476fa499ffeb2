"""What each row costs: parameters, images, operations, time, memory; and quality against compute as a picture."""

import textwrap
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from prism_bench.analysis import formatting
from prism_bench.analysis.figures import plain_style, save
from prism_bench.analysis.layout import Column, Measured, Row, Table, TableCell, Text
from prism_bench.analysis.lines import Line, lines_of
from prism_bench.analysis.records import Plan, Record, index_records
from prism_bench.analysis.statistics import STUDENT_T, Estimator

GROUP = "Efficiency"
PICTURE = "quality-compute.png"
LABEL = 100
"""Letters of a label in the legend before it is broken."""
Spell = Callable[[float], str]
Read = Callable[[Record], float | None]


def _ratio(above: float | None, below: float | None) -> float | None:
    return above / below if above is not None and below else None


COLUMNS: tuple[tuple[str, str, Read, Spell], ...] = (
    ("parameters", "Parameters", lambda one: one.parameters, lambda n: formatting.parameters(round(n))),
    ("active", "Active in sampling", lambda one: one.active_parameters, lambda n: formatting.parameters(round(n))),
    ("model", "Model file", lambda one: one.model_bytes, formatting.size),
    ("database", "Database", lambda one: one.database_bytes, formatting.size),
    ("images", "Training images seen", lambda one: one.images, lambda n: formatting.count(round(n))),
    (
        "per_image",
        "Operations per image seen",
        lambda one: _ratio(one.train_flops, one.images),
        formatting.operations,
    ),
    ("training", "Operations of the training", lambda one: one.train_flops, formatting.operations),
    ("per_sample", "Operations per sample", lambda one: _ratio(one.sample_flops, one.samples), formatting.operations),
    ("seconds", "Training time", lambda one: one.train_seconds, formatting.duration),
    ("speed", "Samples per second", lambda one: _ratio(one.samples, one.sample_seconds), lambda n: f"{n:.3g}"),
    ("memory", "Peak memory", lambda one: one.peak_bytes, formatting.size),
)
IN_MAIN = {"parameters", "seconds"}
"""What the main table shows too."""


def efficiency_table(plan: Plan, records: Iterable[Record], estimator: Estimator = STUDENT_T) -> Table | None:
    """Means over the finished seeds of each row; None where the records tell no more than the main table shows."""
    lines = [line for line in lines_of(plan, index_records(records)) if line.done()]
    if not lines or plan.kind == "grid":
        return None
    known = [column for column in COLUMNS if any(_mean(line, column[2]) is not None for line in lines)]
    if not {key for key, *_ in known} - IN_MAIN:
        return None
    return Table(
        plan=plan,
        columns=tuple(Column(key=key, label=label, kind="count") for key, label, _, _ in known),
        rows=tuple(_row(line, [(read, spell) for _, _, read, spell in known]) for line in lines),
        caption=(
            f"{GROUP}: {plan.title}.",
            "Means over the finished seeds. Operations are counted on shapes, a multiply and its add as two; an image "
            "seen is a patch where patches are trained on. A first stage counts in. The database is what "
            "neighbours are looked up in at sampling. Times and memory are those of the machines that computed "
            "the rows, with whatever ran beside.",
        ),
        notes=(),
        remarks=(),
        estimator=estimator,
        group=GROUP,
    )


def _row(line: Line, columns: Sequence[tuple[Read, Spell]]) -> Row:
    cells: list[TableCell] = []
    for read, spell in columns:
        mean = _mean(line, read)
        cells.append(Text(text="" if mean is None else spell(mean)))
    return Row(id=line.row.id, label=line.label, kind=line.kind, cells=tuple(cells))


def _mean(line: Line, read: Read) -> float | None:
    found = [value for value in map(read, line.done()) if value is not None]
    return sum(found) / len(found) if found else None


def quality_plot(table: Table, records: Iterable[Record], path: Path) -> Path | None:
    """The main table's first metric over the operations of the training, a point with its interval for each row.

    A PNG; None where fewer than two rows have both.
    """
    lines = {line.row.id: line for line in lines_of(table.plan, index_records(records)) if not line.one_of_several}
    first = next((index for index, column in enumerate(table.columns) if column.kind == "measured"), None)
    if first is None:
        return None
    points = []
    for row in table.rows:
        cell, line = row.cells[first], lines.get(row.id)
        compute = None if line is None else _mean(line, lambda record: record.train_flops)
        if isinstance(cell, Measured) and compute:
            points.append((row, compute, cell))
    if len(points) < 2:
        return None
    column = table.columns[first]
    with plain_style():
        from matplotlib.figure import Figure
        from matplotlib.ticker import MaxNLocator

        labels = [textwrap.fill(row.label, LABEL) for row, _, _ in points]
        # One column: labels that carry settings are long, and a legend beside them would squeeze the picture.
        height = 3.9 + 0.19 * sum(label.count("\n") + 1 for label in labels)
        figure = Figure(figsize=(8.5, height), layout="constrained")
        axes = figure.subplots()
        for number, ((row, compute, cell), label) in enumerate(zip(points, labels, strict=True)):
            # Ten colours, then the same with another mark.
            marker = ("s" if row.kind == "control" else "o") if number < 10 else "D"
            colour, width = f"C{number % 10}", cell.half_width
            axes.errorbar(compute, cell.mean, yerr=width, label=label, fmt=marker, color=colour, capsize=3)
        axes.xaxis.set_major_locator(MaxNLocator(4))
        axes.xaxis.set_major_formatter(lambda value, _: formatting.operations(value))
        axes.set_xlabel("floating-point operations of the training")
        axes.set_ylabel(f"{column.label} {column.arrow}".strip())
        axes.grid(alpha=0.3)
        figure.legend(loc="outside lower left", frameon=False, fontsize="small")
        save(figure, path)
    return path
