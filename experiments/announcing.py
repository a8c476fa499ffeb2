"""What a run says before it starts, and all that a dry run says."""

from collections import Counter

from rich.console import Console

from experiments.display import duration
from experiments.estimate import estimate, megabytes
from experiments.plan import Plan
from experiments.runner import Survey
from experiments.workers import prepare_process
from prism.runtime import Runtime
from prism.stages.base import explain
from prism.store import Store

SHOWN_REASONS = 8
"""Lines about why something is computed anew; the rest is counted."""


def announce(plan: Plan, found: Survey, store: Store, console: Console) -> None:
    """What will be done and why."""
    data, request = plan.document["dataset"], plan.request
    seeds = ", ".join(map(str, request.seeds))
    console.print(
        f"{request.experiment.name}: {request.experiment.title}\n"
        f"  scale {request.scale_name}; {data['label']} {data['resolution']}x{data['resolution']}, "
        f"{data['images']:,} images: D {data['retrieval']:,}, X_train {data['train']:,}; seeds {seeds}",
        markup=False,
    )
    for fault in found.faults.values():
        console.print(f"  {fault}", markup=False)
    console.print(
        f"  {len(plan.cells)} cells · {plan.trainings} trainings · {len(plan.stages)} stages: "
        f"{len(plan.stages) - len(found.todo)} cached or not needed, {len(found.todo)} to do",
        markup=False,
    )
    if store.manifests("training"):
        reasons = [
            f"  {stage.title}: {explain(stage, store)}"
            for stage in found.todo.values()
            if stage.kind in {"training", "embeddings", "dataset", "split"} and str(stage.address) not in found.faults
        ]
        for line in reasons[:SHOWN_REASONS]:
            console.print(line, markup=False)
        if len(reasons) > SHOWN_REASONS:
            console.print(f"  ... and {len(reasons) - SHOWN_REASONS} more", markup=False)


def dry_run(plan: Plan, found: Survey, runtime: Runtime, workers: int, console: Console) -> None:
    """Print cells, stages, time and disk; compute nothing but a short probe."""
    for cell in plan.cells:
        left = sum(str(stage.address) in found.todo for stage in cell.targets)
        state = "cached" if not left else f"{left} of {len(cell.targets)} results to do"
        console.print(f"    {cell.label}, seed {cell.seed}, k_sample {cell.samples.k_sample}: {state}", markup=False)
    counts = Counter(stage.kind for stage in found.todo.values())
    for kind, count in counts.items():
        console.print(f"    {count} x {kind} to do", markup=False)
    prepare_process(runtime)
    guess = estimate(plan, found.todo, runtime)
    console.print(
        f"  estimate from a short probe: {duration(guess.wall(workers))} on {max(workers, 1)} workers of "
        f"{runtime.threads} threads ({duration(sum(guess.seconds.values()))} of one worker), {megabytes(guess.disk)} "
        "of disk while it runs",
        markup=False,
    )
