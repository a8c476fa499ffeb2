"""One sentence of evidence for a claim's verdict."""

import math
from collections.abc import Callable, Iterable, Sequence

from prism_bench.analysis import formatting
from prism_bench.analysis.frame.table_lines import Metric
from prism_bench.analysis.stats.paired import LIMIT, Seeds
from prism_bench.analysis.stats.verdicts import PairResult, Verdict


def sentence_of(verdict: Verdict, pairs: Sequence[PairResult], metric: Metric) -> str:
    """The verdict, then the pair that it hangs on in numbers, then what would decide it where it is open."""
    if verdict == "not reproduced":
        against = [pair for pair in pairs if pair.comparison.significant and (pair.mean or 0.0) < 0]
        return f"{verdict}: {_weakest(against, metric)}, significantly the other way"
    if verdict == "not tested":
        return f"{verdict}: {next(pair.missing for pair in pairs if pair.missing is not None)}"
    if verdict == "reproduced":
        return f"{verdict}: {_weakest(pairs, metric)}"
    counts = sorted({pair.comparison.seeds for pair in pairs})
    after = f"after {formatting.listing(counts)} seed{'s' if counts != [1] else ''}"
    return f"{verdict} {after}: {_open(pairs, metric)}"


def _weakest(pairs: Sequence[PairResult], metric: Metric) -> str:
    """The weakest of the pairs in numbers, and how many there are."""
    weakest = max(pairs, key=lambda pair: (pair.comparison.adjusted or 0.0, -abs(pair.mean or 0.0)))
    more = f" (the weakest of {len(pairs)} pairs)" if len(pairs) > 1 else ""
    return f"{_difference(weakest, metric)}{more}"


def _open(pairs: Sequence[PairResult], metric: Metric) -> str:
    """The pair that the verdict waits for, and how many seeds would give it.

    One pair the other way refutes: the surest of them. Otherwise all pairs are needed: the least certain, or where
    nothing is certain yet (one seed), the one that lies farthest from the claim.
    """
    undecided = [pair for pair in pairs if not pair.comparison.significant]
    wrong = [pair for pair in undecided if (pair.mean or 0.0) < 0 and pair.needed is not None]
    untested = all(pair.comparison.adjusted is None for pair in undecided)
    least = min(undecided, key=_mean) if untested else max(undecided, key=_certainty)
    awaited = min(wrong, key=_most) if wrong else least
    told = _difference(awaited, metric)
    if len(pairs) > 1:
        as_claimed = sum((pair.mean or 0.0) > 0 for pair in pairs)
        which = f"{'the farthest from the claim' if untested else 'the least certain'} of {len(pairs)} pairs"
        if wrong:
            which = f"the surest of {len(wrong)} pair{'s' * (len(wrong) > 1)} the other way"
        separably = len(pairs) - len(undecided)
        told += f" ({which}; {as_claimed} of {len(pairs)} differ as claimed, {separably} of them separably)"
    return f"{told}; {_advice(undecided, wrong)}"


def _advice(undecided: Sequence[PairResult], wrong: Sequence[PairResult]) -> str:
    needed = [pair.needed for pair in wrong or undecided if pair.needed is not None]
    reasons = [pair.comparison.reason for pair in undecided if pair.comparison.reason]
    if not wrong and reasons:
        return reasons[0]
    if len(needed) < len(wrong or undecided):
        return "more seeds than can be estimated would be needed"
    seeds = Seeds(*(_chosen(min if wrong else max, ends) for ends in zip(*needed, strict=True)))
    verb = "would be expected to refute it" if wrong else "would decide it"
    return f"{seeds.words} {verb}, if the mean differences are the true ones"


def _chosen(choose: Callable[..., int], ends: Iterable[int | None]) -> int | None:
    """The smallest or largest of some numbers of seeds, None standing for more than are counted."""
    found = choose(LIMIT + 1 if end is None else end for end in ends)
    return None if found > LIMIT else found


def _mean(pair: PairResult) -> float:
    """The larger, the more as claimed; one that cannot be compared says nothing."""
    return math.inf if pair.mean is None else pair.mean


def _certainty(pair: PairResult) -> tuple[int, float]:
    """The larger, the less certain."""
    return _most(pair), pair.comparison.adjusted or 0.0


def _most(pair: PairResult) -> int:
    """The seeds that a pair may need; one of which nothing is known needs more than any."""
    return LIMIT + 2 if pair.needed is None else LIMIT + 1 if pair.needed.most is None else pair.needed.most


def _difference(pair: PairResult, metric: Metric) -> str:
    interval, comparison = pair.comparison.interval, pair.comparison
    if interval is None:
        return f"{pair.better} and {pair.worse} cannot be compared"
    ends = [interval.mean, *(end for end in (interval.low, interval.high) if end is not None)]
    places = formatting.decimals(ends)
    direction = "better" if interval.mean > 0 else "worse" if interval.mean < 0 else "different"
    size = formatting.fixed(abs(interval.mean), places) + comparison.unit
    spread = ""
    if interval.low is not None and interval.high is not None:
        low, high = sorted((interval.low, interval.high) if interval.mean >= 0 else (-interval.high, -interval.low))
        spread = f" [{formatting.listing(formatting.fixed(end, places) + comparison.unit for end in (low, high))}]"
    p = "" if comparison.adjusted is None else f", Holm {formatting.p_value(comparison.adjusted)}"
    return f"{pair.better} is {size}{spread} {direction} than {pair.worse} in {metric.label}{p}"
