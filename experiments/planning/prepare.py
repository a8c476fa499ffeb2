"""From options to checked plans, and to what they still need; nothing is computed."""

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from prism_bench.experiments.options.training import RunOptions
from prism_bench.experiments.planning.estimate import Estimate, estimate
from prism_bench.experiments.planning.plan import Plan, compile_plans, distinct_trainings
from prism_bench.experiments.planning.resolve_options import requests_of, resources
from prism_bench.experiments.planning.survey import Survey, check_disk, check_weights, survey
from prism_bench.experiments.screen import Screen
from prism_bench.prism.component import load
from prism_bench.prism.engine.pool import Pool, prepare_process
from prism_bench.prism.engine.store import Store
from prism_bench.prism.errors import InputError
from prism_bench.prism.executors.executor import Executor


@dataclass(frozen=True)
class Prepared:
    """What was asked for, checked: plans, what they still need of the store, and what computes it."""

    options: RunOptions
    screen: Screen
    store: Store
    plans: Sequence[Plan]
    survey: Survey
    pool: Pool

    def estimate(self) -> Estimate | None:
        """Time and disk of what is to do, from a short probe of this machine; None where it is done elsewhere."""
        if self.pool.probe is None:
            return None
        put_back = prepare_process(self.pool.probe)
        try:
            return estimate(self.plans, self.survey.todo, self.pool.probe)
        finally:
            put_back()

    def planned(self, guess: Estimate | None) -> list[dict[str, Any]]:
        """Every stage, inputs first: kind, label, key, state (cached, to do, or not needed) and seconds of one worker.

        Seconds are 0 for what is not to do, and NaN without an estimate.
        """
        seconds = defaultdict(float if guess else lambda: math.nan, guess.seconds if guess else {})
        stages = {address: stage for plan in self.plans for address, stage in plan.stages.items()}
        return [
            {
                "kind": stage.kind,
                "label": stage.title,
                "key": stage.address.key,
                "state": self.survey.state(address),
                "seconds": seconds[address],
            }
            for address, stage in stages.items()
        ]


def prepare(options: RunOptions, screen: Screen) -> Prepared:
    """Plan what was asked for and look what of it the store holds.

    Raises:
        InputError: a name, a value, a combination, data or weights that do not fit or are not there.
    """
    store = Store.create(options.store)
    load(options.plugins)
    executor = Executor.called(options.executor)
    executor.check(resources(options, 1))
    requests = requests_of(options, store, screen.said)
    missing = dict.fromkeys(request.source.missing for request in requests if request.source.missing is not None)
    if missing and not options.dry_run:
        # All of them in one message, so that one round of fetching is enough.
        raise InputError("\n".join(missing))
    plans = compile_plans(requests)
    for warning in dict.fromkeys(warning for plan in plans for warning in plan.warnings()):
        screen.say(f"note: {warning}")
    pool = executor.pool(store, resources(options, distinct_trainings(plans)), options.plugins)
    found = survey(plans, store)
    if not options.dry_run:
        check_weights(found.todo.values())
        check_disk(found.todo.values(), store)
    return Prepared(options, screen, store, plans, found, pool)
