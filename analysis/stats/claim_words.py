"""One sentence of evidence for a claim's verdict."""

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
    undecided = [pair for pair in pairs if not pair.comparison.significant]
    hardest = max(undecided, key=lambda pair: (_most(pair), pair.comparison.adjusted or 0.0))
    told = _difference(hardest, metric)
    if len(pairs) > 1:
        as_claimed = sum((pair.mean or 0.0) > 0 for pair in pairs)
        told += (
            f" (the least certain of {len(pairs)} pairs; {as_claimed} of {len(pairs)} differ as claimed, "
            f"{len(pairs) - len(undecided)} of them separably)"
        )
    return f"{told}; {_advice(undecided)}"


def _advice(undecided: Sequence[PairResult]) -> str:
    """How many seeds would decide: one pair the other way refutes, and all pairs are needed to confirm."""
    reasons = [pair.comparison.reason for pair in undecided if pair.comparison.reason]
    if reasons:
        return reasons[0]
    wrong = [pair.needed for pair in undecided if (pair.mean or 0.0) < 0 and pair.needed is not None]
    given = ", if the mean differences are the true ones"
    if wrong:
        seeds = Seeds(*(_chosen(min, ends) for ends in zip(*wrong, strict=True)))
        points = "points" if len(wrong) == 1 else "point"
        return f"{seeds.words} would be expected to refute it{given}: {len(wrong)} of them {points} the other way"
    known = [pair.needed for pair in undecided if pair.needed is not None]
    if len(known) < len(undecided):
        return "more seeds than can be estimated would be needed"
    seeds = Seeds(*(_chosen(max, ends) for ends in zip(*known, strict=True)))
    return f"{seeds.words} would decide it{given}"


def _chosen(choose: Callable[..., int], ends: Iterable[int | None]) -> int | None:
    """The smallest or largest of some numbers of seeds, None standing for more than are counted."""
    found = choose(LIMIT + 1 if end is None else end for end in ends)
    return None if found > LIMIT else found


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
        spread = f" [{formatting.fixed(low, places)}, {formatting.fixed(high, places)}]"
    p = "" if comparison.adjusted is None else f", Holm {formatting.p_value(comparison.adjusted)}"
    return f"{pair.better} is {size}{spread} {direction} than {pair.worse} in {metric.label}{p}"
