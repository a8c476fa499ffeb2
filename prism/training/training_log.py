"""The log of a training: JSON lines, evenly spaced over the images seen."""

import json
import time
from collections.abc import Iterator
from pathlib import Path


class TrainingLog:
    """`metrics.jsonl`: one line per `every` images, cut back to the checkpoint on resume."""

    def __init__(self, path: Path, *, every: int, seen: int) -> None:
        self.path, self.every = path, every
        kept = [row for row in read_log(path) if row["images"] <= seen] if seen else []
        path.write_text("".join(json.dumps(row) + "\n" for row in kept))
        self._seconds = float(kept[-1]["seconds"]) if kept else 0.0
        self._next = (seen // every + 1) * every
        self._losses: list[tuple[int, float]] = []
        self._started = time.monotonic()
        self._last: dict[str, float] = {}
        self.recent: float | None = None

    def add(self, seen: int, n: int, loss: float, **facts: float) -> None:
        """Take in one step and further facts of it; write a line when the next multiple of `every` is passed."""
        self._losses.append((n, loss))
        self._last = facts
        if seen >= self._next:
            self._write(seen)
            self._next = (seen // self.every + 1) * self.every

    def close(self, seen: int) -> None:
        """Write what has not been written."""
        if self._losses:
            self._write(seen)

    def _write(self, seen: int) -> None:
        images = sum(n for n, _ in self._losses)
        self.recent = sum(n * loss for n, loss in self._losses) / images
        lap = max(time.monotonic() - self._started, 1e-9)
        self._seconds += lap
        speed = {"images_per_second": images / lap, "seconds": self._seconds}
        row = {"images": seen, "loss": self.recent, **self._last, **speed}
        with self.path.open("a") as file:
            file.write(json.dumps(row) + "\n")
        self._losses.clear()
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
