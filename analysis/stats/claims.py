"""The paper's claims, each with a verdict of its own."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from prism_bench.analysis import formatting
from prism_bench.analysis.frame.recorded import Recorded
from prism_bench.analysis.frame.table_lines import Metric
from prism_bench.analysis.schema.records import Claim, Pair, Plan, Side
from prism_bench.analysis.stats.comparison import SIGNIFICANT, Comparison, adjusted, compare
from prism_bench.analysis.stats.limit_claims import Verdict, judge_limit
from prism_bench.analysis.stats.statistics import STUDENT_T, Estimator, seeds_needed


@dataclass(frozen=True, kw_only=True)
class PairResult:
    """One pair in one metric: the difference is positive where it is as claimed.

    `needed`: paired seeds that would decide it at the claim's level, if the observed mean and spread were the true
    ones; None where it is decided or nothing can be said. `missing`: why it could not be tested.
    """

    better: str
    worse: str
    factors: tuple[str, ...]
    comparison: Comparison
    needed: int | None = None
    missing: str | None = None

    @property
    def mean(self) -> float | None:
        """The mean difference."""
        return None if self.comparison.interval is None else self.comparison.interval.mean


@dataclass(frozen=True, kw_only=True)
class Judgement:
    """A claim in one metric."""

    metric: str
    verdict: Verdict
    sentence: str
    pairs: tuple[PairResult, ...] = ()


@dataclass(frozen=True, kw_only=True)
class ClaimResult:
    """A claim judged on the primary metric; `others` say what the further metrics would have said."""

    claim: Claim
    primary: Judgement
    others: tuple[Judgement, ...] = ()

    @property
    def evidence(self) -> str:
        """The sentence of the first metric without the verdict that it begins with."""
        return self.primary.sentence.partition(": ")[2] or self.primary.sentence


def judge_claims(plan: Plan, frame: pd.DataFrame, estimator: Estimator = STUDENT_T) -> tuple[ClaimResult, ...]:
    """Every claim of a plan, on the first metric of its cells and, for information, on all others.

    The frame holds the cells that the claims speak of (`frame.claims_frame`); others do no harm.
    """
    recorded = Recorded(frame)
    return tuple(_claim(claim, recorded, estimator) for claim in plan.claims if claim.pairs or claim.limit)


def _claim(claim: Claim, recorded: Recorded, estimator: Estimator) -> ClaimResult:
    if claim.limit is not None:
        metric, verdict, sentence = judge_limit(claim.limit, recorded, estimator)
        return ClaimResult(claim=claim, primary=Judgement(metric=metric, verdict=verdict, sentence=sentence))
    metrics = recorded.metrics([cell.record for side in claim.sides for cell in side.cells])
    if not metrics:
        missing = tuple(_pair(pair, claim, Comparison(), _absent(pair, recorded, None)) for pair in claim.pairs)
        sentence = "not tested: none of its cells is finished"
        judged = Judgement(metric="", verdict="not tested", sentence=sentence, pairs=missing)
        return ClaimResult(claim=claim, primary=judged)
    first, *rest = (_judge(claim, metric, recorded, estimator) for metric in metrics)
    return ClaimResult(claim=claim, primary=first, others=tuple(rest))


def _judge(claim: Claim, metric: Metric, recorded: Recorded, estimator: Estimator) -> Judgement:
    compared = []
    for pair in claim.pairs:
        better, worse = (recorded.by_seed(side.cells, metric.name) for side in (pair.better, pair.worse))
        compared.append(compare(worse, better, estimator, metric.better))
    pairs = tuple(
        _pair(pair, claim, comparison, _absent(pair, recorded, metric.name))
        for pair, comparison in zip(claim.pairs, adjusted(compared), strict=True)
    )
    verdict, sentence = _verdict(pairs, metric)
    return Judgement(metric=metric.label, verdict=verdict, sentence=sentence, pairs=pairs)


def _pair(pair: Pair, claim: Claim, comparison: Comparison, missing: str) -> PairResult:
    settled = comparison.significant or len(comparison.differences) < 2
    return PairResult(
        better=_name(pair.better, claim),
        worse=_name(pair.worse, claim),
        factors=pair.factors,
        comparison=comparison,
        needed=None if settled else _needed(comparison.differences, 1 - SIGNIFICANT / len(claim.pairs)),
        missing=missing if comparison.interval is None else None,
    )


def _needed(differences: Sequence[float], level: float) -> int | None:
    """More than there are: these did not suffice."""
    estimate = seeds_needed(differences, level)
    return None if estimate is None else max(estimate, len(differences) + 1)


def _name(side: Side, claim: Claim) -> str:
    """A side's label, with its k_sample where the claim is about several of the row's."""
    several = len({other.k_sample for other in claim.sides if other.row == side.row}) > 1
    return f"{side.label} (k_sample {side.k_sample})" if several else side.label


def _absent(pair: Pair, recorded: Recorded, metric: str | None) -> str:
    """Which cells of a pair have no value."""
    parts = []
    for side in (pair.better, pair.worse):
        seeds = [cell.seed for cell in side.cells if not recorded.holds(cell.record, metric)]
        if seeds:
            parts.append(f"{side.label} has no result for seed{'s' * (len(seeds) > 1)} {formatting.listing(seeds)}")
    return "; ".join(parts) or "the two sides share no seed"


def _verdict(pairs: Sequence[PairResult], metric: Metric) -> tuple[Verdict, str]:
    """The verdict over all pairs, and one sentence of evidence."""
    against = [pair for pair in pairs if pair.comparison.significant and (pair.mean or 0.0) < 0]
    if against:
        return "not reproduced", f"not reproduced: {_told(against, metric)}, significantly the other way"
    absent = [pair for pair in pairs if pair.missing is not None]
    if absent:
        return "not tested", f"not tested: {absent[0].missing}"
    if all(pair.comparison.significant for pair in pairs):
        return "reproduced", f"reproduced: {_told(pairs, metric)}"
    counts = sorted({len(pair.comparison.differences) for pair in pairs})
    after = f"after {formatting.listing(counts)} seed{'s' if counts != [1] else ''}"
    return "undecided", f"undecided {after}: {_open(pairs, metric)}"


def _told(pairs: Sequence[PairResult], metric: Metric) -> str:
    """The weakest of the pairs in numbers, and how many there are."""
    weakest = max(pairs, key=lambda pair: (pair.comparison.adjusted or 0.0, -abs(pair.mean or 0.0)))
    more = f" (the weakest of {len(pairs)} pairs)" if len(pairs) > 1 else ""
    return f"{_difference(weakest, metric)}{more}"


def _open(pairs: Sequence[PairResult], metric: Metric) -> str:
    undecided = [pair for pair in pairs if not pair.comparison.significant]
    hardest = max(undecided, key=lambda pair: (pair.needed or math.inf, pair.comparison.adjusted or 0.0))
    told = _difference(hardest, metric)
    if len(pairs) > 1:
        as_claimed = sum((pair.mean or 0.0) > 0 for pair in pairs)
        told += (
            f" (the least certain of {len(pairs)} pairs; {as_claimed} of {len(pairs)} differ as claimed, "
            f"{len(pairs) - len(undecided)} of them separably)"
        )
    return f"{told}; {_advice(undecided)}"


def _advice(undecided: Sequence[PairResult]) -> str:
    if any(len(pair.comparison.differences) < 2 for pair in undecided):
        return "a single seed has no interval; run at least three"
    wrong = [pair for pair in undecided if pair.mean is not None and pair.mean <= 0]
    known = [pair.needed for pair in undecided if pair.needed is not None]
    seeds = "more seeds than can be estimated would be needed"
    if len(known) == len(undecided):
        seeds = f"about {max(known)} seeds would decide it"
    if wrong:
        verb = "points" if len(wrong) == 1 else "point"
        seeds += f", and would be expected to refute it: {len(wrong)} of its differences {verb} the other way"
    return f"{seeds}, if these means and spreads are the true ones"


def _difference(pair: PairResult, metric: Metric) -> str:
    interval, comparison = pair.comparison.interval, pair.comparison
    if interval is None:
        return f"{pair.better} and {pair.worse} cannot be compared"
    ends = [interval.mean, *(end for end in (interval.low, interval.high) if end is not None)]
    places = formatting.decimals(ends)
    direction = "better" if interval.mean > 0 else "worse" if interval.mean < 0 else "different"
    size = formatting.fixed(abs(interval.mean), places)
    spread = ""
    if interval.low is not None and interval.high is not None:
        low, high = sorted((interval.low, interval.high) if interval.mean >= 0 else (-interval.high, -interval.low))
        spread = f" [{formatting.fixed(low, places)}, {formatting.fixed(high, places)}]"
    p = "" if comparison.adjusted is None else f", Holm {formatting.p_value(comparison.adjusted)}"
    return f"{pair.better} is {size}{spread} {direction} than {pair.worse} in {metric.label}{p}"
