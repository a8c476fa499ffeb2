"""The executor that submits jobs to Slurm."""

import importlib.util
import os
import shutil
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from typing_extensions import override

from prism_bench.prism.engine.runtime import Runtime
from prism_bench.prism.engine.store import Store
from prism_bench.prism.errors import InputError
from prism_bench.prism.executors.executor import Executor, Resources
from prism_bench.prism.executors.local_pool import LocalPool
from prism_bench.prism.executors.slurm.batch_queue import LocalQueue, SlurmQueue, known_to_sbatch, try_out
from prism_bench.prism.executors.slurm.board import Board, Terms
from prism_bench.prism.executors.slurm.directives import directives_of
from prism_bench.prism.executors.slurm.slurm_pool import SlurmPool

TRIAL = "PRISM_BENCH_SLURM"
"""The variable that, at `local`, makes jobs processes of this machine, to try out how all this works."""
KNOWN_LOCALLY = frozenset({"time"})


@dataclass(frozen=True, kw_only=True)
class Slurm(Executor, name="slurm"):
    """Jobs of Slurm for what uses a GPU (`--slurm partition=gpu,time=24:00:00`); the rest is made where you type."""

    submits: ClassVar[bool] = True

    @override
    def check(self, asked: Resources) -> None:
        super().check(asked)
        known = _known()
        directives = directives_of(asked, known, gpu=_device(asked) != "cpu")
        if known != KNOWN_LOCALLY:
            try_out(directives)

    @override
    def pool(self, store: Store, asked: Resources, plugins: tuple[Path, ...]) -> SlurmPool:
        device, known = _device(asked), _known()
        gpu = device != "cpu"
        directives = directives_of(asked, known, gpu=gpu)
        runtime = Runtime(
            device=device,
            threads=directives.threads,
            checkpoint_seconds=asked.checkpoint_seconds,
            compiles=asked.compiles,
        )
        plugins = tuple(path.absolute() for path in plugins)
        folder = Board(store).folder
        return SlurmPool(
            store,
            LocalPool(store, asked.here(("cpu",)), plugins),
            LocalQueue(folder, directives, gpu=gpu) if known == KNOWN_LOCALLY else SlurmQueue(folder, directives),
            Terms(runtime=runtime, plugins=plugins, directives=str(directives)),
            directives.jobs,
        )


def _known() -> Collection[str]:
    """What a job may ask for, by the sbatch of this machine. InputError where there is none, or no submitit."""
    if importlib.util.find_spec("submitit") is None:
        raise InputError('--executor slurm rests on submitit: pip install "prism-bench[slurm]"')
    if os.environ.get(TRIAL) == "local":
        return KNOWN_LOCALLY
    if shutil.which("sbatch") is None or shutil.which("srun") is None:
        raise InputError(
            "--executor slurm: there is no sbatch here; type the command on a machine from which jobs are submitted, "
            'or submit an array of equal commands, which needs no engine: sbatch --array=0-7 --gpus=1 --wrap "srun '
            'prism-bench run ... --executor local"'
        )
    return known_to_sbatch()


def _device(asked: Resources) -> str:
    """What a stage computes on within its job."""
    if asked.device in {"auto", "cuda"}:
        return "cuda:0"
    if asked.device == "cpu":
        return "cpu"
    raise InputError(f"--device {asked.device}: Slurm says which GPU a job gets; give --device cuda or cpu")
