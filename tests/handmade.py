"""Plans and records made by hand."""

from collections.abc import Iterable
from typing import Any

from prism_bench.analysis.schema.records import Plan, Record, load_plan, load_record
from prism_bench.analysis.stats.statistics import STUDENT_T, Estimator
from prism_bench.analysis.table.results import Results
from prism_bench.analysis.table.table_model import Table

Json = dict[str, Any]
DATASET: Json = {"label": "toyfaces", "digest": "d0", "resolution": 16, "images": 9, "retrieval": 6, "train": 3}
BARE: Json = {
    "variant": "V", "row": "r", "seed": 0, "scale": "laptop", "dataset": DATASET, "values": [], "declined": [],
    "stages": {}, "environment": {},
    "config": {
        "method": {}, "split": {}, "dataset": {}, "train_seed": 0,
        "sampling": {"sampler": {}, "k_sample": 1, "samples": 100, "sample_seed": 0},
    },
}  # fmt: skip
"""What every record says besides its name and status."""


def cells(row: str, seeds: int, k: int | None = None) -> list[Json]:
    return [{"seed": seed, "record": f"{row}{k or ''}s{seed}", "k_sample": k} for seed in range(seeds)]


def side(row: str, seeds: int, k: int | None = None) -> Json:
    return {"label": row.upper(), "row": row, "k_sample": k, "cells": cells(row, seeds, k)}


def plan_of(rows: list[Json], claims: list[Json], seeds: int, **changes: Any) -> Plan:
    return load_plan(document(rows, claims, seeds, **changes))


def document(rows: list[Json], claims: list[Json], seeds: int, **changes: Any) -> Json:
    """A plan as its file holds it."""
    return {
        "plan": "p0", "experiment": "t", "kind": "table", "panel": "", "title": "T", "paper_table": "Table 3",
        "scale": "laptop", "dataset": DATASET,
        "seeds": list(range(seeds)), "split_seed": 0, "command": "prism-bench run t", "reference": "X", "choices": {},
        "quoted_source": "PRISM", "rows": rows, "claims": claims, **changes,
    }  # fmt: skip


def record_json(name: str, fd: float, correlation: float = 0.5, **changes: Any) -> Json:
    """A finished cell with a metric that should be low and one that should be high, as its file holds it."""

    def value(metric: str, number: float, better: str) -> Json:
        return {
            "name": metric, "label": metric.upper(), "value": number, "n": 100, "reference_n": 200, "floor": 0.5,
            "better": better, "unit": "", "fingerprint": "f" * 16, "scale": "laptop",
        }  # fmt: skip

    data = {
        **BARE, "record": name, "status": "done", "declined": [], "parameters": 1000,
        "values": [value("fd", fd, "lower"), value("far", correlation, "higher")],
        "cost": {"train_seconds": 60.0, "images": 1000, "train_flops": 2e12, "peak_bytes": 7},
        "stages": {"training": "abc"}, "environment": {"torch": "2"},
    }  # fmt: skip
    return {**data, **changes}


def record(name: str, fd: float, correlation: float = 0.5, **changes: Any) -> Record:
    """The same, read."""
    return load_record(record_json(name, fd, correlation, **changes))


def row(name: str, seeds: int, quoted: float | None = None, **changes: Any) -> Json:
    numbers = [] if quoted is None else [{"column": "CelebA", "value": quoted}]
    return {
        "id": name, "label": name.upper(), "trained_on": "X", "changes": {}, "cells": cells(name, seeds),
        "quoted": numbers, "control": False, "declined": None, "factors": {}, **changes,
    }  # fmt: skip


def claim(*pairs: tuple[str, str], seeds: int, factors: tuple[str, ...] = ("aggregator",)) -> Json:
    return {
        "id": "c", "text": "It helps", "source": "Table 3",
        "pairs": [
            {"better": side(better, seeds), "worse": side(worse, seeds), "factors": list(factors),
             "separable": len(factors) > 1}
            for better, worse in pairs
        ],
    }  # fmt: skip


def results(plan: Plan, records: Iterable[Record], estimator: Estimator = STUDENT_T) -> Results:
    return Results(plan=plan, records=tuple(records), estimator=estimator)


def build(plan: Plan, records: Iterable[Record], estimator: Estimator = STUDENT_T) -> Table:
    return results(plan, records, estimator).table
