"""Options of the commands that train: `run`, `schedule-sweep`, `train` and `tune`."""

from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from prism_bench.experiments.options.option import Option, text_of
from prism_bench.experiments.options.stored import PluginOptions, Pool, StoreOptions
from prism_bench.experiments.options.texts import names, numbers, numbers_or_none, pairs

if TYPE_CHECKING:
    from prism_bench.experiments.paper.experiment import Experiment
    from prism_bench.prism.variants.variant import Variant

Device = Annotated[str, Option(help="auto, cpu, cuda (every GPU), cuda:0,cuda:2, mps.")]
Metrics = Annotated[
    tuple[str, ...],
    Option(read=names, help="Metrics beside the scale's, with commas: prdc,frechet:clip (names from `list metric`)."),
]
Only = Annotated[tuple[tuple[str, str], ...], Option(read=pairs, help="Only some cells: 'variant=prism|rag,seed=0'.")]
DryRun = Annotated[bool, Option(flag="--dry-run", help="Show cells, stages, time and disk; compute nothing.")]


@dataclass(frozen=True, kw_only=True)
class TrainingOptions(StoreOptions, PluginOptions):
    """Options of every command that trains. `command`: as it was typed, for captions and for typing it again."""

    scale: Annotated[str, Option(help="How much computing: smoke, laptop, gpu or paper.")] = "laptop"
    data: Annotated[
        tuple[str, ...],
        Option(help="Your images: a folder, a .zip or an .npz; at scale paper NAME=PATH (repeatable)."),
    ] = ()
    dataset: Annotated[
        str | None, Option(help="A named dataset (default: the scale's); at scale paper the one to compute.")
    ] = None
    resolution: Annotated[int | None, Option(help="Side of the images in pixels (default: the scale's).")] = None
    seeds: Annotated[tuple[int, ...], Option(read=numbers, help="Train and sample seeds: 0, 0,1,2 or 0-2.")] = (0,)
    split_seed: Annotated[int, Option(help="Seed of the split into D and X_train.")] = 0
    retrieval_fraction: Annotated[
        float | None, Option(help="Share of the images that goes to the retrieval set D (paper: 162/232).")
    ] = None
    stratify: Annotated[bool, Option(help="Split within each class.")] = True
    skip_bad: Annotated[bool, Option(flag="--skip-bad", help="Leave out unreadable images, by name.")] = False
    settings: Annotated[
        tuple[str, ...], Option(flag="--set", help="Change a field: training.images=600000 (repeatable).")
    ] = ()
    first_stage: Annotated[
        Path | None, Option(help="RISSOLE's first stage from a model.safetensors instead of training one.")
    ] = None
    clip_weights: Annotated[
        Path | None, Option(help="CLIP from a file or folder of open_clip's instead of by its tag.")
    ] = None
    workers: Annotated[
        int | None,
        Option(least=0, help="Stages at a time (default: one per core; 0: in this process); with GPUs, beside theirs."),
    ] = None
    threads: Annotated[int | None, Option(least=1, help="Threads of a stage (default: the cores, shared out).")] = None
    device: Device = "auto"
    checkpoint_seconds: Annotated[
        float, Option(least=0.0, help="Longest time between two checkpoints of a training.")
    ] = 30.0
    mlflow: Annotated[bool, Option(help="Show the runs in MLflow as they go (`sync` can do it later).")] = True
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
        Option(argument=True, help="Names from `prism-bench list experiment`, or all: the whole paper."),
    ]
    extra: Annotated[
        tuple["str | Variant", ...],
        Option(flag="--with", help="Add a row: a name from `prism-bench list variant`."),
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
        Option(help="Names from `prism-bench list schedule` (default: decreasing,increasing,random,fixed)."),
    ] = None
    k_max: Annotated[int | None, Option(help="Where the schedules begin or end (default: the scale's).")] = None
    fixed_k: Annotated[int | None, Option(help="k of the fixed schedule (default: the scale's).")] = None
    train_size: Annotated[
        int | None, Option(help="Images of X_train to train on (paper: 1,000; default: the scale's).")
    ] = None
    only: Only = ()
    metrics: Metrics = ()
    pool: Pool = False
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
            dry_run=self.dry_run,
        )


@dataclass(frozen=True, kw_only=True)
class TrainOptions(TrainingOptions):
    """The options of `prism-bench train`."""

    variant: Annotated[str, Option(argument=True, help="A name from `prism-bench list variant`.")]
    dry_run: DryRun = False


@dataclass(frozen=True, kw_only=True)
class TuneOptions(TrainingOptions):
    """The options of `prism-bench tune`."""

    target: Annotated[
        str, Option(argument=True, help="k-max, fixed-k, k-sample, schedule, learning-rate or channels.")
    ] = "k-max"
    trials: Annotated[int, Option(help="How many points to try now; the same command goes on.")] = 12
    over: Annotated[tuple[str, ...], Option(read=names, help="Tune these with it: schedule,learning-rate,...")] = ()
    values: Annotated[
        tuple[int, ...],
        Option(read=numbers_or_none, help="The target's values: 2,4,8 or 1-16 (default: the scale's)."),
    ] = ()
    variant: Annotated[str, Option(help="Which variant is tuned.")] = "prism"
    metric: Annotated[str | None, Option(help="Column of the table to go by (default: the first).")] = None
    metrics: Metrics = ()
    study: Annotated[str | None, Option(help="Name of the study (default: made from what is asked).")] = None
    storage: Annotated[str | None, Option(help="An Optuna storage URL (default: a journal file in the store).")] = None
    sampler: Annotated[str, Option(help="grid, tpe, or auto: a grid where the space is small.")] = "auto"
    prune: Annotated[
        bool, Option(help="Give up a point whose short training is worse than the median of the others.")
    ] = False

    @cached_property
    def run(self) -> RunOptions:
        """What a trial shares with `run`; its experiment is the trial's."""
        return self.for_run(experiments=(), metrics=self.metrics)
