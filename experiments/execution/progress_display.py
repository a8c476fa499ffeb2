"""Progress for people: live bars in a terminal, a line now and then in a log file."""

import sys
import time
from collections import Counter, defaultdict
from collections.abc import Mapping
from typing import Any, Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from prism_bench.experiments.formatting import duration
from prism_bench.prism.engine.local_pool import Answer
from prism_bench.prism.engine.stage import Stage

QUIET_SECONDS = 20.0
"""Between two lines about one stage where the output is not a terminal."""
SPEED_SECONDS = 3600.0
"""The time over which the speed of a stage is averaged."""


class Display:
    """An observer that shows what runs, how far it is and how long it will take."""

    def __init__(self, todo: Mapping[str, Stage], workers: int, console: Console) -> None:
        self.total, self.workers, self.console = len(todo), workers, console
        self._bars = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            TextColumn("{task.fields[state]}"),
            TimeElapsedColumn(),
            console=console,
            transient=True,
            disable=not console.is_terminal,
            speed_estimate_period=SPEED_SECONDS,
        )
        self._overall = self._bars.add_task("all stages", total=self.total, state="")
        self._tasks: dict[str, TaskID] = {}
        self._last_line: dict[str, float] = {}
        self._left = Counter(stage.kind for stage in todo.values())
        self._lengths: defaultdict[str, list[float]] = defaultdict(list)
        self._expected: dict[str, float] = {}
        self._noted: set[str] = set()

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bars.stop()

    def started(self, stage: Stage) -> None:
        """See `StageObserver`."""
        address = str(stage.address)
        self._last_line[address] = time.monotonic()
        self._tasks[address] = self._bars.add_task(stage.title, total=None, state="")
        self._left[stage.kind] -= 1

    def elsewhere(self, stage: Stage, who: str) -> None:
        """See `StageObserver`."""
        self._say(f"  elsewhere  {stage.title} ({who})")

    def put_back(self, stage: Stage) -> None:
        """See `StageObserver`."""
        self._bars.remove_task(self._tasks.pop(str(stage.address)))
        self._left[stage.kind] += 1

    def progressed(self, stage: Stage, progress: dict[str, Any]) -> None:
        """See `StageObserver`."""
        address, done, total = str(stage.address), progress["done"], progress["total"]
        if progress.get("note") and progress["note"] not in self._noted:
            self._noted.add(progress["note"])
            self._say(f"  note  {stage.title} {progress['note']}")
        self._bars.update(self._tasks[address], total=total, completed=done)
        task = next(task for task in self._bars.tasks if task.id == self._tasks[address])
        state = f"{done:,}/{total:,} {progress['unit']}"
        if progress.get("loss") is not None:
            state += f"  loss {progress['loss']:.3f}"
        if progress.get("k_train"):
            state += f"  k {progress['k_train']}"
        if task.time_remaining is not None:
            state += f"  {duration(task.time_remaining)} left"
            self._expected[stage.kind] = (task.elapsed or 0.0) + task.time_remaining
        self._bars.update(task.id, state=state)
        self._bars.update(self._overall, state=self._overall_state())
        if not self.console.is_terminal and time.monotonic() - self._last_line[address] > QUIET_SECONDS:
            self._last_line[address] = time.monotonic()
            self._say(f"  {stage.title}: {state}   [{self._overall_state()}]")

    def finished(self, stage: Stage, answer: Answer) -> None:
        """See `StageObserver`."""
        self._bars.remove_task(self._tasks.pop(str(stage.address)))
        if not answer.by:
            self._lengths[stage.kind].append(answer.seconds)
        self._bars.advance(self._overall)
        self._bars.update(self._overall, state=self._overall_state())
        if answer.outcome == "done":
            self._say(f"  done  {stage.title} ({answer.by or duration(answer.seconds)})")
        elif answer.outcome == "failed":
            self._say(f"  FAILED  {stage.title}: {answer.reason}")

    def _say(self, text: str) -> None:
        self.console.print(text, highlight=False, markup=False, soft_wrap=True)
        if not self.console.is_terminal:
            sys.stdout.flush()

    def _overall_state(self) -> str:
        """Stages done, and the time left as far as the speed of each kind is known by now."""
        seconds = 0.0
        for kind, count in (+self._left).items():
            lengths = self._lengths[kind] or [self._expected.get(kind, 0.0)]
            seconds += count * sum(lengths) / len(lengths)
        text = f"{self._bars.tasks[0].completed:.0f}/{self.total} stages"
        return text + (f", at least {duration(seconds / max(self.workers, 1))} after these" if seconds > 1 else "")
