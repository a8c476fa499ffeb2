"""`prism-bench cache`: what the store holds, why, whether it is sound, and what can go."""

import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import typer

from prism_bench.experiments.cli.command import command_group, print_document, takes
from prism_bench.experiments.options.stored import GcOptions, LsOptions, RemoteOptions, VerifyOptions, WhyOptions

if TYPE_CHECKING:
    from pathlib import Path

    from prism_bench.experiments.store.gc import Item
    from prism_bench.experiments.store.inventory import Inventory
    from prism_bench.experiments.store.remote import Moved, Say
    from prism_bench.experiments.store.verify import Checked

app = command_group("What the store holds: ls, why, verify, gc, push, pull.")


@app.command("ls")
@takes(LsOptions)
def list_(options: LsOptions) -> None:
    """List the kinds of stages with their sizes, or every stage of one kind."""
    from prism_bench.experiments.store.inventory import Inventory
    from prism_bench.experiments.store.ls import as_document, overview, stages_of_kind

    inventory = Inventory.read(options.store)
    if options.as_json:
        print_document(as_document(inventory, options.kind))
        return
    _print(overview(inventory) if options.kind is None else stages_of_kind(options.kind, inventory))


@app.command()
@takes(WhyOptions)
def why(options: WhyOptions) -> None:
    """Say what a stage, a record or an experiment is, what it rests on and who needs it."""
    from prism_bench.experiments.store.inventory import Inventory
    from prism_bench.experiments.store.why import why as explain

    inventory = Inventory.read(options.store)
    _print([*explain(inventory, options.name), f"In {inventory.store.root}"])


@app.command()
@takes(VerifyOptions)
def verify(options: VerifyOptions) -> int:
    """Read every file of every stage and compare checksums; exit code 1 where one is bad."""
    from prism_bench.experiments.formatting import counted, size
    from prism_bench.experiments.store.inventory import Inventory
    from prism_bench.experiments.store.verify import amount, bundled, check, wrong_documents

    inventory = Inventory.read(options.store)
    bad: list[Checked] = []
    with typer.progressbar(length=amount(inventory), label="Checksums", file=sys.stderr) as bar:
        for checked in check(inventory):
            bar.update(checked.bytes)
            bad += [checked] if checked.fault is not None else []
    for one in bad:
        typer.echo(f"bad: {one.address.kind} {one.address.key}: {one.fault}")
    wrong = dict(wrong_documents(inventory))
    for words in wrong.values():
        typer.echo(f"bad: {words}")
    if bad or wrong:
        _mend(bad, wrong, inventory, options)
    if bundled(inventory) is not None:
        typer.echo("This is an unpacked bundle: what it left out is not missed.")
    count = len(inventory.stages) + len(inventory.broken)
    found = counted(len(bad) + len(wrong), "fault") if bad or wrong else "all sound"
    typer.echo(f"{counted(count, 'stage')}, {size(amount(inventory))} read in {inventory.store.root}: {found}")
    return 1 if bad or wrong else 0


def _mend(bad: "Iterable[Checked]", wrong: "Iterable[Path]", inventory: "Inventory", options: VerifyOptions) -> None:
    from prism_bench.experiments.store.verify import remedies, restore_latest, set_aside_document

    addresses, store = [one.address for one in bad], inventory.store
    if options.set_aside:
        for address in addresses:
            typer.echo(f"set aside: {store.set_aside(address)}")
        for path in wrong:
            if path.exists():
                typer.echo(f"set aside: {set_aside_document(path, store)}")
        for done in restore_latest(store):
            typer.echo(done)
    else:
        aside = options.next_command("cache", "verify", "--set-aside")
        typer.echo(f"Left in place; `{aside}` moves them out of the way.")
    for command, stages in remedies(inventory, addresses).items():
        names = ", ".join(f"{address.kind} {address.key}" for address in stages)
        typer.echo(f"{names}: made again by: {command}" if command else f"{names}: no plan is known to need it")
    for path in wrong:
        for plan in inventory.plans_with(path.stem)[:1]:
            typer.echo(f"record {path.stem}: made again by: {plan.document.command}")


