"""`prism-bench data`: the paper's datasets from their official files."""

import typer

from prism_bench.experiments.cli.command import command_group, screen, takes
from prism_bench.experiments.options.data import CheckOptions, ExportOptions, ImportOptions, PrepareOptions
from prism_bench.experiments.options.stored import StoreOptions

app = command_group("The paper's datasets: list, prepare, verify.")
embeddings = command_group("Embeddings as one portable file, for machines without the encoder's weights or a GPU.")
app.add_typer(embeddings, name="embeddings")


@app.command()
@takes(PrepareOptions)
def prepare(options: PrepareOptions) -> None:
    """Read a dataset's official files once; every table finds it then, memory-mapped."""
    from prism_bench.experiments.data.prepare import prepare

    folder = prepare(options, screen().said)
    typer.echo(f"Ready: {folder}")
    typer.echo(f"Use it: {options.next_command('run', 'table1', '--scale', 'paper', '--dataset', options.name)}")


@app.command("list")
@takes(StoreOptions)
def list_(options: StoreOptions) -> None:
    """What is ready, and what each missing one needs: files, size, page, licence."""
    from prism_bench.experiments.data.prepare import note_of, prepared
    from prism_bench.experiments.paper.scales import PAPER_DATASETS
    from prism_bench.prism.engine.store import Store

    kept = Store(options.store)
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
        prepare = options.next_command("data", "prepare", name, "--from", "PATH")
        typer.echo(f"  then     {prepare}   (resized to {side}, kept in {options.store})")


@app.command()
@takes(CheckOptions)
def verify(options: CheckOptions) -> int:
    """Check the prepared copies against their checksums and the official numbers of images."""
    from prism_bench.experiments.data.prepare import note_of, paper_dataset, prepared, verified
    from prism_bench.experiments.paper.scales import PAPER_DATASETS
    from prism_bench.prism.engine.store import Store

    kept = Store(options.store)
    chosen = [paper_dataset(name) for name in options.names]
    chosen = chosen or [one for one in PAPER_DATASETS.values() if prepared(one, kept) is not None]
    if not chosen:
        typer.echo(
            f"nothing is prepared in {options.store}; "
            f"`{options.next_command('data', 'list')}` says what each dataset needs"
        )
    faults = 0
    for dataset in chosen:
        fault = verified(dataset, kept)
        faults += fault is not None
        count = (note_of(dataset, kept) or {})["images"]
        typer.echo(f"{dataset.name}: {f'{count:,} images, sound' if fault is None else fault}")
    if faults:
        aside = options.next_command("cache", "verify", "--set-aside")
        typer.echo(f"prepare what is damaged again; `{aside}` moves it out of the way")
    return 1 if faults else 0


@embeddings.command()
@takes(ExportOptions)
def export(options: ExportOptions) -> None:
    """Embed all images of a dataset, where that has not been done, and write them to one file."""
    from prism_bench.experiments.tools.embeddings import export_embeddings

    typer.echo(f"Written: {export_embeddings(options, screen())}")


@embeddings.command("import")
@takes(ImportOptions)
def import_(options: ImportOptions) -> None:
    """Take such a file into the store; runs on the same images find it there and need no weights."""
    from prism_bench.experiments.tools.embeddings import import_embeddings

    typer.echo(f"Ready: {import_embeddings(options, screen())}")
