"""MLflow as a view of the store: files are the truth, and `sync` rebuilds the view from them at any time."""

from experiments.tracking.connection import tracking_uri, ui_command
from experiments.tracking.sync import SyncCount, sync
from experiments.tracking.tracker import Tracker

__all__ = ["SyncCount", "Tracker", "sync", "tracking_uri", "ui_command"]
