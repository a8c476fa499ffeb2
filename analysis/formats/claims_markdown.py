"""What the numbers of a table say, as Markdown: claims, differences to the baseline, the paper's order."""

from prism_bench.analysis.formats.markdown_escape import escape, markdown_table
from prism_bench.analysis.stats.claims import how_judged
from prism_bench.analysis.stats.comparison import Comparison
from prism_bench.analysis.stats.differences import Differences
from prism_bench.analysis.table.results import Results


def evidence_markdown(results: Results) -> list[str]:
    """The sections that have something to say."""
    if results.plan.kind == "grid":
        return []
    sections = []
    if results.claims:
        sections.append(_claims(results))
    if results.differences is not None:
        sections.append(_differences(results.differences))
    if results.agreements:
        sentences = [f"- {escape(agreement.sentence)}" for agreement in results.agreements]
        sections.append("\n".join(["## Agreement with the paper's order\n", *sentences]))
    return sections


def verdicts_markdown(results: Results) -> str:
    """The first lines: each claim with its verdicts; empty where there are none."""
    lines = []
    for result in results.claims if results.plan.kind == "table" else ():
        verdicts = "; ".join(f"{escape(one.title)}: **{one.verdict}**" for one in result.judged)
        lines.append(f"- {escape(result.claim.text)} ({escape(result.claim.source)}): {verdicts}.")
    return "\n".join(lines)


def _claims(results: Results) -> str:
    """A table of verdicts, how they come about, and what the other metrics would have said."""
    lines = []
    for result in results.claims:
        text, source = escape(result.claim.text), escape(result.claim.source)
        for one in result.judged:
            lines.append([text, source, escape(one.title), f"**{one.verdict}**", escape(one.evidence)])
            text = source = ""
    others = [
        f"- {escape(result.claim.text)}, by {escape(other.metric)}: {escape(other.sentence)}."
        for result in results.claims
        for other in result.others
    ]
    judged = escape(" ".join(how_judged(results.claims, results.estimator)))
    note = "By the other metrics, uncorrected, for information:\n\n" + "\n".join(others)
    table = markdown_table("lllll", ["Claim", "Source", "Judged by", "Verdict", "Evidence"], *lines)
    return "\n\n".join(["## Claims of the paper", table, judged, *([note] if others else [])])


def _differences(differences: Differences) -> str:
    """A row for each variant, a column for each metric: row minus baseline, interval, adjusted p value."""
    head = ["Variant", *(escape(f"{one.metric.label} {one.metric.arrow}") for one in differences.metrics)]
    lines = [[escape(label), *map(_difference, compared)] for label, compared in differences.rows]
    table = markdown_table("l" + "r" * len(differences.metrics), head, *lines)
    return f"## Differences to {escape(differences.baseline)}\n\n{table}\n\n{escape(differences.caption)}"


def _difference(comparison: Comparison) -> str:
    mean, *rest = comparison.spelled
    parts = [f"**{mean}**" if comparison.significant else mean, *map(escape, rest)]
    return " ".join(part for part in parts if part)
