"""The log of a training: JSON lines, evenly spaced over the images seen."""

import json
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any


class TrainingLog:
    """`metrics.jsonl`: one line per `every` images, cut back to the checkpoint on resume.

    pending: what `pending()` said when the checkpoint was written; empty at the start.
    """

    def __init__(self, path: Path, *, every: int, seen: int, pending: Mapping[str, Any]) -> None:
        self.path, self.every = path, every
        kept = [row for row in read_log(path) if row["images"] <= seen] if seen else []
        path.write_text("".join(json.dumps(row) + "\n" for row in kept))
        self._seconds = float(kept[-1]["seconds"]) if kept else 0.0
        self._next = (seen // every + 1) * every
        self._images = int(pending.get("images", 0))
        self._loss = float(pending.get("loss", 0.0))
        self._last: dict[str, float] = dict(pending.get("last", {}))
        self._started = time.monotonic() - float(pending.get("seconds", 0.0))
        self.recent: float | None = None

    def add(self, seen: int, n: int, loss: float, **facts: float) -> None:
        """Take in one step and further facts of it; write a line when the next multiple of `every` is passed."""
        self._images += n
        self._loss += n * loss
        self._last = facts
        if seen >= self._next:
            self._write(seen)
            self._next = (seen // self.every + 1) * self.every

    def pending(self) -> dict[str, Any]:
        """What the next line already holds, for the checkpoint: a resumed training then writes the same line."""
        seconds = time.monotonic() - self._started
        return {"images": self._images, "loss": self._loss, "last": self._last, "seconds": seconds}

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
