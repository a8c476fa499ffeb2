"""What a table says, in sentences: who is better than whom, by how much, and whether that can be told from chance."""

from collections.abc import Mapping

from prism_bench.analysis import formatting
from prism_bench.analysis.frame.table_lines import Metric, TableLines
from prism_bench.analysis.schema.records import Plan
from prism_bench.analysis.stats.comparison import Comparison
from prism_bench.analysis.stats.contrasts import Contrasts, pool_groups
from prism_bench.analysis.stats.differences import Differences
from prism_bench.analysis.stats.ranking import ranking

MOST = 3
"""Rows that have a sentence each; of more, the best are named."""


def headline(plan: Plan, lines: TableLines, found: Differences | None) -> tuple[str, ...]:
    """Sentences on the rows that the plan's claims hold best, each against the baseline, in the claims' outcomes.

    Without such a claim on every row of few, and of many on the best in each outcome. Positive differences are better;
    what Holm's correction over the rows of a metric leaves undecided is called not separable. Empty without two rows.
    """
    if found is None:
        return ()
    metrics = _metrics(plan, lines)
    titles = lines.lines.loc[lines.lines["seeds"] > 0, "title"]
    names = dict(zip(titles.index, formatting.apart(list(titles))[0], strict=True))
    baseline, *others = titles.index
    of_metric = {one.metric.name: dict(zip(others, one.rows, strict=True)) for one in found.metrics}
    told = _claimed(plan, lines, others) or [line for line in others if not lines.lines.at[line, "control"]]
    if not told or len(told) > MOST:
        return tuple(_best(lines, metric, found, names) for metric in metrics.values())
    return tuple(
        _sentence(names[line], names[baseline], {metrics[name]: of_metric[name][line][1] for name in metrics})
        for line in told
    )


def _metrics(plan: Plan, lines: TableLines) -> dict[str, Metric]:
    """The outcomes of the claims that were measured; the first metric where there is none."""
    known = lines.metrics()
    outcomes = dict.fromkeys(outcome.metric for claim in plan.claims for outcome in claim.outcomes)
    return {name: known[name] for name in outcomes if name in known} or dict(list(known.items())[:1])


def _claimed(plan: Plan, lines: TableLines, others: list[int]) -> list[int]:
    """The lines that claims call better than others, and none calls worse; in one k_sample, where a row has several."""
    pairs = [pair for claim in plan.claims for pair in claim.pairs]
    sides = {(pair.better.row, pair.better.k_sample) for pair in pairs}
    sides -= {(pair.worse.row, pair.worse.k_sample) for pair in pairs}
    return [line for line in others if any(_is(lines.lines.loc[line], *side) for side in sides)]


def _is(line: Mapping[str, object], row: str, k_sample: int | None) -> bool:
    return line["row"] == row and (not line["several"] or line["k_sample"] == k_sample)


def _sentence(name: str, baseline: str, compared: Mapping[Metric, Comparison]) -> str:
    parts: list[str] = []
    before = ""
    for metric, difference in compared.items():
        gain = difference if metric.better == "higher" else difference.negated
        if gain.interval is None:
            parts.append(f"shares no seed with {baseline} in {metric.label}")
            before = ""
            continue
        mean = gain.interval.mean
        verb = f"beats {baseline}" if mean > 0 else f"is behind {baseline}" if mean < 0 else f"equals {baseline}"
        parts.append(f"by {_amount(gain, metric)}" if verb == before else f"{verb} by {_amount(gain, metric)}")
        before = verb
    return f"{name} {'; '.join(parts)}."


def _amount(gain: Comparison, metric: Metric) -> str:
    """24 FD [-52, 101], not separable: positive ends are on the better side of a row that is better."""
    interval = gain.interval
    if interval is None:
        raise ValueError("no difference")
    turned = gain if interval.mean >= 0 else gain.negated
    ends = [end for end in (turned.interval.low, turned.interval.high) if end is not None] if turned.interval else []
    places = formatting.decimals([interval.mean, *ends])
    unit = f" {metric.unit}" if metric.unit and not gain.unit else ""
    spread = f" [{formatting.listing(formatting.fixed(end, places) + gain.unit for end in ends)}]" if ends else ""
    return f"{formatting.fixed(abs(interval.mean), places)}{gain.unit}{unit} {metric.label}{spread}{_told(gain)}"


def _told(gain: Comparison) -> str:
    if gain.significant:
        return ""
    return " (one seed: no interval)" if gain.seeds == 1 else ", not separable"


def _best(lines: TableLines, metric: Metric, found: Differences, names: Mapping[int, str]) -> str:
    """Best in FD: decreasing, 312, separable from every other row."""
    trained = [line for line in names if line not in lines.untrained and lines.of(metric.name, line)]
    means = {line: sum(own.values()) / len(own) for line in trained for own in [lines.of(metric.name, line)]}
    if not means:
        return f"No row has a {metric.label} yet."
    best = (min if metric.better == "lower" else max)(means, key=means.__getitem__)
    values = {line: lines.of(metric.name, line) for line in trained}
    decided = ranking(Contrasts.of(values, metric, found.estimator, pool_groups(lines)))
    place = formatting.fixed(means[best], formatting.decimals(means.values()))
    how = "separable from every other row" if decided.best == best else "not separable from every other row"
    return f"Best in {metric.label}: {names[best]}, {place} ({how})."
