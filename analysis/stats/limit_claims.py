"""Claims that a number stays below a limit: each row's mean over seeds, with its interval, against it."""

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from prism_bench.analysis import formatting
from prism_bench.analysis.frame.recorded import Recorded
from prism_bench.analysis.schema.records import Limit, Side
from prism_bench.analysis.stats.statistics import LEVEL, Estimator, Interval, share_interval
from prism_bench.analysis.stats.verdicts import Verdict


class _Found(NamedTuple):
    side: Side
    value: Any
    """The line of the frame that holds the first seed's value."""
    interval: Interval


def judge_limit(limit: Limit, recorded: Recorded, estimator: Estimator) -> tuple[str, Verdict, str]:
    """The metric's label, the verdict, and one sentence of evidence.

    Not reproduced where an interval lies above the limit; otherwise not tested where a row does not meet the condition,
    and reproduced where every interval lies below the limit. Equal values have no spread to make an interval of; equal
    shares are taken as one share of the images of all seeds (`share_interval`), and other equal values decide nothing.
    """
    found: list[_Found] = []
    conditions: list[_Found] = []
    for side in limit.sides:
        for metric, kept in ((limit.metric, found), (limit.condition, conditions)):
            values = recorded.first_called(f"{metric}_", side.cells)
            missing = [cell.seed for cell in side.cells if cell.seed not in values]
            if missing or not values:
                which = f"seed{'s' * (len(missing) > 1)} {formatting.listing(missing)}"
                return "", "not tested", f"not tested: {side.label} has no such measurement for {which}"
            lines = [line for _, line in sorted(values.items())]
            kept.append(_Found(side, lines[0], _interval(lines, estimator)))
    worst = max(found, key=lambda one: one.interval.mean)
    unfit = min(conditions, key=lambda one: one.interval.mean)
    told = f"{_told(worst, limit)}{f' (the highest of {len(found)} rows)' if len(found) > 1 else ''}"
    verdict, why = _verdict(limit, found, unfit, told)
    return worst.value.metric_label, verdict, why


def _verdict(limit: Limit, found: Sequence[_Found], unfit: _Found, told: str) -> tuple[Verdict, str]:
    if any(one.interval.low is not None and one.interval.low > limit.most for one in found):
        return "not reproduced", f"not reproduced: {told}"
    if unfit.interval.mean < limit.least:
        share = f"{unfit.interval.mean:.3g}{_unit(unfit.value)} {unfit.value.metric_label}"
        return "not tested", f"not tested: {unfit.side.label} has {share}, too few to tell; {told}"
    if all(one.interval.high is not None and one.interval.high < limit.most for one in found):
        return "reproduced", f"reproduced: {told}"
    seeds = max(len(side.cells) for side in limit.sides)
    why = "the interval holds the limit"
    if seeds == 1:
        why = "a single seed has no interval, run at least three"
    elif any(one.interval.high is None for one in found):
        why = "all seeds have the same value, which tells nothing of their spread"
    return "undecided", f"undecided after {seeds} seed{'s' * (seeds > 1)}: {told}; {why}"


def _interval(lines: Sequence[Any], estimator: Estimator) -> Interval:
    values = [line.value for line in lines]
    interval = estimator.interval(values, LEVEL)
    if len(values) == 1 or len(set(values)) > 1:
        return interval
    if lines[0].unit == "%":
        return share_interval(interval.mean, sum(int(line.n) for line in lines))
    return replace(interval, low=None, high=None, half_width=None)


def _told(found: _Found, limit: Limit) -> str:
    mean, low, high = found.interval.mean, found.interval.low, found.interval.high
    spread = "" if low is None or high is None else f" [{low:.2f}, {high:.2f}]"
    unit = _unit(found.value)
    floor = "" if math.isnan(found.value.floor) else f", real images {found.value.floor:.2f}{unit}"
    label = found.value.metric_label
    return f"{found.side.label} has {mean:.2f}{spread}{unit} {label}{floor}, the limit is {limit.most:g}{unit}"


def _unit(value: Any) -> str:
    return f" {value.unit}" if value.unit else ""
