"""Places for stages: one for each GPU, pinned to it, and others for what needs no GPU."""

from collections.abc import Sequence
from dataclasses import dataclass

from prism_bench.prism.engine.runtime import Runtime
from prism_bench.prism.engine.stage import Stage
from prism_bench.prism.errors import InputError


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
        gpus = sum(not place.host_stages for place in self.places)
        others = len(self.places) - gpus
        workers = f"{others} worker{'s' * (others != 1)}"
        return workers if not gpus else f"{gpus} GPU{'s' * (gpus != 1)} and {workers}"


def slots_for(
    devices: Sequence[str],
    *,
    cores: int,
    trainings: int,
    workers: int | None = None,
    threads: int | None = None,
    checkpoint_seconds: float = 30.0,
) -> Slots:
    """Divide a machine.

    Without GPUs: `workers` places, by default one for each training up to the number of cores. With them: one place for
    each, and `workers` places, by default as many as the cores allow up to the number of GPUs, for what needs none.
    threads: of each place; by default the cores are shared out. They depend on the command, never on what is cached:
    the same command gives the same bits.

    Raises:
        InputError: no workers, and several devices.
    """
    gpus = [device for device in devices if device != "cpu"]
    if workers == 0 and len(gpus) > 1:
        raise InputError(
            f"--workers 0 computes in this process, on one device, and --device names {len(gpus)} "
            f"({', '.join(gpus)}); name one, or leave --workers out"
        )
    if workers is None:
        workers = min(len(gpus), max(1, cores - len(gpus))) if gpus else max(1, min(cores, trainings))
    each = threads or max(1, cores // max(1, len(gpus) + workers))

    def runtime(device: str) -> Runtime:
        return Runtime(device=device, threads=each, checkpoint_seconds=checkpoint_seconds)

    if not workers:
        return Slots.one(runtime(devices[0]), here=True)
    pinned = [Slot(runtime=runtime(gpu), host_stages=False) for gpu in gpus]
    others = [Slot(runtime=runtime("cpu"), device_stages=not gpus) for _ in range(workers)]
    return Slots(places=(*pinned, *others))
