"""prism-bench: ablations and benchmarks for PRISM, patch diffusion with retrieved neighbours as its global view.

The front door: what the commands do, as functions, and the names that a plug-in needs. Everything is imported when it
is first used.
"""

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from prism_bench import testing as testing
    from prism_bench.experiments.api.run import plan as plan
    from prism_bench.experiments.api.run import run as run
    from prism_bench.experiments.api.stored import compare as compare
    from prism_bench.experiments.api.stored import report as report
    from prism_bench.experiments.api.stored import results as results
    from prism_bench.experiments.api.stored import tune as tune
    from prism_bench.experiments.execution.run_result import RunResult as RunResult
    from prism_bench.experiments.paper.experiment import Claim as Claim
    from prism_bench.experiments.paper.experiment import Experiment as Experiment
    from prism_bench.experiments.paper.experiment import Quoted as Quoted
    from prism_bench.experiments.paper.experiment import Row as Row
    from prism_bench.experiments.paper.experiment import RowAt as RowAt
    from prism_bench.prism.conditioning.aggregators import Aggregator as Aggregator
    from prism_bench.prism.conditioning.retrieval import Retrieval as Retrieval
    from prism_bench.prism.conditioning.schedules import Schedule as Schedule
    from prism_bench.prism.conditioning.schedules import Tabulated as Tabulated
    from prism_bench.prism.data.base import Dataset as Dataset
    from prism_bench.prism.data.base import Images as Images
    from prism_bench.prism.encoders.base import Encoder as Encoder
    from prism_bench.prism.errors import ComputeError as ComputeError
    from prism_bench.prism.errors import InputError as InputError
    from prism_bench.prism.methods.method import Method as Method
    from prism_bench.prism.methods.sampling import ODESampler as ODESampler
    from prism_bench.prism.methods.sampling import Sampler as Sampler
    from prism_bench.prism.metrics.base import FeatureMetric as FeatureMetric
    from prism_bench.prism.metrics.base import ImageMetric as ImageMetric
    from prism_bench.prism.metrics.base import Metric as Metric
    from prism_bench.prism.metrics.base import MetricInputs as MetricInputs
    from prism_bench.prism.metrics.base import SplitMetric as SplitMetric
    from prism_bench.prism.metrics.base import Value as Value
    from prism_bench.prism.patch_diffusion.denoiser import Denoiser as Denoiser
    from prism_bench.prism.patch_diffusion.patch_method import PatchMethod as PatchMethod
    from prism_bench.prism.patch_diffusion.patches import Patches as Patches
    from prism_bench.prism.variants.scale import Scale as Scale
    from prism_bench.prism.variants.variant import Variant as Variant

__version__ = "0.5.0.dev0"

_MODULES = {
    "experiments.api.run": ("plan", "run"),
    "experiments.api.stored": ("compare", "report", "results", "tune"),
    "experiments.execution.run_result": ("RunResult",),
    "experiments.paper.experiment": ("Claim", "Experiment", "Quoted", "Row", "RowAt"),
    "prism.conditioning.aggregators": ("Aggregator",),
    "prism.conditioning.retrieval": ("Retrieval",),
    "prism.conditioning.schedules": ("Schedule", "Tabulated"),
    "prism.data.base": ("Dataset", "Images"),
    "prism.encoders.base": ("Encoder",),
    "prism.errors": ("ComputeError", "InputError"),
    "prism.methods.method": ("Method",),
    "prism.methods.sampling": ("ODESampler", "Sampler"),
    "prism.metrics.base": ("FeatureMetric", "ImageMetric", "Metric", "MetricInputs", "SplitMetric", "Value"),
    "prism.patch_diffusion.denoiser": ("Denoiser",),
    "prism.patch_diffusion.patch_method": ("PatchMethod",),
    "prism.patch_diffusion.patches": ("Patches",),
    "prism.variants.scale": ("Scale",),
    "prism.variants.variant": ("Variant",),
}
"""The same as above, for the interpreter; a test compares them."""
_MODULE_OF = {name: module for module, names in _MODULES.items() for name in names}

__all__ = ("__version__", *_MODULE_OF)  # noqa: PLE0604 - names, all of them

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
    return sorted({*globals(), *__all__, "testing"})
