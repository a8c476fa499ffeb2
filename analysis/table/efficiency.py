"""What each row costs: parameters, images, operations, time, memory; and quality against compute as a picture."""

import math
from collections.abc import Callable

import pandas as pd

from prism_bench.analysis import formatting
from prism_bench.analysis.frame.columns import COSTS
from prism_bench.analysis.frame.table_lines import TableLines
from prism_bench.analysis.schema.records import Plan
from prism_bench.analysis.stats.statistics import STUDENT_T, Estimator
from prism_bench.analysis.table.table_model import Column, Row, Table, Text

GROUP = "Efficiency"
Spell = Callable[[float], str]
COLUMNS: dict[str, tuple[str, str, Spell]] = {
    "parameters": ("parameters", "Parameters", lambda n: formatting.parameters(round(n))),
    "active": ("active_parameters", "Active in sampling", lambda n: formatting.parameters(round(n))),
    "model": ("model_bytes", "Model file", formatting.size),
    "database": ("database_bytes", "Database", formatting.size),
    "images": ("images_seen", "Training images seen", lambda n: formatting.count(round(n))),
    "per_image": ("train_flops / images_seen", "Operations per image seen", formatting.operations),
    "training": ("train_flops", "Operations of the training", formatting.operations),
    "per_sample": ("sample_flops / samples", "Operations per sample", formatting.operations),
    "seconds": ("train_seconds", "Training time", formatting.duration),
    "speed": ("samples / sample_seconds", "Samples per second", lambda n: f"{n:.3g}"),
    "memory": ("peak_bytes", "Peak memory", formatting.size),
}
"""A column of the frame, or a ratio of two; its heading, and how it is spelled."""
IN_MAIN = {"parameters", "seconds"}
"""What the main table shows too."""


def efficiency_table(plan: Plan, lines: TableLines, estimator: Estimator = STUDENT_T) -> Table | None:
    """Means over the finished seeds of each row; None where the records tell no more than the main table shows."""
    if lines.finished.empty or plan.kind == "grid":
        return None
    means = mean_costs(lines)
    if not set(means) - IN_MAIN:
        return None
    rows = [
        Row(
            id=line.row,
            label=line.label,
            kind="control" if line.control else "variant",
            k_sample=line.k_sample if line.several else None,
            cells=tuple(_cell(mean, COLUMNS[key][2]) for key, mean in costs.items()),
        )
        for line, (_, costs) in zip(lines.lines.loc[means.index].itertuples(), means.iterrows(), strict=True)
    ]
    return Table(
        name=plan.name,
        scale=plan.scale,
        columns=tuple(Column(key=key, label=COLUMNS[key][1], kind="count") for key in means),
        rows=tuple(rows),
        caption=(f"{GROUP}: {plan.title}.",),
        details=(
            "Means over the finished seeds. Operations are counted on shapes, a multiply and its add as two; an image "
            "seen is a patch where patches are trained on. A first stage counts in. The database is what "
            "neighbours are looked up in at sampling. Times and memory are those of the machines that computed "
            "the rows, with whatever ran beside.",
        ),
        estimator=estimator,
        group=GROUP,
    )


def _cell(mean: float, spell: Spell) -> Text:
    return Text(text="") if pd.isna(mean) else Text(text=spell(mean), value=float(mean))


def mean_costs(lines: TableLines) -> pd.DataFrame:
    """Means over the finished seeds of each line that has some; a column of `COLUMNS` where any line knows it."""
    # A ratio to nothing is not known.
    cells = lines.finished[list(COSTS)].astype("float64")
    costs = pd.DataFrame({key: cells.eval(way) for key, (way, _, _) in COLUMNS.items()}).replace(math.inf, math.nan)
    return costs.groupby(lines.finished["line"]).mean().dropna(axis="columns", how="all")
