"""Pictures of records: training curves, and each metric with its intervals. Equal input gives equal bytes."""

import math
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from prism_bench.analysis.errors import AnalysisError
from prism_bench.analysis.figures.colours import Look, looks_of
from prism_bench.analysis.figures.drawing import (
    COLUMN,
    PAGE,
    PNG,
    SMALLEST,
    drawing,
    files_of,
    legend_below,
    legend_height,
)
from prism_bench.analysis.table.table_model import Column, Measured, Row, Table

if TYPE_CHECKING:
    from matplotlib.axes import Axes

LABEL = 44
"""Letters of a label in a legend before it is broken."""
MANY = 12
"""Rows from which panels of intervals need the width of a page."""
FAR = 2.0
"""Widths of a panel's intervals within which the real-data baseline is drawn to scale."""
Log = Sequence[Mapping[str, float]]
_STEPS: dict[str, Any] = {"step": "post"}
Array = npt.NDArray[np.float64]


class Curve(NamedTuple):
    """A row's id and label, and the log of each of its seeds: lines of `images` and any of `loss` and `k_train`."""

    row: str
    label: str
    logs: Sequence[Log]


def training_curves(curves: Sequence[Curve], path: Path, formats: Sequence[str] = PNG) -> list[Path]:
    """Loss and k_train over training images: the mean over a row's seeds, and a band from the least to the largest.

    Lines of a log that lack a quantity are passed over in its panel. Returns the files.

    Raises:
        AnalysisError: no line of any log holds `images` and `loss`.
    """
    if not any("images" in line and "loss" in line for curve in curves for log in curve.logs for line in log):
        raise AnalysisError("training curves need rows with 'images' and 'loss'; found none")
    looks = looks_of([curve.row for curve in curves])
    labels = [textwrap.fill(curve.label, LABEL) for curve in curves]
    with drawing(path, COLUMN, 3.0 + legend_height(labels, COLUMN), formats) as figure:
        panels = figure.subplots(2, 1, sharex=True)
        for axes, key in zip(panels, ("loss", "k_train"), strict=True):
            for curve, label in zip(curves, labels, strict=True):
                _curve(axes, curve, key, label, looks[curve.row])
            axes.set_ylabel(key)
            axes.grid()
        panels[1].set_xlabel("training images")
        panels[1].xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
        _few_ticks(panels[1], 4)
        legend_below(figure, panels[0], COLUMN)
    return files_of(path, formats)


def _curve(axes: "Axes", curve: Curve, key: str, label: str, look: Look) -> None:
    logs = [[(line["images"], line[key]) for line in log if "images" in line and key in line] for log in curve.logs]
    seeds = [np.array(points) for points in logs if points]
    if not seeds:
        return
    steps = key == "k_train"
    # Where all seeds have been: each one's value at the points of all.
    places = np.unique(np.concatenate([points[:, 0] for points in seeds]))
    first, last = max(points[0, 0] for points in seeds), min(points[-1, 0] for points in seeds)
    places = places[(places >= first) & (places <= last)]
    if not places.size:
        seeds, places = seeds[:1], seeds[0][:, 0]
    values = np.array([_at(places, points, steps=steps) for points in seeds])
    style = "steps-post" if steps else "default"
    # A single point is seen as one.
    marker = look.marker if places.size == 1 else None
    mean = values.mean(axis=0)
    axes.plot(places, mean, label=label, color=look.colour, drawstyle=style, marker=marker, markersize=3)
    if len(seeds) > 1:
        low, high, step = values.min(axis=0), values.max(axis=0), _STEPS if steps else {}
        axes.fill_between(places, low, high, **step, color=look.colour, alpha=0.2, linewidth=0)


def _at(places: Array, points: Array, *, steps: bool) -> Array:
    """A curve at some places; a curve of steps keeps its last value."""
    if not steps:
        return np.interp(places, points[:, 0], points[:, 1])
    kept: Array = points[np.searchsorted(points[:, 0], places, side="right") - 1, 1]
    return kept


