"""Stages outside of any plan: make what is missing of them, with progress, and say what went wrong."""

from collections.abc import Sequence

from prism_bench.experiments.execution.run_plans import working
from prism_bench.experiments.planning.survey import check_disk, check_weights, missing, verified
from prism_bench.experiments.screen import Screen
from prism_bench.prism.engine.pool import Pool
from prism_bench.prism.engine.stage import Stage, walk
from prism_bench.prism.engine.store import Store
from prism_bench.prism.errors import ComputeError


def complete(targets: Sequence[Stage], store: Store, pool: Pool, screen: Screen) -> None:
    """Compute some stages and what they rest on; what is there and whole is not computed again.

    Raises:
        InputError: one of them needs weights that cannot be had, or more room than there is.
        ComputeError: one of them failed.
        KeyboardInterrupt: stopped; what was computed is kept.
    """
    stages = {str(stage.address): stage for target in targets for stage in walk(target)}
    cached, faults, _ = verified(stages, store)
    for fault in faults.values():
        screen.say(fault)
    todo = missing((*targets, *(stages[address] for address in faults)), cached)
    check_weights(todo.values())
    check_disk(todo.values(), store)
    try:
        with working(todo, store, pool, screen) as work:
            work.run(todo)
    except KeyboardInterrupt:
        screen.say("\nStopped. What was computed is kept; the same command goes on from here.")
        raise
    for target in targets:
        reason = work.failed.get(str(target.address))
        if reason is not None:
            raise ComputeError(f"{target.title}: {reason}")
