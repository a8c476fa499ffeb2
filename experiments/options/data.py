"""Options of `prism-bench data`."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from prism_bench.experiments.options import completion
from prism_bench.experiments.options.option import Option
from prism_bench.experiments.options.stored import StoreOptions
from prism_bench.experiments.options.training import LARGEST_SIDE, Device, FitName, SkipBad


@dataclass(frozen=True, kw_only=True)
class PrepareOptions(StoreOptions):
    """The options of `prism-bench data prepare`."""

    name: Annotated[
        str,
        Option(
            completes=completion.words("cifar10", "celeba", "imagenet100", "afhqv2"),
            argument=True,
            help="cifar10, celeba, imagenet100 or afhqv2.",
        ),
    ]
    source: Annotated[
        Path | None, Option(flag="--from", help="The official archive or its folder (`data list` says which).")
    ] = None
    download: Annotated[bool, Option(flag="--download", help="Fetch it first (CIFAR-10 alone is free to).")] = False
    resolution: Annotated[
        int | None, Option(least=1, most=LARGEST_SIDE, help="Side in pixels (default: the paper's).")
    ] = None
    classes: Annotated[
        Path | None, Option(help="100 WordNet ids for imagenet100, one a line (default: the usual ones).")
    ] = None


@dataclass(frozen=True, kw_only=True)
class CheckOptions(StoreOptions):
    """The options of `prism-bench data verify`."""

    names: Annotated[
        tuple[str, ...],
        Option(
            completes=completion.words("cifar10", "celeba", "imagenet100", "afhqv2"),
            argument=True,
            help="Which ones (default: all that are prepared).",
        ),
    ] = ()


@dataclass(frozen=True, kw_only=True)
class DataOptions(StoreOptions):
    """Which images: a named dataset, or files of the user's own, as for `run`."""

    data: Annotated[Path | None, Option(help="Your images: a folder, a .zip, an .npz or a .parquet.")] = None
    dataset: Annotated[
        str | None,
        Option(
            completes=completion.members("dataset"),
            help="A named dataset (default: toyfaces).",
        ),
    ] = None
    resolution: Annotated[int | None, Option(least=1, most=LARGEST_SIDE, help="Side of the images in pixels.")] = None
    skip_bad: SkipBad = False
    fit: FitName = "crop"


@dataclass(frozen=True, kw_only=True)
class ExportOptions(DataOptions):
    """The options of `prism-bench data embeddings export`."""

    out: Annotated[Path, Option(help="The .npz to write.", writes="file")]
    encoder: Annotated[
        str,
        Option(
            completes=completion.members("encoder"),
            help="A name from `list encoder`.",
        ),
    ] = "clip"
    settings: Annotated[
        tuple[str, ...], Option(flag="--set", help="Change a field of the encoder: precision=bfloat16.")
    ] = ()
    clip_weights: Annotated[Path | None, Option(help="CLIP from a file or folder of open_clip's.")] = None
    device: Device = "auto"


@dataclass(frozen=True, kw_only=True)
class ImportOptions(DataOptions):
    """The options of `prism-bench data embeddings import`."""

    file: Annotated[Path, Option(argument=True, help="What `data embeddings export` wrote.")]
