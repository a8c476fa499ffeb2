"""How often the rules of the reports err, on simulated results, by the functions that make the reports.

    OMP_NUM_THREADS=1 python -m benchmarks.error_rates [--sets 4000] [--write]

--write puts the table into docs/statistics.md. A result is its row's mean, plus what its seed adds to every row, plus
noise of standard deviation 1: steps between rows are in such units.
"""

import argparse
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from prism_bench.analysis.frame.table_lines import Metric
from prism_bench.analysis.stats.comparison import SIGNIFICANT, adjusted
from prism_bench.analysis.stats.contrasts import Contrasts
from prism_bench.analysis.stats.ranking import ranking
from prism_bench.analysis.stats.statistics import (
    BOOTSTRAP,
    POOLED,
    STUDENT_T,
    Estimator,
    percentile_interval,
)
from prism_bench.analysis.stats.verdicts import Verdict, verdict_of

PAGE = Path(__file__).parents[1] / "docs" / "statistics.md"
BEGIN, END = "<!-- made by benchmarks/error_rates.py: begin -->", "<!-- end -->"
SEEDS = (2, 3, 5, 10)
PAIRS = (1, 3, 9)
EQUAL = (0.0, 0.0, 0.0, 0.0)
UNEQUAL = (4.0, 2.0, 2.0, 1.0)
"""Spreads as different as those of Table 3's rows at scale laptop."""
METRIC = Metric("value", "value", "lower", "", 1, 1, "f", "", "", 0.0, 0.0, 0.0)
Values = npt.NDArray[np.float64]
Rows = Contrasts[int]


class Rate(NamedTuple):
    """One line of the table: what is counted, and how often it happens for each number of seeds (None: refused)."""

    what: str
    by: str
    shares: tuple[float | None, ...]


class Rule(NamedTuple):
    """What is counted in a table of rows with these means; `noise`: the spread of each row."""

    what: str
    means: tuple[float, ...]
    happens: Callable[[Rows], bool]
    noise: tuple[float, ...] = ()


def covers(rows: Rows) -> bool:
    interval = rows.difference(0, 1).interval
    assert interval is not None
    return not interval.excludes_zero()


def bold(rows: Rows) -> bool:
    return ranking(rows).best is not None


def second(rows: Rows) -> bool:
    return ranking(rows).second is not None


def verdict(rows: Rows, alpha: float = SIGNIFICANT) -> Verdict:
    """That of the claim that every row is better than the one before it."""
    pairs = [rows.gain(index + 1, index, alpha) for index in range(len(rows.values) - 1)]
    return verdict_of(adjusted(pairs))


def decided(rows: Rows) -> bool:
    return verdict(rows) != "undecided"


def confirmed(rows: Rows) -> bool:
    return verdict(rows) == "reproduced"


def any_difference(rows: Rows) -> bool:
    return any(one.significant for one in adjusted([rows.difference(row, 0) for row in rows.values if row]))


def steps(pairs: int, size: float = 0.0) -> tuple[float, ...]:
    """The means of one row more than pairs, each lower by `size` than the one before."""
    return tuple(-size * index for index in range(pairs + 1))


BEST = Rule("a best row is marked, 4 equal rows", EQUAL, bold)
RULES = (
    Rule("a 95% interval of a difference covers it (4 rows)", EQUAL, covers),
    Rule("the same, spreads of rows as 4 : 2 : 2 : 1", EQUAL, covers, UNEQUAL),
    BEST,
    Rule("a second best is marked, 4 equal rows", EQUAL, second),
    Rule("a second best is marked, the best far ahead of 3 equal rows", (-100.0, 0.0, 0.0, 0.0), second),
    Rule("any of 3 rows differs from the baseline (Holm), 4 equal rows", EQUAL, any_difference),
    *(Rule(f"a claim of {n} pair{'s' * (n > 1)} is decided, equal rows", steps(n), decided) for n in PAIRS),
    Rule("the same of 3 pairs, spreads of rows as 4 : 2 : 2 : 1", steps(3), decided, UNEQUAL),
    *(Rule(f"a claim of {n} pair{'s' * (n > 1)} is confirmed, steps of 3", steps(n, 3.0), confirmed) for n in PAIRS),
)


