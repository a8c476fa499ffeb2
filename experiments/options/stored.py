"""Options of the commands that look at a store."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from prism_bench.experiments.options.option import Option
from prism_bench.experiments.options.texts import names

DEFAULT_STORE = "prism-bench-store"
"""The store of a command that names none, in the folder it is typed in."""


@dataclass(frozen=True, kw_only=True)
class StoreOptions:
    """Options of every command: `sync` has no others."""

    store: Annotated[
        Path, Option(flag="--store", envvar="PRISM_BENCH_STORE", help="Folder that keeps everything computed.")
    ] = Path(DEFAULT_STORE)


@dataclass(frozen=True, kw_only=True)
class PluginOptions:
    """Options of every command that knows components by name."""

    plugins: Annotated[
        tuple[Path, ...], Option(flag="--plugin", help="A .py file with components of your own (repeatable).")
    ] = ()


Pool = Annotated[
    bool, Option(flag="--pool", help="Compare rows by one spread over rows and seeds (docs/statistics.md).")
]


@dataclass(frozen=True, kw_only=True)
class ReportOptions(StoreOptions):
    """The options of `prism-bench report`."""

    experiments: Annotated[
        tuple[str, ...], Option(argument=True, help="Names of experiments that have been run, or all.")
    ]
    formats: Annotated[
        tuple[str, ...], Option(flag="--format", read=names, help="latex, markdown, csv, parquet, html; with commas.")
    ] = ("latex", "markdown", "csv", "html")
    out: Annotated[Path | None, Option(help="Folder for the files (default: the store's own).")] = None
    interval: Annotated[str, Option(help="How intervals are made: t, or bootstrap from five seeds on.")] = "t"
    pool: Pool = False


@dataclass(frozen=True, kw_only=True)
class ListOptions(PluginOptions):
    """The options of `prism-bench list`."""

    family: Annotated[
        str | None, Option(argument=True, help="dataset, encoder, schedule, aggregator, metric, variant, ...")
    ] = None


@dataclass(frozen=True, kw_only=True)
class UiOptions(StoreOptions):
    """The options of `prism-bench ui`."""

    port: Annotated[int, Option(least=1, most=65535, help="Port on this machine.")] = 5000


@dataclass(frozen=True, kw_only=True)
class DoctorOptions(StoreOptions):
    """The options of `prism-bench doctor`."""

    golden: Annotated[bool, Option(help="Run PRISM's whole way, tiny, and compare (some ten seconds).")] = True


@dataclass(frozen=True, kw_only=True)
class BundleOptions(StoreOptions):
    """The options of `prism-bench bundle`."""

    experiments: Annotated[tuple[str, ...], Option(argument=True, help="Experiments that have been run, or all.")]
    out: Annotated[Path, Option(help="The .zip to write.")] = Path("prism-bench-bundle.zip")
    with_samples: Annotated[bool, Option(flag="--with-samples", help="The generated images too.")] = False
    with_models: Annotated[bool, Option(flag="--with-models", help="The trained weights too.")] = False
    every_plan: Annotated[
        bool, Option(flag="--every-plan", help="Earlier plans of the experiments too (default: the latest).")
    ] = False
    force: Annotated[bool, Option(flag="--force", help="Overwrite the file.")] = False


@dataclass(frozen=True, kw_only=True)
class LsOptions(StoreOptions):
    """The options of `prism-bench cache ls`."""

    kind: Annotated[
        str | None,
        Option(argument=True, help="dataset, split, embeddings, neighbours, training, samples, features, metric..."),
    ] = None


@dataclass(frozen=True, kw_only=True)
class WhyOptions(StoreOptions):
    """The options of `prism-bench cache why`."""

    name: Annotated[
        str, Option(argument=True, help="A stage's key, a record or an experiment; its beginning is enough.")
    ]


@dataclass(frozen=True, kw_only=True)
class VerifyOptions(StoreOptions):
    """The options of `prism-bench cache verify`."""

    set_aside: Annotated[
        bool, Option(flag="--set-aside", help="Move corrupted stages to corrupted/, so that they are made again.")
    ] = False


@dataclass(frozen=True, kw_only=True)
class RemoteOptions(StoreOptions):
    """The options of `prism-bench cache push` and `pull`."""

    address: Annotated[str, Option(argument=True, help="s3://bucket/prefix, gs://..., az://..., file:///folder.")]


@dataclass(frozen=True, kw_only=True)
class GcOptions(StoreOptions):
    """The options of `prism-bench cache gc`."""

    keep_latest: Annotated[
        bool,
        Option(flag="--keep-latest", help="Keep what experiments' latest plans need (default: any plan's)."),
    ] = False
    older_than: Annotated[
        float | None, Option(least=0.0, help="Days (default: an hour for stages, 30 days for interrupted work).")
    ] = None
    kinds: Annotated[
        tuple[str, ...],
        Option(
            flag="--kind", help="Also embeddings, neighbours or features that finished tables rest on (repeatable)."
        ),
    ] = ()
    dry_run: Annotated[bool, Option(flag="--dry-run", help="Show what would go; remove nothing.")] = False
    yes: Annotated[bool, Option(flag="--yes -y", help="Do not ask.")] = False
