"""The log of a training: JSON lines, evenly spaced over the images seen."""

import json
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any


class TrainingLog:
    """`metrics.jsonl`: one line per `every` images; on resume those that the checkpoint knows.

    known: what `known()` said when the checkpoint was written; empty at the start.
    """

    def __init__(self, path: Path, *, every: int, seen: int, known: Mapping[str, Any]) -> None:
        self.path, self.every = path, every
        self._rows: list[dict[str, float]] = list(known.get("rows", ()))
        path.write_text("".join(json.dumps(row) + "\n" for row in self._rows))
        self._seconds = float(self._rows[-1]["seconds"]) if self._rows else 0.0
        self._next = (seen // every + 1) * every
        self._images = int(known.get("images", 0))
        self._loss = float(known.get("loss", 0.0))
        self._last: dict[str, float] = dict(known.get("last", {}))
        self._started = time.monotonic() - float(known.get("seconds", 0.0))
        self.recent: float | None = None

    @property
    def seconds(self) -> float:
        """Of training so far, whichever processes it was."""
        return self._seconds + time.monotonic() - self._started

    def due(self, seen: int) -> bool:
        """Whether a line is to be written once so many images have been seen."""
        return seen >= self._next

    def add(self, seen: int, n: int, loss: float, **facts: float) -> None:
        """Take in one step and further facts of it; write a line when the next multiple of `every` is passed."""
        self._images += n
        self._loss += n * loss
        self._last = facts
        if self.due(seen):
            self._write(seen)
            self._next = (seen // self.every + 1) * self.every

    def known(self) -> dict[str, Any]:
        """All lines, and what the next one already holds, for the checkpoint: a resumed log has the same lines."""
        seconds = time.monotonic() - self._started
        return {"rows": self._rows, "images": self._images, "loss": self._loss, "last": self._last, "seconds": seconds}

    def close(self, seen: int) -> None:
        """Write what has not been written."""
        if self._images:
            self._write(seen)

    def _write(self, seen: int) -> None:
        self.recent = self._loss / self._images
        lap = max(time.monotonic() - self._started, 1e-9)
        self._seconds += lap
        speed = {"images_per_second": self._images / lap, "seconds": self._seconds}
        row = {"images": seen, "loss": self.recent, **self._last, **speed}
        with self.path.open("a") as file:
            file.write(json.dumps(row) + "\n")
        self._rows.append(row)
        self._images, self._loss = 0, 0.0
        self._started = time.monotonic()


def read_log(path: Path) -> Iterator[dict[str, float]]:
    """The lines of a training log; a last line cut short by a crash is left out."""
    if not path.exists():
        return
    for line in path.read_text().splitlines():
        try:
            yield json.loads(line)
        except json.JSONDecodeError:
            return
