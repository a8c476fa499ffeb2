"""Two sets of results of the same seeds, compared: the difference, its interval, its p value."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from prism_bench.analysis.schema.records import Better, Cell, Record, Value
from prism_bench.analysis.stats.statistics import Estimator, Interval, holm, paired_p_value

SIGNIFICANT = 0.05


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """A paired difference in one metric over the seeds that both sides have.

    `interval` is None where they share no finished seed. `p` is that of the two-sided paired t test, None without two
    shared seeds; `adjusted` is Holm's over the comparisons it was made with.
    """

    interval: Interval | None
    differences: tuple[float, ...]
    p: float | None
    adjusted: float | None = None

    @property
    def significant(self) -> bool:
        """Whether the adjusted p value is below 0.05."""
        return self.adjusted is not None and self.adjusted < SIGNIFICANT


def values_of(cells: Sequence[Cell], records: Mapping[str, Record], metric: str) -> dict[int, Value]:
    """Finished values of a metric by seed."""
    return {
        cell.seed: value
        for cell in cells
        if cell.record in records and records[cell.record].status == "done"
        for value in records[cell.record].values
        if value.name == metric
    }


def compare(one: Mapping[int, float], other: Mapping[int, float], estimator: Estimator) -> Comparison:
    """one - other by seed."""
    shared = sorted(one.keys() & other.keys())
    if not shared:
        return Comparison(interval=None, differences=(), p=None)
    differences = tuple(one[seed] - other[seed] for seed in shared)
    p = paired_p_value(one, other)
    if p is None and len(shared) > 1:
        p = 1.0  # no seed differs: nothing speaks for a difference
    return Comparison(interval=estimator.difference(one, other), differences=differences, p=p)


def adjusted(comparisons: Sequence[Comparison]) -> list[Comparison]:
    """Holm's adjusted p values over those of the comparisons that have one."""
    tested = [comparison.p for comparison in comparisons if comparison.p is not None]
    left = iter(holm(tested))
    return [one if one.p is None else replace(one, adjusted=next(left)) for one in comparisons]


def improvement(better: Better) -> int:
    """+1 where the worse side's value minus the better side's is positive, -1 where larger is better."""
    return 1 if better == "lower" else -1


def numbers(values: Mapping[int, Value], sign: int = 1) -> dict[int, float]:
    """Bare numbers by seed."""
    return {seed: sign * value.value for seed, value in values.items()}
