"""The report as one page: nothing is loaded from anywhere, and the same records give the same bytes."""

from collections.abc import Sequence
from importlib.resources import files

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
from prism_bench.analysis.formats.html.evidence import claims_html, differences_html, verdicts_html
from prism_bench.analysis.formats.html.html_escape import Markup, figure, join, simple_table, tag
from prism_bench.analysis.formats.html.html_table import table_html
from prism_bench.analysis.table.results import Results

FIGURES = {
    "overview.png": "Samples of every variant, first seed; a column shares its noise and its pseudo-query.",
    CURVES: "The first metric over k_sample with 95% bands, and the published curves in a panel of their own.",
    HEATMAP: "Schedules against k_sample: measured, and quoted with colours of their own.",
    "intervals.png": "Each metric: mean over seeds with its 95% interval, seeds as dots, real images dashed.",
    PICTURE: "The first metric over the operations of the training: what quality costs.",
    "training-curves.png": "Loss and k_train over training images.",
    "memorisation.png": "The samples that come closest to a real image, first seed, each above the image it resembles.",
    "memorisation-distances.png": "Distances to the nearest real image, first seed: generated beside real ones.",
}


def page_html(parts: Sequence[Results]) -> str:
    """The whole page: a summary, then a section for each part."""
    body = [
        tag("header", tag("h1", "PRISM: what was measured, and what the paper says")),
        tag("section", tag("h2", "Verdicts on the paper's claims"), _verdicts(parts)),
        tag("nav", *(tag("a", _short(part), href=f"#{_anchor(part)}") for part in parts)),
        tag("section", tag("h2", "What was asked"), _asked(parts)),
        *(_section(part) for part in parts),
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


def _anchor(part: Results) -> str:
    """A part's name within the page."""
    return "-".join(f"{part.plan.experiment} {part.plan.panel}".split()).lower()


def _heading(part: Results) -> str:
    panel = f", {part.plan.panel}" if part.plan.panel else ""
    return f"{part.plan.paper_table or part.plan.experiment}: {part.plan.title}{panel}"


def _short(part: Results) -> str:
    name = part.plan.paper_table or part.plan.experiment
    extra = part.plan.panel or ("curves" if part.plan.kind == "curves" else "")
    return f"{name}, {extra}" if extra else name


def _asked(parts: Sequence[Results]) -> Markup:
    """What stands on the page: data, scale, seeds, cells, time."""
    rows = []
    for part in parts:
        plan, lines = part.plan, part.lines
        training, sampling = total_cost(part)
        rows.append(
            [
                tag("a", _short(part), href=f"#{_anchor(part)}"),
                f"{plan.dataset.label} {plan.dataset.resolution}x{plan.dataset.resolution}",
                plan.scale,
                formatting.listing(plan.seeds),
                f"{len(lines.finished)} of {len(lines.every_cell)}",
                formatting.duration(training),
                formatting.duration(sampling),
            ]
        )
    head = ["", "Data", "Scale", "Seeds", "Cells", "Training", "Sampling"]
    words = "Times add the distinct trainings and samples of a table; tables share trainings, so they do not add up."
    return join([simple_table(head, rows, 4), tag("p", words, class_="caption")])


def _verdicts(parts: Sequence[Results]) -> Markup:
    items = []
    for part in parts:
        for result in part.claims if part.plan.kind == "table" else ():
            items.append(tag("li", verdicts_html(result, tag("a", result.claim.text, href=f"#{_anchor(part)}"))))
    return tag("ul", *items, class_="verdicts") if items else tag("p", "None of these tables carries a claim.")


def _section(part: Results) -> Markup:
    plan, form = part.plan, part.paper_form
    content: list[Markup] = [tag("h2", _heading(part))]
    if form is not None:
        content += [tag("h3", "In the form of the paper"), table_html(form)]
    if plan.kind != "curves":
        content += [] if form is None else [tag("h3", "In full")]
        content.append(table_html(part.table, part.pictures))
        for other in part.further:
            content += [tag("h3", other.group), table_html(other)]
    content += _figures(part)
    if plan.kind == "table":
        content += _evidence(part)
    if plan.kind != "curves":
        content += [
            _fold("Open choices in force", choices_html(plan)),
            _fold("What each row changes", changes_html(plan)),
            _fold("Cells: records, digests and commands", cells_html(part)),
        ]
    content.append(tag("p", "Computed by ", tag("code", " ".join(plan.command.split()))))
    return tag("section", join(content), id=_anchor(part))


def _evidence(part: Results) -> list[Markup]:
    content: list[Markup] = []
    if part.claims:
        content += [tag("h3", "Claims"), claims_html(part.claims, part.estimator)]
    if part.differences is not None:
        content += [tag("h3", f"Differences to {part.differences.baseline}"), differences_html(part.differences)]
    if part.agreements:
        sentences = tag("ul", *(tag("li", agreement.sentence) for agreement in part.agreements))
        content += [tag("h3", "Agreement with the paper's order"), sentences]
    return content


def _figures(part: Results) -> list[Markup]:
    if part.pictures is None:
        return []
    measured = any(True for _ in part.table.measured)
    wanted = {name: words for name, words in FIGURES.items() if measured or name != "intervals.png"}
    if part.plan.kind == "curves":
        wanted = {name: words for name, words in wanted.items() if name in {CURVES, HEATMAP}}
    return [figure(part.pictures / name, words) for name, words in wanted.items() if (part.pictures / name).is_file()]


def _fold(title: str, inner: Markup) -> Markup:
    return tag("details", tag("summary", title), inner, class_="fold")
