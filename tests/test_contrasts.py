"""Rows compared two at a time: paired or pooled, the best of them, and the seeds that would decide."""

import math
from dataclasses import replace

import numpy as np
import pytest
from handmade import cells, claim, plan_of, record, results, row
from scipy import stats

from prism_bench.analysis.errors import AnalysisError
from prism_bench.analysis.formats.console import table_text
from prism_bench.analysis.formats.html.html_table import table_html
from prism_bench.analysis.formats.latex import table_tex
from prism_bench.analysis.formats.markdown import table_markdown
from prism_bench.analysis.frame.table_lines import Metric
from prism_bench.analysis.stats import statistics
from prism_bench.analysis.stats.comparison import adjusted
from prism_bench.analysis.stats.contrasts import Contrasts, pool_groups
from prism_bench.analysis.stats.paired import Paired, Seeds, seeds_needed
from prism_bench.analysis.stats.ranking import ranking
from prism_bench.analysis.stats.statistics import BOOTSTRAP, POOLED, STUDENT_T, Estimator, share_interval

FD = Metric("fd_x", "FD", "lower", "", 9, 9, "f", "", "", math.nan, math.nan, math.nan)
KID = replace(FD, name="kid")


def contrasts(*rows: list[float], estimator: Estimator = STUDENT_T, metric: Metric = FD) -> Contrasts[int]:
    """Rows by number, their values by seed, all in one group."""
    values = {index: dict(enumerate(row)) for index, row in enumerate(rows)}
    return Contrasts.of(values, metric, estimator, dict.fromkeys(values, ""))


def test_paired_differences_are_told_apart_though_the_rows_spread_widely() -> None:
    """Pairing removes what seeds share: means far closer than the spread over seeds, and still separable."""
    shared, better = [0.0, 50.0, 100.0], [-1.0, 48.99, 98.98]
    pair = contrasts(better, shared)
    assert pair.gain(0, 1).above
    assert not pair.gain(1, 0).above
    assert pair.gain(1, 0) == pair.gain(0, 1).negated
    assert not contrasts([1.0, 2.0], [0.0, 3.0]).gain(0, 1).above
    assert not contrasts([1.0], [100.0]).gain(0, 1).above


def test_the_p_value_is_that_of_the_paired_t_test() -> None:
    a, b = [1.0, 2.5, 2.0, 4.0], [0.5, 2.0, 2.5, 2.0]
    assert contrasts(a, b).difference(0, 1).p == pytest.approx(stats.ttest_rel(a, b).pvalue, rel=1e-12)
    assert contrasts([1.0, 2.0], [1.0, 2.0]).difference(0, 1).p == 1.0
    assert contrasts([1.0], [2.0]).difference(0, 1).p is None


@pytest.mark.parametrize(("a", "b"), [([11.5, 21.5], [10.0, 20.0]), ([0.3, 0.6, 0.1], [0.2, 0.5, 0.0])])
@pytest.mark.parametrize("estimator", [STUDENT_T, POOLED])
def test_equal_differences_decide_nothing(a: list[float], b: list[float], estimator: Estimator) -> None:
    """Two seeds that differ by 1.5 and 1.5, and three whose differences are equal but for the last digit."""
    found = contrasts(b, a, estimator=estimator, metric=KID).gain(0, 1)
    assert found.interval is not None
    assert found.interval.mean > 0
    assert (found.p, found.interval.low, found.interval.half_width, found.above) == (None, None, None, False)
    assert "are equal, which tells nothing of their spread" in found.reason
    assert not adjusted([found])[0].significant
    assert not statistics.mean_interval([1.5, 1.5]).excludes_zero()


def test_the_pooled_spread_is_that_of_the_two_way_table() -> None:
    """Against the least-squares fit of rows and seeds, on logarithms; a seed that one row lacks is passed over."""
    rng = np.random.default_rng(3)
    table = np.exp(5 + rng.normal(size=(4, 1)) + rng.normal(size=(1, 3)) + 0.1 * rng.normal(size=(4, 3)))
    cells = [(row, seed) for row in range(4) for seed in range(3)]
    design = np.array([[row == i for i in range(4)] + [seed == j for j in (1, 2)] for row, seed in cells], float)
    _, rest, *_ = np.linalg.lstsq(design, np.log(table).ravel(), rcond=None)
    spread = math.sqrt(float(rest[0]) / 6)
    found = contrasts(*([*row, 7.0] if i else list(row) for i, row in enumerate(table)), estimator=POOLED)
    assert found.pools[0].spread == pytest.approx(spread, rel=1e-9)
    gain = found.gain(0, 1)
    mean = float(np.mean(np.log(table[0]) - np.log(table[1])))
    half = stats.t.ppf(0.975, 6) * spread * math.sqrt(2 / 3)
    assert gain.interval is not None
    ends = [100 * (1 - math.exp(mean + side * half)) for side in (1, -1)]
    assert (gain.interval.low, gain.interval.high) == pytest.approx(tuple(ends), rel=1e-9)
    assert gain.unit == "%"
    t = mean / (spread * math.sqrt(2 / 3))
    assert gain.p == pytest.approx(2 * stats.t.sf(abs(t), 6), rel=1e-9)


