"""The most memory a piece of work took."""

import sys
from pathlib import Path

CLEAR = Path("/proc/self/clear_refs")
STATUS = Path("/proc/self/status")


def restart_peak(device: str) -> None:
    """Begin to watch: forget the peaks of earlier work in this process, where the system can."""
    if device.startswith("cuda"):
        import torch

        torch.cuda.reset_peak_memory_stats(device)
        return
    try:
        CLEAR.write_text("5")
    except OSError:
        return


def peak_bytes(device: str) -> int | None:
    """Bytes at the peak since `restart_peak`: of the GPU where the work ran on one, of this process's memory otherwise.

    None where the system cannot tell the peak of this work from that of earlier work.
    """
    if device.startswith("cuda"):
        import torch

        return int(torch.cuda.max_memory_allocated(device))
    if not sys.platform.startswith("linux"):
        return None
    try:
        lines = STATUS.read_text().splitlines()
    except OSError:
        return None
    kilobytes = [int(line.split()[1]) for line in lines if line.startswith("VmHWM:")]
    return kilobytes[0] * 1024 if kilobytes and CLEAR.exists() else None
