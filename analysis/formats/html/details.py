"""What stands behind a table: total cost, changes, cells with their addresses and commands, environment."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pandas as pd

from prism_bench.analysis import formatting
from prism_bench.analysis.formats.rerun_command import cell_command
from prism_bench.analysis.schema.records import Plan, Record, index_records
from prism_bench.analysis.table.results import Results

SHORT = 12
"""Characters of a digest that are shown; the whole stands in its title."""
RunKey = tuple[str, str]
"""Row and record of a run in MLflow."""


@dataclass(frozen=True, kw_only=True)
class Addresses:
    """Where a page leads.

    records: the folder of the store's records as the page sees it, None where it cannot be reached from there. runs:
    the pages of cells' runs in MLflow.
    """

    records: str | None = None
    runs: Mapping[RunKey, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class CellLine:
    """One cell: its state, the digests and addresses of what it came to, and the command that computes it again."""

    label: str
    seed: int
    k_sample: int | None
    state: str
    record: str
    training: str
    samples: str
    file: str | None
    run: str | None
    command: str


def total_cost(results: Results) -> tuple[float, float]:
    """(seconds of training, seconds of sampling) of the distinct trainings and samples of a plan."""
    finished = set(results.lines.finished["record"])
    records = [record for record in results.records if record.record in finished]
    trainings = {one.stages.get("training", one.record): one.cost.train_seconds or 0.0 for one in records}
    samples = {one.stages.get("samples", one.record): one.cost.sample_seconds or 0.0 for one in records}
    return sum(trainings.values()), sum(samples.values())


def changes_of(plan: Plan) -> list[tuple[str, str]]:
    """What each row changes of the base method."""
    rows = []
    for row in plan.rows:
        changed = [
            f"{path}: {formatting.setting(old)} → {formatting.setting(new)}" for path, (old, new) in row.changes.items()
        ]
        rows.append((row.label, "; ".join(changed) or (row.declined or "nothing, it is the base")))
    return rows


def cells_of(results: Results, addresses: Addresses) -> list[CellLine]:
    """Every cell, in the order of the plan."""
    plan, records = results.plan, index_records(results.records)
    cells = results.lines.every_cell
    states = dict(zip(cells["record"], cells["state"], strict=True))
    found = []
    for row in plan.rows:
        for cell in row.cells:
            record = records.get(cell.record)
            stages = {} if record is None else record.stages
            there = addresses.records is not None and record is not None
            found.append(
                CellLine(
                    label=row.label,
                    seed=cell.seed,
                    k_sample=cell.k_sample,
                    state=states[cell.record],
                    record=cell.record,
                    training=stages.get("training", ""),
                    samples=stages.get("samples", ""),
                    file=f"{addresses.records}/{cell.record}.json" if there else None,
                    run=addresses.runs.get((row.id, cell.record)),
                    command=cell_command(plan, row, cell),
                )
            )
    return found


def environment_of(records: Sequence[Record]) -> tuple[list[str], list[tuple[str, ...]]]:
    """Head and lines of the versions that records were made with; more than one column where they differ."""
    environments = [record.environment for record in records if record.environment]
    if not environments:
        return [], []
    versions = pd.DataFrame(environments).drop_duplicates().fillna("").T.sort_index()
    head = ["Library", *(f"records {index + 1}" for index in range(versions.shape[1]))]
    return head, [tuple(map(str, line)) for line in versions.itertuples()]
