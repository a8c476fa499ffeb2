"""Places for stages on a Ray cluster. The store is what is believed; Ray carries a stage there and an answer back."""

import pickle
import time
import uuid
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from prism_bench.prism.engine.lease import Lease
from prism_bench.prism.engine.pool import Answer
from prism_bench.prism.engine.runtime import Runtime
from prism_bench.prism.engine.stage import Stage
from prism_bench.prism.engine.store import Store
from prism_bench.prism.errors import ComputeError, InputError
from prism_bench.prism.executors.ray.cluster import Demand, Node, described, living_nodes
from prism_bench.prism.executors.ray.task import LOOK, PATIENCE, Order, look_around, make

if TYPE_CHECKING:
    from ray import ObjectRef

LOSSES = 5
"""Workers that a stage may lose one soon after the other before it has failed: it may be what ends them."""
SOON = 600.0
"""Seconds. A stage that was made for longer has written checkpoints: spot machines may take it any number of times."""
COUNTED = 5.0
"""Seconds for which the number of nodes is taken to be what it was."""
NO_NODE = 600.0
"""Seconds to wait for a node that can make what is left, once all such nodes are lost."""
PROBE = 120.0
"""Seconds in which every node must have answered that it sees the store."""


@dataclass
class RayPool:
    """As many stages at a time as the nodes of the cluster take, each a task of Ray's; nodes may come and go.

    While it is entered it holds a lease that every worker looks at: once that is gone, by Ctrl-C or because this
    process is, workers write their checkpoints and stop.
    """

    store: Store
    demand: Demand
    plugins: tuple[Path, ...] = ()
    runtime: Runtime = field(default_factory=Runtime)
    """How stages run, but for the device and the threads that they ask of the cluster."""
    _command: Lease | None = None
    _running: "dict[ObjectRef[Answer], Stage]" = field(default_factory=dict)
    _begun: dict[str, float] = field(default_factory=dict)
    _losses: Counter[str] = field(default_factory=Counter)
    _nodes: tuple[float, tuple[Node, ...]] = (float("-inf"), ())
    _without: dict[bool, float] = field(default_factory=dict)
    """Since when no node can make stages that need a GPU (True), or others."""

    def begin(self) -> None:
        """See `Pool`: nothing can be done before."""

    def __enter__(self) -> Self:
        self._command = Lease(self.store.root / "locks" / f"ray-{uuid.uuid4().hex}")
        self._command.acquire()
        self._command.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def __str__(self) -> str:
        nodes = self._living()
        return f"{self.places} places of {len(nodes)} Ray node{'s' * (len(nodes) != 1)}"

    @property
    def places(self) -> int:
        """How many stages can be made at a time, as the cluster is now."""
        return self._limit(on_gpu=True) + self._limit(on_gpu=False)

    @property
    def probe(self) -> None:
        """Nodes may be of any kind."""

    @property
    def imports(self) -> bool:
        """Always: workers are other processes."""
        return True

    @property
    def is_full(self) -> bool:
        """Whether no stage at all can be submitted now."""
        return bool(self._running) and not any(self._free(on_gpu=on_gpu) for on_gpu in (True, False))

    def has_place(self, stage: Stage) -> bool:
        """Whether the stage can be submitted now.

        Raises:
            ComputeError: for ten minutes no node of the cluster has been able to make such a stage.
        """
        on_gpu = self._on_gpu(stage)
        if self._limit(on_gpu=on_gpu):
            self._without.pop(on_gpu, None)
        elif time.monotonic() - self._without.setdefault(on_gpu, time.monotonic()) > NO_NODE:
            raise ComputeError(
                f"no node that can make {stage.title} has been there for {NO_NODE / 60:.0f} minutes; "
                f"{described(self._living())}. What was computed is kept: the same command goes on from here"
            )
        return self._free(on_gpu=on_gpu)

    def _on_gpu(self, stage: Stage) -> bool:
        return self.demand.gpus and stage.uses_device

    def _free(self, *, on_gpu: bool) -> bool:
        running = sum(self._on_gpu(stage) == on_gpu for stage in self._running.values())
        return running < self._limit(on_gpu=on_gpu)

    def _limit(self, *, on_gpu: bool) -> int:
        nodes = self._living()
        return self.demand.pinned(nodes) if on_gpu else self.demand.others(nodes)

    def _living(self) -> tuple[Node, ...]:
        if time.monotonic() - self._nodes[0] > COUNTED:
            self._nodes = (time.monotonic(), living_nodes())
        return self._nodes[1]

    def check_nodes(self) -> None:
        """See that every node sees the store and the plug-ins, and runs this version; one that has gone need not.

        Raises:
            InputError: one does not, with what is wrong there.
        """
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        with self:
            nodes = [node for node in self._living() if node.cpus >= self.demand.threads]
            tasks = [
                self._task(look_around, scheduling_strategy=NodeAffinitySchedulingStrategy(node.id, soft=False))
                for node in nodes
            ]
            asked = [task.remote(self._order()) for task in tasks]
            faults = [f"{node.host} {fault}" for ref, node in zip(asked, nodes, strict=True) if (fault := _fault(ref))]
        if faults:
            raise InputError("\n".join(f"the Ray node {fault}" for fault in faults))

    def submit(self, stage: Stage) -> None:
        """Send a stage to the cluster, which finds it a node."""
        on_gpu = self._on_gpu(stage)
        # Ray shows a task the GPU that it may use, and no other.
        runtime = replace(self.runtime, device="cuda:0" if on_gpu else "cpu", threads=self.demand.threads)
        task = self._task(make, num_cpus=self.demand.threads, num_gpus=int(on_gpu), name=stage.title)
        self._begun[str(stage.address)] = time.monotonic()
        self._running[task.remote(pickle.dumps(stage), str(stage.address), self._order(), runtime)] = stage

    def _task(self, function: Any, **options: Any) -> Any:
        import ray

        # Libraries read this when they are loaded. What is lost is asked for again by the scheduler.
        environment = {"env_vars": {"OMP_NUM_THREADS": str(self.demand.threads)}}
        return ray.remote(function).options(**{"max_retries": 0, "num_cpus": 0, "runtime_env": environment, **options})

    def _order(self) -> Order:
        if self._command is None:
            raise ValueError("enter the pool first")
        plugins = tuple(plugin.resolve() for plugin in self.plugins)
        return Order(root=self.store.root, command=self._command.folder, plugins=plugins)

    def answers(self, timeout: float) -> Iterator[Answer]:
        """What has been answered, waiting at most `timeout` seconds for a first answer."""
        import ray

        if not self._running or not ray.wait(list(self._running), timeout=timeout)[0]:
            return
        for ref in ray.wait(list(self._running), num_returns=len(self._running), timeout=0)[0]:
            yield self._answer(ref, self._running.pop(ref))

    def _answer(self, ref: "ObjectRef[Answer]", stage: Stage) -> Answer:
        import ray
        from ray.exceptions import RayError, RayTaskError

        try:
            answer: Answer = ray.get(ref)
        except RayTaskError as error:
            return Answer(str(stage.address), "failed", reason=_last_line(error))
        except RayError as error:
            return self._lost(stage, _what_was_lost(error))
        if answer.outcome == "stopped":
            # Not by this command: its node is shut down, politely.
            return self._lost(stage, answer.reason or "its worker was asked to stop")
        return answer

    def _lost(self, stage: Stage, reason: str) -> Answer:
        address = str(stage.address)
        if time.monotonic() - self._begun[address] > SOON:
            self._losses[address] = 0
        self._losses[address] += 1
        if self._losses[address] < LOSSES:
            return Answer(address, "lost", reason=reason)
        again = "type the same command again to go on from its last checkpoint"
        return Answer(address, "failed", reason=f"{reason}, for the {LOSSES}th time; {again}")

    def stop(self) -> None:
        """Have every worker save and stop, and wait for them."""
        import ray

        if self._command is not None:
            self._command.__exit__()
        running, self._command = list(self._running), None
        self._running.clear()
        if running:
            _, late = ray.wait(running, num_returns=len(running), timeout=PATIENCE + 2 * LOOK)
            for ref in late:
                ray.cancel(ref, force=True)


