"""The picture of paired differences to the baseline: where each mark stands, and what it says."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from prism_bench.analysis import formatting
from prism_bench.analysis.figures.colours import looks_of
from prism_bench.analysis.stats.comparison import Comparison
from prism_bench.analysis.stats.differences import MetricDifferences
from prism_bench.analysis.table.results import Results
from prism_bench.analysis.table.short_caption import short_label

MOST_ROWS, MOST_PANELS = 12, 2
"""Of more rows a table is easier to read; two panels stand side by side."""
ROOM = 0.04
"""Of a panel, left free at each end."""
FAR = 1.5
"""Widths of the other rows' intervals beyond which a control is an arrow at the edge."""


@dataclass(frozen=True, kw_only=True)
class Mark:
    """One difference: places in percent of the panel's width, None where there is none; `beyond` its edge or not."""

    mean: float | None
    low: float | None
    high: float | None
    beyond: str
    separable: bool
    words: str
    alt: str


@dataclass(frozen=True, kw_only=True)
class Panel:
    """One metric: its name, and where the line of no difference and the ticks stand."""

    label: str
    zero: float
    ticks: tuple[tuple[float, str], ...]


@dataclass(frozen=True, kw_only=True)
class ForestRow:
    """One row against the baseline, with a mark for each panel."""

    label: str
    control: bool
    colour: str
    marks: tuple[Mark, ...]


@dataclass(frozen=True, kw_only=True)
class Forest:
    """Rows against a baseline; what is to the right is better."""

    baseline: str
    panels: tuple[Panel, ...]
    rows: tuple[ForestRow, ...]
    interval: str
    single: bool


def forest_of(part: Results) -> Forest | None:
    """The picture of a table; None where fewer than two rows are there, or too many to be looked at.

    Its metrics are those that the claims are judged by, or the first of those that the table shows.
    """
    found = part.differences
    if found is None or len(found.rows) > MOST_ROWS:
        return None
    lines = part.lines.lines
    baseline, *others = lines.index[lines["seeds"] > 0]
    names = dict(zip((baseline, *others), formatting.apart(lines.loc[[baseline, *others], "title"])[0], strict=True))
    looks = looks_of(list(dict.fromkeys(lines["row"])))
    controls = [bool(lines.at[line, "control"]) for line in others]
    drawn = [_drawn(one, controls, [names[line] for line in others], names[baseline]) for one in _wanted(part)]
    columns = [column for column in drawn if column is not None]
    if not columns:
        return None
    rows = tuple(
        ForestRow(
            label=names[line],
            control=controls[index],
            colour=looks[str(lines.at[line, "row"])].colour,
            marks=tuple(marks[index] for _, marks in columns),
        )
        for index, line in enumerate(others)
    )
    return Forest(
        baseline=names[baseline],
        panels=tuple(panel for panel, _ in columns),
        rows=rows,
        interval=found.estimator.of_differences(),
        single=all(mark.low is None for row in rows for mark in row.marks),
    )


def _wanted(part: Results) -> list[MetricDifferences]:
    found = {one.metric.name: one for one in part.differences.metrics} if part.differences else {}
    names = [*part.outcomes, *(column.key for column in part.shown.columns)]
    return [found[name] for name in dict.fromkeys(names) if name in found][:MOST_PANELS]


def _drawn(
    one: MetricDifferences, controls: Sequence[bool], names: Sequence[str], baseline: str
) -> tuple[Panel, list[Mark]] | None:
    """A panel with its marks; None where no row shares a seed with the baseline."""
    gains = [row if one.metric.better == "higher" else row.negated for _, row in one.rows]
    inner = _ends(gain for gain, control in zip(gains, controls, strict=True) if not control)
    every = _ends(gains)
    if not every:
        return None
    low, high = min([0.0, *(inner or every)]), max([0.0, *(inner or every)])
    reach = FAR * (high - low)
    low, high = max(low - reach, min(0.0, *every)), min(high + reach, max(0.0, *every))
    room = ROOM * ((high - low) or 1.0)
    scale = _Scale(low - room, high + room)
    unit = gains[0].unit or one.metric.unit
    label = f"{short_label(one.metric)} ({unit})" if unit else short_label(one.metric)
    ticks = tuple((scale.place(tick), words) for tick, words in _ticks(low, high))
    marks = [_mark(gain, scale, one, name, baseline) for gain, name in zip(gains, names, strict=True)]
    return Panel(label=label, zero=scale.place(0.0), ticks=ticks), marks


@dataclass(frozen=True)
class _Scale:
    low: float
    high: float

    def place(self, value: float) -> float:
        """Percent of the width, no further than its edges."""
        share = (value - self.low) / (self.high - self.low)
        return round(100 * min(1.0, max(0.0, share)), 2)


def _mark(gain: Comparison, scale: _Scale, one: MetricDifferences, name: str, baseline: str) -> Mark:
    label = short_label(one.metric)
    if gain.interval is None:
        alt = f"{name} shares no seed with {baseline} in {label}"
        return Mark(mean=None, low=None, high=None, beyond="", separable=False, words="no seed in common", alt=alt)
    mean, ends = gain.interval.mean, (gain.interval.low, gain.interval.high)
    low, high = (None if end is None else scale.place(end) for end in ends)
    words = " ".join(filter(None, gain.spelled[:2]))
    side = "better" if mean > 0 else "worse" if mean < 0 else "equal"
    told = "separable" if gain.significant else "one seed, no interval" if gain.seeds == 1 else "not separable"
    return Mark(
        mean=scale.place(mean),
        low=low,
        high=high,
        beyond="left" if mean < scale.low else "right" if mean > scale.high else "",
        separable=gain.significant,
        words=words,
        alt=f"{name} against {baseline} in {label}: {words}, {side}, {told}",
    )


def _ends(gains: Iterable[Comparison]) -> list[float]:
    """The ends of intervals, and the means of those without."""
    intervals = [gain.interval for gain in gains if gain.interval is not None]
    ends = [end for it in intervals for end in (it.low, it.mean, it.high) if end is not None]
    return [end for end in ends if math.isfinite(end)]


def _ticks(low: float, high: float) -> list[tuple[float, str]]:
    """Round numbers between two ends, 0 among them: at most six."""
    if low == high:
        return [(0.0, "0")]
    rough = (high - low) / 4
    size = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * size for factor in (1, 2, 5, 10) if factor * size >= rough)
    places = max(0, -math.floor(math.log10(step) + 1e-9))
    numbers = [index * step for index in range(math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9) + 1)]
    return [(number, "0" if number == 0 else f"{number:+.{places}f}") for number in numbers]
