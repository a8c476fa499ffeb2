"""MLflow as a view of the store: files are the truth, and `sync` rebuilds the view from them at any time."""

from prism_bench.experiments.tracking.connection import tracking_uri, ui_command
from prism_bench.experiments.tracking.sync import SyncCount, sync
from prism_bench.experiments.tracking.tracker import Tracker

__all__ = ["SyncCount", "Tracker", "sync", "tracking_uri", "ui_command"]
