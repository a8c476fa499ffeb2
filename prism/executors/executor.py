"""The executor family: where stages are made."""

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from prism_bench.prism.component import Component
from prism_bench.prism.engine.pool import Pool
from prism_bench.prism.engine.runtime import usable_cores
from prism_bench.prism.engine.store import Store
from prism_bench.prism.errors import InputError
from prism_bench.prism.executors.slots import Slots, slots_for


@dataclass(frozen=True, kw_only=True)
class Resources:
    """What a command asks for. No number depends on it but by the last bits of sums, which manifests account for.

    device: as a user calls it. trainings: how many the plans have. workers, threads: None for what suits the place.
    processes: of each training that can be divided. compiles: whether trainings compile their networks.
    slurm: directives of jobs, each text some key=value with commas between.
    """

    device: str = "auto"
    trainings: int = 1
    workers: int | None = None
    threads: int | None = None
    processes: int = 1
    checkpoint_seconds: float = 30.0
    compiles: bool = False
    slurm: tuple[str, ...] = ()

    def here(self, devices: Sequence[str]) -> Slots:
        """The places of this machine for them, on these devices; see `slots_for`."""
        return slots_for(
            devices,
            cores=usable_cores(),
            trainings=self.trainings,
            workers=self.workers,
            threads=self.threads,
            processes=self.processes,
            checkpoint_seconds=self.checkpoint_seconds,
            compiles=self.compiles,
        )


@dataclass(frozen=True, kw_only=True)
class Executor(Component, family="executor"):
    """Where stages are made: by processes of this machine, by a cluster. No stage's key knows of it."""

    divides: ClassVar[bool] = False
    """Whether it can give several processes to one training."""
    submits: ClassVar[bool] = False
    """Whether directives of Slurm are for it."""

    def check(self, asked: Resources) -> None:
        """Refuse what cannot be had, as far as it shows before any data is read.

        Raises:
            InputError: what is asked for is not there, or a package that this executor rests on.
        """
        if asked.processes > 1 and not self.divides:
            raise InputError(
                f"--processes {asked.processes}: --executor {self.name} gives each training one process; "
                "leave --processes out"
            )
        if asked.slurm and not self.submits:
            raise InputError(
                f"--slurm {','.join(asked.slurm)}: --executor {self.name} submits no jobs; add --executor slurm"
            )

    @abstractmethod
    def pool(self, store: Store, asked: Resources, plugins: tuple[Path, ...]) -> Pool:
        """Places for stages, in which nothing runs before they are entered.

        Raises:
            InputError: what is asked for is not there, or a package that this executor rests on.
        """
