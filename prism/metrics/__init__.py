"""The metric family: one file per metric."""
