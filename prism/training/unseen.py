"""Losses that are looked at later, so that a step need not wait for the one before it."""

import math
from collections.abc import Mapping
from typing import NamedTuple

from torch import Tensor

from prism_bench.prism.training.training_log import TrainingLog


class Taken(NamedTuple):
    """A step that was taken, when `seen` images had gone before: its images, its losses, what its log says besides."""

    step: int
    seen: int
    n: int
    losses: list[Tensor]
    facts: Mapping[str, float]


class Unseen:
    """Steps whose losses nobody has looked at; they stay on the device. `every`: how many may wait."""

    def __init__(self, log: TrainingLog, every: int) -> None:
        self._log, self._every = log, every
        self._steps: list[Taken] = []

    def add(self, taken: Taken) -> None:
        """One more; the first of its losses is logged."""
        self._steps.append(taken)

    @property
    def due(self) -> bool:
        """Whether it is time to look: as many wait as may, or a line of the log does."""
        last = self._steps[-1]
        return len(self._steps) >= self._every or self._log.due(last.seen + last.n)

    def look(self) -> tuple[Taken, float] | None:
        """Log the steps that wait, up to the first with a loss that is not finite: that step, and the loss."""
        steps, self._steps = self._steps, []
        for taken in steps:
            values = [float(loss) for loss in taken.losses]
            for value in values:
                if not math.isfinite(value):
                    return taken, value
            self._log.add(taken.seen + taken.n, taken.n, values[0], **taken.facts)
        return None
