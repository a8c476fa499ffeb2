"""Two sets of results of the same seeds, compared: the difference, its interval, its p value."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from prism_bench.analysis import formatting
from prism_bench.analysis.schema.records import Better
from prism_bench.analysis.stats.statistics import Estimator, Interval, differences, holm, p_value

SIGNIFICANT = 0.05


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """A paired difference in one metric over the seeds that both sides have.

    `interval` is None where they share no finished seed. `p` is that of the two-sided paired t test, None without two
    shared seeds; `adjusted` is Holm's over the comparisons it was made with.
    """

    interval: Interval | None = None
    differences: tuple[float, ...] = ()
    p: float | None = None
    adjusted: float | None = None

    @property
    def significant(self) -> bool:
        """Whether the adjusted p value is below 0.05."""
        return self.adjusted is not None and self.adjusted < SIGNIFICANT

    @property
    def spelled(self) -> tuple[str, str, str]:
        """The mean with its sign, the interval in brackets, the adjusted p value; empty what is not known."""
        if self.interval is None:
            return "--", "", ""
        ends = [end for end in (self.interval.low, self.interval.high) if end is not None]
        places = formatting.decimals([self.interval.mean, *ends])
        spread = f"[{formatting.listing(formatting.fixed(end, places) for end in ends)}]" if ends else ""
        p = "" if self.adjusted is None else formatting.p_value(self.adjusted)
        return f"{self.interval.mean:+.{places}f}", spread, p


def compare(
    one: Mapping[int, float], other: Mapping[int, float], estimator: Estimator, better: Better = "lower"
) -> Comparison:
    """one - other by seed; the other way round where more is better."""
    if not one.keys() & other.keys():
        return Comparison()
    paired = differences(one, other) if better == "lower" else differences(other, one)
    return Comparison(interval=estimator.interval(paired), differences=tuple(paired), p=p_value(paired))


def adjusted(comparisons: Sequence[Comparison]) -> list[Comparison]:
    """Holm's adjusted p values over those of the comparisons that have one."""
    tested = [comparison.p for comparison in comparisons if comparison.p is not None]
    left = iter(holm(tested))
    return [one if one.p is None else replace(one, adjusted=next(left)) for one in comparisons]


def improvement(better: Better) -> int:
    """+1 where the worse side's value minus the better side's is positive, -1 where larger is better."""
    return 1 if better == "lower" else -1
