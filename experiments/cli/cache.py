"""`prism-bench cache`: what the store holds, why, whether it is sound, and what can go."""

import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import typer

from prism_bench.experiments.cli.command import command_group, print_document, screen, takes
from prism_bench.experiments.options.stored import GcOptions, LsOptions, RemoteOptions, VerifyOptions, WhyOptions

if TYPE_CHECKING:
    from pathlib import Path

    from prism_bench.experiments.screen import Screen
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

    inventory, say = Inventory.read(options.store), screen(options)
    bad: list[Checked] = []
    with typer.progressbar(length=amount(inventory), label="Checksums", file=sys.stderr) as bar:
        for checked in check(inventory):
            bar.update(checked.bytes)
            bad += [checked] if checked.fault is not None else []
    for one in bad:
        say.tell(f"bad: {one.address.kind} {one.address.key}: {one.fault}")
    wrong = dict(wrong_documents(inventory))
    for words in wrong.values():
        say.tell(f"bad: {words}")
    # Before anything is moved, after which it is counted otherwise.
    count, read = len(inventory.stages) + len(inventory.broken), amount(inventory)
    remedies = _mend(bad, wrong, inventory, options, say) if bad or wrong else {}
    if bundled(inventory) is not None:
        say.tell("This is an unpacked bundle: what it left out is not missed.")
    found = counted(len(bad) + len(wrong), "fault") if bad or wrong else "all sound"
    say.tell(f"{counted(count, 'stage')}, {size(read)} read in {inventory.store.root}: {found}")
    if options.as_json:
        faults = [{"kind": one.address.kind, "key": one.address.key, "fault": one.fault} for one in bad]
        documents = [{"file": str(path), "fault": words} for path, words in wrong.items()]
        facts = {"store": str(inventory.store.root), "stages": count, "bytes": read, "set_aside": options.set_aside}
        print_document({**facts, "faults": faults, "documents": documents, "made_again_by": remedies})
    return 1 if bad or wrong else 0


def _mend(
    bad: "Iterable[Checked]", wrong: "Iterable[Path]", inventory: "Inventory", options: VerifyOptions, say: "Screen"
) -> dict[str, list[str]]:
    """Move what is bad aside, where that was asked for; the commands that make it again, and what each makes."""
    from prism_bench.experiments.store.verify import remedies, restore_latest, set_aside_document

    addresses, store = [one.address for one in bad], inventory.store
    if options.set_aside:
        for address in addresses:
            say.tell(f"set aside: {store.set_aside(address)}")
        for path in wrong:
            if path.exists():
                say.tell(f"set aside: {set_aside_document(path, store)}")
        for done in restore_latest(store):
            say.tell(done)
    else:
        aside = options.next_command("cache", "verify", "--set-aside")
        say.tell(f"Left in place; `{aside}` moves them out of the way.")
    again: dict[str, list[str]] = {}
    for command, stages in remedies(inventory, addresses).items():
        names = [f"{address.kind} {address.key}" for address in stages]
        words = f"made again by: {command}" if command else "no plan is known to need it"
        say.tell(f"{', '.join(names)}: {words}")
        again.setdefault(command or "", []).extend(names)
    for path in wrong:
        for plan in inventory.plans_with(path.stem)[:1]:
            say.tell(f"record {path.stem}: made again by: {plan.document.command}")
            again.setdefault(plan.document.command, []).append(f"record {path.stem}")
    return again


@app.command()
@takes(GcOptions)
def gc(options: GcOptions) -> None:
    """Remove stages that no plan needs, old interrupted work and corrupted files; never records, plans or reports."""
    from prism_bench.experiments.formatting import counted, size
    from prism_bench.experiments.store.gc import Wish, sweep
    from prism_bench.experiments.store.inventory import Inventory
    from prism_bench.prism.errors import InputError

    inventory, say = Inventory.read(options.store), screen(options)
    found = sweep(inventory, Wish(keep_latest=options.keep_latest, older_than=options.older_than, kinds=options.kinds))
    for note in found.notes:
        say.tell(f"note: {note}")
    gone: set[Path] = set()
    if not found.items:
        say.tell(f"Nothing to remove in {inventory.store.root}")
    else:
        _show(found.items, say)
        total = f"{counted(len(found.items), 'folder')}, {size(found.bytes)}"
        if options.dry_run:
            say.tell(f"Would remove {total} in {inventory.store.root}; nothing was removed (--dry-run)")
        elif not options.yes and (options.as_json or not sys.stdin.isatty()):
            raise InputError(
                f"would remove {total}, and there is no terminal to ask at; add --yes, or --dry-run to look"
            )
        elif options.yes or typer.confirm(f"Remove {total}?"):
            gone = _remove(found.items, inventory, say)
        else:
            say.tell("Nothing was removed.")
    if options.as_json:
        items = [
            {
                "group": it.group,
                "reason": it.reason,
                "folder": str(it.path),
                "bytes": it.bytes,
                "removed": it.path in gone,
            }
            for it in found.items
        ]
        print_document({"store": str(inventory.store.root), "notes": list(found.notes), "items": items})


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


def _show(items: "Iterable[Item]", say: "Screen") -> None:
    from prism_bench.experiments.formatting import size

    groups: dict[tuple[str, str], list[Item]] = {}
    for item in items:
        groups.setdefault((item.group, item.reason), []).append(item)
    for (group, reason), members in groups.items():
        for item in members:
            say.tell(f"  {size(item.bytes):>9}  {group} {item.path.name}")
        total = size(sum(item.bytes for item in members))
        say.tell(f"{group}: {len(members)}, {total}, {reason}")


def _remove(items: "Iterable[Item]", inventory: "Inventory", say: "Screen") -> "set[Path]":
    """Remove them; the folders that are gone."""
    from prism_bench.experiments.formatting import counted, size
    from prism_bench.experiments.store.gc import remove

    outcomes = list(remove(inventory.store, tuple(items)))
    gone = [item for item, is_gone in outcomes if is_gone]
    freed = size(sum(item.bytes for item in gone))
    say.tell(f"Removed {counted(len(gone), 'folder')}, {freed} freed in {inventory.store.root}")
    if len(gone) < len(outcomes):
        say.tell(f"{counted(len(outcomes) - len(gone), 'folder')} kept: a process has begun to use them")
    return {item.path for item in gone}


def _print(lines: Iterable[str]) -> None:
    for line in lines:
        typer.echo(line)
