"""`prism-bench tune`: Optuna over the settings of a variant, on the same stages and records as everything else."""
