"""The paper's published numbers and settings, as shipped in paper.json with their source."""

import json
from functools import cache
from importlib.resources import files
from typing import Any

from prism_bench.experiments.paper.experiment import Quoted

TITLES = {
    "cifar10": "CIFAR-10 32x32",
    "celeba": "CelebA 64x64",
    "imagenet100": "ImageNet-100 64x64",
    "afhqv2": "AFHQv2 64x64",
}
"""The paper's datasets: what captions and quoted columns call them."""
FID_50K = "FID, 50,000 samples against all real training images"
"""What the paper's tables hold."""
SIZES = {
    "params": ("model size", "parameters"),
    "retrieval": ("retrieval set", "images"),
    "train": ("training set", "images"),
    "hours": ("training time", "h"),
}
"""What Table 1 says of a row besides its FID: what quoted columns call it, and its unit."""


@cache
def paper_numbers() -> dict[str, Any]:
    """Tables 1 to 6 as data."""
    value: dict[str, Any] = json.loads(files("prism_bench.experiments.paper").joinpath("paper.json").read_text())
    return value


def quoted_fid(table: str, panel: str, **where: Any) -> tuple[Quoted, ...]:
    """The FID of the one row of a table (1, 2 or 5) with these entries; none where the table has no such row."""
    return tuple(Quoted(TITLES[panel], float(row["fid"])) for row in _rows(table, where)[:1])


def quoted_sizes(panel: str, **where: Any) -> tuple[Quoted, ...]:
    """Model size, set sizes and training time of the one row of Table 1 with these entries, as far as it has them."""
    return tuple(
        Quoted(TITLES[panel], _number(row[key]), None, metric, None, unit)
        for row in _rows("table1", where)[:1]
        for key, (metric, unit) in SIZES.items()
        if row[key] is not None
    )


def _rows(table: str, where: dict[str, Any]) -> list[dict[str, Any]]:
    return [row for row in paper_numbers()[table] if where.items() <= row.items()]


def _number(entry: str | float) -> float:
    """13M as 13,000,000."""
    return float(entry.removesuffix("M")) * 1e6 if isinstance(entry, str) else float(entry)
