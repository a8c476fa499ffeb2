"""The picture of a study: the metric over each parameter. Equal input gives equal bytes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from prism_bench.analysis.errors import AnalysisError
from prism_bench.analysis.figures.colours import BLUE, VERMILION
from prism_bench.analysis.figures.drawing import COLUMN, PNG, drawing, files_of
from prism_bench.analysis.stats.statistics import mean_interval

if TYPE_CHECKING:
    from matplotlib.axes import Axes


@dataclass(frozen=True, kw_only=True)
class Tried:
    """One trial: its point, the metric's value for each seed, and whether it is the best."""

    point: Mapping[str, int | float | str]
    values: tuple[float, ...]
    best: bool


def sensitivity(tried: Sequence[Tried], label: str, path: Path, formats: Sequence[str] = PNG) -> list[Path]:
    """A panel for each parameter: means with their 95% intervals, seeds as dots, the best in another colour; the files.

    Raises:
        AnalysisError: nothing was tried.
    """
    if not tried:
        raise AnalysisError("no trial has a value yet, so there is nothing to draw")
    names = list(tried[0].point)
    with drawing(path, COLUMN if len(names) == 1 else 0.8 + 2.2 * len(names), 2.4, formats) as figure:
        panels = figure.subplots(1, len(names), squeeze=False, sharey=True)[0]
        for axes, name in zip(panels, names, strict=True):
            _panel(axes, name, tried)
        panels[0].set_ylabel(label)
    return files_of(path, formats)


def _panel(axes: "Axes", name: str, tried: Sequence[Tried]) -> None:
    values = [one.point[name] for one in tried]
    words = sorted({value for value in values if isinstance(value, str)})
    places = {value: float(words.index(value)) if isinstance(value, str) else float(value) for value in values}
    for one in tried:
        place, colour = places[one.point[name]], VERMILION if one.best else BLUE
        interval = mean_interval(one.values)
        if len(one.values) > 1:
            axes.plot([place] * len(one.values), one.values, ".", color=colour, alpha=0.4, markersize=3)
        axes.errorbar(place, interval.mean, yerr=interval.half_width, fmt="o", color=colour, capsize=2, markersize=4)
    if words:
        axes.set_xticks(range(len(words)), words)
    elif any(isinstance(value, float) for value in values):
        axes.set_xscale("log")
    else:
        axes.set_xticks(sorted(places.values()), [str(value) for value in sorted(set(values), key=float)])
    axes.set_xlabel(name)
    axes.grid()
