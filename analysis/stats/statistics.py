"""Estimates over seeds: pure functions of numbers, float64 throughout, sample variance with ddof = 1."""

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np

from prism_bench.analysis.errors import AnalysisError

LEVEL = 0.95
RESAMPLES = 10_000
FEWEST = 5
"""Fewer values are not bootstrapped: docs/statistics.md has how seldom such an interval covers the mean."""
COVERS = "95% intervals of 3 seeds cover the mean 75 times in 100, those of 2 seeds 50 times"


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
        """Whether there is an interval and 0 lies outside it; one without width says nothing and decides nothing."""
        return self.low is not None and self.high is not None and self.low < self.high and self.low * self.high > 0


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
    half = t_quantile(0.5 + level / 2, n - 1) * float(np.std(sample, ddof=1)) / math.sqrt(n)
    name = f"{100 * level:g}% t interval, n = {n}, ddof = 1"
    return Interval(mean=mean, low=mean - half, high=mean + half, half_width=half, n=n, estimator=name)


def bootstrap_interval(values: Sequence[float], level: float = LEVEL) -> Interval:
    """`percentile_interval` of 5 values or more; a single value has no interval.

    Raises:
        AnalysisError: 2 to 4 values, or see `mean_interval`.
    """
    if 1 < len(values) < FEWEST:
        raise AnalysisError(too_few(f"there are {len(values)} seeds"))
    return percentile_interval(values, level)


def too_few(found: str) -> str:
    """Why there is no bootstrap, and what to do; `found` says what has how many seeds."""
    return (
        f"--interval bootstrap needs at least {FEWEST} seeds, and {found}: percentiles of so few promise too much "
        f"({COVERS}); run more seeds (--seeds 0-{FEWEST - 1}), or use --interval t"
    )


def percentile_interval(values: Sequence[float], level: float = LEVEL) -> Interval:
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
    name = f"{100 * level:g}% percentile bootstrap interval, n = {n}, {RESAMPLES:,} resamples"
    mean = math.fsum(sample) / n
    return Interval(mean=mean, low=low, high=high, half_width=(high - low) / 2, n=n, estimator=name)


def share_interval(share: float, n: int, level: float = LEVEL) -> Interval:
    """The exact binomial interval of a share of n things (Clopper and Pearson 1934), all numbers in percent.

    Raises:
        AnalysisError: a share outside [0, 100], nothing counted, or a level outside (0, 1).
    """
    from scipy.special import betaincinv

    _check_level(level)
    if n < 1 or not 0 <= share <= 100:
        raise AnalysisError(f"a share of {n} things must lie between 0 and 100%, found {share}")
    count, tail = round(share / 100 * n), (1 - level) / 2
    low = 100 * float(betaincinv(count, n - count + 1, tail)) if count else 0.0
    high = 100 * float(betaincinv(count + 1, n - count, 1 - tail)) if count < n else 100.0
    name = f"{100 * level:g}% binomial interval of {n:,}"
    return Interval(mean=share, low=low, high=high, half_width=(high - low) / 2, n=n, estimator=name)


@dataclass(frozen=True)
class Estimator:
    """How intervals are made.

    name: what `--interval` calls it. kind, note: what captions call it and add to it. interval: that of a mean over
    seeds, at a level. fewest: seeds that it needs. pooled: whether differences share one spread (`contrasts.Pool`).
    """

    name: str
    kind: str
    note: str
    interval: Callable[[Sequence[float], float], Interval]
    fewest: int = 1
    pooled: bool = False

    def words(self, level: float = LEVEL) -> str:
        """What a mean's interval is called: 95% t interval."""
        return f"{100 * level:g}% {self.kind} interval"

    def of_differences(self, level: float = LEVEL) -> str:
        """What the interval of a paired difference is called."""
        return f"{100 * level:g}% pooled {self.kind} interval" if self.pooled else self.words(level)

    def check(self, seeds: Mapping[str, Collection[int]]) -> None:
        """AnalysisError where rows, by their labels, have or share fewer seeds than intervals can be made of."""
        if self.fewest == 1 or not seeds:
            return
        label, least = min(seeds.items(), key=lambda item: len(item[1]))
        if len(least) < self.fewest:
            raise AnalysisError(too_few(f"{label} has {len(least)}"))
        shared = set.intersection(*map(set, seeds.values()))
        if len(shared) < self.fewest:
            raise AnalysisError(too_few(f"{' and '.join(list(seeds)[:2])} and others share {len(shared)}"))


STUDENT_T = Estimator("t", "t", "ddof = 1", mean_interval)
BOOTSTRAP = Estimator(
    "bootstrap",
    "bootstrap",
    f"percentiles of {RESAMPLES:,} resamples; half-width: half the distance of its ends",
    bootstrap_interval,
    fewest=FEWEST,
)
POOLED = Estimator("pooled", "t", "ddof = 1, of the row's own seeds", mean_interval, pooled=True)
ESTIMATORS = {one.name: one for one in (STUDENT_T, BOOTSTRAP)}


def differences(a: Mapping[int, float], b: Mapping[int, float]) -> list[float]:
    """The values of a - b for each seed that both have, by rising seed; AnalysisError where they share none."""
    shared = sorted(a.keys() & b.keys())
    if not shared:
        raise AnalysisError(f"no seed in common: {sorted(a)} and {sorted(b)}; run both for the same seeds")
    return [a[seed] - b[seed] for seed in shared]


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
    if len(a) != len(b):
        raise AnalysisError(f"rank agreement needs two numbers for each item, found {len(a)} and {len(b)}")
    # Signs of all differences; a tie has none. scipy.stats has it too, and takes longer to import than a table to make.
    one, other = (np.sign(np.subtract.outer(values, values)) for values in (np.asarray(a), np.asarray(b)))
    untied = float(np.sum(one**2)) * float(np.sum(other**2))
    return float(np.sum(one * other)) / math.sqrt(untied) if untied else None


@cache
def t_quantile(probability: float, degrees: int) -> float:
    """Student's t at a probability. Cached: a table asks for the same few a thousand times."""
    from scipy.special import stdtrit

    return float(stdtrit(degrees, probability))


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
