"""What samples resemble: the most suspicious of them beside the real images they come closest to, and all distances."""

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from prism_bench.analysis.figures.colours import looks_of
from prism_bench.analysis.figures.drawing import (
    PAGE,
    PNG,
    SMALLEST,
    drawing,
    files_of,
    legend_below,
    legend_height,
)
from prism_bench.analysis.table.results import Results
from prism_bench.analysis.unchanged import unless_made
from prism_bench.experiments.reports.shown_cells import ShownCell, shown_cells
from prism_bench.prism.engine.store import Store
from prism_bench.prism.images import Pixels
from prism_bench.prism.metrics.memorisation import Memorisation
from prism_bench.prism.stages.data import open_images

SHOWN, WIDTH = 8, PAGE * 2 / 3
"""Samples of each row, and the room for them in inches: the page stays small."""
GAP, WORDS, TITLE = 4, 15, 26
"""Pixels between images, below an image for words, and above a row for its name; images are about 64 pixels wide."""
HEAD = 0.48
"""Inches above all for what is shown."""
Array = npt.NDArray[Any]


@dataclass(frozen=True)
class _Row:
    """One row's first cell with its distances (`prism.metrics.memorisation.Resemblance`, by field)."""

    cell: ShownCell
    samples: Pixels
    real: Pixels
    details: dict[str, Array]

    @classmethod
    def of(cls, cell: ShownCell, details: Path, samples: Path, real: Path) -> "_Row":
        with np.load(details) as arrays:
            return cls(cell, open_images(samples.parent), open_images(real.parent), dict(arrays))


def write_resemblances(results: Results, store: Store, folder: Path, formats: Sequence[str] = PNG) -> list[Path]:
    """memorisation.png and memorisation-distances.png of each row's first seed; nothing where it was not measured."""
    cells = _measured(results, store)
    if not cells:
        return []
    suspects, distances = folder / "memorisation.png", folder / "memorisation-distances.png"

    def make() -> list[Path]:
        rows = [_Row.of(cell, *files) for cell, files in cells]
        return [*_suspects(rows, suspects, formats), *_distances(rows, distances, formats)]

    made_of = [[cell.row, cell.label, cell.seed, *map(str, files)] for cell, files in cells]
    return unless_made(folder, "memorisation", [formats, made_of], make)


def _measured(results: Results, store: Store) -> list[tuple[ShownCell, tuple[Path, Path, Path]]]:
    """The first cell of each row that has them, with its distances, its samples and the real images."""
    rows: dict[str, tuple[ShownCell, tuple[Path, Path, Path]]] = {}
    for cell in shown_cells(results, store):
        if cell.row not in rows:
            details, samples, real = cell.details(Memorisation.name), cell.samples, cell.images
            if details and samples and real:
                rows[cell.row] = cell, (details, samples, real)
    return list(rows.values())


def _suspects(rows: list[_Row], path: Path, formats: Sequence[str]) -> list[Path]:
    """Two strips for each row: samples by rising distance, as a share of the threshold, and their nearest images.

    All strips are pixels of one image, and words stand in the white between them: an image in axes of its own would
    take more time than everything else.
    """
    side = max(image.shape[-1] for row in rows for image in (row.samples, row.real))
    zoom = max(1, 64 // side)
    tile, room, title = side * zoom, WORDS, TITLE
    step, height = tile + GAP, title + 2 * (tile + room)
    canvas = np.full((len(rows) * height, SHOWN * step - GAP, 3), 255, np.uint8)
    words: list[tuple[int, int, str, bool]] = []
    for index, row in enumerate(rows):
        top = index * height + title
        words.append((0, top - GAP, f"{row.cell.label}, seed {row.cell.seed}", True))
        shares, ids, parts = _closest(row.details)
        for column, sample in enumerate(np.argsort(shares, kind="stable")[:SHOWN]):
            left = column * step
            for strip, image in enumerate((row.samples[sample], row.real[ids[sample]])):
                down = top + strip * (tile + room)
                pixels = np.kron(image.transpose(1, 2, 0), np.ones((zoom, zoom, 1), np.uint8))
                canvas[down : down + pixels.shape[0], left : left + pixels.shape[1]] = pixels
            middle = left + tile // 2
            words.append((middle, top + tile + room, f"#{sample}", False))
            words.append((middle, top + 2 * (tile + room), f"{parts[sample]} {shares[sample]:.2f}", False))
    scale = WIDTH / canvas.shape[1]
    with drawing(path, WIDTH, canvas.shape[0] * scale + HEAD, formats) as figure:
        figure.set_layout_engine("none")
        axes = figure.add_axes((0, 0, 1, 1 - HEAD / (canvas.shape[0] * scale + HEAD)))
        axes.imshow(canvas, interpolation="nearest", aspect="auto")
        axes.set_axis_off()
        for left, base, text, heading in words:
            size, side_of = (8, "left") if heading else (SMALLEST, "center")
            axes.text(left, base, text, fontsize=size, ha=side_of, va="bottom", clip_on=False)
        figure.text(
            0, 1, "The samples nearest to a real image, each above that image: of D or of X_train\n(train), and the "
            "distance as a share of that of the closest 1% of real images (below 1:\ncounted as a copy); "
            "# is its number",
            fontsize=SMALLEST, ha="left", va="top",
        )  # fmt: skip
    return files_of(path, formats)


def _closest(details: dict[str, Array]) -> tuple[Array, Array, list[str]]:
    """For each sample: its smaller distance as a share of the threshold, the image, and which part that is of."""
    # Real images can coincide: then the threshold is 0 and only an exact copy is as near.
    to_d, to_train = (
        details[f"to_{part}"] / max(float(details[f"threshold_{part}"]), 1e-12) for part in ("retrieval", "train")
    )
    nearer_d = to_d <= to_train
    ids = np.where(nearer_d, details["nearest_retrieval"], details["nearest_train"])
    return np.minimum(to_d, to_train), ids, ["D" if near else "train" for near in nearer_d]


def _distances(rows: list[_Row], path: Path, formats: Sequence[str]) -> list[Path]:
    """Cumulative distributions of the distances, a panel for each kind, generated rows beside real images."""
    panels = (
        ("to_retrieval", "real_to_retrieval", "threshold_retrieval", "to the nearest image of D"),
        ("to_train", "real_to_train", "threshold_train", "to the nearest image of X_train"),
        ("to_query", "real_to_retrieval", "threshold_retrieval", "to its own pseudo-query"),
    )
    looks = looks_of([row.cell.row for row in rows])
    real_words = "real images, to the nearest of the other part"
    labels = [textwrap.fill(row.cell.label, 44) for row in rows]
    height = 2.0 + legend_height([*labels, real_words, ""], PAGE)
    with drawing(path, PAGE, height, formats) as figure:
        grid = figure.subplots(1, len(panels), sharey=True)
        for axis, (key, real, threshold, title) in zip(grid, panels, strict=True):
            for row, label in zip(rows, labels, strict=True):
                axis.ecdf(row.details[key], label=label, color=looks[row.cell.row].colour)
            axis.ecdf(rows[0].details[real], label=real_words, color="black")
            words = "copies below"
            axis.axvline(float(rows[0].details[threshold]), color="0.5", linestyle="--", linewidth=1, label=words)
            axis.set_xlabel(f"distance of features\n{title}")
            axis.grid()
        grid[0].set_ylabel("share of images")
        legend_below(figure, grid[0], PAGE)
    return files_of(path, formats)
