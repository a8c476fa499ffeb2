"""What performs stages for the scheduler, what it answers, and one stage performed and answered for."""

import contextlib
import threading
import traceback
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from types import TracebackType
from typing import Literal, Protocol, Self

from prism_bench.prism.engine.lease import HeldError, LeaseLostError
from prism_bench.prism.engine.runtime import Runtime, StopRequestedError
from prism_bench.prism.engine.stage import Stage, perform
from prism_bench.prism.engine.store import Store
from prism_bench.prism.errors import ComputeError, InputError, machine_fault, program_ended


@dataclass(frozen=True)
class Answer:
    """What became of a stage, and why, where it is not done.

    held: another process makes it. lost: its worker is gone through no fault of the stage. Both may be asked for again.
    waits: nothing yet, and `reason` says where it stands; another answer follows.
    by: the process that made it, where that is not one of this pool's. note: what its manifest tells people.
    """

    address: str
    outcome: Literal["done", "failed", "stopped", "held", "lost", "waits"]
    seconds: float = 0.0
    reason: str = ""
    by: str = ""
    note: str = ""


def attempt(stage: Stage, store: Store, runtime: Runtime, stop: threading.Event) -> Answer:
    """Perform a stage and turn whatever happens into an answer; an unforeseen error leaves its traceback in a file."""
    address = str(stage.address)
    try:
        seconds = perform(stage, store, runtime, stop.is_set, wait=False)
    except StopRequestedError:
        return Answer(address, "stopped")
    except (HeldError, LeaseLostError) as error:
        return Answer(address, "held", reason=str(error))
    except (ComputeError, InputError) as error:
        return Answer(address, "failed", reason=str(error))
    except SystemExit as error:
        return Answer(address, "failed", reason=str(program_ended(error)))
    except Exception as error:
        fault = machine_fault(error, str(store.root))
        return Answer(address, "failed", reason=_unforeseen(error, address, store) if fault is None else str(fault))
    # It took no time where it was there: made by another process since it was looked for.
    return Answer(address, "done", seconds, by="" if seconds else "another process")


def _unforeseen(error: Exception, address: str, store: Store) -> str:
    log = store.root / "logs" / f"{address}.txt"
    with contextlib.suppress(OSError):
        log.parent.mkdir(exist_ok=True)
        log.write_text(traceback.format_exc())
    return f"{type(error).__name__}: {error} (details: {log})"


def prepare_process(runtime: Runtime) -> Callable[[], None]:
    """Thread count, device, determinism and rounding of this process; returns what puts the former ones back.

    float32 is float32 on a GPU, too: neither products nor convolutions round to TF32, which torch's convolutions would.
    cuDNN takes the algorithms that it holds for the fastest, and does not try them out, for then two runs may differ.
    """
    import torch
    import torch.utils.deterministic

    cudnn, products = torch.backends.cudnn, torch.backends.cuda.matmul
    # Nothing of ours reads memory that it has not written; to fill it first, as torch does, is 3% of a step.
    filling = (torch.utils.deterministic, "fill_uninitialized_memory")
    switches = ((products, "allow_tf32"), (cudnn, "allow_tf32"), (cudnn, "benchmark"), filling)
    before = [getattr(*switch) for switch in switches]
    for backend, name in switches:
        setattr(backend, name, False)
    threads, deterministic = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    torch.set_num_threads(runtime.threads)
    if runtime.device == "cpu":
        torch.use_deterministic_algorithms(mode=True)
    if runtime.device.startswith("cuda:"):
        torch.cuda.set_device(runtime.device)

    def put_back() -> None:
        torch.set_num_threads(threads)
        torch.use_deterministic_algorithms(deterministic)
        for (backend, name), value in zip(switches, before, strict=True):
            setattr(backend, name, value)

    return put_back


class Pool(Protocol):
    """Places for stages, each for one at a time. Entered, it takes stages; left, it has stopped what was running.

    It may be entered again. What it computes with is fixed when it is made, which refuses what does not fit.
    """

    @property
    def places(self) -> int:
        """How many stages can be made at a time."""

    @property
    def probe(self) -> Runtime | None:
        """How a training would run in this process, for an estimate of its time; None where it would run elsewhere."""

    @property
    def imports(self) -> bool:
        """Whether stages are made in other processes, which must be able to import what they are made of."""

    def begin(self) -> None:
        """Get ready in the background, before it is entered; it may be left out."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None: ...

    @property
    def is_full(self) -> bool:
        """Whether no stage at all can be submitted now."""

    def has_place(self, stage: Stage) -> bool:
        """Whether the stage can be submitted now."""

    def submit(self, stage: Stage) -> None:
        """Begin to make a stage for which there is a place."""

    def answers(self, timeout: float) -> Iterable[Answer]:
        """What has been answered, waiting at most `timeout` seconds for a first answer."""
