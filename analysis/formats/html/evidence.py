"""Claims, differences and rank agreement on the page."""

from collections.abc import Sequence

from prism_bench.analysis import formatting
from prism_bench.analysis.formats.html.html_escape import Markup, join, simple_table, tag, text
from prism_bench.analysis.stats.agreement import Agreement
from prism_bench.analysis.stats.claims import ClaimResult
from prism_bench.analysis.stats.comparison import Comparison
from prism_bench.analysis.stats.differences import Differences
from prism_bench.analysis.stats.limit_claims import Verdict
from prism_bench.analysis.stats.statistics import Estimator

MARKS: dict[Verdict, str] = {"reproduced": "yes", "not reproduced": "no", "undecided": "open", "not tested": "none"}
"""The colour class of a verdict; the word itself is always there too."""


def badge(verdict: Verdict) -> Markup:
    """A verdict as word and colour."""
    return tag("span", verdict, class_=f"verdict {MARKS[verdict]}")


def claims_html(results: Sequence[ClaimResult]) -> Markup:
    """Each claim with its verdict and evidence; pairs and further metrics are unfolded."""
    parts = []
    for result in results:
        sentence = result.primary.sentence.partition(": ")[2] or result.primary.sentence
        more = [_pairs(result)] if result.primary.pairs and result.primary.metric else []
        if result.others:
            more.append(tag("p", "By the other metrics, for information:"))
            more.append(tag("ul", *(tag("li", f"{other.metric}: {other.sentence}") for other in result.others)))
        head = tag(
            "p",
            badge(result.primary.verdict),
            " ",
            tag("b", result.claim.text),
            f" ({result.claim.source}). ",
            sentence,
        )
        unfold = tag("details", tag("summary", "pairs and other metrics"), *more) if more else Markup("")
        parts.append(tag("div", head, unfold, class_="claim"))
    return join(parts)


def _pairs(result: ClaimResult) -> Markup:
    rows = []
    for pair in result.primary.pairs:
        comparison = pair.comparison
        needed = "" if pair.needed is None else formatting.count(pair.needed)
        p = "" if comparison.adjusted is None else formatting.p_value(comparison.adjusted)
        difference = text(pair.missing) if pair.missing else _interval(comparison)
        rows.append([f"{pair.better} better than {pair.worse}", difference, p, needed, ", ".join(pair.factors)])
    head = [
        "Pair",
        f"Difference in {result.primary.metric}, positive as claimed",
        "Holm p",
        "Seeds needed",
        "Differs in",
    ]
    return simple_table(head, rows)


def differences_html(differences: Differences, estimator: Estimator) -> Markup:
    """Row minus baseline in every metric."""
    head = ["Variant", *(one.metric.label for one in differences.metrics)]
    rows = []
    for index, (label, _) in enumerate(differences.metrics[0].rows):
        found = [one.rows[index][1] for one in differences.metrics]
        rows.append([label, *(_difference(comparison) for comparison in found)])
    words = (
        f"Row minus {differences.baseline} over the seeds that both have: mean [{estimator.words}], p value of the "
        "paired t test after Holm's correction over the rows of a metric. Bold: below 0.05."
    )
    return join([simple_table(head, rows), tag("p", words, class_="caption")])


def agreement_html(found: Sequence[Agreement]) -> Markup:
    """Kendall's tau against each published column."""
    items = []
    for one in found:
        if one.tau is None:
            items.append(tag("li", f"{one.column}: too few rows to compare ({one.n} have both numbers)."))
            continue
        items.append(
            tag(
                "li",
                f"{one.column}: Kendall's tau {formatting.fixed(one.tau, 2)} over {one.n} rows, {one.metric.label} "
                f"against the published FID. Measured, best first: {formatting.listing(one.measured)}. Published: "
                f"{formatting.listing(one.published)}.",
            )
        )
    return tag("ul", *items)


def _difference(comparison: Comparison) -> Markup:
    if comparison.interval is None:
        return text("--")
    inner = _interval(comparison)
    p = "" if comparison.adjusted is None else f" {formatting.p_value(comparison.adjusted)}"
    return join([tag("b", inner) if comparison.significant else inner, text(p)], "")


def _interval(comparison: Comparison) -> Markup:
    interval = comparison.interval
    if interval is None:
        return text("--")
    ends = [end for end in (interval.low, interval.high) if end is not None]
    places = formatting.decimals([interval.mean, *ends])
    spread = f" [{', '.join(formatting.fixed(end, places) for end in ends)}]" if ends else ""
    return text(f"{interval.mean:+.{places}f}{spread}")
