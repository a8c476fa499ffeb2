"""What MLflow is told of a plan, a record and a training log: pure functions, no MLflow."""

import hashlib
import json
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from prism_bench.analysis.schema.records import Cell, Plan, PlanRow, Record
from prism_bench.prism.component import canonical, leaves

_LONGEST_PARAM = 500
_LONGEST_NAME = 250


@dataclass(frozen=True, kw_only=True)
class Point:
    """Finite metric values at a step (images trained on), `seconds` after the start."""

    step: int
    seconds: float
    values: dict[str, float]


def metric_name(name: str) -> str:
    """`name` in MLflow's alphabet: letters, digits and `_-. /`, no empty or dotted path parts."""
    parts = re.sub(r"[^\w\-. /]", "_", name).split("/")
    return "/".join(part for part in parts if part.strip(" .")).strip()[:_LONGEST_NAME] or "unnamed"


def finite(values: Mapping[str, Any], prefix: str = "") -> dict[str, float]:
    """The finite numbers of a mapping under names that MLflow takes; it would store inf as 1.8e308."""
    return {
        metric_name(prefix + name): float(value)
        for name, value in values.items()
        if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    }


def final_metrics(record: Record) -> dict[str, float]:
    """A record's values (`name` and `name_floor`), its number of parameters, and its costs under `cost/`."""
    values = {value.name: value.value for value in record.values}
    floors = {f"{value.name}_floor": value.floor for value in record.values}
    return finite({"parameters": record.parameters} | values | floors) | finite(record.cost.model_dump(), "cost/")


def flat_params(values: Mapping[str, Any]) -> dict[str, str]:
    """Dotted path -> text of every plain value that fits; what is longer stands in the artifact config.json only."""
    texts = {
        metric_name(path): value if isinstance(value, str) else canonical(value) for path, value in leaves(dict(values))
    }
    return {path: text for path, text in texts.items() if 0 < len(text) <= _LONGEST_PARAM}


def training_points(log: Path) -> Iterator[Point]:
    """The points of a training log (JSON lines), skipping a line that is half written or damaged."""
    try:
        lines = log.read_bytes().split(b"\n")
    except FileNotFoundError:
        return
    for line in lines:
        try:
            row = json.loads(line)
            step, seconds = int(row.pop("images")), float(row.pop("seconds", 0.0))
        except (ValueError, TypeError, KeyError, AttributeError, OverflowError):
            continue
        values = finite(row, "training/")
        if values:
            yield Point(step=step, seconds=seconds if math.isfinite(seconds) else 0.0, values=values)


def fingerprint(value: Any) -> str:
    """SHA-256 (hex) of JSON-like data; unlike a component's digest it takes NaN too."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def files_fingerprint(artifacts: Mapping[str, Path]) -> str:
    """SHA-256 (hex) of the names and bytes of some files."""
    return fingerprint({name: hashlib.sha256(path.read_bytes()).hexdigest() for name, path in artifacts.items()})


def plan_name(plan: Plan) -> str:
    """Name of a plan's run: what was asked, on what, and enough of the digest to tell two plans apart."""
    return f"{plan.experiment} · {plan.scale} · {plan.dataset.label} · {plan.plan[:8]}"


def cell_name(row: PlanRow, cell: Cell) -> str:
    """Name of a cell's run: `PRISM · seed 0`, with k_sample only where the row's cells differ in it."""
    name = f"{row.label} · seed {cell.seed}"
    if len({other.k_sample for other in row.cells}) > 1:
        name += f" · k_sample {cell.k_sample}"
    return name


def plan_tags(plan: Plan) -> dict[str, str]:
    """Tags of a plan's run, its description on the page among them."""
    return _common_tags(plan) | {"prism.kind": "plan", "mlflow.note.content": plan_note(plan)}


def cell_tags(plan: Plan, row: PlanRow, cell: Cell) -> dict[str, str]:
    """Tags of a cell's run; the comparison page groups by `variant`."""
    tags = {
        "prism.kind": "cell",
        "prism.record": cell.record,
        "variant": row.label,
        "row": row.id,
        "seed": str(cell.seed),
    }
    if cell.k_sample is not None:
        tags["k_sample"] = str(cell.k_sample)
    if row.trained_on:
        tags["trained_on"] = row.trained_on
    return _common_tags(plan) | tags


def _common_tags(plan: Plan) -> dict[str, str]:
    return {
        "prism.plan": plan.plan,
        "experiment": plan.experiment,
        "scale": plan.scale,
        "dataset": plan.dataset.label,
        "mlflow.source.name": plan.command,
        "mlflow.source.type": "LOCAL",
    }


def plan_params(plan: Plan) -> dict[str, str]:
    """Parameters of a plan's run: scale, data, seeds and choices."""
    return flat_params(plan.model_dump(mode="json", include={"scale", "dataset", "seeds", "choices"}))


def plan_note(plan: Plan) -> str:
    """Markdown that stands on the page of a plan's run."""
    facts = ", ".join(f"{name} {value}" for name, value in sorted(plan.dataset.model_dump(exclude={"label"}).items()))
    lines = [
        f"**{plan.title}**",
        "",
        f"* scale: {plan.scale}",
        f"* data: {plan.dataset.label} ({facts})",
        f"* seeds: {', '.join(map(str, plan.seeds))}",
        f"* command: `{plan.command}`",
        "",
        "| row | trained on | runs |",
        "|---|---|---|",
    ]
    for row in plan.rows:
        label, trained_on = (text.replace("|", "\\|") for text in (row.label, row.trained_on))
        lines.append(f"| {label} | {trained_on} | {len(row.cells)} |")
    lines += ["", "Group the runs below by the tag `variant` to compare. The records in the store are the truth."]
    return "\n".join(lines)
