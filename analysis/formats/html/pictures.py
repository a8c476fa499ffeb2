"""The pictures of a report inside the page, with what is to be seen on them in words."""

import base64
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image, ImageChops, features

from prism_bench.analysis.figures.quality_compute import PICTURE
from prism_bench.analysis.figures.sweep_figures import CURVES, HEATMAP
from prism_bench.analysis.formats.html import alt_texts
from prism_bench.analysis.formats.html.alt_texts import MOST
from prism_bench.analysis.table.results import Results
from prism_bench.analysis.table.study_results import PICTURE as TUNED
from prism_bench.analysis.table.study_results import StudyResults, interval_of, spelled, words

FIGURES = {
    "overview.png": "Samples of every variant, first seed; a column shares its noise and its pseudo-query.",
    CURVES: "The first metric over k_sample with 95% bands, and the published curves in a panel of their own.",
    HEATMAP: "Schedules against k_sample: measured (colours span all intervals), and quoted.",
    "intervals.png": "Each metric: mean over seeds with its 95% interval, seeds as dots, real images dashed (or →).",
    PICTURE: "The first metric over the operations of the training: what quality costs.",
    "training-curves.png": "Loss and k_train over training images: mean over seeds, bands from least to largest.",
    "memorisation.png": "The samples that come closest to a real image, first seed, each above the image it resembles.",
    "memorisation-distances.png": "Distances to the nearest real image, first seed: generated beside real ones.",
}
OVERVIEW, RESEMBLANCES, INTERVALS = "overview.png", "memorisation.png", "intervals.png"
OF_SWEEP = (CURVES, HEATMAP)
WEBP = features.check("webp")
"""Half the bytes of a PNG; a Pillow that somebody built may lack it."""
LOSSLESS: dict[str, Any] = (
    {"format": "webp", "lossless": True, "quality": 60, "method": 3} if WEBP else {"format": "png", "optimize": True}
)
LOSSY: dict[str, Any] = {"format": "webp", "quality": 75, "method": 3}
WIDE = 900
"""Pixels from which a picture takes the width of the page."""
COLOURS = 32, 128
"""Of pictures of numbers, and of those of samples: the page stays small, and the files beside it are exact."""


@dataclass(frozen=True, kw_only=True)
class Picture:
    """Its address, size in pixels, what it is and what is to be seen on it. `pixels`: to be enlarged in squares."""

    address: str
    width: int
    height: int
    caption: str
    alt: str
    pixels: bool = False

    @property
    def wide(self) -> bool:
        """Whether it needs the width of the page."""
        return self.width > WIDE


def overview_of(part: Results) -> list[Picture]:
    """What the variants draw, side by side."""
    return [] if part.plan.kind == "curves" else list(_figures(part, [OVERVIEW]))


def resemblances_of(part: Results) -> list[Picture]:
    """What their samples resemble."""
    return [] if part.plan.kind == "curves" else list(_figures(part, [RESEMBLANCES]))


def curves_of(part: Results) -> list[Picture]:
    """The pictures of numbers; those of a sweep alone where the plan shows its curves."""
    left_out = {OVERVIEW, RESEMBLANCES, *([] if any(True for _ in part.table.measured) else [INTERVALS])}
    names = OF_SWEEP if part.plan.kind == "curves" else FIGURES
    return list(_figures(part, [name for name in names if name not in left_out]))


def grids_of(part: Results) -> list[Picture]:
    """A grid of samples for each row; those of rows with several k_sample would be many, and stand in the overview."""
    if part.pictures is None or part.plan.kind == "curves":
        return []
    rows = [row for row in part.shown.rows if row.kind != "floor" and row.k_sample is None]
    paths = [(row, part.pictures / f"grid-{row.id}.png") for row in rows]
    return [
        _picture(path, row.label, alt_texts.grid(part, row), COLOURS[1], pixels=True)
        for row, path in paths
        if path.is_file()
    ]


def of_study(results: StudyResults) -> list[Picture]:
    """The metric over each parameter of a study, told by its best trials."""
    path, label = results.folder / TUNED, results.study.label
    if not path.is_file():
        return []
    told = [f"{words(it.point)} {spelled(interval_of(it), results.places)}" for it in results.study.finished[:MOST]]
    caption = f"{label} over each parameter: mean and 95% interval, seeds as dots, the best in another colour."
    return [_picture(path, caption, f"{label}: {', '.join(told)}.", COLOURS[0])]


def _figures(part: Results, names: Sequence[str]) -> Iterator[Picture]:
    for name in names:
        path = None if part.pictures is None else part.pictures / name
        if path is not None and path.is_file():
            colours = COLOURS[name in {OVERVIEW, RESEMBLANCES}]
            yield _picture(path, FIGURES[name], alt_texts.figure(part, name, FIGURES[name]), colours)


def _picture(path: Path, caption: str, alt: str, colours: int, *, pixels: bool = False) -> Picture:
    with Image.open(path) as opened:
        image = opened.convert("RGB")
    # Drawn for the eye of somebody who scrolls: few colours, without loss otherwise, or with where that is smaller.
    few = _half(image).quantize(colours, method=Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE)
    encoded = [_encoded(few.convert("RGB") if WEBP else few, **LOSSLESS)]
    if pixels and WEBP:
        encoded.append(_encoded(image, **LOSSY))
    data = base64.b64encode(min(encoded, key=len)).decode("ascii")
    address = f"data:image/{LOSSLESS['format']};base64,{data}"
    return Picture(address=address, width=image.width, height=image.height, caption=caption, alt=alt, pixels=pixels)


def _half(image: Image.Image) -> Image.Image:
    """Half its size, where every square of four pixels is one that was enlarged."""
    half = image.resize((image.width // 2, image.height // 2), Image.Resampling.NEAREST)
    whole = half.resize(image.size, Image.Resampling.NEAREST)
    return half if ImageChops.difference(whole, image).getbbox() is None else image


def _encoded(image: Image.Image, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, **options)
    return buffer.getvalue()
