"""`run`, `schedule-sweep`, `train` and `tune`."""

from typing import TYPE_CHECKING

from prism_bench.experiments.cli.command import print_document, screen, takes
from prism_bench.experiments.options.training import (
    RunOptions,
    SweepOptions,
    TrainingOptions,
    TrainOptions,
    TuneOptions,
)

if TYPE_CHECKING:
    from prism_bench.experiments.execution.run_result import RunResult


@takes(RunOptions)
def run(options: RunOptions) -> int:
    """Compute experiments, print their tables, and say where the files are. The same command resumes."""
    from prism_bench.experiments.execution.run_experiments import run_experiments

    return _ended(run_experiments(options, screen(options)), options)


@takes(SweepOptions)
def schedule_sweep(options: SweepOptions) -> int:
    """Table 4: schedules of k_train against k_sample. One training serves a schedule's whole column."""
    from prism_bench.experiments.execution.run_experiments import run_experiments

    return _ended(run_experiments(options.run, screen(options)), options)


@takes(TrainOptions)
def train(options: TrainOptions) -> int:
    """Train one variant and look at its samples; tables find it trained, and it finds what tables trained."""
    from prism_bench.experiments.tools.train import run_train

    return _ended(run_train(options, screen(options)), options)


@takes(TuneOptions)
def tune(options: TuneOptions) -> int:
    """Find the best k_max (and more) on the same seeds; resumable, and several processes may share a study."""
    from prism_bench.experiments.tuning.loop import run_tune

    found = run_tune(options, screen(options))
    if options.as_json:
        print_document(found.document())
    return 0 if found.best else 1


def _ended(result: "RunResult", options: TrainingOptions) -> int:
    if options.as_json:
        print_document(result.document())
    return 0 if result.ok else 1
