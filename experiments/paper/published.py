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


@cache
def paper_numbers() -> dict[str, Any]:
    """Tables 1 to 6 as data."""
    value: dict[str, Any] = json.loads(files("prism_bench.experiments.paper").joinpath("paper.json").read_text())
    return value


def quoted_fid(table: str, panel: str, **where: Any) -> tuple[Quoted, ...]:
    """The FID of the one row of a table (1, 2 or 5) with these entries; none where the table has no such row."""
    rows = [row for row in paper_numbers()[table] if where.items() <= row.items()]
    return tuple(Quoted(TITLES[panel], float(row["fid"])) for row in rows[:1])
