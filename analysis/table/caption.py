"""The sentences under a table: what was measured on what, how often, and how far it may be compared."""

import math
from collections.abc import Mapping, Sequence

from prism_bench.analysis import formatting
from prism_bench.analysis.frame.table_lines import Metric, TableLines
from prism_bench.analysis.schema.bare_labels import settings_of
from prism_bench.analysis.schema.records import Plan
from prism_bench.analysis.stats.contrasts import HOW_POOLED
from prism_bench.analysis.stats.statistics import Estimator
from prism_bench.analysis.table.spread import Spread

SMALL_SCALE_MARK = "†"
QUOTED_MARK = "‡"


def caption(plan: Plan, metrics: Mapping[str, Metric], estimator: Estimator, spread: Spread = "ci") -> tuple[str, ...]:
    """Plain sentences: title, data and scale, n, metrics, estimator, floor, and the marks used in headings."""
    origin = f" ({plan.paper_table} of the paper)" if plan.paper_table else ""
    data = plan.dataset
    sentences = [
        f"{plan.title}{origin}.",
        *_abouts(metrics),
        f"Scale {plan.scale}: {data.label} at {data.resolution}x{data.resolution}, "
        f"{formatting.count(data.images)} images, {formatting.count(data.retrieval)} of them in the retrieval set D "
        f"and {formatting.count(data.train)} in X_train (split seed {plan.split_seed}).",
    ]
    if plan.settings:
        sentences.append(f"Settings of all rows: {formatting.listing(settings_of(plan))}.")
    if plan.kind == "grid":
        sentences.append("Samples to look at; nothing is measured.")
    else:
        sentences += [*sizes(metrics, plan.reference), *ways(metrics), *_errors(metrics)]
        sentences.append(_estimator(plan, estimator, spread))
    if any(not math.isnan(metric.floor) for metric in metrics.values()):
        split = spread != "none" and any(not math.isnan(metric.floor_spread) for metric in metrics.values())
        how = "; mean ± standard deviation over random splits of them" if split else ""
        sentences.append(
            f"Real-data baseline: real images in place of generated ones, against the other real ones{how}."
        )
    if any(row.quoted for row in plan.rows):
        if plan.scale != "paper":
            sentences.append(small_scale_mark(plan))
        sentences.append(quoted_mark(plan))
    if any(row.control for row in plan.rows):
        sentences.append("Rows marked (control) are not in the paper's table.")
    return tuple(sentences)


def further_caption(plan: Plan, metrics: Mapping[str, Metric], group: str) -> tuple[str, ...]:
    """What the numbers of a further table are; how they are measured is said with those of the main one."""
    return (f"{group}: {plan.title}.", *_abouts(metrics))


def further_details(plan: Plan, metrics: Mapping[str, Metric]) -> tuple[str, ...]:
    """What is a further table's own: numbers of images, fingerprints, standard errors."""
    return (*sizes(metrics, plan.reference), *ways(metrics), *_errors(metrics))


def _abouts(metrics: Mapping[str, Metric]) -> list[str]:
    return [f"{about}." for about in dict.fromkeys(value.about for value in metrics.values() if value.about)]


def remarks(plan: Plan, lines: TableLines, metrics: Mapping[str, Metric]) -> tuple[str, ...]:
    """What the table cannot show in a cell: metrics that every record declined, scales that differ from the plan's."""
    declined = lines.cells[(lines.cells["status"] == "declined") & lines.cells["metric"].notna()]
    reasons = declined[~declined["metric"].isin(list(metrics))].groupby("metric", sort=False)["reason"].unique()
    sentences = [f"{name} was not measured: {formatting.listing(told)}." for name, told in reasons.items()]
    scales = set(lines.measured["scale"]) - {plan.scale}
    if scales:
        sentences.append(f"Some values were recorded at scale {formatting.listing(sorted(scales))}, not {plan.scale}.")
    return (*sentences, *_other_seeds(plan, lines), *_confounded(plan))


def _other_seeds(plan: Plan, lines: TableLines) -> list[str]:
    """Rows that were asked for at fewer seeds than the table has: joined plans may ask for several."""
    seeds = lines.cells.dropna(subset="record").groupby("line")["seed"].unique()
    fewer = {line: sorted(own) for line, own in seeds.items() if len(own) < len(plan.seeds)}
    told = [f"{lines.lines.at[line, 'label']} ({formatting.seeds(own)})" for line, own in fewer.items()]
    return [f"Rows of other seeds: {formatting.listing(told)}."] if told else []