def _fault(ref: "ObjectRef[str]") -> str:
    import ray
    from ray.exceptions import (
        GetTimeoutError,
        LocalRayletDiedError,
        NodeDiedError,
        RayError,
        RayTaskError,
        TaskUnschedulableError,
    )

    try:
        return ray.get(ref, timeout=PROBE)
    except GetTimeoutError:
        return f"has started no worker within {PROBE:.0f} s; see its Ray logs"
    except RayTaskError as error:
        return f"cannot run prism-bench: {_last_line(error)}; install it there as here"
    except (NodeDiedError, LocalRayletDiedError, TaskUnschedulableError):
        return ""  # the cluster counts a node as alive for a while after its end
    except RayError as error:
        return f"cannot be used: {_what_was_lost(error)}"


def _last_line(error: Exception) -> str:
    """What a traceback ends with."""
    return str(error).strip().splitlines()[-1]


def _what_was_lost(error: Exception) -> str:
    from ray import exceptions

    words = {
        exceptions.OutOfMemoryError: "its node ran out of memory",
        exceptions.NodeDiedError: "its node is gone",
        exceptions.LocalRayletDiedError: "its node is gone",
        exceptions.WorkerCrashedError: "its worker process died",
    }
    return next((text for kind, text in words.items() if isinstance(error, kind)), str(error).strip().splitlines()[0])
