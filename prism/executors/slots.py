"""Places for stages: one for each GPU, pinned to it, and others for what needs no GPU."""

from collections.abc import Sequence
from dataclasses import dataclass

from prism_bench.prism.engine.runtime import Runtime
from prism_bench.prism.engine.stage import Stage
from prism_bench.prism.errors import InputError

FEW_WORKERS = 64
FEW_THREADS = 16
"""As many may be asked of any machine; more of one with a quarter as many cores."""


@dataclass(frozen=True, kw_only=True)
class Slot:
    """A place for one stage at a time. device_stages, host_stages: whether it takes those that use the device."""

    runtime: Runtime
    device_stages: bool = True
    host_stages: bool = True

    def takes(self, stage: Stage) -> bool:
        """Whether a stage may be made here."""
        return self.device_stages if stage.uses_device else self.host_stages


@dataclass(frozen=True, kw_only=True)
class Slots:
    """All places. here: the one place is this process itself, which makes one stage after the other."""

    places: tuple[Slot, ...]
    here: bool = False

    @classmethod
    def one(cls, runtime: Runtime, *, here: bool = False) -> "Slots":
        """A single place for everything."""
        return cls(places=(Slot(runtime=runtime),), here=here)

    @property
    def first(self) -> Runtime:
        """How stages that use the device run in the first place that takes them."""
        return self.places[0].runtime

    def __str__(self) -> str:
        """Such as: 4 GPUs and 2 workers."""
        pinned = [place for place in self.places if not place.host_stages]
        gpus = sum(1 + len(place.runtime.beside) for place in pinned)
        others = len(self.places) - len(pinned)
        workers = f"{others} worker{'s' * (others != 1)}"
        return workers if not gpus else f"{gpus} GPU{'s' * (gpus != 1)} and {workers}"


def slots_for(
    devices: Sequence[str],
    *,
    cores: int,
    trainings: int,
    workers: int | None = None,
    threads: int | None = None,
    processes: int = 1,
    checkpoint_seconds: float = 30.0,
    compiles: bool = False,
) -> Slots:
    """Divide a machine.

    Without GPUs: `workers` places, by default one for each training up to the number of cores. With them: one place for
    each, and `workers` places, by default as many as the cores allow up to the number of GPUs, for what needs none.
    processes: of each training that can be divided; a place then has as many GPUs, or of the cores as many shares.
    threads: of each process; by default the cores are shared out. They depend on the command, never on what is cached:
    the same command gives the same bits.

    Raises:
        InputError: no workers and several places' devices, fewer GPUs than processes, or many more workers or threads
            than cores, which wait for each other or for memory.
    """
    for option, count, fair in (("workers", workers or 0, FEW_WORKERS), ("threads", threads or 0, FEW_THREADS)):
        most = max(fair, 4 * cores)
        if count > most:
            raise InputError(f"--{option} {count}: this machine has {cores} cores; use {most} at most")
    gpus = [device for device in devices if device != "cpu"]
    if gpus and len(gpus) < processes:
        raise InputError(
            f"--processes {processes} trains on as many GPUs, and --device names {len(gpus)} ({', '.join(gpus)}); "
            "name more, or fewer processes"
        )
    groups = [gpus[at : at + processes] for at in range(0, len(gpus) - len(gpus) % processes, processes)]
    # GPUs that are left over train alone.
    groups += [[gpu] for gpu in gpus[len(groups) * processes :]]
    if workers == 0 and len(groups) > 1:
        raise InputError(
            f"--workers 0 computes in this process, on one device, and --device names {len(gpus)} "
            f"({', '.join(gpus)}); name one, or leave --workers out"
        )
    if workers is None:
        workers = min(len(gpus), max(1, cores - len(gpus))) if gpus else max(1, min(cores // processes, trainings))
    computing = len(gpus) + workers if gpus else max(1, workers) * processes
    each = threads or max(1, cores // max(1, computing))

    def runtime(device: str, *beside: str) -> Runtime:
        return Runtime(
            device=device, beside=beside, threads=each, checkpoint_seconds=checkpoint_seconds, compiles=compiles
        )

    on_host = () if gpus else ("cpu",) * (processes - 1)
    if not workers:
        return Slots.one(runtime(*groups[0]) if gpus else runtime(devices[0], *on_host), here=True)
    pinned = [Slot(runtime=runtime(*group), host_stages=False) for group in groups]
    others = [Slot(runtime=runtime("cpu", *on_host), device_stages=not gpus) for _ in range(workers)]
    return Slots(places=(*pinned, *others))
