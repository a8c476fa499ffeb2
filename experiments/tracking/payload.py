"""What all programs that show runs are told of a plan, a record and a training log: the same names in each of them."""

import hashlib
import json
import math
import re
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

from prism_bench.analysis.schema.records import Cell, Plan, PlanRow, Record, Value
from prism_bench.prism.component import canonical, leaves

_LONGEST_PARAM = 500
_LONGEST_NAME = 250
_LONGEST_FILE = 100
PICTURE = "samples.png"
"""What the sample grid of a cell is called."""
MEASURED, EVERYTHING = "measured/", "with/"
"""Before the numbers of the main table, and before all that is not looked at first: pages show sections by name, those
of metrics without a prefix last.
"""
FLOOR, COST = f"{EVERYTHING}floor/", f"{EVERYTHING}cost/"
"""Before the names of what real images score, and of what a run took."""


def now_ms() -> int:
    """Milliseconds since 1970."""
    return int(time.time() * 1000)


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


def value_name(value: Value) -> str:
    """The name of a value behind that of its table: measured/fd_efficientnet_lite0, memorisation/copied_d."""
    group = re.sub(r"\W+", "-", value.group).strip("-").lower()
    return f"{group}/{value.name}" if group else f"{MEASURED}{value.name}"


def final_metrics(record: Record) -> dict[str, float]:
    """A record's values, `measured/...` and those of further tables; below `with/floor/` what real images score, below
    `with/cost/` what it took.
    """
    values = {value_name(value): value.value for value in record.values}
    floors = {value_name(value).removeprefix(MEASURED): value.floor for value in record.values}
    costs = record.cost.model_dump() | {"parameters": record.parameters}
    return finite(values) | finite(floors, FLOOR) | finite(costs, COST)


def means(plan: Plan, records: Mapping[str, Record]) -> dict[str, float]:
    """Means over the seeds of each row, `measured/METRIC/ROW` (ROW-kN where it has several k_sample), of all values of
    the main table; `with/floor/METRIC` of real images; `with/cost/train_seconds/ROW`.
    """
    found: dict[str, list[float]] = {}
    for row in plan.rows:
        several = len({cell.k_sample for cell in row.cells}) > 1
        for cell in row.cells:
            record = records.get(cell.record)
            if record is None or record.status != "done":
                continue
            line = f"{row.id}-k{cell.k_sample}" if several else row.id
            for value in record.values:
                if not value.group:
                    found.setdefault(f"{MEASURED}{value.name}/{line}", []).append(value.value)
                    if value.floor is not None:
                        found.setdefault(f"{FLOOR}{value.name}", []).append(value.floor)
            if record.cost.train_seconds is not None:
                found.setdefault(f"{COST}train_seconds/{line}", []).append(record.cost.train_seconds)
    return finite({name: fmean(values) for name, values in found.items()})


def cell_params(plan: Plan, row: PlanRow, cell: Cell, config: Mapping[str, Any]) -> dict[str, str]:
    """A cell's parameters: what a reader tells rows apart by, variant, seed, k_sample, aggregator and schedule, and
    whatever else differs between the plan's rows; then, behind `with/`, which sorts last, all of its settings.
    """
    method = config.get("method", {})
    # A row without retrieval has neither neighbours nor a schedule of their number.
    alone = bool(row.factors) and "retrieval" not in row.factors
    parts = {name: row.factors.get(name) or _plain(method.get(name)) for name in ("aggregator", "schedule")}
    params = {"variant": row.label, "seed": str(cell.seed), **parts}
    if alone:
        params["schedule"] = "none"
    elif cell.k_sample is not None:
        params["k_sample"] = str(cell.k_sample)
    for path in sorted({path for each in plan.rows for path in each.changes}):
        params.setdefault(path, _plain(_at(method, path)))
    own = {metric_name(name): text for name, text in params.items() if text}
    return flat_params(own) | flat_params(config, EVERYTHING)


def _at(value: Any, path: str) -> Any:
    """What stands at a dotted path of a mapping; None where there is nothing."""
    for name in path.split("."):
        value = value.get(name) if isinstance(value, Mapping) else None
    return value


def _plain(value: Any) -> str:
    """A setting as a word: a component by its name."""
    if isinstance(value, Mapping):
        return str(value.get("component", "")).rpartition("/")[2]
    return "" if value is None else value if isinstance(value, str) else canonical(value)


def flat_params(values: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Dotted path -> text of every plain value that fits; what is longer stands in the artifact config.json only."""
    texts = {
        metric_name(prefix + path): value if isinstance(value, str) else canonical(value)
        for path, value in leaves(dict(values))
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


def cell_name(plan: Plan, row: PlanRow, cell: Cell) -> str:
    """Name of a cell's run: `PRISM · seed 0`, the panel if any, k_sample where the row's cells differ in it."""
    panel = f" · {plan.panel}" if plan.panel else ""
    name = f"{row.label}{panel} · seed {cell.seed}"
    if len({other.k_sample for other in row.cells}) > 1:
        name += f" · k_sample {cell.k_sample}"
    return name


def cell_names(plan: Plan) -> dict[tuple[str, str], str]:
    """A name for the run of each cell, by row and record, that no other cell of the plan has and any folder may."""
    names = {(row.id, cell.record): cell_name(plan, row, cell) for row in plan.rows for cell in row.cells}
    often = Counter(names.values())
    found = {key: name if often[name] == 1 else f"{name} · {key[0]}" for key, name in names.items()}
    return {key: re.sub(r'[\x00-\x1f/\\:*?"<>|]', "_", name)[:_LONGEST_FILE].strip(" .") for key, name in found.items()}


def typed(text: str) -> int | float | bool | str:
    """A parameter as what its text is."""
    try:
        value = json.loads(text)
    except ValueError:
        return text
    return value if isinstance(value, int | float | bool) else text
