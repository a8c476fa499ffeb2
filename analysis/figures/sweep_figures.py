"""Pictures of the schedule sweep: a heat map, and curves over k_sample. Equal input gives equal bytes."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from prism_bench.analysis import formatting
from prism_bench.analysis.figures.plots import drawing
from prism_bench.analysis.table.sweep import Sweep
from prism_bench.analysis.table.table_model import Measured, Quoted, TableCell

if TYPE_CHECKING:
    from matplotlib.axes import Axes

HEATMAP, CURVES = "sweep-heatmap.png", "sweep-curves.png"


def sweep_figures(sweep: Sweep, folder: Path) -> list[Path]:
    """Both pictures in a folder; their paths."""
    return [sweep_heatmap(sweep, folder / HEATMAP), sweep_curves(sweep, folder / CURVES)]


def sweep_heatmap(sweep: Sweep, path: Path) -> Path:
    """Measured means by schedule and k_sample, and the published numbers in a panel of their own; a PNG.

    Each panel has colours of its own: the two are not on one scale. A star marks the best schedule of a k_sample where
    its paired difference to every other can be told from zero.
    """
    panels = [(f"measured: {sweep.metric.label}, scale {sweep.plan.scale}", sweep.cells)]
    if sweep.source is not None:
        panels.append((f"quoted: {sweep.source.metric}", sweep.quoted))
    labels = max(1.6, 0.1 * max(len(label) for label in sweep.schedules))
    width, height = 1.1 + 0.95 * len(sweep.k_samples), 1.5 + 0.5 * max(2, len(sweep.schedules))
    with drawing(path, labels + len(panels) * width, height) as figure:
        axes = figure.subplots(1, len(panels), squeeze=False, sharey=True)[0]
        for panel, (title, cells) in zip(axes, panels, strict=True):
            _map(panel, sweep, title, cells)
        axes[0].set_yticks(range(len(sweep.schedules)), list(sweep.schedules))
    return path


def sweep_curves(sweep: Sweep, path: Path) -> Path:
    """The metric over k_sample, a line for each schedule with its 95% band; the published curves in a panel beside."""
    panels = 1 if sweep.source is None else 2
    with drawing(path, 1 + 4.4 * panels, 3.8) as figure:
        axes = figure.subplots(1, panels, squeeze=False)[0]
        for index, label in enumerate(sweep.schedules):
            _curve(axes[0], sweep.k_samples, sweep.cells[index], label, f"C{index}")
            if sweep.source is not None:
                _curve(axes[1], sweep.k_samples, sweep.quoted[index], label, f"C{index}")
        axes[0].set_title(f"measured, scale {sweep.plan.scale}", fontsize="medium")
        axes[0].set_ylabel(f"{sweep.metric.label} {sweep.metric.arrow}")
        if sweep.source is not None:
            axes[1].set_title(f"quoted: {sweep.source.column}, not measured here", fontsize="medium")
            axes[1].set_ylabel(sweep.source.heading)
        for one in axes:
            one.set_xlabel("k_sample")
            one.set_xticks(sweep.k_samples)
            one.grid(alpha=0.3)
        handles, labels = axes[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=4, frameon=False)
    return path


def _number(cell: TableCell) -> float:
    """A cell's number, NaN where it has none."""
    return cell.mean if isinstance(cell, Measured) else cell.value if isinstance(cell, Quoted) else math.nan


def _map(axes: "Axes", sweep: Sweep, title: str, cells: Sequence[Sequence[TableCell]]) -> None:
    values = np.array([[_number(cell) for cell in row] for row in cells])
    colours = "viridis_r" if sweep.metric.better == "lower" else "viridis"
    axes.imshow(np.ma.masked_invalid(values), cmap=colours, aspect="auto")
    known = values[np.isfinite(values)]
    middle = (known.min() + known.max()) / 2 if known.size else 0.0
    measured = cells is sweep.cells
    places = formatting.decimals(known.tolist()) if measured else formatting.published_decimals(known.tolist())
    for row, column in np.ndindex(values.shape):
        value, cell = float(values[row, column]), cells[row][column]
        text = "--" if math.isnan(value) else formatting.fixed(value, places)
        star = "*" if isinstance(cell, Measured) and cell.best else ""
        dark = (value > middle) == (sweep.metric.better == "lower") and not math.isnan(value)
        axes.text(
            column, row, text + star, ha="center", va="center", color="white" if dark else "black", fontsize="medium"
        )
    axes.set_xticks(range(len(sweep.k_samples)), [str(k) for k in sweep.k_samples])
    axes.set_xlabel("k_sample")
    axes.set_title(title, fontsize="medium")


def _curve(axes: "Axes", k_samples: Sequence[int], cells: Sequence[TableCell], label: str, colour: str) -> None:
    points = [(k, cell) for k, cell in zip(k_samples, cells, strict=True) if not math.isnan(_number(cell))]
    means = [_number(cell) for _, cell in points]
    places = [k for k, _ in points]
    axes.plot(places, means, "o-", color=colour, label=label, linewidth=1.4, markersize=4)
    halves = [cell.half_width or 0.0 if isinstance(cell, Measured) else 0.0 for _, cell in points]
    if any(halves):
        low, high = np.subtract(means, halves), np.add(means, halves)
        axes.fill_between(places, low, high, color=colour, alpha=0.12, linewidth=0)
