"""The paper's published numbers and settings, as shipped in paper.json with their source."""

import json
from functools import cache
from importlib.resources import files
from typing import Any

TITLES = {
    "cifar10": "CIFAR-10 32x32",
    "celeba": "CelebA 64x64",
    "imagenet100": "ImageNet-100 64x64",
    "afhqv2": "AFHQv2 64x64",
}
"""The paper's datasets: what captions and quoted columns call them."""
FID_50K = "FID, 50,000 samples against all real training images"
"""What the paper's tables hold."""


@cache
def paper_numbers() -> dict[str, Any]:
    """Tables 1 to 6 as data."""
    value: dict[str, Any] = json.loads(files("prism_bench.experiments.paper").joinpath("paper.json").read_text())
    return value


def quoted_fid(table: str, **where: Any) -> float | None:
    """The FID of the one row of a table (1, 2 or 5) with these entries; None where the table has no such row."""
    for row in paper_numbers()[table]:
        if all(row.get(key) == value for key, value in where.items()):
            return float(row["fid"])
    return None
