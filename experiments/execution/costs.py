"""What a cell cost: time, operations, memory, parameters and bytes, all trainings that it rests on included."""

import json
import math
from collections.abc import Callable, Iterable
from typing import TypeVar

import numpy as np
from prism_bench.analysis.schema.records import Cost
from prism_bench.experiments.planning.cells import Cell
from prism_bench.prism.engine.stage import Stage
from prism_bench.prism.engine.store import Store
from prism_bench.prism.stages.data import NeighboursStage
from prism_bench.prism.stages.model import TrainingStage

NEWEST_COST = "database_bytes"
"""Records without it were written by an earlier version."""
Number = TypeVar("Number", int, float)
WEIGHTS = "model.safetensors"


def cost(cell: Cell, store: Store) -> Cost:
    """The costs of a record; None where a method cannot tell, or the files have been cleaned away."""
    training, samples = cell.training, cell.samples
    chain = training.chain
    resolution = training.data.dataset.resolution
    dims = [_embedding_dim(stage.neighbours, store) for stage in chain]
    flops = None
    if None not in dims:
        flops = _sum(stage.method.training_flops(resolution, dim or 0) for stage, dim in zip(chain, dims, strict=True))
    each = (
        None
        if dims[-1] is None
        else training.method.sampling_flops(samples.sampler, resolution, dims[-1], samples.k_sample)
    )
    manifests = [manifest for stage in chain if (manifest := store.manifest(stage.address)) is not None]
    return Cost(
        train_seconds=_sum(_seconds(stage, store) for stage in chain),
        sample_seconds=_seconds(samples, store),
        images=_sum(_images(stage) for stage in chain),
        peak_bytes=max((it.peak_bytes for it in manifests if it.peak_bytes is not None), default=None),
        samples=samples.samples,
        train_flops=flops,
        sample_flops=None if each is None else each * samples.samples,
        active_parameters=count_parameters(training, store, training.method.active),
        model_bytes=_bytes(training, store, lambda name: name == WEIGHTS),
        database_bytes=_database_bytes(training, store),
    )


def count_parameters(training: Stage, store: Store, counts: Callable[[str], bool] = lambda _: True) -> int | None:
    """Numbers in the weight file's own header, of the weights that count; None where it has been cleaned away."""
    path = store.folder(training.address) / WEIGHTS
    if not path.exists():
        return None
    with path.open("rb") as file:
        header = json.loads(file.read(int.from_bytes(file.read(8), "little")))
    weights = {name: facts["shape"] for name, facts in header.items() if name != "__metadata__" and counts(name)}
    return sum(int(math.prod(shape)) for shape in weights.values())


def _images(stage: TrainingStage) -> int | None:
    training = stage.method.to_json().get("training")
    return int(str(training["images"])) if isinstance(training, dict) else None


def _seconds(stage: Stage, store: Store) -> float | None:
    manifest = store.manifest(stage.address)
    return None if manifest is None else manifest.seconds


def _embedding_dim(neighbours: NeighboursStage | None, store: Store) -> int | None:
    """Width of the gallery's vectors; 0 without a gallery, None where it has been cleaned away."""
    if neighbours is None:
        return 0
    vectors = store.folder(neighbours.address) / "vectors.npy"
    return int(np.load(vectors, mmap_mode="r").shape[1]) if vectors.exists() else None


def _database_bytes(training: TrainingStage, store: Store) -> int | None:
    """What sampling looks its neighbours up in: the gallery's vectors of D, or arrays kept beside the weights."""
    own = _bytes(training, store, lambda name: name.endswith(".npy"))
    neighbours = training.neighbours
    if neighbours is None or own is None:
        return own
    folder = store.folder(neighbours.address)
    ids = store.folder(training.split.address) / "retrieval.npy"
    if not ((folder / "vectors.npy").exists() and ids.exists()):
        return None
    vectors = np.load(folder / "vectors.npy", mmap_mode="r")
    return own + len(np.load(ids, mmap_mode="r")) * int(vectors.shape[1]) * int(vectors.itemsize)


def _bytes(training: Stage, store: Store, counts: Callable[[str], bool]) -> int | None:
    manifest = store.manifest(training.address)
    if manifest is None:
        return None
    return sum(facts.bytes for name, facts in manifest.files.items() if counts(name))


def _sum(values: Iterable[Number | None]) -> Number | None:
    """None where none is known; what costs nothing known (a method that trains nothing) adds nothing."""
    found = [value for value in values if value is not None]
    return sum(found) if found else None
