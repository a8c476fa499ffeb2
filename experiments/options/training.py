"""Options of the commands that train: `run`, `schedule-sweep`, `train` and `tune`."""

from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from prism_bench.experiments.options import completion
from prism_bench.experiments.options.option import Option, Panel, text_of
from prism_bench.experiments.options.shown import ShownOptions
from prism_bench.experiments.options.stored import FigureFormats, PluginOptions, Pool, StoreOptions
from prism_bench.experiments.options.texts import LOGGERS, loggers, names, numbers, pairs
from prism_bench.experiments.paper.names import SCALES_FOR

if TYPE_CHECKING:
    from prism_bench.experiments.paper.experiment import Experiment
    from prism_bench.prism.variants.variant import Variant

LARGEST_SIDE = 4096
"""Pixels; of a square of this side one image takes 48 MiB."""
MOST_PLACES = 1024
"""Workers, or processes of a training."""
MOST_THREADS = 256
"""Of one process; where the system allows no more, OpenMP ends the program."""

Device = Annotated[
    str,
    Option(
        completes=completion.words("auto", "cpu", "cuda", "mps"),
        panel=Panel.MACHINE,
        help="auto, cpu, cuda (every GPU), cuda:0,cuda:2, mps.",
    ),
]
SkipBad = Annotated[bool, Option(panel=Panel.IMAGES, flag="--skip-bad", help="Leave out unreadable images, by name.")]
FitName = Annotated[
    str,
    Option(
        completes=completion.words("crop", "pad", "stretch"),
        panel=Panel.IMAGES,
        flag="--fit",
        help="Your images that are not square: crop (to the central square), pad or stretch.",
    ),
]
Metrics = Annotated[
    tuple[str, ...],
    Option(
        completes=completion.several(completion.members("metric")),
        read=names,
        help="Metrics beside the scale's, with commas: prdc,frechet:clip (names from `list metric`).",
    ),
]
Only = Annotated[
    tuple[tuple[str, str], ...],
    Option(
        completes=completion.cells,
        read=pairs,
        help="Only some cells: 'variant=prism|rag,seed=0'.",
    ),
]
Log = Annotated[
    tuple[str, ...],
    Option(
        panel=Panel.OUTPUT,
        completes=completion.several(completion.words(*LOGGERS)),
        read=loggers,
        help="Show the runs in these too: tensorboard, wandb.",
    ),
]
DryRun = Annotated[bool, Option(flag="--dry-run", help="Show cells, stages, time and disk; compute nothing.")]


