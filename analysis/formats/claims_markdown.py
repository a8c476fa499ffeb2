"""What the numbers of a table say, as Markdown: claims, differences to the baseline, the paper's order."""

from collections.abc import Sequence

from prism_bench.analysis import formatting
from prism_bench.analysis.formats.markdown_escape import escape, markdown_line
from prism_bench.analysis.stats.agreement import Agreement
from prism_bench.analysis.stats.claims import ClaimResult
from prism_bench.analysis.stats.comparison import Comparison
from prism_bench.analysis.stats.differences import Differences
from prism_bench.analysis.stats.statistics import Estimator
from prism_bench.analysis.table.results import Results


def evidence_markdown(results: Results) -> list[str]:
    """The sections that have something to say."""
    if results.plan.kind == "grid":
        return []
    differences = results.differences
    sections = [
        claims_section(results.claims),
        "" if differences is None else differences_section(differences, results.estimator),
        agreement_section(results.agreements),
    ]
    return [section for section in sections if section]


def claims_section(results: Sequence[ClaimResult]) -> str:
    """A table of verdicts, and below it what the other metrics would have said."""
    if not results:
        return ""
    lines = [["Claim", "Source", "Verdict", "Evidence"], ["---"] * 4]
    for result in results:
        sentence = result.primary.sentence.partition(": ")[2] or result.primary.sentence
        lines.append(
            [escape(result.claim.text), escape(result.claim.source), f"**{result.primary.verdict}**", escape(sentence)]
        )
    others = [
        f"- {escape(result.claim.text)}, by {escape(other.metric)}: {escape(other.sentence)}."
        for result in results
        for other in result.others
    ]
    note = "The verdict is that of the first metric. By the others, for information:\n\n" + "\n".join(others)
    table = "\n".join(markdown_line(line) for line in lines)
    return "\n\n".join(["## Claims of the paper", table, *([note] if others else [])])


def differences_section(differences: Differences, estimator: Estimator) -> str:
    """A row for each variant, a column for each metric: row minus baseline, interval, adjusted p value."""
    head = ["Variant", *(escape(f"{one.metric.label} {one.metric.arrow}") for one in differences.metrics)]
    lines = [head, ["---", *("---:" for _ in differences.metrics)]]
    for index, (label, _) in enumerate(differences.metrics[0].rows):
        lines.append([escape(label), *(_difference(one.rows[index][1]) for one in differences.metrics)])
    words = (
        f"Row minus baseline over the seeds that both have: mean \\[{estimator.words}\\], and the p value of the "
        "paired t test after Holm's correction over the rows of a metric. Bold: below 0.05."
    )
    table = "\n".join(markdown_line(line) for line in lines)
    return f"## Differences to {escape(differences.baseline)}\n\n{table}\n\n{words}"


def agreement_section(found: Sequence[Agreement]) -> str:
    """One sentence for each published column."""
    lines = []
    for one in found:
        if one.tau is None:
            lines.append(f"- {escape(one.column)}: too few rows to compare ({one.n} have both numbers).")
            continue
        lines.append(
            f"- {escape(one.column)}: Kendall's tau {formatting.fixed(one.tau, 2)} over {one.n} rows, "
            f"{escape(one.metric.label)} against the published FID. Measured, best first: "
            f"{escape(formatting.listing(one.measured))}. Published: {escape(formatting.listing(one.published))}."
        )
    return "## Agreement with the paper's order\n\n" + "\n".join(lines) if lines else ""


def _difference(comparison: Comparison) -> str:
    interval = comparison.interval
    if interval is None:
        return "--"
    ends = [end for end in (interval.low, interval.high) if end is not None]
    places = formatting.decimals([interval.mean, *ends])
    mean = f"{interval.mean:+.{places}f}"
    text = f"**{mean}**" if comparison.significant else mean
    if ends:
        text += f" \\[{', '.join(formatting.fixed(end, places) for end in ends)}\\]"
    return text if comparison.adjusted is None else f"{text} {escape(formatting.p_value(comparison.adjusted))}"
