"""What a plan needs, given what the store holds."""

from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass, field

from prism_bench.experiments.planning.plan import Plan
from prism_bench.prism.engine.stage import Stage
from prism_bench.prism.engine.store import Store
from prism_bench.prism.stages.data import EmbeddingsStage
from prism_bench.prism.stages.measure import FeaturesStage


@dataclass(frozen=True)
class Survey:
    """What a plan needs, given what the store holds."""

    todo: dict[str, Stage]
    cached: dict[str, Stage]
    faults: dict[str, str] = field(default_factory=dict)

    def state(self, address: str) -> str:
        """How a stage of the plans stands."""
        return "to do" if address in self.todo else "cached" if address in self.cached else "not needed"


def survey(plans: Sequence[Plan], store: Store) -> Survey:
    """Verify the plans' finished stages by checksum, set corrupted ones aside, and find what must be computed.

    A stage is computed only if it is a target of a cell, or an input of one that is computed.
    """
    stages = {address: stage for plan in plans for address, stage in plan.stages.items()}
    cached, faults = _verified(stages, store)
    targets = [target for plan in plans for cell in plan.cells for target in cell.targets]
    todo = missing((*targets, *(stages[address] for address in faults)), cached)
    return Survey(todo, cached, faults)


def check_weights(todo: Iterable[Stage]) -> None:
    """Every encoder that is still needed says now, not hours later, whether its weights can be had.

    Embeddings that are there, computed or imported, need none.

    Raises:
        InputError: weights that are missing or wrong.
    """
    for encoder in dict.fromkeys(stage.encoder for stage in todo if isinstance(stage, EmbeddingsStage | FeaturesStage)):
        encoder.check()


def missing(targets: Iterable[Stage], cached: Container[str]) -> dict[str, Stage]:
    """What has to be computed for some stages, inputs first: those that are not there, and the inputs of such."""
    todo: dict[str, Stage] = {}

    def need(stage: Stage) -> None:
        address = str(stage.address)
        if address in cached or address in todo:
            return
        for needed in stage.inputs().values():
            need(needed)
        todo[address] = stage

    for target in targets:
        need(target)
    return todo


def _verified(stages: dict[str, Stage], store: Store) -> tuple[dict[str, Stage], dict[str, str]]:
    """The stages that are there and whole, and what is said of those that were not whole."""
    cached: dict[str, Stage] = {}
    faults: dict[str, str] = {}
    for address, stage in stages.items():
        fault = store.fault(stage.address)
        if fault is not None:
            kept = store.set_aside(stage.address)
            faults[address] = (
                f"{stage.title} was corrupted ({fault}); it is computed again, the old files are in {kept}"
            )
        elif store.manifest(stage.address) is not None:
            cached[address] = stage
    return cached, faults
