"""The file of a plan: all that tables, claims and reports need besides the records."""

import json
from collections.abc import Iterator, Sequence
from typing import Any

from prism_bench.analysis.schema import records as schema
from prism_bench.experiments.paper.experiment import BOTH, Claim, Outcome, RowAt
from prism_bench.experiments.planning.cells import Cell, Layout
from prism_bench.experiments.planning.ledger import ledger
from prism_bench.experiments.planning.request import Entry, Request, factors
from prism_bench.prism.component import Json, diff, digest_of
from prism_bench.prism.data.split import Parts
from prism_bench.prism.methods.method import Method
from prism_bench.prism.variants.scale import Scale

IN_SIGHT = ("k_samples", "schedules")
"""Settings that a table shows as an axis of its own, so that row labels need not."""

SAID: Any = {
    "rows": {"__all__": {"cells": {"__all__": {"kin"}}}},
    "claims": {
        "__all__": {
            "pairs": {
                "__all__": {side: {"cells": {"__all__": {"kin"}}} for side in ("better", "worse")} | {"separable": True}
            },
            "limit": {"sides": {"__all__": {"cells": {"__all__": {"kin"}}}}},
        }
    },
}
"""What follows from the rest, the kin of cells and what controls could separate: digests are those without it."""

LONG = 24
"""Letters of a setting's value in a label."""


def document(layout: Layout, cells: Sequence[Cell]) -> schema.Plan:
    """The document of a plan."""
    request, options = layout.request, layout.request.options
    data, images = request.source.stage, len(request.source.labels)
    return with_digest(
        schema.Plan(
            plan="",
            experiment=request.experiment.slug,
            kind=request.experiment.kind,
            panel=request.panel,
            title=request.experiment.title,
            paper_table=request.experiment.paper_table,
            quoted_source=request.experiment.quoted_source,
            scale=options.scale,
            dataset=schema.Dataset(
                label=request.source.title,
                digest=data.address.key,
                resolution=data.dataset.resolution,
                images=images,
                retrieval=len(request.parts.retrieval),
                train=len(request.parts.train),
            ),
            reference=f"all {images} real images X",
            seeds=options.seeds,
            split_seed=options.split_seed,
            settings=options.settings,
            only=tuple(f"{key}={value}" for key, value in options.only),
            choices=_choices(request),
            rows=tuple(_rows(layout, cells)),
            claims=tuple(_claim(claim, layout) for claim in request.claims if claim.pairs or claim.limit),
            ledger=ledger(request, cells),
            command=options.command,
        ),
        usual=_outcomes(BOTH, request.scale),
    )


def with_digest(plan: schema.Plan, *without: str, usual: tuple[schema.Outcome, ...] = ()) -> schema.Plan:
    """The plan with its digest, under `plan`, which leaves out what is said of it (its command) and what is named.

    Claims that are judged by the usual outcomes have the digest of 0.4.0, which named none.
    """
    claims = tuple(it.model_copy(update={"outcomes": ()}) if it.outcomes == usual else it for it in plan.claims)
    hashed = plan.model_copy(update={"claims": claims}).model_dump(
        mode="json", exclude=dict.fromkeys(("schema_version", "plan", "command", "ledger", *without), True) | SAID
    )
    finished = plan.model_copy(update={"plan": digest_of(hashed)[:32]})
    # In the order in which the file will be read again, so that every report of it is the same.
    return schema.Plan.model_validate_json(json.dumps(finished.model_dump(mode="json"), sort_keys=True))


def _rows(layout: Layout, cells: Sequence[Cell]) -> Iterator[schema.PlanRow]:
    request = layout.request
    shown = [_brief(setting) for setting in request.options.settings if setting.partition("=")[0] not in IN_SIGHT]
    suffix = f" [{', '.join(shown)}]" if shown else ""
    for row in request.rows:
        computed = [cell for cell in cells if cell.row == row.id]
        if not computed and (row.declined is None or request.options.only):
            continue
        method = computed[0].training.method if computed else None
        yield schema.PlanRow(
            id=row.id,
            label=row.label + suffix if computed else row.label,
            trained_on="" if method is None else method.trained_on,
            changes={} if method is None else diff(request.scale.method, method),
            factors={} if method is None else factors(method),
            cells=tuple(_cells(computed, Entry.of(row, request.scale), layout)) if computed else (),
            quoted=tuple(schema.QuotedNumber(**quoted._asdict()) for quoted in row.quoted),
            control=row.control,
            declined=row.declined,
            **({} if method is None or not request.experiment.set_sizes else _set_sizes(method, request.parts)),
        )


def _cells(computed: Sequence[Cell], entry: Entry, layout: Layout) -> Iterator[schema.Cell]:
    kin = {k: layout.cell(entry, k, 0).record for k in dict.fromkeys(cell.samples.k_sample for cell in computed)}
    for cell in computed:
        k_sample = cell.samples.k_sample
        yield schema.Cell(seed=cell.seed, record=cell.record, k_sample=k_sample, kin=kin[k_sample])


