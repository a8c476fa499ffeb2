"""`prism-bench train`: the run of an experiment with one row."""

from prism_bench.experiments.execution.run_experiments import run_experiments
from prism_bench.experiments.execution.run_result import RunResult
from prism_bench.experiments.options.training import TrainingOptions, TrainOptions
from prism_bench.experiments.paper.one_variant import Single
from prism_bench.experiments.paper.scales import scale_named
from prism_bench.experiments.screen import Screen
from prism_bench.prism.component import load
from prism_bench.prism.errors import InputError, closest
from prism_bench.prism.variants.scale import Scale
from prism_bench.prism.variants.variant import Variant


def run_train(options: TrainOptions, screen: Screen) -> RunResult:
    """Train, draw a grid, and say where.

    Raises:
        InputError: no such variant, or a scale with several datasets and none named.
    """
    load(options.plugins)
    single_scale(options)
    single = Single(variant=Variant.called(options.variant))
    asked = options.for_run(experiments=(single,), log=options.log, dry_run=options.dry_run)
    return run_experiments(asked, screen)


def single_scale(options: TrainingOptions) -> Scale:
    """The scale of a command that trains on one dataset; InputError where it has several and none of them is named."""
    scales = scale_named(options.scale)
    if scales.whole is None and options.dataset is None:
        names = ", ".join(scales.panels)
        raise InputError(f"--scale {options.scale} trains on several datasets; name one with --dataset: {names}")
    if scales.whole is None and options.dataset not in scales.panels:
        raise InputError(f"--dataset {options.dataset}: {closest(str(options.dataset), scales.panels)}")
    return scales.on(options.dataset or "")
