"""`tune`."""

from prism_bench.experiments.cli.command import console, takes
from prism_bench.experiments.options.training import TuneOptions


@takes(TuneOptions)
def tune(options: TuneOptions) -> int:
    """Find the best k_max (and more) on the same seeds; resumable, and several processes may share a study."""
    from prism_bench.experiments.tuning.loop import run_tune

    return 0 if run_tune(options, console()).best else 1
