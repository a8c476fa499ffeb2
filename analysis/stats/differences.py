"""Every row against the baseline, seed by seed, with Holm's correction over the rows of a metric."""

from dataclasses import dataclass

from prism_bench.analysis.frame.table_lines import Metric, TableLines
from prism_bench.analysis.stats.comparison import Comparison, adjusted
from prism_bench.analysis.stats.contrasts import HOW_POOLED, contrasts_of
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
    estimator: Estimator

    @property
    def rows(self) -> list[tuple[str, list[Comparison]]]:
        """Each row's label, and its comparison in every metric."""
        labels = [label for label, _ in self.metrics[0].rows]
        return [(label, [one.rows[index][1] for one in self.metrics]) for index, label in enumerate(labels)]

    @property
    def caption(self) -> str:
        """What the numbers are."""
        pooled = f" {HOW_POOLED}" if self.estimator.pooled else ""
        which = "all rows that share their spread have, or both" if pooled else "both have"
        return (
            f"Row minus baseline over the seeds that {which}: mean [{self.estimator.of_differences()}], and the p "
            f"value of the paired t test after Holm's correction over the rows of a metric. Bold: below 0.05.{pooled}"
        )


def differences_of(lines: TableLines, estimator: Estimator = STUDENT_T) -> Differences | None:
    """Row minus baseline for every metric; None where fewer than two rows are there to compare."""
    titles = lines.lines.loc[lines.lines["seeds"] > 0, "title"]
    metrics = lines.metrics()
    if len(titles) < 2 or not metrics:
        return None
    baseline, *others = titles.index
    return Differences(
        baseline=titles[baseline],
        estimator=estimator,
        metrics=tuple(
            MetricDifferences(
                metric=metric,
                rows=tuple(zip(titles[others], _against(lines, metric, baseline, others, estimator), strict=True)),
            )
            for metric in metrics.values()
        ),
    )


def _against(
    lines: TableLines, metric: Metric, baseline: int, others: list[int], estimator: Estimator
) -> list[Comparison]:
    contrasts = contrasts_of(lines, metric, estimator)
    return adjusted([contrasts.difference(line, baseline) for line in others])