def test_two_rows_are_pooled_to_their_own_interval_and_only_distances_are_logarithms() -> None:
    rows = [10.0, 12.0, 11.0], [13.0, 14.0, 15.5]
    own, pooled = (contrasts(*rows, estimator=one, metric=KID).gain(0, 1) for one in (STUDENT_T, POOLED))
    assert own.interval is not None
    assert pooled.interval is not None
    assert (pooled.interval.low, pooled.interval.high) == pytest.approx((own.interval.low, own.interval.high))
    assert contrasts([1.0, -2.0], [3.0, 4.0], estimator=POOLED).pools[0].log is False
    assert contrasts([1.0, 2.0], [3.0, 4.0], estimator=POOLED).pools[0].log is True


def test_distances_are_logarithms_for_all_rows_or_for_none() -> None:
    """A control keeps its own spread, and is drawn on the axis of the others."""
    values = {"a": {0: 10.0, 1: 12.0, 2: 11.0}, "b": {0: 13.0, 1: 14.0, 2: 15.5}, "control": {0: 5.0, 1: 7.0, 2: 6.0}}
    found = Contrasts.of(values, FD, POOLED, {"a": "", "b": ""})
    gain = found.gain("control", "a")
    logs = [math.log(values["control"][seed] / values["a"][seed]) for seed in range(3)]
    expected = statistics.mean_interval(logs)
    assert expected.low is not None
    assert expected.high is not None
    assert gain.unit == found.gain("a", "b").unit == "%"
    assert gain.interval is not None
    assert (gain.interval.low, gain.interval.high) == pytest.approx(
        (100 * (1 - math.exp(expected.high)), 100 * (1 - math.exp(expected.low)))
    )


def test_rows_that_share_no_two_seeds_are_not_pooled_in_silence() -> None:
    with pytest.raises(AnalysisError, match=r"two seeds at least that all rows have.*share 1: one has seed 0 alone"):
        contrasts([1.0, 2.0, 3.0], [2.0, 3.0, 4.5], [1.0], estimator=POOLED)
    assert not contrasts([1.0], [2.0], estimator=POOLED).pools, "one seed each has no interval anyhow"


@pytest.mark.parametrize(
    ("rows", "best", "second"),
    [
        (([10, 11, 12], [20, 21, 22.1], [-10, 35, 45]), None, None),
        (([10, 11, 12], [20, 21, 22.1], [30, 31, 32.2]), 0, 1),
        (([10, 11, 12], [20, 21, 22.1], [19, 23, 25]), 0, None),
        (([10, 11, 12], [20, 21, 22.1]), 0, None),
        (([10, 11, 12], [9, 11, 14], [20, 21, 22.1], [30, 31, 32.2]), None, None),
    ],
)
def test_the_best_is_told_from_every_other_row(
    rows: tuple[list[float], ...], best: int | None, second: int | None
) -> None:
    assert ranking(contrasts(*rows)) == (best, second)


def test_seeds_needed_is_the_least_with_the_power() -> None:
    """Mean 1, s = 1: 10 pairs (tables of the paired t test: two-sided 5%, power 80%, effect 1.0)."""
    power = {n: stats.nct.sf(stats.t.ppf(0.975, n - 1), n - 1, math.sqrt(n)) for n in (9, 10)}
    assert power[9] < 0.8 <= power[10]
    assert seeds_needed(1.0) == 10
    assert seeds_needed(math.inf) == 2
    assert seeds_needed(1e-4) is None
    assert seeds_needed(1.0, rows=4) < 10


def test_the_seeds_that_would_decide_are_a_range() -> None:
    """From three seeds: the ends of the chi-square interval of the spread (0.0506 and 7.378 with two degrees)."""
    paired = Paired(mean=1.0, spread=1.0, n=3)
    ends = [seeds_needed(math.sqrt(chi / 2)) for chi in (7.37775890822787, 0.050635615968579795)]
    assert paired.seeds() == tuple(ends)
    assert replace(paired, mean=0.001).seeds() == (None, None)
    assert Seeds(8, 230).words == "8 to 230 seeds (95%)"
    assert Seeds(8, None).words == "8 to more than 10,000 seeds (95%)"
    for nothing in (replace(paired, mean=0.0), replace(paired, spread=0.0), replace(paired, n=1)):
        assert nothing.seeds() is None


