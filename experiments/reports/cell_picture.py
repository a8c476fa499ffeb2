"""Where the sample grid of one cell lies."""

from pathlib import Path

from prism_bench.analysis.schema.records import Record


def cell_picture(folder: Path, row: str, record: Record) -> Path:
    """Its file in the folder of its plan's report; `row` is the plan's, which may show another table's record."""
    return picture_at(folder, row, record.config.sampling.k_sample, record.seed)


def picture_at(folder: Path, row: str, k_sample: int, seed: int) -> Path:
    """The same by row, k_sample and seed."""
    return folder / "cells" / f"{row}-k{k_sample}-seed{seed}.png"