def simulated(rng: np.random.Generator, rule: Rule, seeds: int, sets: int) -> Iterator[Values]:
    """Tables [rows, seeds]."""
    noise = np.array(rule.noise or (1.0,) * len(rule.means))[:, None]
    for _ in range(sets):
        yield np.array(rule.means)[:, None] + rng.normal(size=seeds) + noise * rng.normal(size=(len(noise), seeds))


def contrasts(table: Values, estimator: Estimator) -> Rows:
    values = {row: dict(enumerate(own.tolist())) for row, own in enumerate(table)}
    return Contrasts.of(values, METRIC, estimator, dict.fromkeys(values, ""))


def rate(rule: Rule, estimator: Estimator, sets: int) -> Rate:
    shares = []
    for seeds in SEEDS:
        tables = simulated(np.random.default_rng(seeds), rule, seeds, sets)
        happened = [rule.happens(contrasts(table, estimator)) for table in tables if seeds >= estimator.fewest]
        shares.append(float(np.mean(happened)) if happened else None)
    return Rate(rule.what, named(estimator), tuple(shares))


def named(estimator: Estimator) -> str:
    return "pooled" if estimator.pooled else estimator.name


def two_outcomes_rate(estimator: Estimator, sets: int) -> Rate:
    """A claim of one pair in two independent outcomes, each at half of 5%."""
    rule, shares = Rule("a claim of 1 pair is decided in any of 2 outcomes, equal rows", steps(1), decided), []
    for seeds in SEEDS:
        tables = simulated(np.random.default_rng(seeds), rule, seeds, 2 * sets)
        verdicts = [verdict(contrasts(table, estimator), SIGNIFICANT / 2) for table in tables]
        pairs = zip(verdicts[::2], verdicts[1::2], strict=True)
        shares.append(float(np.mean([{*pair} != {"undecided"} for pair in pairs])))
    return Rate(rule.what, named(estimator), tuple(shares))


def rates(sets: int) -> list[Rate]:
    """Every rule by t intervals and pooled ones, and by bootstrap, which is slow, on a quarter of the sets."""
    refused = replace(BOOTSTRAP, interval=percentile_interval, fewest=1)
    found = [rate(rule, estimator, sets) for rule in RULES for estimator in (STUDENT_T, POOLED)]
    found += [two_outcomes_rate(estimator, sets) for estimator in (STUDENT_T, POOLED)]
    found += [rate(RULES[0], refused, -(-sets // 4)), rate(BEST, BOOTSTRAP, -(-sets // 4))]
    order = list(dict.fromkeys(one.what for one in found))
    return sorted(found, key=lambda one: order.index(one.what))


def as_markdown(found: list[Rate], sets: int) -> str:
    lines = ["| how often | by | " + " | ".join(f"{n} seeds" for n in SEEDS) + " |", "|---|---|" + "---:|" * len(SEEDS)]
    for one in found:
        shares = ("refused" if share is None else f"{100 * share:.1f}%" for share in one.shares)
        lines.append(f"| {one.what} | {one.by} | {' | '.join(shares)} |")
    error = 196 * (0.05 * 0.95 / sets) ** 0.5
    note = f"{sets:,} simulated tables a cell (bootstrap: a quarter); a rate of 5% is known to {error:.1f} points."
    return "\n".join([*lines, "", note])


def main() -> None:
    parser = argparse.ArgumentParser(description="Error rates of the reports' rules.")
    parser.add_argument("--sets", type=int, default=4000)
    parser.add_argument("--write", action="store_true")
    options = parser.parse_args()
    start = time.perf_counter()
    table = as_markdown(rates(options.sets), options.sets)
    print(f"{table}\n{time.perf_counter() - start:.0f} s")
    if options.write:
        before, _, rest = PAGE.read_text(encoding="utf-8").partition(BEGIN)
        PAGE.write_text(f"{before}{BEGIN}\n{table}\n{END}{rest.partition(END)[2]}", encoding="utf-8")


if __name__ == "__main__":
    main()
