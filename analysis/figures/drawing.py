"""What pictures are drawn on: the widths of a column and of a page, letters to be read there, file formats."""

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from prism_bench.analysis.files import write_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLUMN, PAGE = 3.3, 6.75
"""Inches: a column of a paper, and the text of a page."""
SMALLEST = 7
"""Points of the smallest letters."""
LETTER = 0.056
"""Inches of a letter of that size, about."""
DPI = 200
FORMATS = ("png", "pdf")
"""Of pictures: for the screen, and for a paper."""
PNG = ("png",)
RULES: dict[str, Any] = {
    "text.parse_math": False,
    "font.size": 8,
    "axes.labelsize": 8,
    "axes.titlesize": 8,
    "xtick.labelsize": SMALLEST,
    "ytick.labelsize": SMALLEST,
    "legend.fontsize": SMALLEST,
    "figure.titlesize": 8,
    "axes.linewidth": 0.6,
    "lines.linewidth": 1.2,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "grid.alpha": 0.3,
    "grid.linewidth": 0.6,
    # Letters as outlines, which the systems of conferences ask for.
    "pdf.fonttype": 42,
}


def files_of(path: Path, formats: Sequence[str]) -> list[Path]:
    """The files of one picture, whose path is given with any suffix."""
    return [path.with_suffix(f".{name}") for name in dict.fromkeys(formats)]


@contextmanager
def drawing(path: Path, width: float, height: float, formats: Sequence[str] = PNG) -> Iterator["Figure"]:
    """A figure of so many inches to draw on, then written in each format, without a date or the library's version.

    In looks of our own, whatever the user's settings, and no mathematics in labels ('$' is a dollar).
    """
    import matplotlib as mpl
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    with mpl.rc_context(), warnings.catch_warnings():
        # A label in a script that the font lacks is drawn as boxes; the tables spell it.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        mpl.rcdefaults()
        mpl.rcParams.update(RULES)  # type: ignore[arg-type]
        figure = Figure(figsize=(width, height), layout="constrained")
        yield figure
        FigureCanvasAgg(figure)
        for file in files_of(path, formats):
            write_figure(figure, file, dpi=DPI)
        # One for a paper that was drawn before would show other numbers.
        for file in files_of(path, [name for name in FORMATS if name not in (*formats, *PNG)]):
            file.unlink(missing_ok=True)


def legend_below(figure: "Figure", axes: "Axes", width: float) -> None:
    """A legend of what some axes show, below all, in as many columns as a figure of that width has room for."""
    handles, labels = axes.get_legend_handles_labels()
    named = dict(zip(labels, handles, strict=True))
    figure.legend(named.values(), named.keys(), loc="outside lower center", frameon=False, ncols=columns(named, width))


def columns(labels: Sequence[str] | dict[str, object], width: float) -> int:
    """Columns of a legend with these labels."""
    longest = max((len(line) for label in labels for line in label.split("\n")), default=1)
    return max(1, min(4, len(labels), int(width / (LETTER * (longest + 7)))))


def legend_height(labels: Sequence[str], width: float) -> float:
    """Inches that the legend takes."""
    rows = -(-len(labels) // columns(labels, width))
    most = max((label.count("\n") + 1 for label in labels), default=1)
    return 0.14 * rows * most + 0.1
