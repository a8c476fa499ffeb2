"""`prism-bench train`: the run of an experiment with one row."""

from dataclasses import replace

from prism_bench.experiments.execution.run_experiments import run_experiments
from prism_bench.experiments.paper.one_variant import Single
from prism_bench.experiments.paper.scales import scale_named
from prism_bench.experiments.planning.resolve_options import RunOptions
from prism_bench.prism.component import load
from prism_bench.prism.errors import InputError
from prism_bench.prism.variants.variant import Variant


def run_train(variant: str, options: RunOptions) -> int:
    """Train, draw a grid, and say where; 0, or 1 where it failed.

    Raises:
        InputError: no such variant, or a scale with several datasets and none named.
    """
    load(options.plugins)
    if scale_named(options.scale).whole is None and options.dataset is None:
        names = ", ".join(scale_named(options.scale).panels)
        raise InputError(f"--scale {options.scale} trains on several datasets; name one with --dataset: {names}")
    return run_experiments(replace(options, experiments=(Single(variant=Variant.called(variant)),)))
