"""What a run says before it starts, and all that a dry run says."""

from collections import Counter
from collections.abc import Sequence

from prism_bench.experiments.formatting import counted, duration, size
from prism_bench.experiments.planning.estimate import Estimate
from prism_bench.experiments.planning.plan import Plan, distinct_trainings, table_cells
from prism_bench.experiments.planning.survey import Survey
from prism_bench.prism.engine.stage import explain
from prism_bench.prism.engine.store import Store
from rich.console import Console

SHOWN_REASONS = 8
"""Lines about why something is computed anew; the rest is counted."""
SHOWN_CELLS = 60
"""Cells of all plans that a dry run lists one by one; above, it counts them by plan."""


def announce(plans: Sequence[Plan], found: Survey, store: Store, console: Console) -> None:
    """What was asked for, and why what is to be done is not there yet."""
    for plan in plans:
        data, request = plan.document.dataset, plan.request
        seeds = ", ".join(map(str, request.seeds))
        console.print(
            f"{request.experiment.slug}: {request.experiment.title}\n"
            f"  scale {request.scale_name}; {data.label} {data.resolution}x{data.resolution}, "
            f"{data.images:,} images: D {data.retrieval:,}, X_train {data.train:,}; seeds {seeds}",
            markup=False,
        )
        for row in plan.declined:
            console.print(f"  {row.label} is not computed: {row.declined}", markup=False)
    for fault in found.faults.values():
        console.print(f"  {fault}", markup=False)
    if store.manifests("training"):
        _reasons(found, store, console)


def _reasons(found: Survey, store: Store, console: Console) -> None:
    kinds = {"training", "embeddings", "dataset", "split"}
    todo = [stage for stage in found.todo.values() if stage.kind in kinds and str(stage.address) not in found.faults]
    for stage in todo[:SHOWN_REASONS]:
        console.print(f"  {stage.title}: {explain(stage, store)}", markup=False)
    if len(todo) > SHOWN_REASONS:
        console.print(f"  ... and {len(todo) - SHOWN_REASONS} more", markup=False)


def summary(plans: Sequence[Plan], found: Survey, guess: Estimate | None, workers: int) -> str:
    """One line: cells, trainings, stages cached and to do, and with an estimate hours and disk."""
    stages = {address for plan in plans for address in plan.stages}
    parts = [
        counted(table_cells(plans), "cell"),
        counted(distinct_trainings(plans), "training"),
        f"{len(stages)} stages: {len(stages) - len(found.todo)} cached or not needed, {len(found.todo)} to do",
    ]
    if guess is not None:
        parts += [f"about {duration(guess.wall(workers))} on {_workers(workers)}", size(guess.disk)]
    return " · ".join(parts)


def _workers(count: int) -> str:
    return counted(max(count, 1), "worker")


def details(plans: Sequence[Plan], found: Survey, guess: Estimate, console: Console) -> None:
    """Cells one by one, stages by kind, and what the estimate rests on."""
    few = sum(len(plan.cells) for plan in plans) <= SHOWN_CELLS
    for plan in plans:
        if len(plans) > 1:
            where = f", {plan.request.panel}" if plan.request.panel else ""
            console.print(f"  {plan.request.experiment.slug}{where}: {_state(plan, found)}", markup=False)
        for cell in plan.cells if few else ():
            left = sum(str(stage.address) in found.todo for stage in cell.targets)
            state = "cached" if not left else f"{left} of {len(cell.targets)} results to do"
            console.print(
                f"    {cell.label}, seed {cell.seed}, k_sample {cell.samples.k_sample}: {state}", markup=False
            )
    for kind, count in Counter(stage.kind for stage in found.todo.values()).items():
        console.print(f"  {count} x {kind} to do", markup=False)
    spent = duration(sum(guess.seconds.values()))
    console.print(f"  time from a short probe of this machine: {spent} of one worker in all", markup=False)
    if guess.left_out:
        console.print(f"  without the time of {', '.join(guess.left_out)}: no weights here to probe", markup=False)
    for plan in plans:
        if plan.request.source.missing is not None and plan is _first_on(plans, plan):
            console.print(f"  not there yet: {plan.request.source.missing}", markup=False)


def _state(plan: Plan, found: Survey) -> str:
    done = sum(not any(str(stage.address) in found.todo for stage in cell.targets) for cell in plan.cells)
    return f"{len(plan.cells)} cells, {done} cached"


def _first_on(plans: Sequence[Plan], plan: Plan) -> Plan:
    """The first plan on the same data: what is said of the data is said once."""
    return next(other for other in plans if other.request.source.stage.address == plan.request.source.stage.address)
