"""Options of the commands that take what has been trained: `sample`, `evaluate` and `compare`."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from prism_bench.experiments.options import completion
from prism_bench.experiments.options.option import Option, Panel
from prism_bench.experiments.options.shown import ShownOptions
from prism_bench.experiments.options.stored import PluginOptions, Pool, StoreOptions
from prism_bench.experiments.options.texts import names
from prism_bench.experiments.options.training import LARGEST_SIDE, Device, FitName, SkipBad


@dataclass(frozen=True, kw_only=True)
class TrainedOptions(StoreOptions, PluginOptions, ShownOptions):
    """Options of the commands that compute with one trained variant."""

    train_seed: Annotated[int, Option(least=0, help="Which seed of EXPERIMENT/ROW.")] = 0
    device: Device = "auto"
    workers: Annotated[
        int, Option(panel=Panel.MACHINE, least=0, most=1, help="1: a process of its own; 0: this one.")
    ] = 1


@dataclass(frozen=True, kw_only=True)
class SampleOptions(TrainedOptions):
    """The options of `prism-bench sample`."""

    run: Annotated[
        str,
        Option(
            completes=completion.rows_run,
            argument=True,
            help="EXPERIMENT/ROW, the first characters of a training's key or a record, or an exported folder.",
        ),
    ]
    n: Annotated[int, Option(flag="--n", least=1, help="How many images.")] = 64
    seed: Annotated[int, Option(least=0, help="Seed of noise and pseudo-queries.")] = 0
    k_sample: Annotated[
        int | None, Option(least=0, help="Neighbours (default: the run's own; 0: without their signal).")
    ] = None
    sampler: Annotated[
        str | None,
        Option(
            completes=completion.members("sampler"),
            help="A name from `list sampler` (default: the run's own).",
        ),
    ] = None
    steps: Annotated[int | None, Option(least=2, help="Steps of the sampler.")] = None
    pseudo_queries: Annotated[
        tuple[Path, ...],
        Option(flag="--pseudo-query", help="A picture to be guided by, instead of images of D (repeatable)."),
    ] = ()
    prompts: Annotated[
        tuple[str, ...],
        Option(flag="--prompt", help="Words to be guided by, for a run that retrieves with CLIP (repeatable)."),
    ] = ()
    out: Annotated[
        Path | None,
        Option(help="A .png (a grid), an .npz, or a folder of PNGs (default: a grid here).", writes="either"),
    ] = None
    force: Annotated[bool, Option(flag="--force", help="Write over what is there.")] = False


@dataclass(frozen=True, kw_only=True)
class EvaluateOptions(TrainedOptions):
    """The options of `prism-bench evaluate`."""

    what: Annotated[
        tuple[str, ...],
        Option(
            completes=completion.rows_run,
            argument=True,
            help="A run (as for `sample`), or GENERATED REFERENCE: pictures, or an .npz of mu and sigma.",
        ),
    ]
    metrics: Annotated[
        tuple[str, ...],
        Option(
            completes=completion.several(completion.members("metric")),
            read=names,
            help="Names from `list metric`, with commas (default: the run's own, or frechet,kid).",
        ),
    ] = ()
    encoder: Annotated[
        str | None,
        Option(
            completes=completion.members("encoder"),
            help="Look through another encoder (`list encoder`).",
        ),
    ] = None
    input_size: Annotated[
        int | None,
        Option(
            least=1,
            most=LARGEST_SIDE,
            help="Side to which the encoder resizes.",
        ),
    ] = None
    n: Annotated[int | None, Option(flag="--n", least=1, help="How many generated images (default: all).")] = None
    seed: Annotated[int, Option(least=0, help="Sample seed.")] = 0
    k_sample: Annotated[int | None, Option(least=0, help="Neighbours (default: the run's own).")] = None
    resolution: Annotated[
        int | None,
        Option(
            least=1,
            most=LARGEST_SIDE,
            help="Side at which two sets are compared (default: their own).",
        ),
    ] = None
    skip_bad: SkipBad = False
    fit: FitName = "crop"
    out: Annotated[Path | None, Option(help="A .json file for the numbers.", writes="file")] = None


@dataclass(frozen=True, kw_only=True)
class CompareOptions(StoreOptions, PluginOptions, ShownOptions):
    """The options of `prism-bench compare`. `command`: as it was typed."""

    what: Annotated[
        tuple[str, ...],
        Option(
            completes=completion.rows_run,
            argument=True,
            help="EXPERIMENT/ROW (its seeds; ROW@K: one k_sample) or records; the base first.",
        ),
    ]
    out: Annotated[
        Path | None, Option(help="Folder for tables and pictures (default: in the store).", writes="folder")
    ] = None
    pool: Pool = False
    command: str = ""
