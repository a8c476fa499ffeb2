"""Cell records: one atomic JSON file per result, from which every table and the MLflow view can be rebuilt."""

import json
import platform
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Self

from prism_bench.analysis.errors import AnalysisError, NewerSchemaError
from prism_bench.analysis.schema import records as schema
from prism_bench.experiments.execution.costs import NEWEST_COST, cost, count_parameters
from prism_bench.experiments.planning.cells import Cell
from prism_bench.experiments.planning.plan import Plan
from prism_bench.experiments.tracking.commit import project_commit
from prism_bench.prism.engine.runtime import keep_json
from prism_bench.prism.engine.stage import Stage
from prism_bench.prism.engine.store import Store
from prism_bench.sealed import sealed

LIBRARIES = ("torch", "numpy", "scipy", "faiss-cpu", "timm", "open_clip_torch", "safetensors", "prism-bench")


@dataclass(frozen=True)
class Origin:
    """What made a record: versions, and the commit of the user's project. Asking takes two calls of git."""

    environment: dict[str, str]
    commit: str | None

    @classmethod
    def here(cls) -> Self:
        """Of what this process writes, in its working directory."""
        return cls(environment(), project_commit())


def cell_record(cell: Cell, plan: Plan, store: Store, failed: dict[str, str], origin: Origin) -> schema.Record:
    """The record of a cell whose stages are all done or failed."""
    reasons = [failed[str(stage.address)] for stage in cell.targets if str(stage.address) in failed]
    return schema.Record(
        record=cell.record,
        status="failed" if reasons else "done",
        reason=reasons[0] if reasons else None,
        variant=cell.label,
        row=cell.row,
        seed=cell.seed,
        scale=plan.document.scale,
        dataset=plan.document.dataset,
        config=schema.Config(
            method=cell.training.method.to_json(),
            sampling=schema.Sampling.model_validate(cell.samples.parameters()),
            split=cell.training.split.split.to_json(),
            dataset=cell.training.data.dataset.to_json(),
            train_seed=cell.training.seed,
        ),
        values=() if reasons else tuple(_values(cell, plan.document.scale, store)),
        declined=cell.declined,
        parameters=None if reasons else count_parameters(cell.training, store),
        cost=schema.Cost() if reasons else cost(cell, store),
        stages={
            "training": cell.training.address.key,
            "samples": cell.samples.address.key,
            **{f"metric:{stage.metric.full_name}": stage.address.key for stage in cell.metrics},
        },
        environment=origin.environment,
        commit=origin.commit,
    )


def _values(cell: Cell, scale: str, store: Store) -> Iterator[schema.Value]:
    """The values of a cell's metrics beside those of real images."""
    floors = {value["name"]: value for stage in cell.floors for value in _measured(stage, store)}
    for stage in cell.metrics:
        for value in _measured(stage, store):
            floor = floors[value["name"]]
            beside = {"floor": floor["value"], "floor_n": floor["n"], "floor_spread": floor["spread"]}
            yield schema.Value(**value, **beside, scale=scale)


def stored_record(cell: Cell, store: Store) -> schema.Record | None:
    """The cell's record where it is there, readable and done: its name is the hash of all it rests on.

    One that an earlier version wrote without all costs is written anew while its stages are there.

    Raises:
        NewerSchemaError: a newer program wrote it.
    """
    try:
        record = schema.load_record(store.record_path(cell.record))
    except NewerSchemaError:
        raise
    except AnalysisError:
        return None
    has_costs = NEWEST_COST in record.cost.model_fields_set
    if record.status != "done" or (not has_costs and all(store.manifest(stage.address) for stage in cell.targets)):
        return None
    return record


def write_record(record: schema.Record, store: Store) -> None:
    """Write a cell's record, atomically; one that says the same stays, with the time at which it was first said."""
    keep_json(store.record_path(record.record), sealed(record.model_dump(mode="json")))


def _measured(stage: Stage, store: Store) -> list[dict[str, Any]]:
    values: list[dict[str, Any]] = json.loads((store.folder(stage.address) / "values.json").read_text())
    return values


def environment() -> dict[str, str]:
    """Versions that a reader needs to know; no path, host or user name."""
    versions = {"python": platform.python_version(), "system": f"{sys.platform} {platform.machine()}"}
    for library in LIBRARIES:
        try:
            versions[library] = version(library)
        except PackageNotFoundError:
            versions[library] = "not installed as a package"
    return versions
