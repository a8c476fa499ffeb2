"""`train`, `sample`, `evaluate` and `compare`: daily work."""

from prism_bench.experiments.cli.command import console, takes
from prism_bench.experiments.options.trained import CompareOptions, EvaluateOptions, SampleOptions
from prism_bench.experiments.options.training import TrainOptions


@takes(TrainOptions)
def train(options: TrainOptions) -> int:
    """Train one variant and look at its samples; tables find it trained, and it finds what tables trained."""
    from prism_bench.experiments.tools.train import run_train

    return 0 if run_train(options, console()).ok else 1


@takes(SampleOptions)
def sample(options: SampleOptions) -> None:
    """Draw images from a trained variant."""
    from prism_bench.experiments.tools.sample import run_sample

    say = console()
    say.print(f"Samples: {run_sample(options, say)}", markup=False)


@takes(EvaluateOptions)
def evaluate(options: EvaluateOptions) -> None:
    """Measure a trained variant against its own data, or one set of pictures against another."""
    from prism_bench.experiments.tools.evaluate import run_evaluate

    say = console()
    found = run_evaluate(options, say)
    for line in (found.title, *found.lines()):
        say.print(line, markup=False)
    if options.out is not None:
        say.print(f"Written to {options.out.absolute()}", markup=False)


@takes(CompareOptions)
def compare(options: CompareOptions) -> None:
    """Put computed rows side by side: settings, metrics with paired intervals, samples from the same noise."""
    from prism_bench.experiments.execution.run_experiments import LEAST_WIDTH
    from prism_bench.experiments.tools.compare import run_compare

    say = console()
    found = run_compare(options)
    say.print(found.text(max(say.width, LEAST_WIDTH)), markup=False)
    say.print(f"\nPictures and tables: {found.folder.absolute()}", markup=False)
    say.print("  " + "  ".join(path.name for path in found.files), markup=False)
