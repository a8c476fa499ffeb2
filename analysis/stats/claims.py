"""The paper's claims, each with a verdict of its own in every outcome that its plan names."""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from prism_bench.analysis import formatting
from prism_bench.analysis.frame.recorded import Recorded
from prism_bench.analysis.frame.table_lines import Metric
from prism_bench.analysis.schema.records import Cell, Claim, Pair, Plan, Side
from prism_bench.analysis.stats.claim_words import sentence_of
from prism_bench.analysis.stats.comparison import SIGNIFICANT, Comparison, adjusted
from prism_bench.analysis.stats.contrasts import Contrasts
from prism_bench.analysis.stats.limit_claims import judge_limit
from prism_bench.analysis.stats.statistics import STUDENT_T, Estimator
from prism_bench.analysis.stats.verdicts import Judgement, PairResult, verdict_of

Cells = tuple[Cell, ...]


@dataclass(frozen=True, kw_only=True)
class ClaimResult:
    """A claim judged by each of its outcomes; `others` say what the further metrics would have said."""

    claim: Claim
    judged: tuple[Judgement, ...]
    others: tuple[Judgement, ...] = ()


def judge_claims(plan: Plan, frame: pd.DataFrame, estimator: Estimator = STUDENT_T) -> tuple[ClaimResult, ...]:
    """Every claim of a plan: by the outcomes that it names, which share 5%, or by the first metric of its cells.

    The frame holds the cells that the claims speak of (`frame.claims_frame`); others do no harm.

    Raises:
        AnalysisError: fewer seeds than the estimator needs.
    """
    judge = _Judge(plan, Recorded(frame), estimator)
    return tuple(judge.claim(claim) for claim in plan.claims if claim.pairs or claim.limit)


@dataclass(frozen=True, eq=False)
class _Judge:
    plan: Plan
    recorded: Recorded
    estimator: Estimator

    def claim(self, claim: Claim) -> ClaimResult:
        if claim.limit is not None:
            metric, verdict, sentence = judge_limit(claim.limit, self.recorded, self.estimator)
            return ClaimResult(claim=claim, judged=(Judgement(metric=metric, verdict=verdict, sentence=sentence),))
        metrics = self.recorded.metrics([cell.record for side in claim.sides for cell in side.cells])
        if not claim.outcomes:
            first = self.judgement(claim, metrics[0]) if metrics else self.untested(claim)
            return ClaimResult(claim=claim, judged=(first,), others=self.others(claim, metrics[1:]))
        named, alpha = {metric.name: metric for metric in metrics}, SIGNIFICANT / len(claim.outcomes)
        judged = [
            self.judgement(claim, named[outcome.metric], outcome.of, alpha)
            if outcome.metric in named
            else self.untested(claim, outcome.of, outcome.metric if metrics else "", alpha)
            for outcome in claim.outcomes
        ]
        outcomes = {outcome.metric for outcome in claim.outcomes}
        others = [metric for metric in metrics if metric.name not in outcomes]
        return ClaimResult(claim=claim, judged=tuple(judged), others=self.others(claim, others))

    def others(self, claim: Claim, metrics: Sequence[Metric]) -> tuple[Judgement, ...]:
        return tuple(self.judgement(claim, metric) for metric in metrics)

    def judgement(self, claim: Claim, metric: Metric, of: str = "", alpha: float = SIGNIFICANT) -> Judgement:
        contrasts = self.contrasts(metric)
        compared = adjusted([contrasts.gain(it.better.cells, it.worse.cells, alpha) for it in claim.pairs])
        pairs = tuple(
            _pair(pair, claim, comparison, _absent(pair, self.recorded, metric.name))
            for pair, comparison in zip(claim.pairs, compared, strict=True)
        )
        verdict = verdict_of([pair.comparison for pair in pairs])
        sentence = sentence_of(verdict, pairs, metric)
        return Judgement(of=of, metric=metric.label, verdict=verdict, sentence=sentence, pairs=pairs, alpha=alpha)

    def untested(self, claim: Claim, of: str = "", metric: str = "", alpha: float = SIGNIFICANT) -> Judgement:
        """Of a metric that no cell has, or of no cell at all."""
        pairs = tuple(_pair(pair, claim, Comparison(), _absent(pair, self.recorded, None)) for pair in claim.pairs)
        why = f"none of its cells has {metric}" if metric else "none of its cells is finished"
        sentence = f"not tested: {why}"
        return Judgement(of=of, metric=metric, verdict="not tested", sentence=sentence, pairs=pairs, alpha=alpha)

    def contrasts(self, metric: Metric) -> Contrasts[Cells]:
        """All sides of the plan's claims, by their cells: what may be pooled does not hang on further rows."""
        sides = [side for claim in self.plan.claims for pair in claim.pairs for side in (pair.better, pair.worse)]
        values = {side.cells: self.recorded.by_seed(side.cells, metric.name) for side in sides}
        labels = {side.label: values[side.cells] for side in sides if values[side.cells]}
        self.estimator.check(labels)
        return Contrasts.of(values, metric, self.estimator, _groups(sides))


def _groups(sides: Sequence[Side]) -> Mapping[Cells, Hashable]:
    """Sides that may share a spread: those of one k_sample where a row has several."""
    ks: dict[str, set[int | None]] = {}
    for side in sides:
        ks.setdefault(side.row, set()).add(side.k_sample)
    return {side.cells: side.k_sample if len(ks[side.row]) > 1 else None for side in sides}


def _pair(pair: Pair, claim: Claim, comparison: Comparison, missing: str) -> PairResult:
    return PairResult(
        better=_name(pair.better, claim),
        worse=_name(pair.worse, claim),
        factors=pair.factors,
        comparison=comparison,
        needed=comparison.needed(len(claim.pairs)),
        missing=missing if comparison.interval is None else None,
    )


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


def how_judged(results: Sequence[ClaimResult], estimator: Estimator) -> tuple[str, ...]:
    """What the verdicts rest on, in sentences."""
    named = [result.claim.outcomes for result in results if result.claim.outcomes]
    sentences = []
    if named:
        alpha = SIGNIFICANT / len(named[0])
        outcomes = dict.fromkeys(f"{outcome.of} ({outcome.metric})" for own in named for outcome in own)
        sentences.append(
            f"Each claim is judged by {' and '.join(outcomes)}, named in the plan before anything ran, each with a "
            f"verdict of its own: {estimator.of_differences(1 - alpha)}s, and Holm's p over the pairs below {alpha:g}, "
            f"so that {'both' if len(named[0]) == 2 else 'all'} together decide falsely in at most {SIGNIFICANT:.0%}."
        )
    if any(not result.claim.outcomes and result.claim.pairs for result in results):
        sentences.append(
            f"Where a plan names no outcome the first metric decides: {estimator.of_differences()}s, Holm's p below "
            f"{SIGNIFICANT}."
        )
    if any(result.claim.limit for result in results):
        sentences.append(
            f"A limit is judged by the {estimator.words()} of its own number; equal shares, which have no spread, by "
            "the exact binomial interval of one share of the images of all seeds."
        )
    return tuple(sentences)
