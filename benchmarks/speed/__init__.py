"""How long the work takes, ours beside another's; `python -m benchmarks.speed` runs every row."""
