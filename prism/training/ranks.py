"""Processes that train one network together, each on some of the pieces of every step; all of them take the step."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import torch
import torch.distributed as dist
from torch import Tensor

from prism_bench.prism.engine.runtime import Runtime
from prism_bench.prism.errors import ComputeError

SILENCE = timedelta(minutes=10)
"""How long a process waits for the others: the first step of a large network on a GPU may take a minute."""


class PeerLostError(ComputeError):
    """Another process of the training does not answer."""


@dataclass(frozen=True)
class Ranks:
    """rank: which of `size` processes. The first one leads: it alone writes files and looks at clock and signals."""

    rank: int = 0
    size: int = 1

    @property
    def leads(self) -> bool:
        """Whether this is the first process."""
        return self.rank == 0

    def share(self, pieces: int) -> range:
        """The pieces of this process, neighbours of each other; `size` divides `pieces`."""
        each = pieces // self.size
        return range(self.rank * each, (self.rank + 1) * each)

    def summed(self, part: Tensor) -> Tensor:
        """The sum over all processes, in the order of `tree_sum`: the same bits in each of them."""
        if self.size == 1:
            return part
        parts = [torch.empty_like(part) for _ in range(self.size)]
        with _among_peers():
            dist.all_gather(parts, part)
        return tree_sum(parts)

    def agreed(self, *flags: bool) -> tuple[bool, ...]:
        """What the leading process says of some flags. They travel on the host: no device is waited for."""
        if self.size == 1:
            return flags
        said = torch.tensor(flags)
        with _among_peers():
            dist.broadcast(said, src=0)
        return tuple(said.tolist())


def tree_sum(parts: Sequence[Tensor]) -> Tensor:
    """The sum of a power of two of tensors by a binary tree over their order.

    A process that holds a whole branch of the tree adds it up alone, so that the rounding is that of one process.
    """
    while len(parts) > 1:
        parts = [one + other for one, other in zip(parts[::2], parts[1::2], strict=True)]
    return parts[0]


@contextmanager
def joined(runtime: Runtime) -> Iterator[Ranks]:
    """The processes of a training, met at the file `runtime.meeting`; this one alone where there is none.

    Raises:
        PeerLostError: here or in the block, where another process ended.
    """
    if not runtime.meeting:
        yield Ranks()
        return
    meeting, size = Path(runtime.meeting), 1 + len(runtime.beside)
    _wait_for_all(meeting, runtime.rank, size)
    backend = "cpu:gloo,cuda:nccl" if runtime.device.startswith("cuda") else "gloo"
    with _among_peers():
        dist.init_process_group(
            backend, init_method=f"file://{meeting}", rank=runtime.rank, world_size=size, timeout=SILENCE
        )
    try:
        yield Ranks(runtime.rank, size)
    finally:
        dist.destroy_process_group()


def lost(meeting: Path) -> Path:
    """The file that says that one of the processes which meet there has ended."""
    return meeting.with_name(f"{meeting.name}.lost")


def _wait_for_all(meeting: Path, rank: int, size: int) -> None:
    """Come to the meeting, and look for the others: torch would wait for one that has ended, too."""
    places = [meeting.with_name(f"{meeting.name}.{number}") for number in range(size)]
    places[rank].touch()
    while not all(place.exists() for place in places):
        if lost(meeting).exists():
            raise PeerLostError("before the first step")
        time.sleep(0.05)


@contextmanager
def _among_peers() -> Iterator[None]:
    try:
        yield
    except RuntimeError as error:
        raise PeerLostError(str(error)) from error
