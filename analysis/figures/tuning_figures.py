"""The picture of a study: the metric over each parameter. Equal input gives equal bytes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from prism_bench.analysis.errors import AnalysisError
from prism_bench.analysis.figures.plots import drawing
from prism_bench.analysis.stats.statistics import mean_interval

if TYPE_CHECKING:
    from matplotlib.axes import Axes


@dataclass(frozen=True, kw_only=True)
class Tried:
    """One trial: its point, the metric's value for each seed, and whether it is the best."""

    point: Mapping[str, int | float | str]
    values: tuple[float, ...]
    best: bool


def sensitivity(tried: Sequence[Tried], label: str, path: Path) -> Path:
    """A panel for each parameter: means with their 95% intervals, seeds as dots, the best in another colour; a PNG.

    Raises:
        AnalysisError: nothing was tried.
    """
    if not tried:
        raise AnalysisError("no trial has a value yet, so there is nothing to draw")
    names = list(tried[0].point)
    with drawing(path, 1.2 + 4.2 * len(names), 3.6) as figure:
        panels = figure.subplots(1, len(names), squeeze=False, sharey=True)[0]
        for axes, name in zip(panels, names, strict=True):
            _panel(axes, name, tried)
        panels[0].set_ylabel(label)
    return path


def _panel(axes: "Axes", name: str, tried: Sequence[Tried]) -> None:
    values = [one.point[name] for one in tried]
    words = sorted({value for value in values if isinstance(value, str)})
    places = {value: float(words.index(value)) if isinstance(value, str) else float(value) for value in values}
    for one in tried:
        place, colour = places[one.point[name]], "C3" if one.best else "C0"
        interval = mean_interval(one.values)
        if len(one.values) > 1:
            axes.plot([place] * len(one.values), one.values, ".", color=colour, alpha=0.4, markersize=4)
        axes.errorbar(place, interval.mean, yerr=interval.half_width, fmt="o", color=colour, capsize=3)
    if words:
        axes.set_xticks(range(len(words)), words)
    elif any(isinstance(value, float) for value in values):
        axes.set_xscale("log")
    else:
        axes.set_xticks(sorted(places.values()), [str(value) for value in sorted(set(values), key=float)])
    axes.set_xlabel(name)
    axes.grid(alpha=0.3)
