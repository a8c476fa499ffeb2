"""Whether the rows stand in the paper's order."""

from dataclasses import dataclass

from prism_bench.analysis import formatting
from prism_bench.analysis.frame.table_lines import Metric, TableLines
from prism_bench.analysis.stats.comparison import improvement
from prism_bench.analysis.stats.statistics import kendall_tau

FEWEST = 3


@dataclass(frozen=True, kw_only=True)
class Agreement:
    """Kendall's tau-b between the measured means of a metric and one column of published numbers of another.

    1: the same order, best to worst; -1: the reverse; None with fewer than three rows that have both, or ties alone.
    The orders name rows from best to worst.
    """

    column: str
    metric: Metric
    against: str
    tau: float | None
    n: int
    measured: tuple[str, ...]
    published: tuple[str, ...]

    @property
    def sentence(self) -> str:
        """The agreement in words."""
        if self.tau is None:
            return f"{self.column}: too few rows to compare ({self.n} have both numbers)."
        return (
            f"{self.column}: Kendall's tau {formatting.fixed(self.tau, 2)} over {self.n} rows, "
            f"{self.metric.label} measured here against {self.against} as published. Measured, best first: "
            f"{formatting.listing(self.measured)}. Published: {formatting.listing(self.published)}."
        )


def agreements(lines: TableLines) -> tuple[Agreement, ...]:
    """One for each published column, in its first number, on the plan's first metric.

    Empty where nothing is measured or published.
    """
    metrics = list(lines.metrics().values())
    if not metrics:
        return ()
    columns = lines.quoted.drop_duplicates("group")[["group", "metric"]]
    return tuple(_agreement(group, name, lines, metrics[0]) for group, name in columns.itertuples(index=False))


def _agreement(column: str, name: str, lines: TableLines, metric: Metric) -> Agreement:
    pairs = []
    for line, title in lines.lines["title"].items():
        values = list(lines.of(metric.name, line).values())
        published = [number for number in lines.published(line)[0] if number.metric == name]
        if values and published:
            # Both so that less is better.
            mean = improvement(metric.better) * sum(values) / len(values)
            pairs.append((title, mean, improvement(published[0].better) * published[0].value))
    tau = kendall_tau([pair[1] for pair in pairs], [pair[2] for pair in pairs]) if len(pairs) >= FEWEST else None
    return Agreement(
        column=column,
        metric=metric,
        against=name.removeprefix(f"{column} "),
        tau=tau,
        n=len(pairs),
        measured=tuple(name for name, _, _ in sorted(pairs, key=lambda pair: pair[1])),
        published=tuple(name for name, _, _ in sorted(pairs, key=lambda pair: pair[2])),
    )
