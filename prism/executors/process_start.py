"""How worker processes start: each for itself, or as children of a process that has imported what all of them need."""

import multiprocessing
import os
from collections.abc import Mapping
from multiprocessing import forkserver
from multiprocessing.context import ForkServerContext, SpawnContext

from prism_bench.prism.engine.runtime import Runtime

NEEDED = (
    "__main__",
    "torch",
    "torch._dynamo",  # which the first step of any optimiser imports
    "prism_bench.prism.stages.model",
    "prism_bench.prism.training.loop",
    "prism_bench.prism.stages.measure",
)
"""What every worker imports: seconds of CPU time, of which all but the first are spared."""
_THREADS = "OMP_NUM_THREADS"
_loaded_for: list[str] = []
"""The threads for which libraries were loaded in the process that imports for all; it starts once."""


def context_for(runtime: Runtime) -> ForkServerContext | SpawnContext:
    """How a worker starts; sets the threads that libraries read when they are loaded, which is before any code of ours.

    A child shares what its parent has imported. Whoever uses a GPU starts for himself, for CUDA bears no such parent,
    and so does a worker of other threads than those that the parent's libraries were loaded for.
    """
    threads = os.environ[_THREADS] = str(runtime.threads)
    shared = "forkserver" in multiprocessing.get_all_start_methods() and runtime.device == "cpu"
    if not shared or _loaded_for not in ([], [threads]):
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    if not _loaded_for:
        context.set_forkserver_preload(list(NEEDED))
        _loaded_for.append(threads)
    return context


def begin(runtime: Runtime) -> None:
    """Import what workers need, in the background."""
    if context_for(runtime).get_start_method() == "forkserver":
        forkserver.ensure_running()


def take_environment(environment: Mapping[str, str]) -> None:
    """In a worker: the variables of the process that asked for it; its parent may have started with others."""
    os.environ.clear()
    os.environ.update(environment)
