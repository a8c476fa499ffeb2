"""Sample grids: the same noise and pseudo-query in the same column for every variant."""

import textwrap
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from prism_bench.analysis.figures.plots import training_curves
from prism_bench.experiments.planning.cells import GRID, Cell
from prism_bench.experiments.planning.plan import Plan
from prism_bench.prism.engine.runtime import write_bytes
from prism_bench.prism.engine.store import Store
from prism_bench.prism.images import Pixels, grid, png
from prism_bench.prism.stages.data import open_images
from prism_bench.prism.training.training_log import read_log

COLUMNS = 16
"""Samples per row of a picture."""


def write_pictures(plan: Plan, store: Store, folder: Path) -> list[Path]:
    """A grid per variant (first seed) and one overview. Cells without samples are left out.

    Column j of every picture starts from the same noise and is guided by the same pseudo-query, which the first row
    of the overview shows. A variant sampled with several numbers of neighbours has a grid for each.
    """
    shown: dict[str, Cell] = {}
    rows: dict[str, int] = {}
    for cell in plan.cells:
        if (store.folder(cell.samples.address) / "images.npy").exists():
            k = cell.samples.k_sample
            name = cell.row if rows.setdefault(cell.row, k) == k else f"{cell.row}-k{k}"
            shown.setdefault(f"grid-{name}", cell)
    paths = [_write_grid(cell, store, folder / f"{name}.png") for name, cell in shown.items()]
    return [*paths, _overview(list(shown.values()), plan, store, folder / "overview.png")] if shown else []


def write_cell_grid(cell: Cell, store: Store, folder: Path) -> Path | None:
    """The grid of one cell, for its MLflow run; None where it has no samples."""
    if not (store.folder(cell.samples.address) / "images.npy").exists():
        return None
    return _write_grid(cell, store, folder / "cells" / f"{cell.row}-k{cell.samples.k_sample}-seed{cell.seed}.png")


def write_figures(plan: Plan, store: Store, folder: Path) -> list[Path]:
    """Training curves as a picture. What has no log yet is left out."""
    trainings = {str(cell.training.address): cell for cell in reversed(plan.cells)}
    curves = []
    for cell in reversed(trainings.values()):
        log = store.folder(cell.training.address) / "metrics.jsonl"
        if log.exists():
            curves.append((f"{cell.label}, seed {cell.seed}", list(read_log(log))))
    return [training_curves(curves, folder / "training-curves.png")] if curves else []


def _overview(cells: Sequence[Cell], plan: Plan, store: Store, path: Path) -> Path:
    rows = [cell.row for cell in cells]
    strips = [
        (
            cell.label if rows.count(cell.row) == 1 else f"{cell.label}, k_sample {cell.samples.k_sample}",
            store.folder(cell.samples.address),
        )
        for cell in cells
    ]
    asked, data = plan.document, plan.document.dataset
    title = (
        f"{asked.paper_table}, {data.label} {data.resolution}x{data.resolution}, "
        f"scale {asked.scale}, seed {cells[0].seed}: same noise and pseudo-query in each column"
    )
    return overview(strips, store.folder(cells[0].training.data.address), title, path)


def overview(samples: Sequence[tuple[str, Path]], data: Path, title: str, path: Path) -> Path:
    """One picture of labelled strips of images, below the pseudo-queries that guided the first where `data` holds them.

    samples: a label and the folder of a samples stage for each strip. data: the folder of the dataset's stage.
    """
    from matplotlib.figure import Figure

    strips = [(label, open_images(folder)[:COLUMNS]) for label, folder in samples]
    if (data / "images.npy").exists():
        ids = np.load(samples[0][1] / "pseudo_queries.npy")[:COLUMNS]
        strips.insert(0, ("pseudo-queries\n(real)", open_images(data)[ids]))
    width = 12.0
    figure = Figure(figsize=(width, len(strips) * ((width - 2.4) / COLUMNS + 0.08) + 0.5), dpi=120)
    axes = figure.subplots(len(strips), 1, squeeze=False)[:, 0]
    for axis, (label, images) in zip(axes, strips, strict=True):
        axis.imshow(grid(np.asarray(images), COLUMNS, scale=_zoom(images), gap=2), interpolation="nearest")
        axis.set_axis_off()
        words = textwrap.fill(label, 22)
        axis.text(-0.01, 0.5, words, transform=axis.transAxes, ha="right", va="center", fontsize=9)
    figure.suptitle(title, fontsize=9)
    figure.subplots_adjust(left=0.17, right=0.995, bottom=0.01, top=0.9, hspace=0.06)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, metadata={"Software": None})
    return path


def _zoom(images: Pixels) -> int:
    return max(1, 64 // int(images.shape[-1]))


def _write_grid(cell: Cell, store: Store, path: Path) -> Path:
    images = np.asarray(open_images(store.folder(cell.samples.address))[:GRID])
    path.parent.mkdir(parents=True, exist_ok=True)
    write_bytes(path, png(grid(images, COLUMNS // 2, scale=_zoom(images))))
    return path
