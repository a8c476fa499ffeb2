"""Checkpoints of a training: safetensors, written by rename, the last two kept."""

import time
from pathlib import Path
from typing import Protocol

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor


class Restorable(Protocol):
    """A training state that can be flattened to tensors and back."""

    def tensors(self) -> dict[str, Tensor]:
        """Name -> tensor."""
        ...

    def restore(self, named: dict[str, Tensor]) -> None:
        """The inverse of `tensors`."""
        ...


class Checkpoints:
    """`checkpoint.safetensors` and the one before it, in the work folder of a training.

    Written every `seconds` of wall time; when they fall changes no number, because every step is a function of the
    state and its own index.
    """

    def __init__(self, folder: Path, seconds: float) -> None:
        self.latest = folder / "checkpoint.safetensors"
        self.previous = folder / "checkpoint.previous.safetensors"
        self.seconds = seconds
        self.last_seen = 0
        self._saved = time.monotonic()

    def due(self) -> bool:
        """True when the last one is older than `seconds`."""
        return time.monotonic() - self._saved >= self.seconds

    def save(self, state: Restorable, step: int, seen: int) -> None:
        """Write the state after `step` steps and `seen` images."""
        temporary = self.latest.with_suffix(".tmp")
        # Tensors that share memory (a fused optimiser's views) must be laid out one by one.
        tensors = {name: value.detach().cpu().contiguous() for name, value in state.tensors().items()}
        save_file(tensors, temporary, metadata={"step": str(step), "seen": str(seen)})
        if self.latest.exists():
            self.latest.replace(self.previous)
        temporary.replace(self.latest)
        self.last_seen = seen
        self._saved = time.monotonic()

    def restore(self, state: Restorable) -> tuple[int, int]:
        """(step, images seen) of the newest readable checkpoint, put into `state`; (0, 0) where there is none."""
        for path in (self.latest, self.previous):
            if not path.exists():
                continue
            try:
                with safe_open(path, "pt") as file:
                    metadata = file.metadata()
                    named = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a dict
            except SafetensorError:
                continue  # cut short by a crash of the machine; the one before it is whole
            state.restore(named)
            self.last_seen = int(metadata["seen"])
            return int(metadata["step"]), self.last_seen
        return 0, 0

    def remove(self) -> None:
        """Delete both, once the training is finished."""
        for path in (self.latest, self.previous):
            path.unlink(missing_ok=True)
