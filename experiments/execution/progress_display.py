"""Progress for people: live bars in a terminal, a line now and then in a log file."""

import time
from collections import Counter
from collections.abc import Mapping
from typing import Any, Self

from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Column

from prism_bench.experiments.execution.time_left import TimeLeft
from prism_bench.experiments.execution.work import work_of
from prism_bench.experiments.formatting import counted, duration
from prism_bench.experiments.screen import Screen
from prism_bench.prism.engine.pool import Answer
from prism_bench.prism.engine.stage import Stage

QUIET_SECONDS = 20.0
"""Between two lines about one stage where the output is not a terminal."""
BAR, WIDE = 24, 100
"""Columns of a bar in a terminal of so many; narrow ones have a third of it."""
SHORT = 1.0
"""Seconds; stages that take less are told together, at the end."""
SPEED_SECONDS = 3600.0
"""The time over which the speed of a stage is averaged."""


class Display:
    """An observer that shows what runs, how far it is and how long it will take."""

    def __init__(self, todo: Mapping[str, Stage], workers: int, screen: Screen) -> None:
        self.total, self.screen, self.console = len(todo), screen, screen.said
        self._bars = Progress(
            # The one column that wraps where the terminal is narrow.
            TextColumn("{task.description}", markup=False, table_column=Column(overflow="fold")),
            BarColumn(bar_width=BAR if self.console.width >= WIDE else BAR // 3),
            TextColumn("{task.fields[state]}", markup=False),
            TimeElapsedColumn(),
            console=self.console,
            transient=True,
            disable=not self.console.is_terminal or self.console.quiet,
            speed_estimate_period=SPEED_SECONDS,
        )
        self._overall = self._bars.add_task("all stages", total=self.total, state="")
        self._tasks: dict[str, TaskID] = {}
        self._last_line: dict[str, float] = {}
        self._left = TimeLeft(map(work_of, todo.values()), workers)
        self._short: Counter[str] = Counter()
        self._made_elsewhere: Counter[str] = Counter()
        self._noted: set[str] = set()

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bars.stop()
        if self._short:
            self._say(f"  done  {_counts(self._short)}, each in less than {SHORT:.0f} s")
        if self._made_elsewhere:
            self._say(f"  done  {_counts(self._made_elsewhere)}, by other processes")

    def started(self, stage: Stage) -> None:
        """See `StageObserver`."""
        address = str(stage.address)
        self._last_line[address] = time.monotonic()
        self._tasks[address] = self._bars.add_task(stage.title, total=None, state="")
        self._left.started(address, work_of(stage))

    def elsewhere(self, stage: Stage, who: str) -> None:
        """See `StageObserver`."""
        self._say(f"  elsewhere  {stage.title} ({who})")

    def put_back(self, stage: Stage, answer: Answer) -> None:
        """See `StageObserver`."""
        if answer.outcome == "lost":
            self._say(f"  lost  {stage.title}: {answer.reason}; it goes on from its last checkpoint")
        self._bars.remove_task(self._tasks.pop(str(stage.address)))
        self._left.put_back(str(stage.address))

    def waits(self, stage: Stage, where: str) -> None:
        """See `StageObserver`."""
        self._bars.update(self._tasks[str(stage.address)], state=where)
        self._say(f"  queued  {stage.title} ({where})")

    def progressed(self, stage: Stage, progress: dict[str, Any]) -> None:
        """See `StageObserver`."""
        address, done, total = str(stage.address), progress["done"], progress["total"]
        self._note(stage, progress.get("note", ""))
        self._bars.update(self._tasks[address], total=total, completed=done)
        task = next(task for task in self._bars.tasks if task.id == self._tasks[address])
        state = f"{done:,}/{total:,} {progress['unit']}"
        if progress.get("loss") is not None:
            state += f"  loss {progress['loss']:.3f}"
        if progress.get("k_train"):
            state += f"  k {progress['k_train']}"
        if task.time_remaining is not None:
            self._left.expected(address, task.time_remaining)
        self._bars.update(task.id, state=state)
        self._bars.update(self._overall, state=self._overall_state())
        if not self.console.is_terminal and time.monotonic() - self._last_line[address] > QUIET_SECONDS:
            self._last_line[address] = time.monotonic()
            self._say(f"  {stage.title}: {state}   [{self._overall_state()}]")

    def finished(self, stage: Stage, answer: Answer) -> None:
        """See `StageObserver`."""
        self._bars.remove_task(self._tasks.pop(str(stage.address)))
        self._left.finished(str(stage.address), None if answer.by else answer.seconds)
        self._bars.advance(self._overall)
        self._bars.update(self._overall, state=self._overall_state())
        self._note(stage, answer.note)
        if answer.outcome == "done":
            self._done(stage, answer)
        elif answer.outcome == "failed":
            self._say(f"  FAILED  {stage.title}: {answer.reason}")

    def _done(self, stage: Stage, answer: Answer) -> None:
        if self.screen.verbose:
            self._say(f"  done  {stage.title} ({answer.by or duration(answer.seconds)})  {stage.address}")
        elif answer.by:
            self._made_elsewhere[stage.kind] += 1
        elif answer.seconds < SHORT:
            self._short[stage.kind] += 1
        else:
            self._say(f"  done  {stage.title} ({duration(answer.seconds)})")

    def _note(self, stage: Stage, note: str) -> None:
        if note and note not in self._noted:
            self._noted.add(note)
            self._say(f"  note  {stage.title} {note}")

    def _say(self, text: str) -> None:
        self.console.print(text, highlight=False, markup=False, soft_wrap=True)
        if not self.console.is_terminal:
            self.console.file.flush()

    def _overall_state(self) -> str:
        """Stages done, and the time that all the others take, as soon as something is known of it."""
        text, left = f"{self._bars.tasks[0].completed:.0f}/{self.total} stages", self._left.seconds
        return text if left is None else f"{text}, about {duration(left)} left"


def _counts(kinds: Counter[str]) -> str:
    """12 stages (8 metric, 4 floor)."""
    named = ", ".join(f"{count} {kind}" for kind, count in kinds.most_common())
    return f"{counted(kinds.total(), 'stage')} ({named})"
