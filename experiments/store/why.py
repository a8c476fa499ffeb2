"""`prism-bench cache why`: what a stage, a record or an experiment is, what it rests on, and who needs it."""

from collections.abc import Iterable, Iterator
from difflib import get_close_matches
from itertools import chain

from prism_bench.experiments.formatting import counted, duration, size
from prism_bench.experiments.store.inventory import (
    KINDS,
    Identity,
    Inventory,
    StoredPlan,
    StoredStage,
    key_of,
    rank,
    stages_of,
)
from prism_bench.experiments.store.similar_stages import differences, guessed
from prism_bench.experiments.store.work_folders import Work, work_folders
from prism_bench.prism.component import Json, canonical, leaves
from prism_bench.prism.engine.store import Address
from prism_bench.prism.errors import InputError, closest

MANY = 4
"""Lines of one sort before the rest is counted."""


def why(inventory: Inventory, text: str) -> list[str]:
    """Lines on the stage, record, plan or experiment that `text` names; the first characters of a key are enough.

    Raises:
        InputError: nothing or several things are called so.
    """
    plans = [plan for plan in inventory.plans if plan.experiment == text]
    if plans:
        plans.sort(key=lambda plan: not plan.latest)
        return list(chain.from_iterable(_plan(plan, inventory) for plan in plans))
    found = _matches(inventory, text)
    if not found:
        raise InputError(f"nothing in the store is called {text!r}; {_near(inventory, text)}")
    if len(found) > 1:
        names = ", ".join(found[:MANY]) + (f" and {len(found) - MANY} more" if len(found) > MANY else "")
        raise InputError(f"{text!r} may be any of {names}; write more of it")
    kind, _, key = found[0].partition(" ")
    if kind == "record":
        return list(_record(key, inventory))
    if kind == "plan":
        return list(chain.from_iterable(_plan(plan, inventory) for plan in inventory.plans if plan.path.stem == key))
    return list(_stage(Address(kind, key), inventory))


def _names(inventory: Inventory) -> Iterator[str]:
    stages = {*inventory.named, *inventory.broken, *(work.address for work in work_folders(inventory.store))}
    for record in inventory.records.values():
        stages |= set(stages_of(record).values())
    yield from sorted(f"{address.kind} {address.key}" for address in stages)
    records = {*inventory.records, *(name for plan in inventory.plans for name in plan.records)}
    yield from sorted(f"record {name}" for name in records)
    yield from sorted(f"plan {plan.path.stem}" for plan in inventory.plans)


def _matches(inventory: Inventory, text: str) -> list[str]:
    """Names that begin with a key, or with a key and its kind, as in training/79a2 or training-79a2."""
    kind, key = _parts(text)
    return [
        name
        for name in _names(inventory)
        if text and name.partition(" ")[2].startswith(key) and kind in {"", name.partition(" ")[0]}
    ]


def _parts(text: str) -> tuple[str, str]:
    """(kind or "", key)."""
    for sign in "/-":
        kind, found, key = text.partition(sign)
        if found and kind in (*KINDS, "record", "plan"):
            return kind, key
    return "", text


def _near(inventory: Inventory, text: str) -> str:
    _, key = _parts(text)
    keys = {name.partition(" ")[2][: len(key)]: name for name in _names(inventory)}
    near = get_close_matches(key, keys, n=2, cutoff=0.7) if len(key) > 3 else []
    if near:
        return f"did you mean {' or '.join(keys[key] for key in near)}?"
    experiments = {plan.experiment for plan in inventory.plans}
    return f"experiments: {closest(text, experiments)}; keys are listed by `prism-bench cache ls KIND`"


def _stage(address: Address, inventory: Inventory) -> Iterator[str]:
    held = inventory.stages.get(address)
    yield f"{address.kind} {address.key}" + (f"  {held.label}" if held is not None and held.label else "")
    identity = inventory.named.get(address)
    if held is not None:
        memory = f", {size(held.peak_bytes)} of memory" if held.peak_bytes else ""
        yield f"  made {held.created} in {duration(held.seconds)}{memory}, {size(held.bytes)} on disk"
    else:
        yield from _absence(address, identity, inventory)
    if identity is not None:
        yield from _section("Parameters", _parameters(identity["parameters"]))
        yield from _section("Rests on", _tree(identity, inventory, 1, set()))
    yield from _section("Needed by", _needed_by(address, inventory))


def _absence(address: Address, identity: Identity | None, inventory: Inventory) -> Iterator[str]:
    work = next((work for work in work_folders(inventory.store) if work.address == address), None)
    if address in inventory.broken:
        yield "  its manifest cannot be read; `prism-bench cache verify --set-aside` moves it out of the way"
    elif work is not None:
        yield f"  {_state(work)}"
    else:
        yield "  is not in the store"
    records = inventory.records_with(address)
    wanted = identity
    if wanted is None and records:
        wanted = guessed(address.kind, inventory.records[records[0]].config)
    if wanted is not None:
        yield f"  {differences(address.kind, wanted, inventory)}"
    yield from _commands(records, inventory)


