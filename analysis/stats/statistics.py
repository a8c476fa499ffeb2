"""Estimates over seeds: pure functions of numbers, float64 throughout, sample variance with ddof = 1."""

import math
from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np

from prism_bench.analysis.errors import AnalysisError

LEVEL = 0.95
RESAMPLES = 10_000
FEW = 5
"""A bootstrap of fewer values than this is said to be rough."""


@dataclass(frozen=True, kw_only=True)
class Interval:
    """A mean and its confidence interval; without one (low, high, half_width None) where a single value was given."""

    mean: float
    low: float | None
    high: float | None
    half_width: float | None
    n: int
    estimator: str

    def excludes_zero(self) -> bool:
        """Whether there is an interval and 0 lies outside it."""
        return self.low is not None and self.high is not None and (self.low > 0 or self.high < 0)


def mean_interval(values: Sequence[float], level: float = LEVEL) -> Interval:
    """Mean and two-sided Student t interval of independent values: mean +- t(n - 1) s / sqrt(n), ddof = 1.

    Raises:
        AnalysisError: no values, a value that is not finite, or a level outside (0, 1).
    """
    sample = _finite(values)
    _check_level(level)
    n = len(sample)
    mean = math.fsum(sample) / n
    if n == 1:
        return Interval(mean=mean, low=None, high=None, half_width=None, n=1, estimator="single value, no interval")
    half = _t_quantile(0.5 + level / 2, n - 1) * float(np.std(sample, ddof=1)) / math.sqrt(n)
    name = f"{100 * level:g}% t interval, n = {n}, ddof = 1"
    return Interval(mean=mean, low=mean - half, high=mean + half, half_width=half, n=n, estimator=name)


def bootstrap_interval(values: Sequence[float], level: float = LEVEL) -> Interval:
    """Mean and percentile bootstrap interval of independent values (Efron 1979), 10,000 resamples, always the same.

    Raises:
        AnalysisError: see `mean_interval`.
    """
    from scipy.stats import bootstrap

    sample = _finite(values)
    _check_level(level)
    n = len(sample)
    if n == 1:
        return mean_interval(sample, level)
    found = bootstrap(
        (sample,), np.mean, n_resamples=RESAMPLES, confidence_level=level, method="percentile",
        rng=np.random.default_rng(0),
    )  # fmt: skip
    low, high = map(float, found.confidence_interval)
    rough = " (rough: too narrow with so few values)" if n < FEW else ""
    name = f"{100 * level:g}% percentile bootstrap interval, n = {n}, {RESAMPLES:,} resamples{rough}"
    mean = math.fsum(sample) / n
    return Interval(mean=mean, low=low, high=high, half_width=(high - low) / 2, n=n, estimator=name)


@dataclass(frozen=True)
class Estimator:
    """How intervals are made: what `--interval` calls it, what captions call it and add to it, and the way itself."""

    name: str
    words: str
    note: str
    interval: Callable[[Sequence[float]], Interval]

    def separable(self, a: Mapping[int, float], b: Mapping[int, float]) -> bool:
        """Whether the paired interval of a - b excludes 0; False with fewer than two seeds in common."""
        return len(a.keys() & b.keys()) > 1 and self.interval(differences(a, b)).excludes_zero()


STUDENT_T = Estimator("t", "95% t interval", "ddof = 1", mean_interval)
BOOTSTRAP = Estimator(
    "bootstrap",
    "95% bootstrap interval",
    f"percentiles of {RESAMPLES:,} resamples; half-width: half the distance of its ends; rough below {FEW} seeds",
    bootstrap_interval,
)
ESTIMATORS = {one.name: one for one in (STUDENT_T, BOOTSTRAP)}


def paired_difference(a: Mapping[int, float], b: Mapping[int, float], level: float = LEVEL) -> Interval:
    """Student t interval of the mean of a - b over the seeds that both have (seed -> value).

    Raises:
        AnalysisError: the two share no seed.
    """
    return mean_interval(differences(a, b), level)


def differences(a: Mapping[int, float], b: Mapping[int, float]) -> list[float]:
    """The values of a - b for each seed that both have, by rising seed; AnalysisError where they share none."""
    shared = sorted(a.keys() & b.keys())
    if not shared:
        raise AnalysisError(f"no seed in common: {sorted(a)} and {sorted(b)}; run both for the same seeds")
    return [a[seed] - b[seed] for seed in shared]


