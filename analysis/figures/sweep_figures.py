"""Pictures of the schedule sweep: a heat map, and curves over k_sample. Equal input gives equal bytes."""

import math
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from prism_bench.analysis import formatting
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
from prism_bench.analysis.table.sweep import Sweep
from prism_bench.analysis.table.table_model import Measured, Quoted, TableCell

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

HEATMAP, CURVES = "sweep-heatmap.png", "sweep-curves.png"
STUB = 12
"""Letters of a schedule beside the heat map before they are broken."""
MANY = 6
"""Numbers of neighbours up to which cells of the heat map are wide enough in a column."""


def sweep_figures(sweep: Sweep, folder: Path, formats: Sequence[str] = PNG) -> list[Path]:
    """Both pictures in a folder; their files."""
    return [*sweep_heatmap(sweep, folder / HEATMAP, formats), *sweep_curves(sweep, folder / CURVES, formats)]


def sweep_heatmap(sweep: Sweep, path: Path, formats: Sequence[str] = PNG) -> list[Path]:
    """Measured means with ± by schedule and k_sample, and the published numbers in a panel of their own.

    Each panel has colours of its own, those of the measured one over a range that holds every interval: what cannot be
    told apart looks alike. A star marks the best schedule of a k_sample where its paired difference to every other can
    be told from zero. Returns the files.
    """
    panels = [(f"measured: {sweep.metric.label} {sweep.metric.arrow}", sweep.cells)]
    if sweep.source is not None:
        panels.append((f"quoted: {sweep.source.column} {sweep.source.heading}, not measured here", sweep.quoted))
    width = COLUMN if len(sweep.k_samples) <= MANY else PAGE
    with drawing(path, width, len(panels) * (0.55 + 0.34 * max(2, len(sweep.schedules))) + 0.2, formats) as figure:
        axes = figure.subplots(len(panels), 1, squeeze=False, sharex=True)[:, 0]
        for panel, (title, cells) in zip(axes, panels, strict=True):
            _map(figure, panel, sweep, title, cells)
        axes[-1].set_xlabel("k_sample")
    return files_of(path, formats)


def sweep_curves(sweep: Sweep, path: Path, formats: Sequence[str] = PNG) -> list[Path]:
    """The metric over k_sample, a line for each schedule with its 95% band; below it the published curves."""
    panels = 1 if sweep.source is None else 2
    looks = looks_of(sweep.rows)
    height = 0.3 + 1.5 * panels + legend_height(sweep.schedules, COLUMN)
    with drawing(path, COLUMN, height, formats) as figure:
        axes = figure.subplots(panels, 1, squeeze=False, sharex=True)[:, 0]
        for index, (row, label) in enumerate(zip(sweep.rows, sweep.schedules, strict=True)):
            _curve(axes[0], sweep.k_samples, sweep.cells[index], label, looks[row])
            if sweep.source is not None:
                _curve(axes[1], sweep.k_samples, sweep.quoted[index], label, looks[row])
        axes[0].set_title(f"measured, scale {sweep.plan.scale}")
        axes[0].set_ylabel(textwrap.fill(f"{sweep.metric.label} {sweep.metric.arrow}", 22))
        if sweep.source is not None:
            axes[1].set_title(f"quoted: {sweep.source.column}, not measured here")
            axes[1].set_ylabel(sweep.source.heading)
        for one in axes:
            one.set_xticks(sweep.k_samples)
            one.grid()
        axes[-1].set_xlabel("k_sample")
        legend_below(figure, axes[0], COLUMN)
    return files_of(path, formats)


def _number(cell: TableCell) -> float:
    """A cell's number, NaN where it has none."""
    return cell.mean if isinstance(cell, Measured) else cell.value if isinstance(cell, Quoted) else math.nan


def _half(cell: TableCell) -> float:
    """Half the width of its interval, 0 without one."""
    return cell.half_width or 0.0 if isinstance(cell, Measured) else 0.0


def colour_range(cells: Sequence[Sequence[TableCell]]) -> tuple[float, float]:
    """The least and the largest number that the intervals of some cells hold."""
    known = [(_number(cell), _half(cell)) for row in cells for cell in row if not math.isnan(_number(cell))]
    return min((mean - half for mean, half in known), default=0.0), max((a + b for a, b in known), default=1.0)


def _map(figure: "Figure", axes: "Axes", sweep: Sweep, title: str, cells: Sequence[Sequence[TableCell]]) -> None:
    values = np.array([[_number(cell) for cell in row] for row in cells])
    low, high = colour_range(cells)
    colours = "cividis_r" if sweep.metric.better == "lower" else "cividis"
    image = axes.imshow(np.ma.masked_invalid(values), cmap=colours, aspect="auto", vmin=low, vmax=high)
    bar = figure.colorbar(image, ax=axes, fraction=0.05, pad=0.02)
    bar.outline.set_linewidth(0.4)
    known = values[np.isfinite(values)].tolist()
    places = formatting.decimals(known) if cells is sweep.cells else formatting.published_decimals(known)
    for row, column in np.ndindex(values.shape):
        value, cell = float(values[row, column]), cells[row][column]
        text = "--" if math.isnan(value) else formatting.fixed(value, places)
        star = "*" if isinstance(cell, Measured) and cell.best else ""
        spread = f"\n±{formatting.significant(_half(cell))}" if _half(cell) else ""
        place = (value - low) / ((high - low) or 1.0)
        # Not at one half, where most cells lie: equal colours have letters of one colour.
        dark = (place if sweep.metric.better == "lower" else 1 - place) > 0.65
        colour = "white" if dark else "black"
        axes.text(column, row, text + star + spread, ha="center", va="center", color=colour, fontsize=SMALLEST)
    axes.set_xticks(range(len(sweep.k_samples)), [str(k) for k in sweep.k_samples])
    axes.set_yticks(range(len(sweep.schedules)), [textwrap.fill(label, STUB) for label in sweep.schedules])
    axes.tick_params(length=0)
    axes.set_title(title)


def _curve(axes: "Axes", k_samples: Sequence[int], cells: Sequence[TableCell], label: str, look: Look) -> None:
    points = [(k, cell) for k, cell in zip(k_samples, cells, strict=True) if not math.isnan(_number(cell))]
    means = [_number(cell) for _, cell in points]
    places = [k for k, _ in points]
    axes.plot(places, means, marker=look.marker, color=look.colour, label=label, markersize=3.5)
    halves = [_half(cell) for _, cell in points]
    if any(halves):
        low, high = np.subtract(means, halves), np.add(means, halves)
        axes.fill_between(places, low, high, color=look.colour, alpha=0.12, linewidth=0)