def _commands(records: Iterable[str], inventory: Inventory) -> Iterator[str]:
    plans = [plan for name in records for plan in inventory.plans_with(name)]
    for command in dict.fromkeys(plan.document.command for plan in plans):
        yield f"  computed by: {command}"


def _state(work: Work) -> str:
    if work.running:
        return f"is being made now ({size(work.bytes)} so far)"
    return f"was interrupted ({size(work.bytes)} are kept); the same command goes on from there"


def _section(title: str, lines: Iterable[str]) -> Iterator[str]:
    found = list(lines)
    if found:
        yield title
        yield from found


def _parameters(parameters: Identity) -> Iterator[str]:
    shown: list[tuple[str, Json]] = []
    for path, value in leaves(parameters):
        owner, _, name = path.rpartition(".")
        plain = (owner, str(value).partition("/")[2]) if name == "component" else (path, value)
        shown.append((plain[0] or name, plain[1]))
    width = max((len(path) for path, _ in shown), default=0)
    for path, value in sorted(shown, key=lambda pair: pair[0]):
        yield f"  {path:<{width}}  {value if isinstance(value, str) else canonical(value)}"


def _tree(identity: Identity, inventory: Inventory, depth: int, seen: set[str]) -> Iterator[str]:
    for name, inner in sorted(identity["inputs"].items()):
        text = canonical(inner)
        found = inventory.find(inner)
        key = key_of(inner)
        keys = [one.address.key for one in found] or [key or "of any width"]
        facts = f"{found[0].label}, {size(sum(one.bytes for one in found))}" if found else "NOT THERE"
        where = f"{inner['kind']} {', '.join(keys)}"
        indent = "  " * depth
        if text in seen:
            yield f"{indent}{name}: {where} (as above)"
            continue
        seen.add(text)
        yield f"{indent}{name}: {where}  {facts}"
        yield from _tree(inner, inventory, depth + 1, seen)


def _needed_by(address: Address, inventory: Inventory) -> Iterator[str]:
    users = inventory.users(address)
    for kind in sorted({user.address.kind for user in users}, key=rank):
        yield from _limited([_line(user) for user in users if user.address.kind == kind])
    records = inventory.records_with(address)
    yield from _limited([f"  record {name}  {_about(name, inventory)}" for name in records])
    yield from _limited([f"  {_name(plan)}" for plan in inventory.plans if set(records).intersection(plan.records)])
    if not users and not records:
        yield "  nothing that is there; `prism-bench cache gc` lets it go"


def _line(held: StoredStage) -> str:
    return f"  {held.address.kind} {held.address.key}  {held.label}"


def _limited(lines: list[str]) -> Iterator[str]:
    yield from lines[:MANY]
    if len(lines) > MANY:
        yield f"  and {len(lines) - MANY} more like it"


def _about(name: str, inventory: Inventory) -> str:
    record = inventory.records[name]
    k_sample = record.config.sampling.k_sample
    k_text = f", k_sample {k_sample}" if k_sample else ""
    return f"{record.variant}, seed {record.seed}{k_text}, {record.status}"


def _name(plan: StoredPlan) -> str:
    return f"plan {plan.path.stem}  {plan.title}{', latest' if plan.latest else ''}"


def _record(name: str, inventory: Inventory) -> Iterator[str]:
    record = inventory.records.get(name)
    yield f"record {name}" + (f"  {_about(name, inventory)}" if record else "  is not there yet")
    if record is not None:
        if record.reason:
            yield f"  reason: {record.reason}"
        yield from _section("Values", (f"  {value.label}: {value.value:.4g}" for value in record.values))
        yield from _section("Stages", (_part(part, it, inventory) for part, it in stages_of(record).items()))
    plans = inventory.plans_with(name)
    yield from _section("Shown by", (f"  {_name(plan)}" for plan in plans))
    if not plans:
        yield "  No plan in the store shows it."
    yield from _commands([name], inventory)


def _part(part: str, address: Address, inventory: Inventory) -> str:
    held = inventory.stages.get(address)
    state = "NOT THERE" if held is None else f"{size(held.bytes)}, {duration(held.seconds)}"
    return f"  {part:<20} {address.kind} {address.key}  {state}"


def _plan(plan: StoredPlan, inventory: Inventory) -> Iterator[str]:
    yield _name(plan)
    yield f"  asked by: {plan.document.command}"
    needed = inventory.needed(plan.records)
    there = [inventory.stages[address] for address in needed if address in inventory.stages]
    yield (
        f"  rests on {counted(len(there), 'stage')}, {size(sum(held.bytes for held in there))}, made in "
        f"{duration(sum(held.seconds for held in there))}"
    )
    for row in plan.document.rows:
        yield f"  {row.label}" + (f" (not computed: {row.declined})" if row.declined else "")
        for cell in row.cells:
            record = inventory.records.get(cell.record)
            status = "no record yet" if record is None else record.status
            yield f"    seed {cell.seed}, k_sample {cell.k_sample}: record {cell.record}  {status}"
            if record is not None:
                gone = [a for a in stages_of(record).values() if a not in inventory.stages]
                yield from (f"      {address.kind} {address.key} is not there" for address in gone)
