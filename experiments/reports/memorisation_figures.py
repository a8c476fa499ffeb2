"""What samples resemble: the most suspicious of them beside the real images they come closest to, and all distances."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from prism_bench.experiments.planning.cells import Cell
from prism_bench.experiments.planning.plan import Plan
from prism_bench.prism.engine.store import Store
from prism_bench.prism.images import Pixels
from prism_bench.prism.metrics.memorisation import Memorisation
from prism_bench.prism.stages.data import open_images

SHOWN = 12
"""Samples of each row."""
Array = npt.NDArray[Any]


@dataclass(frozen=True)
class _Row:
    """One row's first cell with its distances (`prism.metrics.memorisation.Resemblance`, by field)."""

    cell: Cell
    samples: Pixels
    real: Pixels
    details: dict[str, Array]


def write_resemblances(plan: Plan, store: Store, folder: Path) -> list[Path]:
    """memorisation.png and memorisation-distances.png of each row's first seed; nothing where it was not measured."""
    rows = _measured(plan, store)
    if not rows:
        return []
    folder.mkdir(parents=True, exist_ok=True)
    return [_suspects(rows, folder / "memorisation.png"), _distances(rows, folder / "memorisation-distances.png")]


def _measured(plan: Plan, store: Store) -> list[_Row]:
    rows: dict[str, _Row] = {}
    stages = [(cell, stage) for cell in plan.cells for stage in cell.metrics if isinstance(stage.metric, Memorisation)]
    for cell, stage in stages:
        details = store.folder(stage.address) / "details.npz"
        folders = [store.folder(needed.address) for needed in (cell.samples, cell.training.data)]
        if cell.row not in rows and all(path.exists() for path in (details, *(it / "images.npy" for it in folders))):
            samples, real = (open_images(folder) for folder in folders)
            with np.load(details) as arrays:
                rows[cell.row] = _Row(cell, samples, real, dict(arrays))
    return list(rows.values())


def _suspects(rows: list[_Row], path: Path) -> Path:
    """Two strips for each row: samples by rising distance, as a share of the threshold, and their nearest images."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(12, len(rows) * 2.65 + 0.5), dpi=120)
    # Room for the rows' names.
    figure.set_layout_engine("constrained", h_pad=0.09)
    grid = figure.subplots(2 * len(rows), SHOWN, squeeze=False)
    for index, row in enumerate(rows):
        shares, ids, parts = _closest(row.details)
        for column, sample in enumerate(np.argsort(shares, kind="stable")[:SHOWN]):
            pictures = (row.samples[sample], row.real[ids[sample]])
            words = (f"sample {sample}", f"{parts[sample]}: {shares[sample]:.2f}")
            for axis, image, text in zip(grid[2 * index : 2 * index + 2, column], pictures, words, strict=True):
                axis.imshow(image.transpose(1, 2, 0), interpolation="nearest")
                axis.set_xlabel(text, fontsize=7, labelpad=1)
        first, title = grid[2 * index, 0], f"{row.cell.label}, seed {row.cell.seed}"
        # Left out of the layout: a long title must not widen its column.
        first.text(0, 1.05, title, transform=first.transAxes, fontsize=9, va="bottom").set_in_layout(False)
    for axis in grid.flat:
        axis.set_xticks([])
        axis.set_yticks([])
    figure.suptitle(
        "The samples nearest to a real image, each above that image: distance / that of the closest 1% of real images "
        "(below 1: counted as a copy)",
        fontsize=9,
    )
    figure.savefig(path, metadata={"Software": None})
    return path


def _closest(details: dict[str, Array]) -> tuple[Array, Array, list[str]]:
    """For each sample: its smaller distance as a share of the threshold, the image, and which part that is of."""
    # Real images can coincide: then the threshold is 0 and only an exact copy is as near.
    to_d, to_train = (
        details[f"to_{part}"] / max(float(details[f"threshold_{part}"]), 1e-12) for part in ("retrieval", "train")
    )
    nearer_d = to_d <= to_train
    ids = np.where(nearer_d, details["nearest_retrieval"], details["nearest_train"])
    return np.minimum(to_d, to_train), ids, ["D" if near else "X_train" for near in nearer_d]


def _distances(rows: list[_Row], path: Path) -> Path:
    """Cumulative distributions of the distances, a panel for each kind, generated rows beside real images."""
    from matplotlib.figure import Figure

    panels = (
        ("to_retrieval", "real_to_retrieval", "threshold_retrieval", "to the nearest image of D"),
        ("to_train", "real_to_train", "threshold_train", "to the nearest image of X_train"),
        ("to_query", "real_to_retrieval", "threshold_retrieval", "to its own pseudo-query"),
    )
    figure = Figure(figsize=(12, 4.2), dpi=120, layout="constrained")
    for axis, (key, real, threshold, title) in zip(figure.subplots(1, len(panels), sharey=True), panels, strict=True):
        for row in rows:
            axis.ecdf(row.details[key], label=row.cell.label, linewidth=1.2)
        words = "real images, to the nearest of the other part"
        axis.ecdf(rows[0].details[real], label=words, color="black", linewidth=1.2)
        axis.axvline(float(rows[0].details[threshold]), color="0.5", linestyle="--", linewidth=1, label="copies below")
        axis.set_xlabel(f"distance of features {title}", fontsize=8)
        axis.grid(alpha=0.3)
    axes = figure.axes[0]
    axes.set_ylabel("share of images")
    figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=3, frameon=False, fontsize=8)
    figure.savefig(path, metadata={"Software": None})
    return path
