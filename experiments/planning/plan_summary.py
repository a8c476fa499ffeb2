"""What a run says before it starts, and all that a dry run says."""

from collections import Counter
from collections.abc import Iterator

from prism_bench.experiments.formatting import counted, duration, size
from prism_bench.experiments.planning.estimate import Estimate
from prism_bench.experiments.planning.plan import Plan, distinct_trainings, table_cells
from prism_bench.experiments.planning.prepare import Prepared
from prism_bench.experiments.planning.survey import Survey
from prism_bench.prism.engine.stage import explain

SHOWN_REASONS = 8
"""Lines about why something is computed anew; the rest is counted."""
SHOWN_CELLS = 60
"""Cells of all plans that a dry run lists one by one; above, it counts them by plan."""


def announce(prepared: Prepared) -> Estimate | None:
    """What was asked for, and why what is to be done is not there yet; for a dry run in detail, with an estimate.

    Returns:
        The estimate.
    """
    guess = prepared.estimate() if prepared.options.dry_run else None
    lines = [
        *_asked(prepared),
        *(_details(prepared, guess) if prepared.options.dry_run else ()),
        summary(prepared, guess),
    ]
    for line in lines:
        prepared.screen.say(line)
    return guess


def summary(prepared: Prepared, guess: Estimate | None) -> str:
    """One line: cells, trainings, stages cached and to do, and with an estimate hours and disk."""
    plans, todo, pool = prepared.plans, len(prepared.survey.todo), prepared.pool
    stages = len({address for plan in plans for address in plan.stages})
    parts = [
        counted(table_cells(plans), "cell"),
        counted(distinct_trainings(plans), "training"),
        f"{stages} stages: {stages - todo} cached or not needed, {todo} to do",
    ]
    if guess is not None:
        parts += [f"about {duration(guess.wall(pool.places))} on {pool}", size(guess.disk)]
    elif prepared.options.dry_run:
        parts.append(f"on {pool}, whose speed is not known here")
    return " · ".join(parts)


def _asked(prepared: Prepared) -> Iterator[str]:
    sources: set[str] = set()
    for plan in prepared.plans:
        asked, data = plan.document, plan.document.dataset
        yield f"{asked.experiment}: {asked.title}"
        yield (
            f"  scale {asked.scale}; {data.label} {data.resolution}x{data.resolution}, {data.images:,} images: "
            f"D {data.retrieval:,}, X_train {data.train:,}; seeds {', '.join(map(str, asked.seeds))}"
        )
        for remark in plan.request.source.remarks if data.digest not in sources else ():
            yield f"  {remark}"
        sources.add(data.digest)
        if prepared.options.processes > 1:
            pieces = plan.request.scale.method.training.pieces
            whole = dict.fromkeys(cell.label for cell in plan.cells if cell.training.method.pieces == 1)
            rest = f"; in one process: {', '.join(whole)}" if whole else ""
            yield f"  {pieces} pieces a step (training.pieces), on {prepared.options.processes} processes{rest}"
        for row in plan.declined:
            yield f"  {row.label} is not computed: {row.declined}"
    for fault in prepared.survey.faults.values():
        yield f"  {fault}"
    for name, stages in prepared.survey.outdated.items():
        more = f" and {counted(len(stages) - 1, 'other stage')}" if len(stages) > 1 else ""
        yield (
            f"  {name} has changed since {stages[0].title}{more} were made with it. They are shown as they are, for "
            "code is no part of what a component is. If the change alters results, give the component a field of its "
            "own, such as `revision: int = 1`: that makes it another one, which is computed anew"
        )
    if prepared.store.manifests("training"):
        yield from _reasons(prepared)


def _reasons(prepared: Prepared) -> Iterator[str]:
    found, shown = prepared.survey, None if prepared.screen.verbose else SHOWN_REASONS
    kinds = {"training", "embeddings", "dataset", "split"}
    todo = [stage for stage in found.todo.values() if stage.kind in kinds and str(stage.address) not in found.faults]
    for stage in todo[:shown]:
        yield f"  {stage.title}: {explain(stage, prepared.store)}"
    if shown is not None and len(todo) > shown:
        yield f"  ... and {len(todo) - shown} more (-v names them)"


def _details(prepared: Prepared, guess: Estimate | None) -> Iterator[str]:
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
    if guess is not None:
        yield f"  time from a short probe of this machine: {duration(sum(guess.seconds.values()))} of one worker in all"
    if guess is not None and guess.left_out:
        yield f"  without the time of {', '.join(guess.left_out)}: no weights here to probe"
    sources = {plan.document.dataset.digest: plan.request.source for plan in plans}
    for source in sources.values():
        if source.missing is not None:
            yield f"  not there yet: {source.missing}"


def _progress(plan: Plan, found: Survey) -> str:
    done = sum(not any(str(stage.address) in found.todo for stage in cell.targets) for cell in plan.cells)
    where = f", {plan.document.panel}" if plan.document.panel else ""
    return f"  {plan.document.experiment}{where}: {len(plan.cells)} cells, {done} cached"