@dataclass(frozen=True, kw_only=True)
class TrainingOptions(StoreOptions, PluginOptions, ShownOptions):
    """Options of every command that trains. `command`: as it was typed, for captions and for typing it again."""

    scale: Annotated[
        str,
        Option(
            completes=completion.words(*SCALES_FOR),
            help="How much computing: smoke, laptop, gpu or paper.",
        ),
    ] = "laptop"
    data: Annotated[
        tuple[str, ...],
        Option(
            panel=Panel.IMAGES,
            help="Your images: a folder, a .zip, an .npz or a .parquet; at scale paper NAME=PATH (repeatable).",
            paths=True,
        ),
    ] = ()
    dataset: Annotated[
        str | None,
        Option(
            completes=completion.members("dataset"),
            panel=Panel.IMAGES,
            help="A named dataset (default: the scale's); at scale paper the one to compute.",
        ),
    ] = None
    resolution: Annotated[
        int | None,
        Option(
            panel=Panel.IMAGES, least=1, most=LARGEST_SIDE, help="Side of the images in pixels (default: the scale's)."
        ),
    ] = None
    seeds: Annotated[tuple[int, ...], Option(read=numbers, help="Train and sample seeds: 0, 0,1,2 or 0-2.")] = (0,)
    split_seed: Annotated[int, Option(panel=Panel.IMAGES, least=0, help="Seed of the split into D and X_train.")] = 0
    retrieval_fraction: Annotated[
        float | None,
        Option(panel=Panel.IMAGES, help="Share of the images that goes to the retrieval set D (paper: 162/232)."),
    ] = None
    stratify: Annotated[bool, Option(panel=Panel.IMAGES, help="Split within each class.")] = True
    skip_bad: SkipBad = False
    fit: FitName = "crop"
    settings: Annotated[
        tuple[str, ...],
        Option(
            completes=completion.settings,
            flag="--set",
            help="Change a field: training.images=600000 (repeatable).",
        ),
    ] = ()
    first_stage: Annotated[
        Path | None,
        Option(panel=Panel.WEIGHTS, help="RISSOLE's first stage from a model.safetensors instead of training one."),
    ] = None
    clip_weights: Annotated[
        Path | None,
        Option(panel=Panel.WEIGHTS, help="CLIP from a file or folder of open_clip's instead of by its tag."),
    ] = None
    workers: Annotated[
        int | None,
        Option(
            panel=Panel.MACHINE,
            least=0,
            most=MOST_PLACES,
            help="Stages at a time (default: one per core; 0: in this process); with GPUs, beside theirs.",
        ),
    ] = None
    threads: Annotated[
        int | None,
        Option(
            panel=Panel.MACHINE, least=1, most=MOST_THREADS, help="Threads of a stage (default: the cores, shared out)."
        ),
    ] = None
    processes: Annotated[
        int,
        Option(
            panel=Panel.MACHINE,
            least=1,
            most=MOST_PLACES,
            help="Processes of each training: 2, 4 ... GPUs at once (sets training.pieces).",
        ),
    ] = 1
    device: Device = "auto"
    executor: Annotated[
        str,
        Option(
            completes=completion.members("executor"),
            panel=Panel.MACHINE,
            help="Where stages are made: local, or another one of `prism-bench list executor`.",
        ),
    ] = "local"
    slurm: Annotated[
        tuple[str, ...],
        Option(
            panel=Panel.MACHINE,
            help="What a job asks of Slurm: partition=gpu,time=24:00:00 (repeatable; --executor slurm).",
        ),
    ] = ()
    checkpoint_seconds: Annotated[
        float, Option(panel=Panel.MACHINE, least=0.0, help="Longest time between two checkpoints of a training.")
    ] = 30.0
    compiles: Annotated[
        bool,
        Option(
            panel=Panel.MACHINE, flag="--compile", help="Compile the networks that are trained; needs a C++ compiler."
        ),
    ] = False
    mlflow: Annotated[
        bool, Option(panel=Panel.OUTPUT, help="Show the runs in MLflow as they go (`sync` can do it later).")
    ] = True
    command: str = ""

    def for_run(self, **changes: Any) -> "RunOptions":
        """The options of `run` with what all such commands share, and changes."""
        shared = {field.name: getattr(self, field.name) for field in fields(TrainingOptions)}
        return RunOptions(**{**shared, **changes})


@dataclass(frozen=True, kw_only=True)
class RunOptions(TrainingOptions):
    """The options of `prism-bench run`, read but not yet checked against each other.

    From Python an experiment or a variant may also be given as a value.
    """

    experiments: Annotated[
        tuple["str | Experiment", ...],
        Option(
            completes=completion.experiments,
            argument=True,
            help="Names from `prism-bench list experiment`, or all: the whole paper.",
        ),
    ]
    extra: Annotated[
        tuple["str | Variant", ...],
        Option(
            completes=completion.members("variant"),
            flag="--with",
            help="Add a row: a name from `prism-bench list variant`.",
        ),
    ] = ()
    controls: Annotated[
        bool,
        Option(
            flag="--controls",
            help="Add the rows that separate what the paper's rows change together, and real images, altered.",
        ),
    ] = False
    only: Only = ()
    metrics: Metrics = ()
    pool: Pool = False
    figure_formats: FigureFormats = ("png",)
    log: Log = ()
    dry_run: DryRun = False


