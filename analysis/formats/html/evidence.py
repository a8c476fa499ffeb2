"""Claims and differences on the page."""

from collections.abc import Sequence

from prism_bench.analysis.formats.html.html_escape import Markup, join, simple_table, tag, text
from prism_bench.analysis.stats.claims import ClaimResult, how_judged
from prism_bench.analysis.stats.comparison import Comparison
from prism_bench.analysis.stats.differences import Differences
from prism_bench.analysis.stats.statistics import Estimator
from prism_bench.analysis.stats.verdicts import Judgement, Verdict

MARKS: dict[Verdict, str] = {"reproduced": "yes", "not reproduced": "no", "undecided": "open", "not tested": "none"}
"""The colour class of a verdict; the word itself is always there too."""


def badge(verdict: Verdict) -> Markup:
    """A verdict as word and colour."""
    return tag("span", verdict, class_=f"verdict {MARKS[verdict]}")


def verdicts_html(result: ClaimResult, *claim: Markup | str) -> Markup:
    """A claim, given as it is to be shown, and each of its outcomes with verdict and evidence."""
    judged = (
        tag("li", badge(one.verdict), f" {one.title}: {one.evidence}" if one.title else f" {one.evidence}")
        for one in result.judged
    )
    return join([tag("p", *claim, f" ({result.claim.source})"), tag("ul", *judged, class_="outcomes")])


def claims_html(results: Sequence[ClaimResult], estimator: Estimator) -> Markup:
    """Each claim with its verdicts and evidence; pairs and further metrics are unfolded."""
    parts = [tag("p", " ".join(how_judged(results, estimator)), class_="caption")]
    for result in results:
        more = [_pairs(one) for one in result.judged if one.pairs and one.metric]
        if result.others:
            more.append(tag("p", "By the other metrics, uncorrected, for information:"))
            more.append(tag("ul", *(tag("li", f"{other.metric}: {other.sentence}") for other in result.others)))
        unfold = tag("details", tag("summary", "pairs and other metrics"), *more) if more else Markup("")
        parts.append(tag("div", verdicts_html(result, tag("b", result.claim.text)), unfold, class_="claim"))
    return join(parts)


def _pairs(judgement: Judgement) -> Markup:
    rows = []
    for pair in judgement.pairs:
        *interval, p = pair.comparison.spelled
        difference = pair.missing or " ".join(filter(None, interval))
        needed = "" if pair.needed is None else pair.needed.words
        rows.append([f"{pair.better} better than {pair.worse}", difference, p, needed, ", ".join(pair.factors)])
    difference = f"Difference in {judgement.metric}, positive as claimed"
    return simple_table(["Pair", difference, "Holm p", "Would be decided by", "Differs in"], rows)


def differences_html(differences: Differences) -> Markup:
    """Row minus baseline in every metric."""
    head = ["Variant", *(one.metric.label for one in differences.metrics)]
    rows = [[label, *map(_difference, compared)] for label, compared in differences.rows]
    return join([simple_table(head, rows), tag("p", differences.caption, class_="caption")])


def _difference(comparison: Comparison) -> Markup:
    *interval, p = comparison.spelled
    inner = " ".join(filter(None, interval))
    return join([tag("b", inner) if comparison.significant else text(inner), text(f" {p}" if p else "")], "")
