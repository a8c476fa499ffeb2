"""What a run says before it starts, and all that a dry run says."""

from collections import Counter
from collections.abc import Iterator

from prism_bench.experiments.formatting import counted, duration, size
from prism_bench.experiments.planning.estimate import Estimate
from prism_bench.experiments.planning.plan import Plan, distinct_trainings, table_cells
from prism_bench.experiments.planning.prepare import Prepared
from prism_bench.experiments.planning.survey import Survey
from prism_bench.prism.engine.stage import explain
from prism_bench.prism.engine.store import Store

SHOWN_REASONS = 8
"""Lines about why something is computed anew; the rest is counted."""
SHOWN_CELLS = 60
"""Cells of all plans that a dry run lists one by one; above, it counts them by plan."""


def announce(prepared: Prepared) -> None:
    """What was asked for, and why what is to be done is not there yet; for a dry run in detail, with an estimate."""
    guess = prepared.estimate() if prepared.options.dry_run else None
    lines = [*_asked(prepared), *(_details(prepared, guess) if guess else ()), summary(prepared, guess)]
    for line in lines:
        prepared.console.print(line, markup=False)


def summary(prepared: Prepared, guess: Estimate | None) -> str:
    """One line: cells, trainings, stages cached and to do, and with an estimate hours and disk."""
    plans, todo, slots = prepared.plans, len(prepared.survey.todo), prepared.slots
    stages = len({address for plan in plans for address in plan.stages})
    parts = [
        counted(table_cells(plans), "cell"),
        counted(distinct_trainings(plans), "training"),
        f"{stages} stages: {stages - todo} cached or not needed, {todo} to do",
    ]
    if guess is not None:
        parts += [f"about {duration(guess.wall(len(slots.places)))} on {slots}", size(guess.disk)]
    return " · ".join(parts)


def _asked(prepared: Prepared) -> Iterator[str]:
    for plan in prepared.plans:
        asked, data = plan.document, plan.document.dataset
        yield f"{asked.experiment}: {asked.title}"
        yield (
            f"  scale {asked.scale}; {data.label} {data.resolution}x{data.resolution}, {data.images:,} images: "
            f"D {data.retrieval:,}, X_train {data.train:,}; seeds {', '.join(map(str, asked.seeds))}"
        )
        for row in plan.declined:
            yield f"  {row.label} is not computed: {row.declined}"
    for fault in prepared.survey.faults.values():
        yield f"  {fault}"
    if prepared.store.manifests("training"):
        yield from _reasons(prepared.survey, prepared.store)


def _reasons(found: Survey, store: Store) -> Iterator[str]:
    kinds = {"training", "embeddings", "dataset", "split"}
    todo = [stage for stage in found.todo.values() if stage.kind in kinds and str(stage.address) not in found.faults]
    for stage in todo[:SHOWN_REASONS]:
        yield f"  {stage.title}: {explain(stage, store)}"
    if len(todo) > SHOWN_REASONS:
        yield f"  ... and {len(todo) - SHOWN_REASONS} more"


def _details(prepared: Prepared, guess: Estimate) -> Iterator[str]:
    """Cells one by one, stages by kind, and what the estimate rests on."""
    plans, todo = prepared.plans, prepared.survey.todo
    few = sum(len(plan.cells) for plan in plans) <= SHOWN_CELLS
    for plan in plans:
        if len(plans) > 1:
            yield _progress(plan, prepared.survey)
        for cell in plan.cells if few else ():
            left = sum(str(stage.address) in todo for stage in cell.targets)
            state = f"{left} of {len(cell.targets)} results to do" if left else "cached"
            yield f"    {cell.label}, seed {cell.seed}, k_sample {cell.samples.k_sample}: {state}"
    for kind, count in Counter(stage.kind for stage in todo.values()).items():
        yield f"  {count} x {kind} to do"
    yield f"  time from a short probe of this machine: {duration(sum(guess.seconds.values()))} of one worker in all"
    if guess.left_out:
        yield f"  without the time of {', '.join(guess.left_out)}: no weights here to probe"
    sources = {plan.document.dataset.digest: plan.request.source for plan in plans}
    for source in sources.values():
        if source.missing is not None:
            yield f"  not there yet: {source.missing}"


def _progress(plan: Plan, found: Survey) -> str:
    done = sum(not any(str(stage.address) in found.todo for stage in cell.targets) for cell in plan.cells)
    where = f", {plan.document.panel}" if plan.document.panel else ""
    return f"  {plan.document.experiment}{where}: {len(plan.cells)} cells, {done} cached"
