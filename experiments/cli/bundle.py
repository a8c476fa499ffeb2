"""`prism-bench bundle`: results to send or to archive."""

from pathlib import Path
from typing import Annotated

import typer
from prism_bench.experiments.cli.options import StoreOption
from prism_bench.prism.engine.store import DEFAULT_STORE

SHOWN = 20
"""Missing things that are named on the screen; README.txt names all."""


def bundle(
    experiments: Annotated[list[str], typer.Argument(help="Experiments that have been run, or all.")],
    out: Annotated[Path, typer.Option(help="The .zip to write.")] = Path("prism-bench-bundle.zip"),
    with_samples: Annotated[bool, typer.Option("--with-samples", help="The generated images too.")] = False,
    with_models: Annotated[bool, typer.Option("--with-models", help="The trained weights too.")] = False,
    every_plan: Annotated[
        bool, typer.Option("--every-plan", help="Earlier plans of the experiments too (default: the latest).")
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Overwrite the file.")] = False,
    store: StoreOption = Path(DEFAULT_STORE),
) -> None:
    """Write a zip of records, tables, pictures, logs and versions, from which the tables can be rebuilt anywhere."""
    from prism_bench.experiments.formatting import counted, size
    from prism_bench.experiments.store.inventory import Inventory
    from prism_bench.experiments.tools.bundling.archive import check_target, write_bundle
    from prism_bench.experiments.tools.bundling.contents import Choice, choose, gather

    check_target(out, force=force)
    inventory = Inventory.read(store)
    plans = choose(inventory, experiments, every_plan=every_plan)
    contents = gather(inventory, plans, Choice(samples=with_samples, models=with_models))
    digest = write_bundle(contents, out)
    for line in contents.missing[:SHOWN]:
        typer.echo(f"missing: {line}")
    if len(contents.missing) > SHOWN:
        typer.echo(f"missing: {len(contents.missing) - SHOWN} more, named in the bundle's README.txt")
    count = len(contents.held) + len(contents.files)
    records = sum(name.startswith("records/") for name in contents.held)
    typer.echo(
        f"{counted(len(plans), 'plan')}, {counted(records, 'record')}, {counted(count, 'file')}; sha256 {digest}"
    )
    typer.echo(f"Wrote {out} ({size(out.stat().st_size)}); unpack it and type prism-bench report all --store FOLDER")
