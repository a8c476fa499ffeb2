"""`run` and `schedule-sweep`."""

from prism_bench.experiments.cli.command import console, takes
from prism_bench.experiments.options.training import RunOptions, SweepOptions


@takes(RunOptions)
def run(options: RunOptions) -> int:
    """Compute experiments, print their tables, and say where the files are. The same command resumes."""
    from prism_bench.experiments.execution.run_experiments import run_experiments

    return 0 if run_experiments(options, console()).ok else 1


@takes(SweepOptions)
def schedule_sweep(options: SweepOptions) -> int:
    """Table 4: schedules of k_train against k_sample. One training serves a schedule's whole column."""
    from prism_bench.experiments.execution.run_experiments import run_experiments

    return 0 if run_experiments(options.run, console()).ok else 1
