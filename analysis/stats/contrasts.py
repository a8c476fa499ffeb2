"""The rows of one metric, compared two at a time: each pair by its own spread, or by one that the rows share."""

import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np

from prism_bench.analysis import formatting
from prism_bench.analysis.errors import AnalysisError
from prism_bench.analysis.frame.table_lines import Metric, TableLines
from prism_bench.analysis.schema.records import Better
from prism_bench.analysis.stats.comparison import SIGNIFICANT, Comparison
from prism_bench.analysis.stats.paired import ROUNDING, Paired
from prism_bench.analysis.stats.statistics import Estimator, Interval, differences

K = TypeVar("K", bound=Hashable)
Values = Mapping[int, float]
"""By seed."""
HOW_POOLED = (
    "Pooled: the spread of differences is one for all rows that are no controls, what is left once the means of rows "
    "and seeds are taken off, over the seeds that all these rows have; rows of several k_sample share it at each "
    "k_sample. Fréchet distances are compared as logarithms, in percent."
)
"""For captions."""


@dataclass(frozen=True, kw_only=True)
class Pool:
    """What is left of values once the means of rows and of seeds are taken off: its standard deviation, ddof as of a
    two-way table with one value in each cell (Fisher 1925).

    seeds: those that all its rows have; others are passed over. log: whether it is one of logarithms.
    """

    spread: float
    rows: int
    seeds: tuple[int, ...]
    log: bool

    @classmethod
    def of(cls, rows: Sequence[Values], *, log: bool = False) -> "Pool | None":
        """The pool of some rows; None of fewer than two rows or of one seed each. log: values above 0.

        Raises:
            AnalysisError: rows of several seeds that share fewer than two.
        """
        shared = sorted(set.intersection(*map(set, rows))) if rows else []
        if len(rows) < 2 or max(map(len, rows)) < 2:
            return None
        if len(shared) < 2:
            fewest = min(rows, key=len)
            raise AnalysisError(
                f"--pool needs two seeds at least that all rows have, and they share {len(shared)}: one has "
                f"{formatting.seeds(sorted(fewest))} alone; run the rows at the same seeds, or leave out --pool"
            )
        table = np.array([[row[seed] for seed in shared] for row in rows])
        table = np.log(table) if log else table
        rest = table - table.mean(axis=0) - table.mean(axis=1, keepdims=True) + table.mean()
        degrees = (len(rows) - 1) * (len(shared) - 1)
        spread = math.sqrt(float(np.square(rest).sum()) / degrees)
        spread = spread if spread > ROUNDING * float(np.abs(table).max()) else 0.0
        return cls(spread=spread, rows=len(rows), seeds=tuple(shared), log=log)


@dataclass(frozen=True, kw_only=True, eq=False)
class Contrasts(Generic[K]):
    """The values of a metric by row and seed; `pools` holds the rows that share a spread.

    log: whether all rows are compared as logarithms, also those that share no spread.
    """

    values: Mapping[K, Values]
    better: Better
    estimator: Estimator
    pools: Mapping[K, Pool]
    log: bool = False

    @classmethod
    def of(
        cls, values: Mapping[K, Values], metric: Metric, estimator: Estimator, groups: Mapping[K, Hashable]
    ) -> "Contrasts[K]":
        """groups: which rows may share a spread, where the estimator pools; a row without a group has its own.

        A Fréchet distance is pooled as its logarithm, where all its values are above 0: its spread grows with it.

        Raises:
            AnalysisError: rows that are to share a spread, and do not share two seeds.
        """
        pools: dict[K, Pool] = {}
        numbers = [value for row in values.values() for value in row.values()]
        log = estimator.pooled and metric.frechet and all(number > 0 for number in numbers)
        for group in dict.fromkeys(groups.values()) if estimator.pooled else ():
            members = [key for key in values if key in groups and groups[key] == group and values[key]]
            pool = Pool.of([values[key] for key in members], log=log)
            if pool is not None:
                pools |= dict.fromkeys(members, pool)
        return cls(values=values, better=metric.better, estimator=estimator, pools=pools, log=log)

    def gain(self, better: K, worse: K, alpha: float = SIGNIFICANT) -> Comparison:
        """By how much a row is better than another, positive where it is; in percent of the other's where logarithms
        are compared.
        """
        found = self.difference(better, worse, alpha)
        return found if self.better == "higher" else found.negated

    def difference(self, one: K, other: K, alpha: float = SIGNIFICANT) -> Comparison:
        """one - other over the seeds that both have, or that all rows of their pool have."""
        a, b = self.values[one], self.values[other]
        if not a.keys() & b.keys():
            return Comparison(alpha=alpha)
        pool = self.pools.get(one)
        if pool is not None and pool is self.pools.get(other):
            return _pooled(a, b, pool, alpha)
        if self.log:
            a, b = ({seed: math.log(value) for seed, value in row.items()} for row in (a, b))
        found = differences(a, b)
        paired = Paired.of(found, max(abs(value) for row in (a, b) for value in row.values()))
        bare = paired.n > 1 and paired.spread == 0
        interval = paired.interval() if bare else self.estimator.interval(found, 1 - alpha)
        return _comparison(interval, paired, alpha, log=self.log)


def _pooled(a: Values, b: Values, pool: Pool, alpha: float) -> Comparison:
    rows = ([row[seed] for seed in pool.seeds] for row in (a, b))
    one, other = (np.log(row) if pool.log else np.array(row) for row in rows)
    paired = Paired(
        mean=float(np.mean(one - other)), spread=math.sqrt(2) * pool.spread, n=len(pool.seeds), rows=pool.rows
    )
    return _comparison(paired.interval(1 - alpha), paired, alpha, log=pool.log)


def _comparison(interval: Interval, paired: Paired, alpha: float, *, log: bool) -> Comparison:
    return Comparison(
        interval=_percent(interval) if log else interval,
        paired=paired,
        p=paired.p,
        alpha=alpha,
        unit="%" if log else "",
    )


def _percent(interval: Interval) -> Interval:
    """A difference of logarithms as percent of the other side."""
    low, mean, high = (
        None if end is None else 100 * math.expm1(end) for end in (interval.low, interval.mean, interval.high)
    )
    half = None if low is None or high is None else (high - low) / 2
    return Interval(mean=mean or 0.0, low=low, high=high, half_width=half, n=interval.n, estimator=interval.estimator)


def pool_groups(lines: TableLines) -> dict[int, Hashable]:
    """The lines of a table that may share a spread.

    Controls keep their own: real images and noise spread otherwise. So does a row sampled with several k_sample, whose
    lines share a training; lines of one k_sample belong together. Several tables in one frame are apart.
    """
    shown = lines.lines[~lines.lines["control"].astype(bool)]
    return {
        line.Index: (line.experiment, line.panel, line.k_sample if line.several else None)
        for line in shown.itertuples()
    }


def contrasts_of(lines: TableLines, metric: Metric, estimator: Estimator) -> Contrasts[int]:
    """The lines of a table in one metric."""
    values = {line: lines.of(metric.name, line) for line in lines.lines.index}
    return Contrasts.of(values, metric, estimator, pool_groups(lines))
