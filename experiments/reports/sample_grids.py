"""Sample grids: the same noise and pseudo-query in the same column for every variant."""

import textwrap
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from prism_bench.analysis.figures.plots import training_curves
from prism_bench.experiments.planning.cells import Cell
from prism_bench.experiments.planning.plan import Plan
from prism_bench.prism.engine.runtime import write_bytes
from prism_bench.prism.engine.store import Store
from prism_bench.prism.images import Pixels, grid, png
from prism_bench.prism.stages.data import open_images
from prism_bench.prism.training.training_log import read_log

GRID = 64
"""Samples in one variant's grid."""
COLUMNS = 16
"""Samples per row of a picture."""


def write_pictures(plan: Plan, store: Store, folder: Path) -> dict[str, Path]:
    """A grid per variant (first seed) and one overview; name -> path. Cells without samples are left out.

    Column j of every picture starts from the same noise and is guided by the same pseudo-query, which the first row
    of the overview shows. A variant sampled with several numbers of neighbours has a grid for each.
    """
    folder.mkdir(parents=True, exist_ok=True)
    shown: dict[str, Cell] = {}
    rows: dict[str, int] = {}
    for cell in plan.cells:
        if (store.folder(cell.samples.address) / "images.npy").exists():
            k = cell.samples.k_sample
            name = cell.row if rows.setdefault(cell.row, k) == k else f"{cell.row}-k{k}"
            shown.setdefault(f"grid-{name}", cell)
    paths = {name: _write(folder / f"{name}.png", samples_of(cell, store)[:GRID]) for name, cell in shown.items()}
    if shown:
        paths["overview"] = _overview(list(shown.values()), plan, store, folder / "overview.png")
    return paths


def write_cell_grid(cell: Cell, store: Store, folder: Path) -> Path | None:
    """The grid of one cell, for its MLflow run; None where it has no samples."""
    if not (store.folder(cell.samples.address) / "images.npy").exists():
        return None
    target = folder / "cells" / f"{cell.row}-k{cell.samples.k_sample}-seed{cell.seed}.png"
    target.parent.mkdir(parents=True, exist_ok=True)
    return _write(target, samples_of(cell, store)[:GRID])


def write_figures(plan: Plan, store: Store, folder: Path) -> dict[str, Path]:
    """Training curves as a picture; name -> path. What has no log yet is left out."""
    trainings = {str(cell.training.address): cell for cell in reversed(plan.cells)}
    curves = []
    for cell in reversed(trainings.values()):
        log = store.folder(cell.training.address) / "metrics.jsonl"
        if log.exists():
            curves.append((f"{cell.label}, seed {cell.seed}", list(read_log(log))))
    return {"training-curves": training_curves(curves, folder / "training-curves.png")} if curves else {}


def samples_of(cell: Cell, store: Store) -> Pixels:
    """The cell's samples, uint8 [n, 3, R, R], memory-mapped."""
    pixels: Pixels = np.load(store.folder(cell.samples.address) / "images.npy", mmap_mode="r")
    return pixels


def queries_of(cell: Cell, store: Store) -> Pixels:
    """The real images of D that guided the cell's samples."""
    ids = np.load(store.folder(cell.samples.address) / "pseudo_queries.npy")
    data = store.folder(cell.training.data.address)
    if not (data / "images.npy").exists():
        return np.empty((0, *samples_of(cell, store).shape[1:]), np.uint8)
    pixels: Pixels = open_images(data)[ids[:COLUMNS]]
    return pixels


def _overview(cells: list[Cell], plan: Plan, store: Store, path: Path) -> Path:
    """Pseudo-queries on top, then a row of samples per variant."""
    strips = [("pseudo-queries\n(real)", queries_of(cells[0], store))]
    several = {row for row in (cell.row for cell in cells) if sum(cell.row == row for cell in cells) > 1}
    for cell in cells:
        label = f"{cell.label}, k_sample {cell.samples.k_sample}" if cell.row in several else cell.label
        strips.append((label, samples_of(cell, store)[:COLUMNS]))
    dataset = plan.document.dataset
    title = (
        f"{plan.request.experiment.paper_table}, {dataset.label} {dataset.resolution}x{dataset.resolution}, "
        f"scale {plan.request.scale_name}, seed {cells[0].seed}: same noise and pseudo-query in each column"
    )
    return overview(strips, title, path)


def overview(strips: Sequence[tuple[str, Pixels]], title: str, path: Path) -> Path:
    """One picture of labelled strips of images, (label, uint8 [n, 3, R, R]) each; empty ones are left out."""
    from matplotlib.figure import Figure

    shown = [(label, images) for label, images in strips if len(images)]
    width = 12.0
    figure = Figure(figsize=(width, len(shown) * ((width - 2.4) / COLUMNS + 0.08) + 0.5), dpi=120)
    axes = figure.subplots(len(shown), 1, squeeze=False)[:, 0]
    for axis, (label, images) in zip(axes, shown, strict=True):
        axis.imshow(grid(np.asarray(images), COLUMNS, scale=_zoom(images), gap=2), interpolation="nearest")
        axis.set_axis_off()
        axis.text(-0.01, 0.5, _wrap(label), transform=axis.transAxes, ha="right", va="center", fontsize=9)
    figure.suptitle(title, fontsize=9)
    figure.subplots_adjust(left=0.17, right=0.995, bottom=0.01, top=0.9, hspace=0.06)
    figure.savefig(path, metadata={"Software": None})
    return path


def _wrap(label: str) -> str:
    return "\n".join(textwrap.wrap(label, 22))


def _zoom(images: Pixels) -> int:
    return max(1, 64 // int(images.shape[-1]))


def _write(path: Path, images: Pixels) -> Path:
    write_bytes(path, png(grid(np.asarray(images), COLUMNS // 2, scale=_zoom(images))))
    return path
