"""Whether the rows stand in the paper's order."""

from collections.abc import Iterable
from dataclasses import dataclass

from prism_bench.analysis.frame.joined_rows import Line, lines_of, metrics_of
from prism_bench.analysis.schema.records import Plan, QuotedNumber, Record, Value, index_records
from prism_bench.analysis.stats.comparison import improvement, numbers
from prism_bench.analysis.stats.statistics import kendall_tau

FEWEST = 3


@dataclass(frozen=True, kw_only=True)
class Agreement:
    """Kendall's tau-b between the measured means of a metric and one column of published numbers.

    1: the same order, best to worst; -1: the reverse; None with fewer than three rows that have both, or ties alone.
    The orders name rows from best to worst.
    """

    column: str
    metric: Value
    tau: float | None
    n: int
    measured: tuple[str, ...]
    published: tuple[str, ...]


def agreements(plan: Plan, records: Iterable[Record]) -> tuple[Agreement, ...]:
    """One for each published column, on the plan's first metric; empty where nothing is measured or published."""
    lines = lines_of(plan, index_records(records))
    metrics = list(metrics_of(lines).values())
    if not metrics:
        return ()
    columns = dict.fromkeys(number.column for row in plan.rows for number in row.quoted)
    return tuple(_agreement(column, lines, metrics[0]) for column in columns)


def _agreement(column: str, lines: tuple[Line, ...], metric: Value) -> Agreement:
    pairs = []
    for line in lines:
        values, published = numbers(line.values(metric.name)), _published(line, column)
        if values and published is not None:
            # Both so that less is better.
            mean = improvement(metric.better) * sum(values.values()) / len(values)
            pairs.append((line.title, mean, improvement(published.better) * published.value))
    tau = kendall_tau([pair[1] for pair in pairs], [pair[2] for pair in pairs]) if len(pairs) >= FEWEST else None
    return Agreement(
        column=column,
        metric=metric,
        tau=tau,
        n=len(pairs),
        measured=tuple(name for name, _, _ in sorted(pairs, key=lambda pair: pair[1])),
        published=tuple(name for name, _, _ in sorted(pairs, key=lambda pair: pair[2])),
    )


def _published(line: Line, column: str) -> QuotedNumber | None:
    fitting = [
        number
        for number in line.row.quoted
        if number.column == column
        and (number.k_sample == line.k_sample or (number.k_sample is None and not line.one_of_several))
    ]
    return fitting[0] if fitting else None