@dataclass(frozen=True, kw_only=True)
class SweepOptions(TrainingOptions):
    """The options of `prism-bench schedule-sweep`."""

    k_sample: Annotated[
        tuple[int, ...] | None,
        Option(read=numbers, help="Neighbours at sampling: 1,4,8 or 1-4 (default: the scale's)."),
    ] = None
    schedules: Annotated[
        str | None,
        Option(
            completes=completion.several(completion.members("schedule")),
            help="Names from `prism-bench list schedule` (default: decreasing,increasing,random,fixed).",
        ),
    ] = None
    k_max: Annotated[int | None, Option(least=1, help="Where the schedules begin or end (default: the scale's).")] = (
        None
    )
    fixed_k: Annotated[int | None, Option(least=1, help="k of the fixed schedule (default: the scale's).")] = None
    train_size: Annotated[
        int | None, Option(least=1, help="Images of X_train to train on (paper: 1,000; default: the scale's).")
    ] = None
    only: Only = ()
    metrics: Metrics = ()
    pool: Pool = False
    figure_formats: FigureFormats = ("png",)
    log: Log = ()
    dry_run: DryRun = False

    @property
    def run(self) -> RunOptions:
        """The same as options of `run schedule-sweep`; its own settings come before those of `--set`."""
        own = {
            "schedules": self.schedules,
            "k_samples": self.k_sample and text_of(self.k_sample),
            "k_max": self.k_max,
            "fixed_k": self.fixed_k,
            "few_size": self.train_size,
        }
        settings = [f"{name}={value}" for name, value in own.items() if value is not None]
        return self.for_run(
            experiments=("schedule-sweep",),
            settings=(*settings, *self.settings),
            only=self.only,
            metrics=self.metrics,
            pool=self.pool,
            figure_formats=self.figure_formats,
            log=self.log,
            dry_run=self.dry_run,
        )


@dataclass(frozen=True, kw_only=True)
class TrainOptions(TrainingOptions):
    """The options of `prism-bench train`."""

    variant: Annotated[
        str,
        Option(
            completes=completion.members("variant"),
            argument=True,
            help="A name from `prism-bench list variant`.",
        ),
    ]
    start: Annotated[
        Path | None,
        Option(
            panel=Panel.WEIGHTS,
            flag="--from",
            help="Begin from the weights in an exported folder (fine-tune).",
        ),
    ] = None
    log: Log = ()
    dry_run: DryRun = False


@dataclass(frozen=True, kw_only=True)
class TuneOptions(TrainingOptions):
    """The options of `prism-bench tune`."""

    target: Annotated[
        str,
        Option(
            completes=completion.words("k-max", "fixed-k", "k-sample", "schedule", "learning-rate", "channels"),
            argument=True,
            help="k-max, fixed-k, k-sample, schedule, learning-rate or channels.",
        ),
    ] = "k-max"
    trials: Annotated[int, Option(least=1, help="How many points to try now; the same command goes on.")] = 12
    over: Annotated[tuple[str, ...], Option(read=names, help="Tune these with it: schedule,learning-rate,...")] = ()
    values: Annotated[
        tuple[int, ...],
        Option(read=numbers, help="The target's values: 2,4,8 or 1-16 (default: the scale's)."),
    ] = ()
    variant: Annotated[str, Option(completes=completion.members("variant"), help="Which variant is tuned.")] = "prism"
    metric: Annotated[str | None, Option(help="Column of the table to go by (default: the first).")] = None
    metrics: Metrics = ()
    study: Annotated[str | None, Option(help="Name of the study (default: made from what is asked).")] = None
    storage: Annotated[
        str | None,
        Option(
            help="An Optuna storage URL (default: a journal file in the store).",
        ),
    ] = None
    sampler: Annotated[
        str,
        Option(
            completes=completion.words("auto", "grid", "tpe"),
            help="grid, tpe, or auto: a grid where the space is small.",
        ),
    ] = "auto"
    prune: Annotated[
        bool, Option(help="Give up a point whose short training is worse than the median of the others.")
    ] = False

    @cached_property
    def run(self) -> RunOptions:
        """What a trial shares with `run`; its experiment is the trial's."""
        return self.for_run(experiments=(), metrics=self.metrics)
