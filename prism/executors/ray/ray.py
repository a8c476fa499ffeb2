"""The executor of a Ray cluster."""

from dataclasses import dataclass
from pathlib import Path

from typing_extensions import override

from prism_bench.prism.engine.runtime import Runtime
from prism_bench.prism.engine.store import Store
from prism_bench.prism.errors import InputError
from prism_bench.prism.executors.executor import Executor, Resources
from prism_bench.prism.executors.ray.cluster import Demand, connect, living_nodes
from prism_bench.prism.executors.ray.ray_pool import RayPool

DEVICES = ("auto", "cpu", "cuda")


@dataclass(frozen=True, kw_only=True)
class Ray(Executor, name="ray"):
    """The nodes of a Ray cluster: that of RAY_ADDRESS or of `ray start`, or one started here for the command."""

    @override
    def pool(self, store: Store, asked: Resources, plugins: tuple[Path, ...]) -> RayPool:
        if asked.device not in DEVICES:
            raise InputError(
                f"--device {asked.device}: with --executor ray the cluster chooses the GPU; give {', '.join(DEVICES)}"
            )
        if asked.workers == 0:
            raise InputError("--workers 0 computes in this process, which --executor ray does not; leave one out")
        connect()
        nodes = living_nodes()
        gpus = asked.device == "cuda" or (asked.device == "auto" and any(node.gpus for node in nodes))
        demand = Demand(threads=asked.threads or 1, gpus=gpus, workers=asked.workers)
        demand.check(nodes)
        runtime = Runtime(checkpoint_seconds=asked.checkpoint_seconds, compiles=asked.compiles)
        pool = RayPool(store, demand, plugins, runtime)
        pool.check_nodes()
        return pool
