"""`run`, `schedule-sweep` and `tune`."""

from prism_bench.experiments.cli.command import console, takes
from prism_bench.experiments.options.training import RunOptions, SweepOptions, TuneOptions


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


@takes(TuneOptions)
def tune(options: TuneOptions) -> int:
    """Find the best k_max (and more) on the same seeds; resumable, and several processes may share a study."""
    from prism_bench.experiments.tuning.loop import run_tune

    return 0 if run_tune(options, console()).best else 1
