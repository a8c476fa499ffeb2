"""Where the data of a training lie: on its device where they fit, else on the host, as they are."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

Array = npt.NDArray[Any]


def placed(arrays: Sequence[Array], device: torch.device, share: float) -> list[Tensor | Array]:
    """Each array on the device, in turn, as long as all of them take at most `share` of the memory that is free there.

    What does not fit, and everything where the device is the CPU, stays the array that it is (memory-mapped, perhaps):
    then what a step needs is gathered there and sent.
    """
    room = 0.0 if device.type == "cpu" else share * free_bytes(device)
    held: list[Tensor | Array] = []
    for array in arrays:
        fits = array.nbytes <= room
        room -= array.nbytes if fits else 0
        # torch.tensor copies, so that an array which cannot be written to is no matter.
        held.append(torch.tensor(array, device=device) if fits else array)
    return held


def free_bytes(device: torch.device) -> int:
    """Memory of a device that nothing has taken yet."""
    if device.type == "mps":
        return torch.mps.recommended_max_memory() - torch.mps.driver_allocated_memory()
    free, _ = torch.cuda.mem_get_info(device)
    return free


def taken(table: Tensor | Array, rows: Array, device: torch.device) -> Tensor:
    """Rows of a table that `placed` has placed, on the device: gathered there, or on the host and sent."""
    if isinstance(table, Tensor):
        return table[sent(rows, device)]
    return sent(np.ascontiguousarray(table[rows]), device)


def sent(part: Tensor | Array, device: torch.device) -> Tensor:
    """On the device; to a GPU from pinned memory, which nobody waits for."""
    value = part if isinstance(part, Tensor) else torch.from_numpy(part)
    if device.type != "cuda" or value.is_cuda:
        return value.to(device)
    return value.pin_memory().to(device, non_blocking=True)
