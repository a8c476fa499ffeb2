"""Claims that a number stays below a limit: each row's mean over seeds, with its interval, against it."""

from collections.abc import Mapping
from typing import Literal, NamedTuple

from prism_bench.analysis import formatting
from prism_bench.analysis.schema.records import Limit, Record, Side, Value
from prism_bench.analysis.stats.statistics import Estimator, Interval

Verdict = Literal["reproduced", "not reproduced", "undecided", "not tested"]


class _Found(NamedTuple):
    side: Side
    value: Value
    interval: Interval


def judge_limit(limit: Limit, records: Mapping[str, Record], estimator: Estimator) -> tuple[str, Verdict, str]:
    """The metric's label, the verdict, and one sentence of evidence.

    Not reproduced where an interval lies above the limit; otherwise not tested where a row does not meet the condition,
    and reproduced where every interval lies below the limit.
    """
    found: list[_Found] = []
    conditions: list[_Found] = []
    for side in limit.sides:
        for metric, kept in ((limit.metric, found), (limit.condition, conditions)):
            values = _values(side, metric, records)
            missing = [cell.seed for cell in side.cells if cell.seed not in values]
            if missing or not values:
                which = f"seed{'s' * (len(missing) > 1)} {formatting.listing(missing)}"
                return "", "not tested", f"not tested: {side.label} has no such measurement for {which}"
            numbers = [value.value for _, value in sorted(values.items())]
            kept.append(_Found(side, next(iter(values.values())), estimator.interval(numbers)))
    worst = max(found, key=lambda one: one.interval.mean)
    unfit = min(conditions, key=lambda one: one.interval.mean)
    told = f"{_told(worst, limit)}{f' (the highest of {len(found)} rows)' if len(found) > 1 else ''}"
    label = worst.value.label
    if any(one.interval.low is not None and one.interval.low > limit.most for one in found):
        return label, "not reproduced", f"not reproduced: {told}"
    if unfit.interval.mean < limit.least:
        share = f"{unfit.interval.mean:.3g}{_unit(unfit.value)} {unfit.value.label}"
        return label, "not tested", f"not tested: {unfit.side.label} has {share}, too few to tell; {told}"
    if any(one.interval.high is None for one in found):
        return label, "undecided", f"undecided after 1 seed: {told}; a single seed has no interval, run at least three"
    if all(one.interval.high is not None and one.interval.high < limit.most for one in found):
        return label, "reproduced", f"reproduced: {told}"
    counts = formatting.listing(sorted({one.interval.n for one in found}))
    return label, "undecided", f"undecided after {counts} seeds: {told}; the interval holds the limit"


def _values(side: Side, metric: str, records: Mapping[str, Record]) -> dict[int, Value]:
    """Values by seed of the first metric of that name, whatever its encoder."""
    done = {cell.seed: records[cell.record] for cell in side.cells if cell.record in records}
    return {
        seed: value
        for seed, record in done.items()
        if record.status == "done"
        for value in [own for own in record.values if own.name.startswith(f"{metric}_")][:1]
    }


def _told(found: _Found, limit: Limit) -> str:
    mean, low, high = found.interval.mean, found.interval.low, found.interval.high
    spread = "" if low is None or high is None else f" [{low:.2f}, {high:.2f}]"
    unit = _unit(found.value)
    floor = "" if found.value.floor is None else f", real images {found.value.floor:.2f}{unit}"
    label = found.value.label
    return f"{found.side.label} has {mean:.2f}{spread}{unit} {label}{floor}, the limit is {limit.most:g}{unit}"


def _unit(value: Value) -> str:
    return f" {value.unit}" if value.unit else ""
