"""Captions of two sentences, for tables that show few columns; the details stand elsewhere."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace

from prism_bench.analysis import formatting
from prism_bench.analysis.frame.table_lines import Metric
from prism_bench.analysis.schema.bare_labels import settings_of
from prism_bench.analysis.schema.records import Plan
from prism_bench.analysis.table.caption import quoted_mark, small_scale_mark
from prism_bench.analysis.table.spread import Spread
from prism_bench.analysis.table.table_model import Column, Measured, Table

ENCODED = re.compile(r"(?P<short>[^()]+) \((?P<encoder>[^(),]+)(, [^()]*)?\)(?P<rest>[^()]*)")
"""A metric's label with its encoder: FD (efficientnet-lite0) to D; KID (efficientnet-lite0, not scaled)."""


def where(plan: Plan) -> str:
    """Title, data, scale and the settings that all rows share."""
    data = plan.dataset
    settings = f" with {formatting.listing(settings_of(plan))}" if plan.settings else ""
    return f"{plan.title}, on {data.label} at {data.resolution}x{data.resolution}, scale {plan.scale}{settings}."


def how(plan: Plan, table: Table, shown: Sequence[Metric], spread: Spread) -> str:
    """Seeds, spread, n, encoders, and what bold and underlined say. shown: the metrics of the table's cells."""
    if not shown and not any(True for _ in table.measured):
        return "No cell has been measured yet."
    parts = [_seeds(plan, table, spread)]
    sizes = {metric.n for metric in shown}
    if len(sizes) == 1:
        parts.append(f"n = {formatting.count(sizes.pop())} samples each")
    parts += encoders(shown)
    return f"{', '.join(parts)}{_bold(plan, table)}."


def with_short_labels(columns: Sequence[Column], metrics: Mapping[str, Metric]) -> tuple[Column, ...]:
    """The columns without the encoders in their labels, where they are told apart without."""
    short = [_short(column, metrics.get(column.key)) for column in columns]
    counts = Counter(short)
    return tuple(
        replace(column, label=label) if counts[label] == 1 else column
        for column, label in zip(columns, short, strict=True)
    )


def _short(column: Column, metric: Metric | None) -> str:
    if metric is None or ENCODED.fullmatch(metric.label) is None:
        return column.label
    return f"{short_label(metric)} ({metric.unit})" if metric.unit else short_label(metric)


def _seeds(plan: Plan, table: Table, spread: Spread) -> str:
    if len(plan.seeds) < 2:
        return "One seed" if plan.seeds else "No seed"
    words = {"ci": f" ± half-width of the {table.estimator.words()}", "sd": " ± standard deviation", "none": "s"}
    return f"Mean{words[spread]} over {len(plan.seeds)} seeds"


def encoders(metrics: Sequence[Metric], most: int = 4) -> list[str]:
    """The encoders of metrics, each with their names: FD and KID over features of efficientnet-lite0.

    most: names of more metrics are left out where all have one encoder.
    """
    names: dict[str, list[str]] = {}
    for metric in metrics:
        match = ENCODED.fullmatch(metric.label)
        if match is not None:
            names.setdefault(match["encoder"], []).append(match["short"])
    if len(names) == 1 and len(metrics) > most:
        return [f"over features of {next(iter(names))}"]
    return [f"{' and '.join(dict.fromkeys(labels))} over features of {it}" for it, labels in names.items()]


def short_label(metric: Metric) -> str:
    """A metric's label without its encoder."""
    match = ENCODED.fullmatch(metric.label)
    return metric.label if match is None else match["short"] + match["rest"]


def with_short_names(sentence: str, metrics: Sequence[Metric]) -> str:
    """A sentence without the encoders of the metrics that it names, where their names are told apart without."""
    counts = Counter(map(short_label, metrics))
    for metric in metrics:
        if counts[short_label(metric)] == 1:
            sentence = sentence.replace(metric.label, short_label(metric))
    return sentence


def _bold(plan: Plan, table: Table) -> str:
    cells = [cell for row in table.rows for cell in row.cells if isinstance(cell, Measured)]
    if len(plan.seeds) < 2:
        return ", so nothing is bold"
    if not any(cell.best for cell in cells):
        return "; no row is bold: none can be told from all others"
    second = ", underlined: the second best likewise" if any(cell.second for cell in cells) else ""
    return f"; bold: the best, where paired differences tell it from every other row{second}"


def marks(plan: Plan, table: Table) -> tuple[str, ...]:
    """A sentence for each mark in the headings."""
    small = [column for column in table.columns if column.kind == "measured" and column.mark]
    quoted = [column for column in table.columns if column.kind == "quoted"]
    return (
        *([small_scale_mark(plan)] if small else []),
        *([quoted_mark(plan, beside=bool(small))] if quoted else []),
    )
