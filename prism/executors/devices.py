"""Devices of this machine by what a user calls them."""

import ctypes
import sys
from pathlib import Path

from prism_bench.prism.errors import InputError, closest


def devices_called(names: str) -> tuple[str, ...]:
    """The devices of a list with commas between; `auto` and `cuda` are every GPU there is. InputError as below."""
    found: list[str] = []
    for name in names.split(","):
        device = device_called(name.strip())
        found += [it for it in (_every_gpu() if device == "cuda" else [device]) if it not in found]
    if len(found) > 1 and not all(device.startswith("cuda:") for device in found):
        raise InputError(f"--device {names}: several devices must be GPUs, cuda:0,cuda:1; name one kind")
    return tuple(found)


def device_called(name: str) -> str:
    """A device that torch can use here; auto: a GPU where there is one. InputError otherwise."""
    if name == "cpu" or (name == "auto" and not _may_have_gpu()):
        return "cpu"
    import torch

    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    kind = name.partition(":")[0]
    available = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if kind not in available:
        raise InputError(f"--device {name}: {closest(kind, [*available, 'auto'])}")
    if not available[kind]:
        raise InputError(
            f"--device {name}: this machine has no such device that torch can use; use --device auto or cpu"
        )
    index = name.partition(":")[2]
    if kind == "cuda" and index and not (index.isdigit() and int(index) < torch.cuda.device_count()):
        count = torch.cuda.device_count()
        raise InputError(
            f"--device {name}: this machine has {count} GPU{'s' * (count != 1)}, cuda:0 to cuda:{count - 1}"
        )
    return name


def _every_gpu() -> list[str]:
    import torch

    return [f"cuda:{index}" for index in range(torch.cuda.device_count())]


def _may_have_gpu() -> bool:
    """Whether torch is worth asking, whose import takes seconds: on Linux a GPU without its driver is none."""
    if "torch" in sys.modules or not sys.platform.startswith("linux"):
        return True
    try:
        ctypes.CDLL("libcuda.so.1")
    except OSError:
        return Path("/dev/kfd").exists()  # AMD's
    return True
