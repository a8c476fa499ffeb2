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
    chain, resolution = training.chain, training.data.dataset.resolution
    dims = [_embedding_dim(stage.neighbours, store) for stage in chain]
    flops = each = None
    if None not in dims:
        flops = _sum(stage.method.training_flops(resolution, dim or 0) for stage, dim in zip(chain, dims, strict=True))
    if dims[-1] is not None:
        each = training.method.sampling_flops(samples.sampler, resolution, dims[-1], samples.k_sample)
    manifests = [manifest for stage in chain if (manifest := store.manifest(stage.address)) is not None]
    sampled = store.manifest(samples.address)
    return Cost(
        train_seconds=_sum(manifest.seconds for manifest in manifests),
        sample_seconds=None if sampled is None else sampled.seconds,
        images=_sum(_images(stage) for stage in chain),
        peak_bytes=max((it.peak_bytes for it in manifests if it.peak_bytes is not None), default=None),
        samples=samples.samples,
        train_flops=flops,
        sample_flops=None if each is None else each * samples.samples,
        active_parameters=count_parameters(training, store, training.method.active),
        model_bytes=_bytes(training, store, WEIGHTS),
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


def _embedding_dim(neighbours: NeighboursStage | None, store: Store) -> int | None:
    """Width of the gallery's vectors; 0 without a gallery, None where it has been cleaned away."""
    if neighbours is None:
        return 0
    vectors = store.folder(neighbours.address) / "vectors.npy"
    return int(np.load(vectors, mmap_mode="r").shape[1]) if vectors.exists() else None


def _database_bytes(training: TrainingStage, store: Store) -> int | None:
    """What sampling looks its neighbours up in: the gallery's vectors of D, or arrays kept beside the weights."""
    arrays = _bytes(training, store, ".npy")
    if training.neighbours is None or arrays is None:
        return arrays
    vectors = store.folder(training.neighbours.address) / "vectors.npy"
    ids = store.folder(training.split.address) / "retrieval.npy"
    if not (vectors.exists() and ids.exists()):
        return None
    return arrays + len(np.load(ids, mmap_mode="r")) * int(np.load(vectors, mmap_mode="r")[:1].nbytes)


def _bytes(training: Stage, store: Store, ending: str) -> int | None:
    """The size of the files whose names end so."""
    manifest = store.manifest(training.address)
    if manifest is None:
        return None
    return sum(facts.bytes for name, facts in manifest.files.items() if name.endswith(ending))


def _sum(values: Iterable[Number | None]) -> Number | None:
    """None where none is known; what costs nothing known (a method that trains nothing) adds nothing."""
    known = [value for value in values if value is not None]
    return sum(known) if known else None
