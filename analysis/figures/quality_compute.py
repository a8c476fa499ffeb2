"""Quality against compute."""

import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from prism_bench.analysis import formatting
from prism_bench.analysis.figures.colours import looks_of
from prism_bench.analysis.figures.drawing import COLUMN, PNG, drawing, files_of, legend_below, legend_height
from prism_bench.analysis.frame.table_lines import TableLines
from prism_bench.analysis.table.table_model import Measured, Table

PICTURE = "quality-compute.png"
LABEL = 48
"""Letters of a label in the legend before it is broken."""


def quality_plot(table: Table, lines: TableLines, path: Path, formats: Sequence[str] = PNG) -> list[Path]:
    """The main table's first metric over the operations of the training, a point with its interval for each row.

    Returns the files; none where fewer than two rows have both.
    """
    first = next((index for index, column in enumerate(table.columns) if column.kind == "measured"), None)
    if first is None:
        return []
    single = lines.lines[~lines.lines["several"]]
    operations = single["row"].to_frame().join(lines.costs).set_index("row")["train_flops"]
    points = []
    for row in table.rows:
        cell, compute = row.cells[first], operations.get(row.id, 0.0)
        if isinstance(cell, Measured) and compute > 0:
            points.append((row, compute, cell))
    if len(points) < 2:
        return []
    column = table.columns[first]
    # Of all rows, so that each looks as in the other pictures.
    looks = looks_of(list(dict.fromkeys(row.id for row in table.rows if row.kind != "floor")))
    labels = [textwrap.fill(row.label, LABEL) for row, _, _ in points]
    with drawing(path, COLUMN, 2.1 + legend_height(labels, COLUMN), formats) as figure:
        from matplotlib.ticker import MaxNLocator

        axes = figure.subplots()
        for (row, compute, cell), label in zip(points, labels, strict=True):
            look = looks[row.id]
            style: dict[str, Any] = {"fmt": look.marker, "color": look.colour, "capsize": 2, "markersize": 4}
            axes.errorbar(compute, cell.mean, yerr=cell.half_width, label=label, **style)
        axes.xaxis.set_major_locator(MaxNLocator(3))
        axes.xaxis.set_major_formatter(lambda value, _: formatting.operations(value))
        axes.set_xlabel("floating-point operations of the training")
        axes.set_ylabel(f"{column.label} {column.arrow}".strip())
        axes.grid()
        legend_below(figure, axes, COLUMN)
    return files_of(path, formats)