def p_value(sample: Sequence[float]) -> float | None:
    """Two-sided p value of the paired t test, given the differences; None of a single one.

    1 where all differences are 0: nothing speaks for a difference. `scipy.stats.ttest_rel` gives the same, but warns
    where differences are nearly equal, as those of a constant shift are.
    """
    from scipy.stats import t

    n = len(sample)
    if n < 2:
        return None
    mean, error = abs(float(np.mean(sample))), float(np.std(sample, ddof=1)) / math.sqrt(n)
    if error == 0:
        return 0.0 if mean else 1.0
    return float(2 * t.sf(mean / error, n - 1))


def seeds_needed(sample: Sequence[float], level: float = LEVEL, power: float = 0.8, limit: int = 10_000) -> int | None:
    """Least number of paired seeds at which a t interval lies on the right side of 0 with probability `power`.

    Takes the observed mean and spread (ddof = 1) of the paired differences as the true ones, so it is an estimate:
    rough with the two or three seeds it is usually made from. The power is that of the noncentral t distribution.
    None where there is no estimate: one difference only, a mean of exactly 0, or more than `limit` seeds.

    Raises:
        AnalysisError: no differences, one that is not finite, or a level or power outside (0, 1).
    """
    observed = _finite(sample)
    _check_level(level)
    _check_level(power)
    mean = abs(float(np.mean(observed)))
    if len(observed) < 2 or mean == 0:
        return None
    spread = float(np.std(observed, ddof=1))
    effect = math.inf if spread == 0 else mean / spread
    if _power(effect, limit, level) < power:
        return None
    # The power rises with n; n = 1 never suffices.
    return 2 + bisect_left(range(2, limit), power, key=lambda n: _power(effect, n, level))


def holm(p_values: Sequence[float]) -> tuple[float, ...]:
    """Holm's step-down adjusted p values (Holm 1979), in the order given.

    Raises:
        AnalysisError: a value outside [0, 1].
    """
    for p in p_values:
        if not 0 <= p <= 1:
            raise AnalysisError(f"a p value must lie in [0, 1], found {p}")
    given = np.array(p_values, dtype=np.float64)
    order = given.argsort(kind="stable")
    given[order] = np.maximum.accumulate(np.minimum(1, given[order] * np.arange(len(given), 0, -1)))
    return tuple(given.tolist())


def kendall_tau(a: Sequence[float], b: Sequence[float]) -> float | None:
    """Kendall's tau-b of two rankings of the same items; None where either holds fewer than two distinct values.

    Raises:
        AnalysisError: the lengths differ.
    """
    from scipy.stats import kendalltau

    if len(a) != len(b):
        raise AnalysisError(f"rank agreement needs two numbers for each item, found {len(a)} and {len(b)}")
    if len(set(a)) < 2 or len(set(b)) < 2:
        return None
    return float(kendalltau(a, b).statistic)


@cache
def _t_quantile(probability: float, degrees: int) -> float:
    """Cached: a table asks for the same few a thousand times."""
    from scipy.stats import t

    return float(t.ppf(probability, degrees))


def _power(effect: float, n: int, level: float) -> float:
    """P(T > t) for T noncentral t with n - 1 degrees of freedom and noncentrality effect * sqrt(n).

    An interval that excludes 0 on the wrong side decides nothing rightly, so the other tail does not count.
    """
    from scipy.stats import nct

    if n < 2:
        return 0.0
    # Beyond a noncentrality of 30 the power only rises further; larger values are past what scipy computes well.
    shift = min(effect * math.sqrt(n), 30.0)
    return float(nct.sf(_t_quantile(0.5 + level / 2, n - 1), n - 1, shift))


def _finite(values: Sequence[float]) -> list[float]:
    if not values:
        raise AnalysisError("an estimate needs at least one value")
    for value in values:
        if not math.isfinite(value):
            raise AnalysisError(f"an estimate needs finite values, found {value}")
    return [float(value) for value in values]


def _check_level(level: float) -> None:
    if not 0 < level < 1:
        raise AnalysisError(f"a level must lie between 0 and 1, found {level}")
