"""`prism-bench bundle`: results to send or to archive."""

from prism_bench.experiments.cli.command import print_document, screen, takes
from prism_bench.experiments.options.stored import BundleOptions

SHOWN = 20
"""Missing things that are named on the screen; README.txt names all."""


@takes(BundleOptions)
def bundle(options: BundleOptions) -> None:
    """Write a zip of records, tables, pictures, logs and versions, from which the tables can be rebuilt anywhere."""
    from prism_bench.experiments.formatting import counted, size
    from prism_bench.experiments.store.inventory import Inventory
    from prism_bench.experiments.tools.bundling.archive import check_target, write_bundle
    from prism_bench.experiments.tools.bundling.contents import Choice, choose, gather

    say = screen(options)
    check_target(options.out, force=options.force)
    inventory = Inventory.read(options.store)
    plans = choose(inventory, options.experiments, every_plan=options.every_plan)
    contents = gather(inventory, plans, Choice(samples=options.with_samples, models=options.with_models))
    digest = write_bundle(contents, options.out)
    for line in contents.missing[:SHOWN]:
        say.tell(f"missing: {line}")
    if len(contents.missing) > SHOWN:
        say.tell(f"missing: {len(contents.missing) - SHOWN} more, named in the bundle's README.txt")
    count = len(contents.held) + len(contents.files)
    records = sum(name.startswith("records/") for name in contents.held)
    say.tell(f"{counted(len(plans), 'plan')}, {counted(records, 'record')}, {counted(count, 'file')}; sha256 {digest}")
    written = size(options.out.stat().st_size)
    say.tell(f"Wrote {options.out} ({written}); unpack it and type prism-bench report all --store FOLDER")
    if options.as_json:
        print_document(
            {
                "file": str(options.out.absolute()),
                "bytes": options.out.stat().st_size,
                "sha256": digest,
                "plans": [plan.document.plan for plan in plans],
                "records": records,
                "missing": list(contents.missing),
            }
        )
