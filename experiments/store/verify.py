"""Checksums of everything in a store, and the commands that make again what fails them."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from prism_bench.experiments.store.inventory import Inventory
from prism_bench.experiments.store.work_folders import bytes_in
from prism_bench.prism.engine.store import Address


@dataclass(frozen=True, kw_only=True)
class Checked:
    """One stage: what is wrong with its files, or None."""

    address: Address
    bytes: int
    fault: str | None


def check(inventory: Inventory) -> Iterator[Checked]:
    """Read every file of every finished stage and compare checksums; a stage removed meanwhile is passed over.

    In an unpacked bundle, a file that the bundle left out is no fault.
    """
    store, packed = inventory.store, bundled(inventory)
    for address in [*inventory.stages, *inventory.broken]:
        held = inventory.stages.get(address)
        names = held.files if packed is not None and held is not None else ()
        left_out = {name for name in names if f"stages/{address.kind}/{address.key}/{name}" not in (packed or ())}
        fault = next(store.faults(address, left_out), None)
        if store.folder(address).exists():
            count = bytes_in(store.folder(address)) if held is None else held.bytes
            yield Checked(address=address, bytes=count, fault=fault)


def bundled(inventory: Inventory) -> frozenset[str] | None:
    """The files that a bundle held, where this store is an unpacked one."""
    try:
        manifest = json.loads((inventory.store.root / "MANIFEST.json").read_text())
    except (OSError, ValueError):
        return None
    return frozenset(manifest.get("members", ()))


def amount(inventory: Inventory) -> int:
    """Bytes that `check` reads."""
    broken = sum(bytes_in(inventory.store.folder(address)) for address in inventory.broken)
    return broken + sum(held.bytes for held in inventory.stages.values())


def remedies(inventory: Inventory, bad: Sequence[Address]) -> dict[str, list[Address]]:
    """The command of each plan that needs a bad stage, latest plans first; "" for stages that none is known to need."""
    found: dict[str, list[Address]] = {}
    for address in bad:
        records = set(inventory.records_with(address))
        plans = [plan for plan in inventory.plans if records.intersection(plan.records)]
        plans.sort(key=lambda plan: not plan.latest)
        command = plans[0].document.command if plans else ""
        found.setdefault(command, []).append(address)
    return found
