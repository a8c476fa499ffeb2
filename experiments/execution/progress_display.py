"""Progress for people: live bars in a terminal, a line now and then in a log file."""

import sys
import time
from dataclasses import dataclass, field
from typing import Any

from prism_bench.analysis.schema.records import Record
from prism_bench.experiments.formatting import duration
from prism_bench.experiments.planning.cells import Cell
from prism_bench.experiments.planning.plan import Plan
from prism_bench.prism.engine.local_pool import Answer
from prism_bench.prism.engine.stage import Stage
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

QUIET_SECONDS = 20.0
"""Between two lines about one stage where the output is not a terminal."""


@dataclass
class Display:
    """An observer that shows what runs, how far it is and how long it will take."""

    total: int
    workers: int
    console: Console
    _bars: Progress = field(init=False)
    _tasks: dict[str, TaskID] = field(default_factory=dict)
    _started: dict[str, tuple[float, float]] = field(default_factory=dict)
    _told: dict[str, float] = field(default_factory=dict)
    _lengths: dict[str, list[float]] = field(default_factory=dict)
    _left: dict[str, int] = field(default_factory=dict)
    _done: int = 0

    def __post_init__(self) -> None:
        columns = (
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            TextColumn("{task.fields[state]}"),
            TimeElapsedColumn(),
        )
        self._bars = Progress(*columns, console=self.console, transient=True, disable=not self.console.is_terminal)

    def __enter__(self) -> "Display":
        self._bars.start()
        self._overall = self._bars.add_task("all stages", total=self.total, state="")
        return self

    def __exit__(self, *_: object) -> None:
        self._bars.stop()

    def expect(self, kinds: dict[str, int]) -> None:
        """How many stages of each kind are to be done."""
        self._left = dict(kinds)

    def started(self, stage: Stage) -> None:
        """See `PlanObserver`."""
        address = str(stage.address)
        self._started[address] = (time.monotonic(), -1.0)
        self._told[address] = time.monotonic()
        self._tasks[address] = self._bars.add_task(stage.title, total=None, state="")
        self._left[stage.kind] = self._left.get(stage.kind, 1) - 1

    def progressed(self, stage: Stage, progress: dict[str, Any]) -> None:
        """See `PlanObserver`."""
        address, done, total = str(stage.address), progress["done"], progress["total"]
        began, first = self._started[address]
        if first < 0:
            # A resumed stage starts with work that took no time of ours.
            began, first = time.monotonic(), done
            self._started[address] = (began, first)
        spent = time.monotonic() - began
        left = spent * (total - done) / (done - first) if done > first else None
        if left is not None:
            self._lengths.setdefault(f"{stage.kind} now", [0.0])[0] = spent + left
        state = f"{done:,}/{total:,} {progress['unit']}"
        if progress.get("loss") is not None:
            state += f"  loss {progress['loss']:.3f}"
        if progress.get("k_train"):
            state += f"  k {progress['k_train']}"
        state += f"  {duration(left)} left" if left is not None else ""
        self._bars.update(self._tasks[address], total=total, completed=done, state=state)
        self._bars.update(self._overall, completed=self._done, state=self._overall_state())
        if not self.console.is_terminal and time.monotonic() - self._told[address] > QUIET_SECONDS:
            self._told[address] = time.monotonic()
            self._say(f"  {stage.title}: {state}   [{self._overall_state()}]")

    def finished(self, stage: Stage, answer: Answer) -> None:
        """See `PlanObserver`."""
        self._done += 1
        self._bars.remove_task(self._tasks.pop(str(stage.address)))
        self._lengths.setdefault(stage.kind, []).append(answer.seconds)
        self._bars.update(self._overall, completed=self._done, state=self._overall_state())
        if answer.outcome == "done":
            self._say(f"  done  {stage.title} ({duration(answer.seconds)})")
        elif answer.outcome == "failed":
            self._say(f"  FAILED  {stage.title}: {answer.reason}")

    def recorded(self, plan: Plan, cell: Cell, record: Record) -> None:
        """See `PlanObserver`."""

    def _say(self, text: str) -> None:
        self.console.print(text, highlight=False, markup=False, soft_wrap=True)
        if not self.console.is_terminal:
            sys.stdout.flush()

    def _overall_state(self) -> str:
        """Stages done, and the time left as far as the speed of each kind is known by now."""
        seconds = 0.0
        for kind, count in self._left.items():
            known = self._lengths.get(kind) or self._lengths.get(f"{kind} now")
            if known and count > 0:
                seconds += count * sum(known) / len(known)
        text = f"{self._done}/{self.total} stages"
        return text + (f", at least {duration(seconds / max(self.workers, 1))} after these" if seconds > 1 else "")
