"""The programs that `--log` names, by their names."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Protocol

from prism_bench.experiments.tracking.tensorboard import TensorBoard
from prism_bench.experiments.tracking.tracker import Tracker
from prism_bench.experiments.tracking.wandb import WeightsAndBiases


class Logger(Protocol):
    """A program that shows runs, besides MLflow."""

    def check(self) -> None:
        """Refuse, before any work, where it cannot be used; InputError says what mends it."""

    def tracker(self, store: Path, say: Callable[[str], None]) -> Tracker:
        """A tracker for the first plan."""


LOGGERS: Mapping[str, Logger] = {"tensorboard": TensorBoard(), "wandb": WeightsAndBiases()}
