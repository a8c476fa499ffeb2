"""`prism-bench data`: the paper's datasets from their official files."""

from pathlib import Path
from typing import Annotated

import typer
from prism_bench.experiments.cli.options import DeviceOption, StoreOption
from prism_bench.prism.engine.store import DEFAULT_STORE

app = typer.Typer(
    help="The paper's datasets: list, prepare, verify.",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)

embeddings = typer.Typer(
    help="Embeddings as one portable file, for machines without the encoder's weights or a GPU.",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(embeddings, name="embeddings")
FilesOption = Annotated[Path | None, typer.Option("--data", help="Your images: a folder, a .zip or an .npz.")]
NamedOption = Annotated[str | None, typer.Option("--dataset", help="A named dataset (default: toyfaces).")]
SideOption = Annotated[int | None, typer.Option(help="Side of the images in pixels.")]


@app.command()
def prepare(
    name: Annotated[str, typer.Argument(help="cifar10, celeba, imagenet100 or afhqv2.")],
    source: Annotated[
        Path | None, typer.Option("--from", help="The official archive or its folder (`data list` says which).")
    ] = None,
    download: Annotated[bool, typer.Option("--download", help="Fetch it first (CIFAR-10 alone is free to).")] = False,
    resolution: Annotated[int | None, typer.Option(help="Side in pixels (default: the paper's).")] = None,
    classes: Annotated[
        Path | None, typer.Option(help="100 WordNet ids for imagenet100, one a line (default: the usual ones).")
    ] = None,
    store: StoreOption = Path(DEFAULT_STORE),
) -> None:
    """Read a dataset's official files once; every table finds it then, memory-mapped."""
    from prism_bench.experiments.data.prepare import PrepareOptions, prepare
    from rich.console import Console

    options = PrepareOptions(
        name=name, source=source, download=download, resolution=resolution, classes=classes, store=store
    )
    folder = prepare(options, Console(highlight=False))
    typer.echo(f"Ready: {folder}")
    typer.echo(f"Use it: prism-bench run table1 --scale paper --dataset {name}")


@app.command("list")
def list_(store: StoreOption = Path(DEFAULT_STORE)) -> None:
    """What is ready, and what each missing one needs: files, size, page, licence."""
    from prism_bench.experiments.data.prepare import note_of, prepared
    from prism_bench.experiments.paper.scales import PAPER_DATASETS
    from prism_bench.prism.engine.store import Store

    kept = Store(store)
    for name, dataset in PAPER_DATASETS.items():
        note = note_of(dataset, kept) if prepared(dataset, kept) is not None else None
        side = f"{dataset.resolution}x{dataset.resolution}"
        if note is not None:
            count, parts = note["images"], len(note["classes"])
            typer.echo(f"{name}: ready at {side}, {count:,} images in {parts} classes, from {note['source']['name']}")
            continue
        supply = dataset.supply
        typer.echo(f"{name}: not here")
        typer.echo(f"  needs    {supply.files} ({supply.size})")
        typer.echo(f"  from     {supply.page}")
        typer.echo(f"  licence  {supply.licence}")
        typer.echo(f"  then     prism-bench data prepare {name} --from PATH   (resized to {side}, kept in {store})")


@app.command()
def verify(
    names: Annotated[list[str] | None, typer.Argument(help="Which ones (default: all that are prepared).")] = None,
    store: StoreOption = Path(DEFAULT_STORE),
) -> None:
    """Check the prepared copies against their checksums and the official numbers of images."""
    from prism_bench.experiments.data.prepare import note_of, paper_dataset, prepared, verified
    from prism_bench.experiments.paper.scales import PAPER_DATASETS
    from prism_bench.prism.engine.store import Store

    kept = Store(store)
    chosen = [paper_dataset(name) for name in names or ()]
    chosen = chosen or [one for one in PAPER_DATASETS.values() if prepared(one, kept) is not None]
    if not chosen:
        typer.echo(f"nothing is prepared in {store}; `prism-bench data list` says what each dataset needs")
    faults = 0
    for dataset in chosen:
        fault = verified(dataset, kept)
        faults += fault is not None
        count = (note_of(dataset, kept) or {})["images"]
        typer.echo(f"{dataset.name}: {f'{count:,} images, sound' if fault is None else fault}")
    if faults:
        typer.echo("prepare what is damaged again; `prism-bench cache verify --set-aside` moves it out of the way")
        raise typer.Exit(1)


@embeddings.command()
def export(
    out: Annotated[Path, typer.Option(help="The .npz to write.")],
    data: FilesOption = None,
    dataset: NamedOption = None,
    resolution: SideOption = None,
    encoder: Annotated[str, typer.Option(help="A name from `list encoder`.")] = "clip",
    set_: Annotated[list[str], typer.Option("--set", help="Change a field of the encoder: precision=bfloat16.")] = [],  # noqa: B006
    clip_weights: Annotated[Path | None, typer.Option(help="CLIP from a file or folder of open_clip's.")] = None,
    device: DeviceOption = "auto",
    store: StoreOption = Path(DEFAULT_STORE),
) -> None:
    """Embed all images of a dataset, where that has not been done, and write them to one file."""
    from prism_bench.experiments.tools.embeddings import ExportOptions, export_embeddings
    from rich.console import Console

    options = ExportOptions(
        data=data,
        dataset=dataset,
        resolution=resolution,
        encoder=encoder,
        settings=tuple(set_),
        clip_weights=clip_weights,
        device=device,
        out=out,
        store=store,
    )
    typer.echo(f"Written: {export_embeddings(options, Console(highlight=False))}")


@embeddings.command("import")
def import_(
    file: Annotated[Path, typer.Argument(help="What `data embeddings export` wrote.")],
    data: FilesOption = None,
    dataset: NamedOption = None,
    resolution: SideOption = None,
    store: StoreOption = Path(DEFAULT_STORE),
) -> None:
    """Take such a file into the store; runs on the same images find it there and need no weights."""
    from prism_bench.experiments.tools.embeddings import DataOptions, import_embeddings
    from rich.console import Console

    options = DataOptions(data=data, dataset=dataset, resolution=resolution, store=store)
    typer.echo(f"Ready: {import_embeddings(file, options, Console(highlight=False))}")
