"""The programs that show the runs of a command while they go on."""

from collections.abc import Callable
from pathlib import Path

from prism_bench.experiments.mlflow_view.tracker import open_tracker
from prism_bench.experiments.options.training import RunOptions
from prism_bench.experiments.tracking.loggers import LOGGERS
from prism_bench.experiments.tracking.tracker import Tracker


def check_trackers(options: RunOptions) -> None:
    """Refuse, before any work, a program that is asked for and cannot be used.

    Raises:
        InputError: what mends it.
    """
    for name in options.log:
        LOGGERS[name].check()


def open_trackers(options: RunOptions, store: Path, say: Callable[[str], None]) -> list[Tracker]:
    """MLflow, if it is wanted, and what `--log` names."""
    mlflow = [open_tracker(store, say)] if options.mlflow else []
    return [*mlflow, *(LOGGERS[name].tracker(store, say) for name in options.log)]
