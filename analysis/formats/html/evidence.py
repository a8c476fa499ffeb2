"""Claims and differences on the page."""

from collections.abc import Sequence

from prism_bench.analysis import formatting
from prism_bench.analysis.formats.html.html_escape import Markup, join, simple_table, tag, text
from prism_bench.analysis.stats.claims import ClaimResult
from prism_bench.analysis.stats.comparison import Comparison
from prism_bench.analysis.stats.differences import Differences
from prism_bench.analysis.stats.limit_claims import Verdict

MARKS: dict[Verdict, str] = {"reproduced": "yes", "not reproduced": "no", "undecided": "open", "not tested": "none"}
"""The colour class of a verdict; the word itself is always there too."""


def badge(verdict: Verdict) -> Markup:
    """A verdict as word and colour."""
    return tag("span", verdict, class_=f"verdict {MARKS[verdict]}")


def claims_html(results: Sequence[ClaimResult]) -> Markup:
    """Each claim with its verdict and evidence; pairs and further metrics are unfolded."""
    parts = []
    for result in results:
        more = [_pairs(result)] if result.primary.pairs and result.primary.metric else []
        if result.others:
            more.append(tag("p", "By the other metrics, for information:"))
            more.append(tag("ul", *(tag("li", f"{other.metric}: {other.sentence}") for other in result.others)))
        said = [tag("b", result.claim.text), f" ({result.claim.source}). ", result.evidence]
        head = tag("p", badge(result.primary.verdict), " ", *said)
        unfold = tag("details", tag("summary", "pairs and other metrics"), *more) if more else Markup("")
        parts.append(tag("div", head, unfold, class_="claim"))
    return join(parts)


def _pairs(result: ClaimResult) -> Markup:
    rows = []
    for pair in result.primary.pairs:
        *interval, p = pair.comparison.spelled
        difference = pair.missing or " ".join(filter(None, interval))
        needed = "" if pair.needed is None else formatting.count(pair.needed)
        rows.append([f"{pair.better} better than {pair.worse}", difference, p, needed, ", ".join(pair.factors)])
    difference = f"Difference in {result.primary.metric}, positive as claimed"
    return simple_table(["Pair", difference, "Holm p", "Seeds needed", "Differs in"], rows)


def differences_html(differences: Differences) -> Markup:
    """Row minus baseline in every metric."""
    head = ["Variant", *(one.metric.label for one in differences.metrics)]
    rows = [[label, *map(_difference, compared)] for label, compared in differences.rows]
    return join([simple_table(head, rows), tag("p", differences.caption, class_="caption")])


def _difference(comparison: Comparison) -> Markup:
    *interval, p = comparison.spelled
    inner = " ".join(filter(None, interval))
    return join([tag("b", inner) if comparison.significant else text(inner), text(f" {p}" if p else "")], "")