def _set_sizes(method: Method, parts: Parts) -> dict[str, int]:
    """How many images a row is trained on and retrieves from."""
    return {"train_images": len(method.training_set.ids(parts)), "retrieval_images": method.retrieved_from(parts)}


def _brief(setting: str) -> str:
    """A setting as a label shows it: a long value, such as a digest, by its beginning."""
    path, _, text = setting.partition("=")
    return f"{path}={text if len(text) <= LONG else f'{text[:LONG]}...'}"


def _claim(claim: Claim, layout: Layout) -> schema.Claim:
    limit = claim.limit
    return schema.Claim(
        id=claim.id,
        text=claim.text,
        source=claim.source,
        pairs=tuple(_pair(better, worse, layout) for better, worse in claim.pairs),
        limit=limit
        and schema.Limit(
            sides=tuple(_side(*_sampled(row, layout), layout) for row in limit.rows),
            metric=limit.metric,
            most=limit.most,
            condition=limit.condition,
            least=limit.least,
        ),
        outcomes=_outcomes(claim.outcomes, layout.request.scale) if claim.pairs else (),
    )


def _outcomes(outcomes: Sequence[Outcome], scale: Scale) -> tuple[schema.Outcome, ...]:
    """Those that are measured at a scale."""
    named = ((outcome.of, outcome.metric(scale)) for outcome in outcomes)
    return tuple(schema.Outcome(of=of, metric=metric) for of, metric in named if metric is not None)


def _pair(better: RowAt, worse: RowAt, layout: Layout) -> schema.Pair:
    (entry, k_sample), (other, other_k) = _sampled(better, layout), _sampled(worse, layout)
    differing = tuple(_differing(entry.method, k_sample, other.method, other_k))
    return schema.Pair(
        better=_side(entry, k_sample, layout),
        worse=_side(other, other_k, layout),
        factors=differing,
        separable=len(differing) > 1 and _is_separable({*differing} - {"k_sample"}, layout.request),
    )


def _is_separable(differing: set[str], request: Request) -> bool:
    """Whether a control of the experiment is a method of these parts; real images, altered or not, have none."""
    controls = (row.if_applies(request.scale) for row in request.experiment.controls())
    made = (Entry.of(row, request.scale).method for row in controls if row.declined is None)
    return any(differing <= factors(method).keys() for method in made)


def _sampled(side: RowAt, layout: Layout) -> tuple[Entry, int]:
    """A side's method made, and its number of neighbours."""
    entry = Entry.of(side.row, layout.request.scale)
    return entry, entry.k_samples[0] if side.k_sample is None else side.k_sample


def _side(entry: Entry, k_sample: int, layout: Layout) -> schema.Side:
    cells = [layout.cell(entry, k_sample, seed) for seed in layout.request.options.seeds]
    kin = layout.cell(entry, k_sample, 0).record
    return schema.Side(
        label=entry.row.label,
        row=entry.row.id,
        k_sample=k_sample,
        cells=tuple(schema.Cell(seed=cell.seed, record=cell.record, kin=kin) for cell in cells),
    )


def _differing(method: Method, k_sample: int, other: Method, other_k: int) -> list[str]:
    """The names of everything in which two methods differ, as far as it can change a result.

    Where one of them looks at no neighbours, schedule, retrieval and k_sample belong to the other's aggregator.
    """
    both = method.conditioning is not None and other.conditioning is not None
    idle = set() if both else {"schedule", "retrieval"}
    names = dict.fromkeys(path.partition(".")[0] for path in diff(method, other))
    fields = [name for name in names if name not in idle]
    return [*fields, "k_sample"] if both and k_sample != other_k else fields


def _choices(request: Request) -> dict[str, Json]:
    """The paper's open choices, with the values in force."""
    scale, method = request.scale, request.scale.method
    retrieval = method.retrieval
    choices: dict[str, Json] = {
        "fixed k of RAG, ST + RAG and the fixed schedule (fixed_k)": scale.fixed_k,
        "k_max (k_max)": scale.k_max,
        "k_sample (k_sample)": scale.k_sample,
        "retrieval encoder (retrieval.encoder)": retrieval.encoder.name,
        "embeddings normalised before the search (retrieval.normalise)": retrieval.normalise,
        "query excluded from its neighbours (retrieval.exclude_self)": retrieval.exclude_self,
        "retrieval set holds D only, not X_train": True,
        "neighbours searched by exact l2": retrieval.name == "nearest",
        "sampler (sampler, sampler.steps)": (
            f"{scale.sampler.name}, {scale.sampler.steps} steps, {scale.sampler.evaluations} evaluations"
        ),
        "samples per cell (samples)": scale.samples,
        "metrics (metrics)": ", ".join(metric.name for metric in scale.metrics),
        "share of X that is D (--retrieval-fraction)": round(request.split.split.retrieval_fraction, 4),
        "images seen in training (training.images)": method.training.images,
        "precision (training.precision)": method.training.precision,
        "learning rate at the end, as a fraction (training.final_fraction)": method.training.final_fraction,
        "reference set of the metrics": "X, the retrieval set included",
        "seeds (--seeds)": list(request.options.seeds),
    }
    for part in scale.parts:
        choices |= part.choices()
    return choices
