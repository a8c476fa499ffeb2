"""What a plan needs, given what the store holds."""

from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from shutil import disk_usage

from prism_bench.experiments.formatting import size
from prism_bench.experiments.planning.plan import Plan
from prism_bench.prism.engine.stage import Stage
from prism_bench.prism.engine.store import Store
from prism_bench.prism.errors import InputError
from prism_bench.prism.methods.method import Method
from prism_bench.prism.plugin_code import changed
from prism_bench.prism.stages.data import EmbeddingsStage
from prism_bench.prism.stages.measure import FeaturesStage
from prism_bench.prism.stages.model import SamplesStage, TrainingStage

DIM = 64
"""Length of embeddings, where they are not made yet, for times and sizes that hardly depend on it."""


@dataclass(frozen=True)
class Survey:
    """What a plan needs, given what the store holds."""

    todo: dict[str, Stage]
    cached: dict[str, Stage]
    faults: dict[str, str] = field(default_factory=dict)
    outdated: dict[str, list[Stage]] = field(default_factory=dict)
    """Plug-ins whose code is another now, by file name, and the stages that are there from before."""

    def state(self, address: str) -> str:
        """How a stage of the plans stands."""
        return "to do" if address in self.todo else "cached" if address in self.cached else "not needed"


def survey(plans: Sequence[Plan], store: Store) -> Survey:
    """Verify the plans' finished stages by checksum, set corrupted ones aside, and find what must be computed.

    A stage is computed only if it is a target of a cell, or an input of one that is computed.
    """
    stages = {address: stage for plan in plans for address, stage in plan.stages.items()}
    cached, faults, outdated = verified(stages, store)
    targets = [target for plan in plans for cell in plan.cells for target in cell.targets]
    todo = missing((*targets, *(stages[address] for address in faults)), cached)
    return Survey(todo, cached, faults, outdated)


def check_weights(todo: Iterable[Stage]) -> None:
    """Every encoder that is still needed says now, not hours later, whether its weights can be had.

    Embeddings that are there, computed or imported, need none.

    Raises:
        InputError: weights that are missing or wrong.
    """
    for encoder in dict.fromkeys(stage.encoder for stage in todo if isinstance(stage, EmbeddingsStage | FeaturesStage)):
        encoder.check()


def check_disk(todo: Iterable[Stage], store: Store) -> None:
    """The images and networks that are to be made fit on the store's disk, all else they need left out.

    Raises:
        InputError: they do not.
    """
    sizes = {stage.title: _least_bytes(stage) for stage in todo}
    needed, free = sum(sizes.values()), disk_usage(store.root).free
    if needed > free:
        largest = max(sizes, key=sizes.__getitem__)
        raise InputError(
            f"what is to be made takes {size(needed)} at least, {largest} {size(sizes[largest])} of it, and "
            f"{size(free)} are free on the disk of {store.root}; ask for fewer samples or a smaller network, or give "
            "--store on a larger disk"
        )


def _least_bytes(stage: Stage) -> int:
    match stage:
        case SamplesStage():
            return stage.samples * 3 * stage.training.data.dataset.resolution**2
        case TrainingStage():
            return 4 * weights(stage.method, stage.data.dataset.resolution)
    return 0


@cache
def weights(method: Method, resolution: int) -> int:
    """The numbers that a method trains, counted without memory for them."""
    import torch

    with torch.device("meta"):
        return method.trainable(resolution, DIM)


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


def verified(
    stages: Mapping[str, Stage], store: Store
) -> tuple[dict[str, Stage], dict[str, str], dict[str, list[Stage]]]:
    """The stages that are there and whole, what is said of those that were not whole, which are set aside, and of
    those that are there the ones whose parts other code declared than is loaded now, by the name of its file.
    """
    cached: dict[str, Stage] = {}
    faults: dict[str, str] = {}
    outdated: dict[str, list[Stage]] = {}
    for address, stage in stages.items():
        cleared = store.clear(stage.address)
        if cleared is not None:
            fault, kept = cleared
            faults[address] = f"{stage.title} was damaged ({fault}); it is computed again, the old files are in {kept}"
        manifest = store.manifest(stage.address)
        if manifest is not None:
            cached[address] = stage
            for name in changed(manifest.code):
                outdated.setdefault(name, []).append(stage)
    return cached, faults, outdated
