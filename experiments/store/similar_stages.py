"""What sets a stage that is not there apart from the most similar one that is."""

from prism_bench.analysis.schema.records import Config
from prism_bench.experiments.store.inventory import Identity, Inventory
from prism_bench.prism.component import Json, leaves

SHOWN = 5
"""Differences that are spelt out."""


def differences(kind: str, wanted: Identity, inventory: Inventory) -> str:
    """A sentence on the fields in which `wanted` differs from the nearest finished stage of its kind.

    Only fields that `wanted` has are compared: it may be a guess from a record, which knows less than a manifest.
    """
    own = dict(leaves(wanted))
    best: dict[str, tuple[Json, Json]] | None = None
    label = ""
    for held in inventory.stages.values():
        if held.address.kind != kind:
            continue
        other = dict(leaves(held.identity))
        changed = {path: (other.get(path), value) for path, value in own.items() if other.get(path) != value}
        if best is None or len(changed) < len(best):
            best, label = changed, f"{held.address.key} '{held.label}'"
    if best is None:
        return f"the store has no other stage of kind {kind} to compare it with"
    if not best:
        return f"as far as is known it does not differ from {label}"
    shown = [f"{_short(path)} {before} -> {after}" for path, (before, after) in sorted(best.items())[:SHOWN]]
    more = f" and {len(best) - SHOWN} more" if len(best) > SHOWN else ""
    return f"differs from {label} in {', '.join(shown)}{more}"


def guessed(kind: str, config: Config) -> Identity | None:
    """As much of the identity of a record's training or samples as the record itself tells; None for other kinds."""
    training = {"method": config.method, "train_seed": config.train_seed}
    data = {
        "data": {"parameters": {"dataset": config.dataset}},
        "split": {"parameters": {"split": config.split}},
    }
    if kind == "training":
        return {"parameters": training, "inputs": data}
    if kind == "samples":
        return {"parameters": config.sampling.model_dump(), "inputs": {**data, "training": {"parameters": training}}}
    return None


def _short(path: str) -> str:
    return path.replace("inputs.", "").replace("parameters.", "")
