"""From options to checked plans, and to what they still need; nothing is computed."""

from collections.abc import Sequence
from dataclasses import dataclass

from rich.console import Console

from prism_bench.experiments.options.training import RunOptions
from prism_bench.experiments.planning.estimate import Estimate, estimate
from prism_bench.experiments.planning.plan import Plan, compile_plans, distinct_trainings
from prism_bench.experiments.planning.resolve_options import requests_of, resources
from prism_bench.experiments.planning.survey import Survey, check_weights, survey
from prism_bench.prism.component import load
from prism_bench.prism.engine.local_pool import prepare_process
from prism_bench.prism.engine.slots import Slots
from prism_bench.prism.engine.store import Store
from prism_bench.prism.errors import InputError


@dataclass(frozen=True)
class Prepared:
    """What was asked for, checked: plans, what they still need of the store, and what computes it."""

    options: RunOptions
    console: Console
    store: Store
    plans: Sequence[Plan]
    survey: Survey
    slots: Slots

    def estimate(self) -> Estimate:
        """Time and disk of what is to do, from a short probe of this machine."""
        put_back = prepare_process(self.slots.first)
        try:
            return estimate(self.plans, self.survey.todo, self.slots.first)
        finally:
            put_back()


def prepare(options: RunOptions, console: Console) -> Prepared:
    """Plan what was asked for and look what of it the store holds.

    Raises:
        InputError: a name, a value, a combination, data or weights that do not fit or are not there.
    """
    store = Store.create(options.store)
    load(options.plugins)
    requests = requests_of(options, store, console)
    missing = dict.fromkeys(request.source.missing for request in requests if request.source.missing is not None)
    if missing and not options.dry_run:
        # All of them in one message, so that one round of fetching is enough.
        raise InputError("\n".join(missing))
    plans = compile_plans(requests)
    for warning in dict.fromkeys(warning for plan in plans for warning in plan.warnings()):
        console.print(f"note: {warning}", markup=False)
    slots = resources(options, distinct_trainings(plans))
    found = survey(plans, store)
    if not options.dry_run:
        check_weights(found.todo.values())
    return Prepared(options, console, store, plans, found, slots)
