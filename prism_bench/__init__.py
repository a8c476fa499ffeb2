"""prism-bench: ablations and benchmarks for PRISM, patch diffusion with retrieved neighbours as its global view.

The front door: what the commands do, as functions, and the names that a plug-in needs. Everything is imported when it
is first used.
"""

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from prism_bench.experiments.api.run import plan, run
    from prism_bench.experiments.api.stored import compare, report, results, tune
    from prism_bench.experiments.execution.run_result import RunResult
    from prism_bench.experiments.paper.experiment import Claim, Experiment, Quoted, Row, Side
    from prism_bench.prism.conditioning.aggregators import Aggregator
    from prism_bench.prism.conditioning.retrieval import Retrieval
    from prism_bench.prism.conditioning.schedules import Schedule, Tabulated
    from prism_bench.prism.data.base import Dataset, Images
    from prism_bench.prism.encoders.base import Encoder
    from prism_bench.prism.errors import ComputeError, InputError
    from prism_bench.prism.methods.method import Method
    from prism_bench.prism.methods.sampling import ODESampler, Sampler
    from prism_bench.prism.metrics.base import Evidence, FeatureMetric, ImageMetric, Metric, SplitMetric, Value
    from prism_bench.prism.patch_diffusion.denoiser import Denoiser
    from prism_bench.prism.patch_diffusion.patch_method import PatchMethod
    from prism_bench.prism.patch_diffusion.patches import Patches
    from prism_bench.prism.variants.variant import Scale, Variant

__version__ = "0.5.0.dev0"

_MODULES = {
    "experiments.api.run": ("plan", "run"),
    "experiments.api.stored": ("compare", "report", "results", "tune"),
    "experiments.execution.run_result": ("RunResult",),
    "experiments.paper.experiment": ("Claim", "Experiment", "Quoted", "Row", "Side"),
    "prism.conditioning.aggregators": ("Aggregator",),
    "prism.conditioning.retrieval": ("Retrieval",),
    "prism.conditioning.schedules": ("Schedule", "Tabulated"),
    "prism.data.base": ("Dataset", "Images"),
    "prism.encoders.base": ("Encoder",),
    "prism.errors": ("ComputeError", "InputError"),
    "prism.methods.method": ("Method",),
    "prism.methods.sampling": ("ODESampler", "Sampler"),
    "prism.metrics.base": ("Evidence", "FeatureMetric", "ImageMetric", "Metric", "SplitMetric", "Value"),
    "prism.patch_diffusion.denoiser": ("Denoiser",),
    "prism.patch_diffusion.patch_method": ("PatchMethod",),
    "prism.patch_diffusion.patches": ("Patches",),
    "prism.variants.variant": ("Scale", "Variant"),
}
"""The same as above, for the interpreter; a test compares them."""
_MODULE_OF = {name: module for module, names in _MODULES.items() for name in names}

__all__ = [
    "Aggregator",
    "Claim",
    "ComputeError",
    "Dataset",
    "Denoiser",
    "Encoder",
    "Evidence",
    "Experiment",
    "FeatureMetric",
    "ImageMetric",
    "Images",
    "InputError",
    "Method",
    "Metric",
    "ODESampler",
    "PatchMethod",
    "Patches",
    "Quoted",
    "Retrieval",
    "Row",
    "RunResult",
    "Sampler",
    "Scale",
    "Schedule",
    "Side",
    "SplitMetric",
    "Tabulated",
    "Value",
    "Variant",
    "__version__",
    "compare",
    "plan",
    "report",
    "results",
    "run",
    "tune",
]

# In a checkout the four folders stand beside this one; installed, they lie inside it.
_beside = Path(__file__).resolve().parent.parent
if not (Path(__file__).parent / "prism").is_dir() and (_beside / "prism" / "component.py").is_file():
    __path__.append(str(_beside))


def __getattr__(name: str) -> Any:
    if name == "testing":
        return import_module("prism_bench.testing")
    if name not in _MODULE_OF:
        raise AttributeError(f"module 'prism_bench' has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(f"prism_bench.{_MODULE_OF[name]}"), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
