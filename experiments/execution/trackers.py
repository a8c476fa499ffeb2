"""The programs that show the runs of a command while they go on."""

from collections.abc import Callable
from pathlib import Path

from prism_bench.experiments.mlflow_view.connection import check_tracking
from prism_bench.experiments.mlflow_view.tracker import open_tracker
from prism_bench.experiments.options.training import RunOptions
from prism_bench.experiments.tracking.loggers import LOGGERS
from prism_bench.experiments.tracking.tracker import Tracker


def check_trackers(options: RunOptions) -> None:
    """Refuse, before any work, a program that is asked for and cannot be used.

    Raises:
        InputError: what mends it.
    """
    if options.mlflow:
        check_tracking(options.store.absolute())
    for name in options.log:
        LOGGERS[name].check()


def open_trackers(options: RunOptions, store: Path, say: Callable[[str], None], *, mlflow_now: bool) -> list[Tracker]:
    """MLflow, if it is wanted now, and what `--log` names."""
    mlflow = [open_tracker(store, say)] if mlflow_now else []
    return [*mlflow, *(LOGGERS[name].tracker(store, say) for name in options.log)]
