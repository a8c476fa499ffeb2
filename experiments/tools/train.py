"""`prism-bench train`: the run of an experiment with one row."""

from pathlib import Path

from prism_bench.experiments.execution.run_experiments import run_experiments
from prism_bench.experiments.execution.run_result import RunResult
from prism_bench.experiments.options.training import TrainingOptions, TrainOptions
from prism_bench.experiments.paper.one_variant import Single
from prism_bench.experiments.paper.scales import scale_named
from prism_bench.experiments.screen import Screen
from prism_bench.prism.component import load
from prism_bench.prism.errors import InputError, closest
from prism_bench.prism.patch_diffusion.initial_weights import take
from prism_bench.prism.patch_diffusion.patch_method import PatchMethod
from prism_bench.prism.variants.scale import Scale
from prism_bench.prism.variants.variant import Variant, method_of


def run_train(options: TrainOptions, screen: Screen) -> RunResult:
    """Train, draw a grid, and say where.

    Raises:
        InputError: no such variant, a scale with several datasets and none named, or weights that it cannot begin from.
    """
    load(options.plugins)
    scale = single_scale(options)
    variant = Variant.called(options.variant)
    settings = options.settings
    if options.start is not None:
        settings = (*settings, _initial_weights(options.start, variant, scale))
    single = Single(variant=variant)
    asked = options.for_run(experiments=(single,), log=options.log, dry_run=options.dry_run, settings=settings)
    return run_experiments(asked, screen)


def _initial_weights(start: Path, variant: Variant, scale: Scale) -> str:
    """The setting that says what training begins from: the digest of the weights, not where they lie."""
    if not isinstance(method_of(variant, scale), PatchMethod):
        raise InputError(f"--from {start}: {variant.label} cannot begin from exported weights; leave it out")
    return f"initial_weights={take(start)}"


def single_scale(options: TrainingOptions) -> Scale:
    """The scale of a command that trains on one dataset; InputError where it has several and none of them is named."""
    scales = scale_named(options.scale)
    if scales.whole is None and options.dataset is None:
        names = ", ".join(scales.panels)
        raise InputError(f"--scale {options.scale} trains on several datasets; name one with --dataset: {names}")
    if scales.whole is None and options.dataset not in scales.panels:
        raise InputError(f"--dataset {options.dataset}: {closest(str(options.dataset), scales.panels)}")
    return scales.on(options.dataset or "")
