"""Options of the commands that look at a store."""

import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from prism_bench.experiments.options import completion
from prism_bench.experiments.options.option import Option, Panel
from prism_bench.experiments.options.project import usual_store
from prism_bench.experiments.options.shown import AsJson, ShownOptions
from prism_bench.experiments.options.texts import names, picture_formats

TAKE_PLUGINS = ("run", "train", "sample", "evaluate", "compare", "export")
"""Commands that are suggested and know components by name."""
DEFAULT_STORE = "prism-bench-store"
"""The store of a command that names none, in the folder it is typed in."""


@dataclass(frozen=True, kw_only=True)
class StoreOptions:
    """Options of every command: `sync` has no others."""

    store: Annotated[
        Path,
        Option(
            panel=Panel.OUTPUT,
            flag="--store",
            envvar="PRISM_BENCH_STORE",
            help="Folder that keeps everything computed.",
        ),
    ] = Path(DEFAULT_STORE)

    def next_command(self, *words: str) -> str:
        """A command to type next, on the same store and with the same plug-ins where it takes them."""
        store = [] if self.store.absolute() == usual_store(DEFAULT_STORE) else ["--store", str(self.store.absolute())]
        taken = getattr(self, "plugins", ()) if words[0] in TAKE_PLUGINS else ()
        plugins = [word for path in taken for word in ("--plugin", str(path))]
        return shlex.join(["prism-bench", *words, *store, *plugins])


@dataclass(frozen=True, kw_only=True)
class PluginOptions:
    """Options of every command that knows components by name."""

    plugins: Annotated[
        tuple[Path, ...],
        Option(panel=Panel.OUTPUT, flag="--plugin", help="A .py file with components of your own (repeatable)."),
    ] = ()


Pool = Annotated[
    bool, Option(flag="--pool", help="Compare rows by one spread over rows and seeds (docs/statistics.md).")
]
FigureFormats = Annotated[
    tuple[str, ...],
    Option(flag="--figure-format", read=picture_formats, help="Formats of pictures: png, pdf; with commas."),
]


@dataclass(frozen=True, kw_only=True)
class ReportOptions(StoreOptions, ShownOptions):
    """The options of `prism-bench report`."""

    experiments: Annotated[
        tuple[str, ...],
        Option(
            completes=completion.reported,
            argument=True,
            help="Experiments that have been run, studies of `tune` (tune: all of them), or all.",
        ),
    ]
    formats: Annotated[
        tuple[str, ...],
        Option(
            completes=completion.several(completion.words("latex", "markdown", "csv", "parquet", "html")),
            flag="--format",
            read=names,
            help="latex, markdown, csv, parquet, html; with commas.",
        ),
    ] = ("latex", "markdown", "csv", "html")
    out: Annotated[
        Path | None,
        Option(
            help="Folder for the files (default: the store's own).",
            writes="folder",
        ),
    ] = None
    interval: Annotated[
        str,
        Option(
            completes=completion.words("t", "bootstrap"),
            help="How intervals are made: t, or bootstrap from five seeds on.",
        ),
    ] = "t"
    plans: Annotated[
        tuple[str, ...],
        Option(
            flag="--plan",
            read=names,
            help="Only these plans, by the beginnings of their digests, with commas (default: all of an experiment).",
        ),
    ] = ()
    columns: Annotated[
        tuple[str, ...],
        Option(
            read=names,
            help="What tables show, with commas: metrics by name or its beginning, train_seconds, parameters, quoted, "
            "all (default: what claims are judged by, KID, training time); the others stand in a further table.",
        ),
    ] = ()
    spread: Annotated[
        str,
        Option(
            completes=completion.words("ci", "sd", "none"),
            help="Behind a mean: ci (half-width of its 95% interval), sd (over seeds) or none.",
        ),
    ] = "ci"
    figure_formats: FigureFormats = ("png",)
    pool: Pool = False


@dataclass(frozen=True, kw_only=True)
class ListOptions(PluginOptions):
    """The options of `prism-bench list`."""

    family: Annotated[
        str | None,
        Option(
            completes=completion.families,
            argument=True,
            help="dataset, encoder, schedule, aggregator, metric, variant, ...",
        ),
    ] = None
    as_json: AsJson = False


@dataclass(frozen=True, kw_only=True)
class UiOptions(StoreOptions):
    """The options of `prism-bench ui`."""

    experiment: Annotated[
        str | None,
        Option(
            completes=completion.experiments_run,
            argument=True,
            help="The experiment whose table is compared (default: the one that was run last).",
        ),
    ] = None
    port: Annotated[int, Option(least=1, most=65535, help="Port on this machine.")] = 5000
    browser: Annotated[bool, Option(help="Open the page, where there is a browser.")] = True


@dataclass(frozen=True, kw_only=True)
class DoctorOptions(StoreOptions):
    """The options of `prism-bench doctor`."""

    golden: Annotated[bool, Option(help="Run PRISM's whole way, tiny, and compare (some ten seconds).")] = True
    as_json: AsJson = False


@dataclass(frozen=True, kw_only=True)
class BundleOptions(StoreOptions):
    """The options of `prism-bench bundle`."""

    experiments: Annotated[
        tuple[str, ...],
        Option(
            completes=completion.experiments_run,
            argument=True,
            help="Experiments that have been run, or all.",
        ),
    ]
    out: Annotated[Path, Option(help="The .zip to write.", writes="file")] = Path("prism-bench-bundle.zip")
    with_samples: Annotated[bool, Option(flag="--with-samples", help="The generated images too.")] = False
    with_models: Annotated[bool, Option(flag="--with-models", help="The trained weights too.")] = False
    every_plan: Annotated[
        bool, Option(flag="--every-plan", help="Every plan of the experiments (default: those of the latest tables).")
    ] = False
    force: Annotated[bool, Option(flag="--force", help="Overwrite the file.")] = False
    as_json: AsJson = False


@dataclass(frozen=True, kw_only=True)
class LsOptions(StoreOptions):
    """The options of `prism-bench cache ls`."""

    kind: Annotated[
        str | None,
        Option(argument=True, help="dataset, split, embeddings, neighbours, training, samples, features, metric..."),
    ] = None
    as_json: AsJson = False


@dataclass(frozen=True, kw_only=True)
class WhyOptions(StoreOptions):
    """The options of `prism-bench cache why`."""

    name: Annotated[
        str,
        Option(
            completes=completion.experiments_run,
            argument=True,
            help="A stage's key, a record or an experiment; its beginning is enough.",
        ),
    ]


@dataclass(frozen=True, kw_only=True)
class VerifyOptions(StoreOptions):
    """The options of `prism-bench cache verify`."""

    set_aside: Annotated[
        bool, Option(flag="--set-aside", help="Move corrupted stages to corrupted/, so that they are made again.")
    ] = False
    as_json: AsJson = False


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
    as_json: AsJson = False