def _confounded(plan: Plan) -> list[str]:
    """Where two rows that a claim compares differ in more than one thing, their difference has no single cause.

    Controls tell causes apart where they are methods of the same parts; real images, altered or not, have none.
    """
    controls = [set(row.factors) for row in plan.rows if row.control]
    pairs = {
        (pair.worse.label, pair.better.label): pair
        for claim in plan.claims
        for pair in claim.pairs
        if len(pair.factors) > 1
    }
    sentences = []
    for (worse, better), pair in pairs.items():
        factors = pair.factors
        more = "; --controls adds rows that separate some of them" if pair.separable and not controls else ""
        if any(set(factors) - {"k_sample"} <= parts for parts in controls):
            more = "; the rows marked (control) separate some of them"
        cause = "so their difference has no single cause"
        sentences.append(f"{worse} and {better} differ in {' and '.join(factors)}, {cause}{more}.")
    return sentences


def sizes(metrics: Mapping[str, Metric], reference: str) -> list[str]:
    """How many images were measured against how many, and which where `reference` says so."""
    groups: dict[tuple[int, int], list[str]] = {}
    for value in metrics.values():
        groups.setdefault((value.n, value.reference_n), []).append(value.label)
    sentences = []
    for (n, reference_n), labels in groups.items():
        which = "" if len(groups) == 1 else f"{formatting.listing(labels)}: "
        sizes = f"{formatting.count(n)} generated images"
        if reference_n:
            which_ones = f" ({reference})" if reference and not any(one.group for one in metrics.values()) else ""
            sizes += f" against {formatting.count(reference_n)} real ones{which_ones}"
        sentences.append(f"{which}n = {sizes}.")
    return sentences or ([f"Reference: {reference}."] if reference else [])


def ways(metrics: Mapping[str, Metric]) -> list[str]:
    """Each metric by its full name, encoder included, and the start of the fingerprint of how it was measured."""
    if not metrics:
        return ["No cell has been measured yet."]
    named = [f"{value.label} [{value.fingerprint[:8]}]" for value in metrics.values()]
    return [f"Metrics, encoder in the name, with the fingerprint of the measurement: {formatting.listing(named)}."]


def _errors(metrics: Mapping[str, Metric]) -> list[str]:
    """The standard errors of single values, of the metrics that know them."""
    known = [metric for metric in metrics.values() if not math.isnan(metric.standard_error)]
    told = [f"{metric.label} {formatting.significant(metric.standard_error)}" for metric in known]
    return [f"Standard error of one value over its images, at most: {formatting.listing(told)}."] if told else []


def _estimator(plan: Plan, estimator: Estimator, spread: Spread) -> str:
    pooled = f" {HOW_POOLED}" if estimator.pooled else ""
    if len(plan.seeds) < 2:
        seeds = f"One seed ({plan.seeds[0]})" if plan.seeds else "No seed"
        return f"{seeds}: single values without an interval, so nothing is bold."
    over = f"over seeds {formatting.listing(plan.seeds)}"
    ways = {
        "ci": f"mean ± half-width of the {estimator.words()} {over} ({estimator.note}); a variant without ± has a "
        "single seed",
        "sd": f"mean ± standard deviation {over} (ddof = 1); a variant without ± has a single seed",
        "none": f"means {over}",
    }
    return (
        f"Cells are {ways[spread]}. Bold: the best measured row, only where the "
        f"{estimator.of_differences()} of its paired difference to every other row excludes 0; underlined: then the "
        f"second best, where the same holds of every row but the best.{pooled}"
    )


def small_scale_mark(plan: Plan) -> str:
    """What the mark of measured columns says beside published numbers."""
    return f"{SMALL_SCALE_MARK} Measured here at scale {plan.scale}, not at the scale of the publication."


def quoted_mark(plan: Plan, *, beside: bool = True) -> str:
    """What the mark of published numbers says; `beside`: whether columns of the small scale's mark stand there too."""
    source = f" from {plan.quoted_source}" if plan.quoted_source else ""
    sentence = f"{QUOTED_MARK} Published numbers{source}; quoted, not measured here."
    if plan.scale == "paper":
        return sentence
    others = f"the columns marked {SMALL_SCALE_MARK}" if beside else "what was measured here"
    return f"{sentence} Another scale and another metric: not comparable with {others}."


def unmarked(sentences: Sequence[str]) -> list[str]:
    """Sentences without those that explain a mark: they stand where the mark does."""
    return [sentence for sentence in sentences if not sentence.startswith((SMALL_SCALE_MARK, QUOTED_MARK))]
