"""A paired difference: its test, its interval, and the seeds that would decide it."""

import math
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from prism_bench.analysis.stats.statistics import LEVEL, Interval, t_quantile

POWER = 0.8
"""The probability with which the seeds that are asked for would decide, if there is a difference of that size."""
LIMIT = 10_000
"""More seeds are not counted."""
ROUNDING = 1e-12
"""A spread below this share of the values is that of their last digits."""


class Seeds(NamedTuple):
    """How many seeds would decide: from the smallest spread to the largest that the observed one may come from (95%).

    None: more than 10,000.
    """

    least: int | None
    most: int | None

    @property
    def words(self) -> str:
        """8 to 230 seeds (95%)."""
        least, most = (f"more than {LIMIT:,}" if end is None else f"{end:,}" for end in self)
        return f"{least} seeds" if least == most else f"{least} to {most} seeds (95%)"


@dataclass(frozen=True, kw_only=True)
class Paired:
    """The mean of n differences, and their standard deviation.

    rows: how many rows of a table the spread was estimated over, two where it is that of these differences alone; its
    degrees of freedom are (rows - 1) (n - 1). A spread of 0, or of rounding errors, is no spread: nothing is decided.
    """

    mean: float
    spread: float
    n: int
    rows: int = 2

    @classmethod
    def of(cls, differences: Sequence[float], scale: float = 0.0) -> "Paired":
        """Of the differences alone; `scale`: the largest of the values that they are differences of."""
        n = len(differences)
        spread = float(np.std(differences, ddof=1)) if n > 1 else 0.0
        mean = math.fsum(differences) / n
        return cls(mean=mean, spread=spread if spread > ROUNDING * max(scale, abs(mean)) else 0.0, n=n)

    @property
    def degrees(self) -> int:
        """Of freedom of the spread."""
        return (self.rows - 1) * (self.n - 1)

    @property
    def p(self) -> float | None:
        """Two-sided p value of the t test; None of a single difference, or of equal ones.

        1 where all differences are 0: nothing speaks for a difference.
        """
        if self.n < 2 or self.spread == 0:
            return 1.0 if self.n > 1 and self.mean == 0 else None
        from scipy.special import stdtr

        return float(2 * stdtr(self.degrees, -abs(self.mean) * math.sqrt(self.n) / self.spread))

    def interval(self, level: float = LEVEL) -> Interval:
        """Student t interval of the mean; without ends where there is no spread."""
        if self.n < 2 or self.spread == 0:
            return Interval(mean=self.mean, low=None, high=None, half_width=None, n=self.n, estimator="no spread")
        half = t_quantile(0.5 + level / 2, self.degrees) * self.spread / math.sqrt(self.n)
        low, high, name = self.mean - half, self.mean + half, f"{100 * level:g}% t interval, {self.degrees} degrees"
        return Interval(mean=self.mean, low=low, high=high, half_width=half, n=self.n, estimator=name)

    def seeds(self, level: float = LEVEL) -> Seeds | None:
        """The seeds at which such an interval lies on the right side of 0 with probability 0.8: more than there are.

        Takes the observed mean as the true one; the true spread lies, with 95%, between the ends of the chi-square
        interval of the observed one. None where there is no estimate: one difference only, no spread, a mean of 0.
        """
        if self.n < 2 or self.spread == 0 or self.mean == 0:
            return None
        from scipy.special import chdtri

        # chdtri takes the probability above.
        widths = (math.sqrt(self.degrees / float(chdtri(self.degrees, tail))) for tail in (0.025, 0.975))
        found = (seeds_needed(abs(self.mean) / (self.spread * width), level, self.rows) for width in widths)
        least, most = (None if seeds is None else max(seeds, self.n + 1) for seeds in found)
        return Seeds(least, most)


def seeds_needed(effect: float, level: float = LEVEL, rows: int = 2) -> int | None:
    """Least number of paired seeds at which a t interval lies on the right side of 0 with probability 0.8.

    effect: the mean difference in standard deviations. rows: see `Paired`. None: more than 10,000.
    """
    if _power(effect, LIMIT, level, rows) < POWER:
        return None
    # The power rises with n; n = 1 never suffices.
    return 2 + bisect_left(range(2, LIMIT), POWER, key=lambda n: _power(effect, n, level, rows))


def _power(effect: float, n: int, level: float, rows: int) -> float:
    """P(T > t) for T noncentral t with noncentrality effect * sqrt(n).

    An interval that excludes 0 on the wrong side decides nothing rightly, so the other tail does not count.
    """
    from scipy.stats import nct

    degrees = (rows - 1) * (n - 1)
    # Beyond a noncentrality of 30 the power only rises further; larger values are past what scipy computes well.
    shift = min(effect * math.sqrt(n), 30.0)
    return float(nct.sf(t_quantile(0.5 + level / 2, degrees), degrees, shift))
