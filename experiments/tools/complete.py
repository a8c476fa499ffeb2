"""Stages outside of any plan: make what is missing of them, with progress, and say what went wrong."""

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from prism_bench.experiments.execution.run_plans import working
from prism_bench.experiments.planning.survey import missing
from prism_bench.prism.engine.slots import Slots
from prism_bench.prism.engine.stage import Stage, walk
from prism_bench.prism.engine.store import Store
from prism_bench.prism.errors import ComputeError


def complete(targets: Sequence[Stage], store: Store, slots: Slots, plugins: tuple[Path, ...], console: Console) -> None:
    """Compute some stages and what they rest on; what is there is not computed again.

    Raises:
        ComputeError: one of them failed.
        KeyboardInterrupt: stopped; what was computed is kept.
    """
    stages = {str(stage.address): stage for target in targets for stage in walk(target)}
    cached = {address for address, stage in stages.items() if store.manifest(stage.address) is not None}
    todo = missing(targets, cached)
    try:
        with working(todo, store, slots, plugins, console) as work:
            work.run(todo)
    except KeyboardInterrupt:
        console.print("\nStopped. What was computed is kept; the same command goes on from here.", markup=False)
        raise
    for target in targets:
        reason = work.failed.get(str(target.address))
        if reason is not None:
            raise ComputeError(f"{target.title}: {reason}")
