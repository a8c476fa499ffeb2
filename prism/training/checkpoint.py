"""Checkpoints of a training: safetensors, written by rename, the last two kept."""

import hashlib
import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from prism_bench.prism.engine.manifest import UsedRuntime
from prism_bench.prism.engine.runtime import TEMPORARY
from prism_bench.sealed import CHECKSUM, DamagedError


class Restorable(Protocol):
    """A training state that can be flattened to tensors and back."""

    def tensors(self) -> dict[str, Tensor]:
        """Name -> tensor."""

    def restore(self, named: dict[str, Tensor]) -> None:
        """The inverse of `tensors`."""


class Position(NamedTuple):
    """How far a training is: steps done, images seen, and what its log knows."""

    step: int = 0
    seen: int = 0
    log: Mapping[str, Any] = {}


def _read(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Tensors and facts of a checkpoint whose checksum holds; those of 0.4.0 have none."""
    with safe_open(path, "pt") as file:
        metadata: dict[str, str] = file.metadata() or {}
        named = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a dict
    expected = metadata.pop(CHECKSUM, None)
    if not {"step", "seen"} <= metadata.keys() or expected not in (None, _checksum(named, metadata)):
        raise DamagedError(f"{path} is not what was written")
    return named, metadata


def _checksum(tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> str:
    """SHA-256 (hex) of all that a checkpoint holds."""
    found = hashlib.sha256(json.dumps(metadata, sort_keys=True).encode())
    for name in sorted(tensors):
        value = tensors[name]
        found.update(f"{name} {value.dtype} {tuple(value.shape)}".encode())
        found.update(value.reshape(-1).view(torch.uint8).numpy().data)
    return found.hexdigest()


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
        self.ran_on: tuple[UsedRuntime, ...] = ()
        """What the training has run on, oldest first: written with the state, and read with it."""
        self._saved = time.monotonic()

    @property
    def files(self) -> tuple[Path, ...]:
        """Those that are there, the newest first."""
        return tuple(path for path in (self.latest, self.previous) if path.exists())

    def due(self) -> bool:
        """True when the last one is older than `seconds`."""
        return time.monotonic() - self._saved >= self.seconds

    def save(self, state: Restorable, at: Position) -> None:
        """Write the state of a training that has come so far."""
        temporary = self.latest.with_suffix(TEMPORARY)
        # Tensors that share memory (a fused optimiser's views) must be laid out one by one.
        tensors = {name: value.detach().cpu().contiguous() for name, value in state.tensors().items()}
        ran_on = [used.model_dump() for used in self.ran_on]
        metadata = {
            "step": str(at.step),
            "seen": str(at.seen),
            "log": json.dumps(at.log),
            "ran_on": json.dumps(ran_on),
        }
        save_file(tensors, temporary, {**metadata, CHECKSUM: _checksum(tensors, metadata)})
        if self.latest.exists():
            self.latest.replace(self.previous)
        temporary.replace(self.latest)
        self.last_seen = at.seen
        self._saved = time.monotonic()

    def restore(self, state: Restorable) -> Position:
        """Put the newest whole checkpoint into `state`; where there is none the training is at its start."""
        for path in self.files:
            try:
                named, metadata = _read(path)
            except (SafetensorError, DamagedError):
                continue  # cut short or damaged; the one before it may be whole
            state.restore(named)
            self.last_seen = int(metadata["seen"])
            # Checkpoints of 0.4.0 hold nothing of the log: its next line then averages what comes after them; nor what
            # they ran on.
            self.ran_on = tuple(UsedRuntime(**used) for used in json.loads(metadata.get("ran_on", "[]")))
            return Position(int(metadata["step"]), self.last_seen, json.loads(metadata.get("log", "{}")))
        return Position()

    def remove(self) -> None:
        """Delete both, once the training is finished."""
        for path in (self.latest, self.previous):
            path.unlink(missing_ok=True)
