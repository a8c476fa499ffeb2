"""MLflow as a view of the store: files are the truth, and `sync` rebuilds the view from them at any time."""
