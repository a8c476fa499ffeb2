"""Quality against compute."""

import textwrap
from pathlib import Path

from prism_bench.analysis import formatting
from prism_bench.analysis.figures.plots import drawing
from prism_bench.analysis.frame.table_lines import TableLines
from prism_bench.analysis.table.table_model import Measured, Table

PICTURE = "quality-compute.png"
LABEL = 100
"""Letters of a label in the legend before it is broken."""


def quality_plot(table: Table, lines: TableLines, path: Path) -> Path | None:
    """The main table's first metric over the operations of the training, a point with its interval for each row.

    A PNG; None where fewer than two rows have both.
    """
    first = next((index for index, column in enumerate(table.columns) if column.kind == "measured"), None)
    if first is None:
        return None
    single = lines.lines[~lines.lines["several"]]
    operations = single["row"].to_frame().join(lines.costs).set_index("row")["train_flops"]
    points = []
    for row in table.rows:
        cell, compute = row.cells[first], operations.get(row.id, 0.0)
        if isinstance(cell, Measured) and compute > 0:
            points.append((row, compute, cell))
    if len(points) < 2:
        return None
    column = table.columns[first]
    labels = [textwrap.fill(row.label, LABEL) for row, _, _ in points]
    # One column: labels that carry settings are long, and a legend beside them would squeeze the picture.
    with drawing(path, 8.5, 3.9 + 0.19 * sum(label.count("\n") + 1 for label in labels)) as figure:
        from matplotlib.ticker import MaxNLocator

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
    return path