def interval_plot(
    table: Table, path: Path, names: Mapping[str, str] | None = None, formats: Sequence[str] = PNG
) -> list[Path]:
    """A panel for each metric, in a grid: means with 95% intervals, seeds as small dots, real images dashed.

    names: what the legend calls rows, by id (default: their labels). Returns the files.

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
    rows = [row for row in table.rows if row.kind != "floor"]
    called = {row.id: textwrap.fill((names or {}).get(row.id, row.label), LABEL) for row in rows}
    looks = looks_of(list(called))
    width, across = (PAGE, 4) if len(rows) > MANY else (COLUMN, 2)
    across = min(across, len(panels))
    down = -(-len(panels) // across)
    height = down * (0.7 + 0.1 * max(4, len(rows))) + legend_height([*called.values(), "", ""], width)
    with drawing(path, width, height, formats) as figure:
        grid = figure.subplots(down, across, sharey=True, squeeze=False)
        for axes, (index, column) in zip(grid.flat, panels, strict=False):
            _panel(axes, column, index, table.rows, called, looks)
        for axes in grid.flat[len(panels) :]:
            axes.set_visible(False)
        first = grid[0, 0]
        several = [row.k_sample is not None for row in rows]
        first.set_yticks(range(len(rows)), [f"k {row.k_sample}" if row.k_sample is not None else "" for row in rows])
        for axes in grid.flat:
            axes.tick_params(axis="y", length=0)
        first.set_ylim(len(rows) - 0.4, -0.6)
        if not any(several):
            for axes in grid[:, 0]:
                axes.tick_params(axis="y", labelleft=False)
        legend_below(figure, first, width)
    return files_of(path, formats)


def _panel(
    axes: "Axes", column: Column, index: int, rows: Sequence[Row], called: Mapping[str, str], looks: Mapping[str, Look]
) -> None:
    """One artist for all means of a row, and one for all their seeds: drawing is what takes the time."""
    variants = [row for row in rows if row.kind != "floor"]
    for row_id, look in looks.items():
        cells = [(height, row.cells[index]) for height, row in enumerate(variants) if row.id == row_id]
        measured = [(height, cell) for height, cell in cells if isinstance(cell, Measured)]
        # One that was not measured here stands in the legend all the same.
        heights = [height for height, _ in measured]
        means = [cell.mean for _, cell in measured]
        known = [math.nan if cell.half_width is None else cell.half_width for _, cell in measured]
        widths = None if all(map(math.isnan, known)) else known
        style: dict[str, Any] = {
            "color": look.colour,
            "fmt": look.marker,
            "markersize": 3.5,
            "capsize": 1.5,
            "elinewidth": 1,
        }
        axes.errorbar(means, heights, xerr=widths, label=called[row_id], **style)
        dots = [(value, height + 0.3) for height, cell in measured for _, value in cell.values if cell.n_seeds > 1]
        if dots:
            axes.plot(*zip(*dots, strict=True), ".", color=look.colour, alpha=0.5, markersize=2.5)
    floors = [cell for row in rows if row.kind == "floor" and isinstance(cell := row.cells[index], Measured)]
    for cell in floors:
        _baseline(axes, cell.mean)
    words = textwrap.fill(f"{column.label} {column.arrow}".strip(), 26)
    axes.set_title(words, fontsize=SMALLEST, pad=11 if floors else 4)
    axes.grid(axis="x")
    _few_ticks(axes, 3)


def _baseline(axes: "Axes", value: float) -> None:
    """A dashed line; where it lies so far away that the rows would be squeezed, an arrow with its number."""
    low, high = axes.get_xlim()
    line: dict[str, Any] = {"color": "0.4", "linestyle": "--", "linewidth": 0.8, "label": "real images (baseline)"}
    if low - FAR * (high - low) <= value <= high + FAR * (high - low):
        axes.axvline(value, **line)
        return
    axes.plot([], [], **line)
    axes.set_xlim(low, high)
    text, place, side = (f"← {value:.3g}", 0.02, "left") if value < low else (f"{value:.3g} →", 0.98, "right")
    axes.text(place, 1.0, text, transform=axes.transAxes, ha=side, va="bottom", fontsize=SMALLEST, color="0.4")


def _few_ticks(axes: "Axes", most: int) -> None:
    from matplotlib.ticker import MaxNLocator

    axes.xaxis.set_major_locator(MaxNLocator(most))