@pytest.mark.parametrize("n", [2, 3, 4])
def test_a_bootstrap_of_fewer_than_five_seeds_is_refused(n: int) -> None:
    values = [float(x * x) for x in range(n)]
    with pytest.raises(AnalysisError, match=rf"at least 5 seeds, and there are {n} seeds: .* 75 times in 100"):
        statistics.bootstrap_interval(values)
    rows = {"A": range(5), "B": range(n)}
    with pytest.raises(AnalysisError, match=f"and B has {n}: .*--interval t"):
        BOOTSTRAP.check(rows)
    STUDENT_T.check(rows)
    with pytest.raises(AnalysisError, match="A and B and others share 2"):
        BOOTSTRAP.check({"A": range(5), "B": range(3, 9)})


def test_a_share_has_the_exact_binomial_interval() -> None:
    """No copies among 3,000: the rule of three, here two-sided, -log(0.025) / n; and scipy's own for 7 of 30."""
    none = share_interval(0.0, 3000)
    assert (none.low, none.high) == pytest.approx((0.0, 100 * -math.expm1(math.log(0.025) / 3000)))
    some, known = share_interval(100 * 7 / 30, 30), stats.binomtest(7, 30).proportion_ci(method="exact")
    assert (some.low, some.high) == pytest.approx((100 * known.low, 100 * known.high))
    with pytest.raises(AnalysisError, match="between 0 and 100%, found 101"):
        share_interval(101.0, 10)


def test_best_and_second_best_are_marked_in_every_format() -> None:
    values = {"a": [10.0, 11.0, 12.0], "b": [20.0, 21.0, 22.1], "c": [30.0, 31.0, 32.2]}
    records = [record(f"{name}s{seed}", fd) for name, own in values.items() for seed, fd in enumerate(own)]
    found = results(plan_of([row(name, 3) for name in values], [], 3), records)
    table = table_html(found.table)
    for page, best, second in (
        (table_tex(found.table), r"\textbf{11.00}", r"\underline{21.03}"),
        (table_markdown(found), "**11.00**", "<u>21.03</u>"),
        (table, "<b>11.00</b>", "<u>21.03</u>"),
        (table_text(found.table), "11.00*", "21.03+"),
    ):
        assert best in page
        assert second in page
    (said,) = [sentence for sentence in found.table.caption if "Bold" in sentence]
    assert "to every other row excludes 0; underlined: then the second best, where the same holds of every row" in said


def test_controls_and_lines_of_one_training_keep_their_own_spread() -> None:
    swept = [{**row(name, 0), "cells": [*cells(name, 3, 1), *cells(name, 3, 4)]} for name in "ab"]
    plan = plan_of([*swept, row("c", 3), row("x", 3, control=True)], [], 3)
    found = results(plan, [])
    groups = {found.lines.lines.at[line, "title"]: group[-1] for line, group in pool_groups(found.lines).items()}
    assert groups == {
        "A, k_sample 1": 1, "A, k_sample 4": 4, "B, k_sample 1": 1, "B, k_sample 4": 4, "C": None,
    }  # fmt: skip


def test_a_claim_pools_the_rows_that_claims_speak_of() -> None:
    """The same verdict, to the last digit, with a noisy row more in the table."""
    fds = {"a": [30.0, 33.1, 31.0], "b": [20.0, 22.9, 21.2], "c": [9.9, 13.2, 11.0], "d": [50.0, 1.0, 90.0]}
    records = [record(f"{name}s{seed}", fd) for name, own in fds.items() for seed, fd in enumerate(own)]
    told = claim(("b", "a"), ("c", "b"), seeds=3)
    plans = [plan_of([row(name, 3) for name in names], [told], 3) for names in ("abc", "abcd")]
    (small,), (large,) = (results(plan, records, POOLED).claims for plan in plans)
    assert small == large
    table = np.array([fds[name] for name in "abc"])
    rest = table - table.mean(axis=0) - table.mean(axis=1, keepdims=True) + table.mean()
    (paired, *_) = [pair.comparison.paired for pair in small.judged[0].pairs]
    assert paired is not None
    assert (paired.rows, paired.degrees) == (3, 4)
    assert paired.spread == pytest.approx(math.sqrt(2 * np.square(rest).sum() / 4))
