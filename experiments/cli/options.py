"""Options that several commands share, and how their values are read. Parsing only: nothing heavy is imported."""

import shlex
import sys
from collections.abc import Callable
from dataclasses import MISSING, Field, dataclass, field, fields
from functools import wraps
from inspect import Parameter, Signature, signature
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from prism_bench.prism.engine.store import DEFAULT_STORE

if TYPE_CHECKING:
    from prism_bench.experiments.planning.resolve_options import RunOptions


StoreOption = Annotated[
    Path,
    typer.Option("--store", envvar="PRISM_BENCH_STORE", help="Folder that keeps everything computed."),
]
PluginOption = Annotated[
    list[Path], typer.Option("--plugin", help="A .py file with components of your own (repeatable).")
]
DeviceOption = Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, mps.")]
OnlyOption = Annotated[str, typer.Option(help="Only some cells: 'variant=prism|rag,seed=0'.")]
MetricsOption = Annotated[
    str, typer.Option(help="Metrics beside the scale's, with commas: prdc,frechet:clip (names from `list metric`).")
]
DryRunOption = Annotated[bool, typer.Option("--dry-run", help="Show cells, stages, time and disk; compute nothing.")]


@dataclass(frozen=True, kw_only=True)
class Shared:
    """Options of every command that trains, as they were typed. `takes_shared` gives them to a command."""

    scale: Annotated[str, typer.Option(help="How much computing: smoke, laptop, gpu or paper.")] = "laptop"
    data: Annotated[
        list[str],
        typer.Option(help="Your images: a folder, a .zip or an .npz; at scale paper NAME=PATH (repeatable)."),
    ] = field(default_factory=list)
    dataset: Annotated[
        str | None, typer.Option(help="A named dataset (default: the scale's); at scale paper the one to compute.")
    ] = None
    resolution: Annotated[int | None, typer.Option(help="Side of the images in pixels (default: the scale's).")] = None
    seeds: Annotated[str, typer.Option(help="Train and sample seeds: 0, 0,1,2 or 0-2.")] = "0"
    split_seed: Annotated[int, typer.Option(help="Seed of the split into D and X_train.")] = 0
    retrieval_fraction: Annotated[
        float | None, typer.Option(help="Share of the images that goes to the retrieval set D (paper: 162/232).")
    ] = None
    stratify: Annotated[bool, typer.Option(help="Split within each class.")] = True
    skip_bad: Annotated[bool, typer.Option("--skip-bad", help="Leave out unreadable images, by name.")] = False
    set_: Annotated[list[str], typer.Option("--set", help="Change a field: training.images=50000 (repeatable).")] = (
        field(default_factory=list)
    )
    first_stage: Annotated[
        Path | None, typer.Option(help="RISSOLE's first stage from a model.safetensors instead of training one.")
    ] = None
    clip_weights: Annotated[
        Path | None, typer.Option(help="CLIP from a file or folder of open_clip's instead of by its tag.")
    ] = None
    workers: Annotated[
        int | None, typer.Option(min=0, help="Stages at a time (default: one per core; 0: in this process).")
    ] = None
    device: DeviceOption = "auto"
    checkpoint_seconds: Annotated[
        float, typer.Option(min=0.0, help="Longest time between two checkpoints of a training.")
    ] = 30.0
    mlflow: Annotated[bool, typer.Option(help="Show the runs in MLflow as they go (`sync` can do it later).")] = True
    store: StoreOption = Path(DEFAULT_STORE)
    plugin: PluginOption = field(default_factory=list)

    def options(self, **own: Any) -> "RunOptions":
        """Parsed, with what the command itself was given; settings of its own come before `--set`."""
        from prism_bench.experiments.planning.resolve_options import RunOptions

        return RunOptions(
            scale=self.scale,
            data=tuple(self.data),
            dataset=self.dataset,
            resolution=self.resolution,
            seeds=parse_numbers(self.seeds, "--seeds"),
            split_seed=self.split_seed,
            retrieval_fraction=self.retrieval_fraction,
            stratify=self.stratify,
            skip_bad=self.skip_bad,
            clip_weights=self.clip_weights,
            first_stage=self.first_stage,
            settings=(*own.pop("settings", ()), *self.set_),
            workers=self.workers,
            device=self.device,
            checkpoint_seconds=self.checkpoint_seconds,
            mlflow=self.mlflow,
            store=self.store,
            plugins=tuple(self.plugin),
            command=command_line(),
            **own,
        )


def takes_shared(command: Callable[..., None]) -> Callable[..., None]:
    """A command whose first parameter is `Shared`, with its fields as options after the command's own."""

    @wraps(command)
    def call(**given: Any) -> None:
        shared = Shared(**{one.name: given.pop(one.name) for one in fields(Shared)})
        command(shared, **given)

    own = list(signature(command).parameters.values())[1:]
    common = [
        Parameter(one.name, Parameter.KEYWORD_ONLY, default=_default(one), annotation=one.type)
        for one in fields(Shared)
    ]
    # Typer reads both.
    call.__signature__ = Signature([*own, *common])  # type: ignore[attr-defined]
    call.__annotations__ = {one.name: one.annotation for one in (*own, *common)}
    return call


def _default(one: Field[Any]) -> Any:
    return one.default if one.default_factory is MISSING else one.default_factory()


def parse_numbers(text: str, option: str) -> tuple[int, ...]:
    """Whole numbers from 3, 1,2,3, 0-4 or any mixture, in order, without repeats."""
    numbers: list[int] = []
    for part in text.split(","):
        first, dash, last = part.strip().partition("-")
        if not first.isdigit() or (dash and not last.isdigit()):
            raise typer.BadParameter(
                f"{part.strip()!r} is not a whole number or a range; write 0, 0,1,2 or 0-2", param_hint=option
            )
        numbers += range(int(first), int(last if dash else first) + 1)
    if not numbers:
        raise typer.BadParameter(f"{text!r} holds no number; write the smaller end of a range first", param_hint=option)
    return tuple(dict.fromkeys(numbers))


def parse_names(text: str) -> tuple[str, ...]:
    """Names between commas, without spaces and empty ones."""
    return tuple(name.strip() for name in text.split(",") if name.strip())


def parse_only(text: str) -> tuple[tuple[str, str], ...]:
    """Pairs from key=value,key=value."""
    pairs = []
    for part in parse_names(text):
        key, equals, value = part.partition("=")
        if not equals or not value:
            raise typer.BadParameter(f"{part!r} is not of the form key=value", param_hint="--only")
        pairs.append((key.strip(), value.strip()))
    return tuple(pairs)


def command_line() -> str:
    """The command as it was typed, for captions and for typing it again."""
    return "prism-bench " + " ".join(shlex.quote(word) for word in sys.argv[1:])
