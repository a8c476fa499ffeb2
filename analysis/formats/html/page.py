"""The report as one page: nothing is loaded from anywhere, and the same records give the same bytes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from prism_bench.analysis import formatting
from prism_bench.analysis.figures.quality_compute import PICTURE
from prism_bench.analysis.figures.sweep_figures import CURVES, HEATMAP
from prism_bench.analysis.formats.html.details import (
    cells_html,
    changes_html,
    choices_html,
    environment_html,
    total_cost,
)
from prism_bench.analysis.formats.html.evidence import agreement_html, badge, claims_html, differences_html
from prism_bench.analysis.formats.html.html_escape import Markup, figure, join, simple_table, tag
from prism_bench.analysis.formats.html.html_table import table_html
from prism_bench.analysis.schema.records import Plan, Record, index_records
from prism_bench.analysis.stats.agreement import agreements
from prism_bench.analysis.stats.claims import ClaimResult, judge_claims
from prism_bench.analysis.stats.differences import differences_of
from prism_bench.analysis.table.sweep import paper_form
from prism_bench.analysis.table.table_model import Measured, Table

FIGURES = {
    "overview.png": "Samples of every variant, first seed; a column shares its noise and its pseudo-query.",
    CURVES: "The first metric over k_sample with 95% bands, and the published curves in a panel of their own.",
    HEATMAP: "Schedules against k_sample: measured, and quoted with colours of their own.",
    "intervals.png": "Each metric: mean over seeds with its 95% interval, seeds as dots, the floor dashed.",
    PICTURE: "The first metric over the operations of the training: what quality costs.",
    "training-curves.png": "Loss and k_train over training images.",
    "memorisation.png": "The samples that come closest to a real image, first seed, each above the image it resembles.",
    "memorisation-distances.png": "Distances to the nearest real image, first seed: generated beside real ones.",
}


@dataclass(frozen=True, kw_only=True)
class Part:
    """One table or figure of the page; `pictures` is the folder that holds its pictures, None where it has none.

    `further`: more numbers of the same cells, in tables of their own.
    """

    table: Table
    records: tuple[Record, ...]
    pictures: Path | None
    further: tuple[Table, ...] = ()

    @property
    def plan(self) -> Plan:
        """What was asked for."""
        return self.table.plan

    @property
    def anchor(self) -> str:
        """Its name within the page."""
        return "-".join(f"{self.plan.experiment} {self.plan.panel}".split()).lower()

    @property
    def heading(self) -> str:
        """What the page calls it."""
        panel = f", {self.plan.panel}" if self.plan.panel else ""
        return f"{self.plan.paper_table or self.plan.experiment}: {self.plan.title}{panel}"


def page_html(parts: Sequence[Part]) -> str:
    """The whole page: a summary, then a section for each part."""
    judged = {part.anchor: judge_claims(part.plan, part.records, part.table.estimator) for part in parts}
    body = [
        tag("header", tag("h1", "PRISM: what was measured, and what the paper says"), _asked(parts)),
        tag("nav", *(tag("a", _short(part), href=f"#{part.anchor}") for part in parts)),
        tag("section", tag("h2", "Verdicts on the paper's claims"), _verdicts(parts, judged)),
        *(_section(part, judged[part.anchor]) for part in parts),
        tag(
            "section",
            tag("h2", "Made with"),
            environment_html([record for part in parts for record in part.records]),
            id="environment",
        ),
    ]
    style = files("prism_bench.analysis.formats.html").joinpath("page.css").read_text(encoding="utf-8")
    head = join(
        [
            Markup('<meta charset="utf-8">'),
            Markup('<meta name="viewport" content="width=device-width, initial-scale=1">'),
            tag("title", "prism-bench report"),
            tag("style", Markup(style)),
        ]
    )
    return f'<!doctype html>\n<html lang="en">\n<head>\n{head}\n</head>\n<body>\n{join(body)}\n</body>\n</html>\n'


def _short(part: Part) -> str:
    name = part.plan.paper_table or part.plan.experiment
    extra = part.plan.panel or ("curves" if part.plan.kind == "curves" else "")
    return f"{name}, {extra}" if extra else name


def _asked(parts: Sequence[Part]) -> Markup:
    """What stands on the page: data, scale, seeds, cells, time."""
    rows = []
    for part in parts:
        plan, known = part.plan, index_records(part.records)
        cells = [cell for row in plan.rows for cell in row.cells]
        done = sum(cell.record in known and known[cell.record].status == "done" for cell in cells)
        training, sampling = total_cost(plan, known)
        rows.append(
            [
                tag("a", _short(part), href=f"#{part.anchor}"),
                f"{plan.dataset.label} {plan.dataset.resolution}x{plan.dataset.resolution}",
                plan.scale,
                formatting.listing(plan.seeds),
                f"{done} of {len(cells)}",
                formatting.duration(training),
                formatting.duration(sampling),
            ]
        )
    head = ["", "Data", "Scale", "Seeds", "Cells", "Training", "Sampling"]
    words = "Times add the distinct trainings and samples of a table; tables share trainings, so they do not add up."
    return join([simple_table(head, rows, 4), tag("p", words, class_="caption")])


def _verdicts(parts: Sequence[Part], judged: Mapping[str, Sequence[ClaimResult]]) -> Markup:
    rows = [
        [
            badge(result.primary.verdict),
            tag("a", result.claim.text, href=f"#{part.anchor}"),
            result.claim.source,
            result.primary.sentence.partition(": ")[2] or result.primary.sentence,
        ]
        for part in parts
        if part.plan.kind == "table"
        for result in judged[part.anchor]
    ]
    if not rows:
        return tag("p", "None of these tables carries a claim.")
    items = [tag("li", verdict, " ", claim, f" ({source}): {evidence}") for verdict, claim, source, evidence in rows]
    return tag("ul", *items, class_="verdicts")


def _section(part: Part, judged: Sequence[ClaimResult]) -> Markup:
    plan, known = part.plan, index_records(part.records)
    content: list[Markup] = [tag("h2", part.heading)]
    form = paper_form(plan, part.records, part.table.estimator)
    if form is not None:
        content += [tag("h3", "In the form of the paper"), table_html(form)]
    if plan.kind != "curves":
        content += [] if form is None else [tag("h3", "In full")]
        content.append(table_html(part.table, part.pictures))
        for other in part.further:
            content += [tag("h3", other.group), table_html(other)]
    content += _figures(part)
    if plan.kind == "table":
        content += _evidence(part, judged)
    if plan.kind != "curves":
        content += [
            _fold("Open choices in force", choices_html(plan)),
            _fold("What each row changes", changes_html(plan)),
            _fold("Cells: records, digests and commands", cells_html(plan, known)),
        ]
    content.append(tag("p", "Computed by ", tag("code", " ".join(plan.command.split()))))
    return tag("section", join(content), id=part.anchor)


def _evidence(part: Part, judged: Sequence[ClaimResult]) -> list[Markup]:
    content: list[Markup] = []
    if judged:
        content += [tag("h3", "Claims"), claims_html(judged)]
    differences = differences_of(part.plan, part.records, part.table.estimator)
    if differences is not None:
        content += [
            tag("h3", f"Differences to {differences.baseline}"),
            differences_html(differences, part.table.estimator),
        ]
    agreed = agreements(part.plan, part.records)
    if agreed:
        content += [tag("h3", "Agreement with the paper's order"), agreement_html(agreed)]
    return content


def _figures(part: Part) -> list[Markup]:
    if part.pictures is None:
        return []
    measured = any(isinstance(cell, Measured) for row in part.table.rows for cell in row.cells)
    wanted = {name: words for name, words in FIGURES.items() if measured or name != "intervals.png"}
    if part.plan.kind == "curves":
        wanted = {name: words for name, words in wanted.items() if name in {CURVES, HEATMAP}}
    return [figure(part.pictures / name, words) for name, words in wanted.items() if (part.pictures / name).is_file()]


def _fold(title: str, inner: Markup) -> Markup:
    return tag("details", tag("summary", title), inner, class_="fold")