@app.command()
@takes(GcOptions)
def gc(options: GcOptions) -> None:
    """Remove stages that no plan needs, old interrupted work and corrupted files; never records, plans or reports."""
    from prism_bench.experiments.formatting import counted, size
    from prism_bench.experiments.store.gc import Wish, sweep
    from prism_bench.experiments.store.inventory import Inventory
    from prism_bench.prism.errors import InputError

    inventory = Inventory.read(options.store)
    found = sweep(inventory, Wish(keep_latest=options.keep_latest, older_than=options.older_than, kinds=options.kinds))
    for note in found.notes:
        typer.echo(f"note: {note}")
    if not found.items:
        typer.echo(f"Nothing to remove in {inventory.store.root}")
        return
    _show(found.items)
    total = f"{counted(len(found.items), 'folder')}, {size(found.bytes)}"
    if options.dry_run:
        typer.echo(f"Would remove {total} in {inventory.store.root}; nothing was removed (--dry-run)")
        return
    if not options.yes and not sys.stdin.isatty():
        raise InputError(f"would remove {total}, and there is no terminal to ask at; add --yes, or --dry-run to look")
    if not options.yes and not typer.confirm(f"Remove {total}?"):
        typer.echo("Nothing was removed.")
        return
    _remove(found.items, inventory)


@app.command()
@takes(RemoteOptions)
def push(options: RemoteOptions) -> None:
    """Copy what the store holds to an object store or another folder: what is there already stays as it is."""
    from prism_bench.experiments.store.inventory import Inventory
    from prism_bench.experiments.store.remote import open_remote
    from prism_bench.experiments.store.remote import push as copy

    inventory, remote = Inventory.read(options.store), open_remote(options.address)
    with _bar("Pushing") as said:
        moved = copy(inventory, remote, said)
    _moved("Pushed", moved, f"from {inventory.store.root} to {options.address}")


@app.command()
@takes(RemoteOptions)
def pull(options: RemoteOptions) -> None:
    """Copy into the store what an object store or another folder holds; every file is checked as it arrives."""
    from prism_bench.experiments.store.remote import open_remote
    from prism_bench.experiments.store.remote import pull as copy
    from prism_bench.prism.engine.store import Store

    remote = open_remote(options.address)
    store = Store.create(options.store)
    with _bar("Pulling") as said:
        moved = copy(store, remote, said)
    _moved("Pulled", moved, f"from {options.address} to {store.root}")


@contextmanager
def _bar(label: str) -> "Iterator[Say]":
    """A bar of bytes with the time left, where there is a terminal."""
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bars:
        task = bars.add_task(label, total=None)
        yield lambda done, total, kind: bars.update(task, completed=done, total=total, description=f"{label} {kind}")


def _moved(done: str, moved: "Moved", way: str) -> None:
    from prism_bench.experiments.formatting import counted, size

    there = f", {counted(moved.there, 'stage')} there already" if moved.there else ""
    amount = f"{counted(moved.stages, 'stage')}, {size(moved.bytes)}"
    typer.echo(f"{done} {amount} and {counted(moved.documents, 'document')} {way}{there}")
    for name in moved.different:
        typer.echo(f"note: {name} is there with other contents, and was left as it is")


def _show(items: "Iterable[Item]") -> None:
    from prism_bench.experiments.formatting import size

    groups: dict[tuple[str, str], list[Item]] = {}
    for item in items:
        groups.setdefault((item.group, item.reason), []).append(item)
    for (group, reason), members in groups.items():
        for item in members:
            typer.echo(f"  {size(item.bytes):>9}  {group} {item.path.name}")
        total = size(sum(item.bytes for item in members))
        typer.echo(f"{group}: {len(members)}, {total}, {reason}")


def _remove(items: "Iterable[Item]", inventory: "Inventory") -> None:
    from prism_bench.experiments.formatting import counted, size
    from prism_bench.experiments.store.gc import remove

    freed, outcomes = 0, Counter[bool]()
    for item, gone in remove(inventory.store, tuple(items)):
        outcomes[gone] += 1
        freed += item.bytes if gone else 0
    typer.echo(f"Removed {counted(outcomes[True], 'folder')}, {size(freed)} freed in {inventory.store.root}")
    if outcomes[False]:
        typer.echo(f"{counted(outcomes[False], 'folder')} kept: a process has begun to use them")


def _print(lines: Iterable[str]) -> None:
    for line in lines:
        typer.echo(line)
