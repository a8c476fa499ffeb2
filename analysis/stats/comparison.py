"""Two sets of results of the same seeds, compared: the difference, its interval, its p value."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from prism_bench.analysis import formatting
from prism_bench.analysis.schema.records import Better
from prism_bench.analysis.stats.paired import Paired, Seeds
from prism_bench.analysis.stats.statistics import Interval, holm

SIGNIFICANT = 0.05


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """A paired difference in one metric over the seeds that both sides have.

    `interval`, at 1 - alpha, is None where they share no finished seed, and has no ends with one seed or where all
    differences are equal. `p` is that of the two-sided paired t test, None without such ends; `adjusted` is Holm's over
    the comparisons it was made with. `unit`: "%" where the difference is one of logarithms, spelled in percent.
    """

    interval: Interval | None = None
    paired: Paired | None = None
    p: float | None = None
    adjusted: float | None = None
    alpha: float = SIGNIFICANT
    unit: str = ""

    @property
    def significant(self) -> bool:
        """Whether the adjusted p value is below alpha."""
        return self.adjusted is not None and self.adjusted < self.alpha

    @property
    def above(self) -> bool:
        """Whether the whole interval lies above 0."""
        return self.interval is not None and self.interval.excludes_zero() and self.interval.mean > 0

    @property
    def seeds(self) -> int:
        """How many both sides have."""
        return 0 if self.paired is None else self.paired.n

    @property
    def reason(self) -> str:
        """Why nothing can be decided: one seed, or differences that are all equal; empty otherwise.

        Differences that are all 0 say that there is none.
        """
        if self.seeds == 1:
            return "a single seed has no interval; run at least three"
        if self.paired is not None and self.paired.spread == 0 and self.paired.mean != 0:
            return f"the differences of all {self.seeds} seeds are equal, which tells nothing of their spread; run more"
        return ""

    def needed(self, comparisons: int) -> Seeds | None:
        """The seeds that would decide it beside so many comparisons; None where it is decided or nothing is known."""
        if self.significant or self.paired is None:
            return None
        return self.paired.seeds(1 - self.alpha / comparisons)

    @property
    def negated(self) -> "Comparison":
        """The difference the other way round."""
        if self.interval is None or self.paired is None:
            return self
        ends = (None if end is None else -end for end in (self.interval.high, self.interval.low))
        low, high = ends
        interval = replace(self.interval, mean=-self.interval.mean, low=low, high=high)
        return replace(self, interval=interval, paired=replace(self.paired, mean=-self.paired.mean))

    @property
    def spelled(self) -> tuple[str, str, str]:
        """The mean with its sign, the interval in brackets, the adjusted p value; empty what is not known."""
        if self.interval is None:
            return "--", "", ""
        ends = [end for end in (self.interval.low, self.interval.high) if end is not None]
        places = formatting.decimals([self.interval.mean, *ends])
        spelled = (f"{formatting.fixed(end, places)}{self.unit}" for end in ends)
        spread = f"[{formatting.listing(spelled)}]" if ends else ""
        p = "" if self.adjusted is None else formatting.p_value(self.adjusted)
        return f"{self.interval.mean:+.{places}f}{self.unit}", spread, p


def adjusted(comparisons: Sequence[Comparison]) -> list[Comparison]:
    """Holm's adjusted p values over those of the comparisons that have one."""
    tested = [comparison.p for comparison in comparisons if comparison.p is not None]
    left = iter(holm(tested))
    return [one if one.p is None else replace(one, adjusted=next(left)) for one in comparisons]


def improvement(better: Better) -> int:
    """+1 where the worse side's value minus the better side's is positive, -1 where larger is better."""
    return 1 if better == "lower" else -1
