"""Pictures of records: training curves, and each metric with its intervals. Equal input gives equal bytes."""

import math
import textwrap
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from prism_bench.analysis.errors import AnalysisError
from prism_bench.analysis.table.table_model import Column, Measured, Row, Table

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDTH = 10.0
"""Of the training curves, in inches."""
LETTER = 0.085
"""Width of a letter of the legend, about, and of the line beside a label in letters."""
LINE = 7
LABEL = 48
"""Letters of a row's label before it is broken."""
Curve = tuple[str, Sequence[Mapping[str, float]]]


def training_curves(curves: Sequence[Curve], path: Path) -> Path:
    """Loss and k_train over training images, one line per (label, rows of a metrics log); a PNG, and its path back.

    A row holds `images` and any of `loss` and `k_train`; rows that lack a quantity are passed over in its panel.

    Raises:
        AnalysisError: no row of any curve holds `images` and `loss`.
    """
    if not any("images" in row and "loss" in row for _, rows in curves for row in rows):
        raise AnalysisError("training curves need rows with 'images' and 'loss'; found none")
    longest = max(len(label) for label, _ in curves)
    columns = max(1, min(4, int(WIDTH / (LETTER * (longest + LINE)))))
    with drawing(path, WIDTH, 3.6 + 0.2 * -(-len(curves) // columns)) as figure:
        for axes, key in zip(figure.subplots(1, 2), ("loss", "k_train"), strict=True):
            for label, rows in curves:
                points = [(row["images"], row[key]) for row in rows if "images" in row and key in row]
                if points:
                    style = "steps-post" if key == "k_train" else "default"
                    axes.plot(*zip(*points, strict=True), label=label, linewidth=1.2, drawstyle=style)
            axes.set_xlabel("training images")
            axes.set_ylabel(key)
            axes.grid(alpha=0.3)
        handles, labels = figure.axes[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=columns, frameon=False, fontsize="small")
    return path


def interval_plot(table: Table, path: Path) -> Path:
    """Each metric in a panel, each row a mean with its 95% interval, each seed a small dot, real images dashed; a PNG.

    Raises:
        AnalysisError: the table has no measured value yet.
    """
    panels = [
        (index, column)
        for index, column in enumerate(table.columns)
        if any(isinstance(row.cells[index], Measured) for row in table.rows if row.kind != "floor")
    ]
    if not panels:
        raise AnalysisError(f"{table.name}: no cell has been measured yet, so there is nothing to draw")
    variants = [row for row in table.rows if row.kind != "floor"]
    lines = sum(len(textwrap.wrap(row.label, LABEL)) for row in variants)
    with drawing(path, 1.6 + 3.0 * len(panels), 1.6 + max(0.42 * len(variants), 0.2 * lines)) as figure:
        grid = figure.subplots(1, len(panels), sharey=True, squeeze=False)[0]
        for axes, (index, column) in zip(grid, panels, strict=True):
            _panel(axes, column, index, table.rows)
        grid[0].set_yticks(range(len(variants)), [textwrap.fill(row.label, LABEL) for row in variants])
        grid[0].set_ylim(len(variants) - 0.5, -0.5)
        named = {label: mark for axes in grid for mark, label in zip(*axes.get_legend_handles_labels(), strict=True)}
        figure.legend(named.values(), named.keys(), loc="outside lower center", ncols=len(named), frameon=False)
    return path


def _panel(axes: "Axes", column: Column, index: int, rows: Sequence[Row]) -> None:
    """One artist for all means of a kind, and one for all their seeds: drawing is what takes the time."""
    variants = [row for row in rows if row.kind != "floor"]
    for kind, colour in (("variant", "C0"), ("control", "C7")):
        cells = [(height, row.cells[index]) for height, row in enumerate(variants) if row.kind == kind]
        measured = [(height, cell) for height, cell in cells if isinstance(cell, Measured)]
        dots = [(value, height + 0.18) for height, cell in measured for _, value in cell.values]
        if measured:
            heights, shown = zip(*measured, strict=True)
            axes.plot(*zip(*dots, strict=True), ".", color=colour, alpha=0.5, markersize=4, label="single seeds")
            known = [math.nan if cell.half_width is None else cell.half_width for cell in shown]
            widths = None if all(map(math.isnan, known)) else known
            label = "mean and 95% interval"
            means = [cell.mean for cell in shown]
            axes.errorbar(means, heights, xerr=widths, fmt="o", color=colour, capsize=3, label=label)
    for row in rows:
        cell = row.cells[index]
        if row.kind == "floor" and isinstance(cell, Measured):
            axes.axvline(cell.mean, color="0.4", linestyle="--", linewidth=1, label="real images (baseline)")
    axes.set_xlabel(f"{column.label} {column.arrow}".strip())
    axes.grid(axis="x", alpha=0.3)


@contextmanager
def drawing(path: Path, width: float, height: float) -> Iterator["Figure"]:
    """A figure of so many inches to draw on, then written as a PNG without a date or the library's version.

    In matplotlib's own defaults, whatever the user's settings, and no mathematics in labels ('$' is a dollar).
    """
    import matplotlib as mpl
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    with mpl.rc_context(), warnings.catch_warnings():
        # A label in a script that the font lacks is drawn as boxes; the tables spell it.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        mpl.rcdefaults()
        mpl.rcParams["text.parse_math"] = False
        figure = Figure(figsize=(width, height), layout="constrained")
        yield figure
        path.parent.mkdir(parents=True, exist_ok=True)
        FigureCanvasAgg(figure)
        figure.savefig(path, format="png", dpi=130, metadata={"Software": None})
