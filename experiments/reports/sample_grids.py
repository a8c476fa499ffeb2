"""Sample grids: the same noise and pseudo-query in the same column for every variant."""

import textwrap
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from prism_bench.analysis.figures.drawing import PAGE, PNG, SMALLEST, drawing, files_of
from prism_bench.analysis.figures.plots import Curve, training_curves
from prism_bench.analysis.files import write_file
from prism_bench.analysis.table.results import Results
from prism_bench.analysis.unchanged import stamp_of, unless_made
from prism_bench.experiments.planning.cells import GRID, Cell
from prism_bench.experiments.reports.cell_picture import picture_at
from prism_bench.experiments.reports.shown_cells import ShownCell, shown_cells
from prism_bench.prism.engine.store import Store
from prism_bench.prism.images import Pixels, grid, png
from prism_bench.prism.stages.data import open_images
from prism_bench.prism.training.training_log import read_log

COLUMNS = 16
"""Samples per row of a picture."""
STUB, LABEL, LINE = 1.1, 18, 0.12
"""Room for the labels of the overview, in inches; letters of a line of them, and its height."""


def write_pictures(results: Results, store: Store, folder: Path, formats: Sequence[str] = PNG) -> list[Path]:
    """A grid per variant (first seed) and one overview. Cells without samples are left out.

    Column j of every picture starts from the same noise and is guided by the same pseudo-query, which the first row
    of the overview shows. A variant sampled with several numbers of neighbours has a grid for each.
    """
    shown: dict[str, tuple[ShownCell, Path]] = {}
    rows: dict[str, int] = {}
    for cell in shown_cells(results, store):
        images, k = cell.samples, cell.k_sample
        if images:
            name = cell.row if rows.setdefault(cell.row, k) == k else f"{cell.row}-k{k}"
            shown.setdefault(f"grid-{name}", (cell, images))
    if not shown:
        return []
    strips = [[name, cell.label, str(images), str(cell.images)] for name, (cell, images) in shown.items()]
    (first, _), *_others = shown.values()

    def make() -> list[Path]:
        paths = [_write_grid(images, folder / f"{name}.png") for name, (_, images) in shown.items()]
        return [*paths, *_overview(list(shown.values()), results, folder / "overview.png", formats)]

    return unless_made(folder, "samples", [formats, _title(results, first), strips], make)


def write_cell_grid(cell: Cell, store: Store, folder: Path) -> Path | None:
    """The grid of one cell, for its run in MLflow and the like; None where it has no samples."""
    images = store.file(cell.samples.address, "images.npy")
    return _write_grid(images, picture_at(folder, cell.row, cell.samples.k_sample, cell.seed)) if images else None


def write_figures(results: Results, store: Store, folder: Path, formats: Sequence[str] = PNG) -> list[Path]:
    """Training curves as a picture, one for all seeds of a row. What has no log yet is left out."""
    logs: dict[str, tuple[ShownCell, Path]] = {}
    for cell in shown_cells(results, store):
        if cell.log:
            logs.setdefault(cell.record.stages.get("training", ""), (cell, cell.log))
    if not logs:
        return []
    made_of = [[cell.row, cell.label, str(log), stamp_of(log)] for cell, log in logs.values()]

    def make() -> list[Path]:
        curves: dict[str, Curve] = {}
        for cell, log in logs.values():
            known = curves.get(cell.row, Curve(cell.row, cell.label, []))
            curves[cell.row] = known._replace(logs=[*known.logs, list(read_log(log))])
        return training_curves(list(curves.values()), folder / "training-curves.png", formats)

    return unless_made(folder, "curves", [formats, made_of], make)


def _overview(
    shown: Sequence[tuple[ShownCell, Path]], results: Results, path: Path, formats: Sequence[str]
) -> list[Path]:
    rows = [cell.row for cell, _ in shown]
    strips = [
        (cell.label if rows.count(cell.row) == 1 else f"{cell.label}, k_sample {cell.k_sample}", images.parent)
        for cell, images in shown
    ]
    first, _ = shown[0]
    real = first.images
    return overview(strips, None if real is None else real.parent, _title(results, first), path, formats)


def _title(results: Results, first: ShownCell) -> str:
    asked, data = results.plan, results.plan.dataset
    return (
        f"{asked.paper_table}, {data.label} {data.resolution}x{data.resolution}, "
        f"scale {asked.scale}, seed {first.seed}: same noise and pseudo-query in each column"
    )


def overview(
    samples: Sequence[tuple[str, Path]], data: Path | None, title: str, path: Path, formats: Sequence[str] = PNG
) -> list[Path]:
    """One picture of labelled strips of images, below the pseudo-queries that guided the first where `data` holds them.

    samples: a label and the folder of a samples stage for each strip. data: the folder of the dataset's stage, if any.
    """
    strips = [(label, open_images(folder)[:COLUMNS]) for label, folder in samples]
    if data is not None and (data / "images.npy").exists():
        ids = np.load(samples[0][1] / "pseudo_queries.npy")[:COLUMNS]
        strips.insert(0, ("pseudo-queries (real)", open_images(data)[ids]))
    labels = [textwrap.fill(label, LABEL) for label, _ in strips]
    heights = [max((PAGE - STUB) / COLUMNS, LINE * (label.count("\n") + 1)) for label in labels]
    with drawing(path, PAGE, sum(heights) + 0.05 * len(strips) + 0.25, formats) as figure:
        figure.set_layout_engine("constrained", w_pad=0.01, h_pad=0.01)
        axes = figure.subplots(len(strips), 1, squeeze=False, height_ratios=heights)[:, 0]
        for axis, label, (_, images) in zip(axes, labels, strips, strict=True):
            axis.imshow(grid(np.asarray(images), COLUMNS, scale=_zoom(images), gap=2), interpolation="nearest")
            axis.set(xticks=[], yticks=[], frame_on=False)
            axis.set_ylabel(label, rotation=0, ha="right", va="center", fontsize=SMALLEST)
        figure.suptitle(textwrap.fill(title, 110), fontsize=SMALLEST)
    return files_of(path, formats)


def _zoom(images: Pixels) -> int:
    return max(1, 64 // int(images.shape[-1]))


def _write_grid(samples: Path, path: Path) -> Path:
    images = np.asarray(open_images(samples.parent)[:GRID])
    return write_file(path, png(grid(images, COLUMNS // 2, scale=_zoom(images))))
