"""The dataset family: one file per source."""
