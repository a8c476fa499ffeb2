"""Every row against the baseline, seed by seed, with Holm's correction over the rows of a metric."""

from dataclasses import dataclass

from prism_bench.analysis.frame.table_lines import Metric, TableLines
from prism_bench.analysis.stats.comparison import Comparison, adjusted, compare
from prism_bench.analysis.stats.statistics import STUDENT_T, Estimator


@dataclass(frozen=True, kw_only=True)
class MetricDifferences:
    """One metric: (row label, row minus baseline) in the order of the plan."""

    metric: Metric
    rows: tuple[tuple[str, Comparison], ...]


@dataclass(frozen=True, kw_only=True)
class Differences:
    """All metrics of a table against its baseline, which is the first row that is computed."""

    baseline: str
    metrics: tuple[MetricDifferences, ...]


def differences_of(lines: TableLines, estimator: Estimator = STUDENT_T) -> Differences | None:
    """Row minus baseline for every metric; None where fewer than two rows are there to compare."""
    titles = lines.lines.loc[lines.lines["seeds"] > 0, "title"]
    metrics = lines.metrics()
    if len(titles) < 2 or not metrics:
        return None
    baseline, *others = titles.index
    return Differences(
        baseline=titles[baseline],
        metrics=tuple(
            MetricDifferences(
                metric=metric,
                rows=tuple(zip(titles[others], _against(lines, name, baseline, others, estimator), strict=True)),
            )
            for name, metric in metrics.items()
        ),
    )


def _against(
    lines: TableLines, metric: str, baseline: int, others: list[int], estimator: Estimator
) -> list[Comparison]:
    base = lines.of(metric, baseline)
    return adjusted([compare(lines.of(metric, line), base, estimator) for line in others])
