"""Every row against the baseline, seed by seed, with Holm's correction over the rows of a metric."""

from collections.abc import Iterable
from dataclasses import dataclass

from prism_bench.analysis.frame.joined_rows import lines_of, metrics_of
from prism_bench.analysis.schema.records import Plan, Record, Value, index_records
from prism_bench.analysis.stats.comparison import Comparison, adjusted, compare, numbers
from prism_bench.analysis.stats.statistics import STUDENT_T, Estimator


@dataclass(frozen=True, kw_only=True)
class MetricDifferences:
    """One metric: (row label, row minus baseline) in the order of the plan."""

    metric: Value
    rows: tuple[tuple[str, Comparison], ...]


@dataclass(frozen=True, kw_only=True)
class Differences:
    """All metrics of a table against its baseline, which is the first row that is computed."""

    baseline: str
    metrics: tuple[MetricDifferences, ...]


def differences_of(plan: Plan, records: Iterable[Record], estimator: Estimator = STUDENT_T) -> Differences | None:
    """Row minus baseline for every metric; None where fewer than two rows are there to compare."""
    lines = [line for line in lines_of(plan, index_records(records)) if line.cells]
    metrics = metrics_of(tuple(lines))
    if len(lines) < 2 or not metrics:
        return None
    baseline, *others = lines
    found = []
    for name, value in metrics.items():
        base = numbers(baseline.values(name))
        compared = adjusted([compare(numbers(line.values(name)), base, estimator) for line in others])
        found.append(
            MetricDifferences(metric=value, rows=tuple(zip((line.title for line in others), compared, strict=True)))
        )
    return Differences(baseline=baseline.title, metrics=tuple(found))
