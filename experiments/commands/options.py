"""Options that several commands share, and how their values are read. Parsing only: nothing heavy is imported."""

import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer

DEFAULT_STORE = "prism-bench-store"

StoreOption = Annotated[
    Path,
    typer.Option("--store", envvar="PRISM_BENCH_STORE", help="Folder that keeps everything computed."),
]
PluginOption = Annotated[
    list[Path], typer.Option("--plugin", help="A .py file with components of your own (repeatable).")
]
ScaleOption = Annotated[str, typer.Option(help="How much computing: smoke, laptop, gpu or paper.")]
DataOption = Annotated[
    list[str], typer.Option(help="Your images: a folder, a .zip or an .npz; at scale paper NAME=PATH (repeatable).")
]
DatasetOption = Annotated[
    str | None, typer.Option(help="A named dataset (default: the scale's); at scale paper the one to compute.")
]
ResolutionOption = Annotated[int | None, typer.Option(help="Side of the images in pixels (default: the scale's).")]
SeedsOption = Annotated[str, typer.Option(help="Train and sample seeds: 0, 0,1,2 or 0-2.")]
SplitSeedOption = Annotated[int, typer.Option(help="Seed of the split into D and X_train.")]
FractionOption = Annotated[
    float | None, typer.Option(help="Share of the images that goes to the retrieval set D (paper: 162/232).")
]
StratifyOption = Annotated[bool, typer.Option(help="Split within each class.")]
SkipBadOption = Annotated[bool, typer.Option("--skip-bad", help="Leave out unreadable images, by name.")]
WithOption = Annotated[list[str], typer.Option("--with", help="Add a row: a name from `prism-bench list variant`.")]
ControlsOption = Annotated[
    bool, typer.Option("--controls", help="Add the rows that separate what the paper's rows change together.")
]
OnlyOption = Annotated[str, typer.Option(help="Only some cells: 'variant=prism|rag,seed=0'.")]
SetOption = Annotated[list[str], typer.Option("--set", help="Change a field: training.images=50000 (repeatable).")]
DryRunOption = Annotated[bool, typer.Option("--dry-run", help="Show cells, stages, time and disk; compute nothing.")]
WorkersOption = Annotated[
    int | None, typer.Option(min=0, help="Stages at a time (default: one per core; 0: in this process).")
]
DeviceOption = Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, mps.")]
CheckpointOption = Annotated[float, typer.Option(min=0.0, help="Longest time between two checkpoints of a training.")]
MlflowOption = Annotated[bool, typer.Option(help="Show the runs in MLflow as they go (`sync` can do it later).")]


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


def parse_only(text: str) -> tuple[tuple[str, str], ...]:
    """Pairs from key=value,key=value."""
    pairs = []
    for part in filter(None, (part.strip() for part in text.split(","))):
        key, equals, value = part.partition("=")
        if not equals or not value:
            raise typer.BadParameter(f"{part!r} is not of the form key=value", param_hint="--only")
        pairs.append((key.strip(), value.strip()))
    return tuple(pairs)


def command_line() -> str:
    """The command as it was typed, for captions and for typing it again."""
    return "prism-bench " + " ".join(shlex.quote(word) for word in sys.argv[1:])
