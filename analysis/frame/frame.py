"""Results as one tidy DataFrame: a line for each cell and metric, and one for each quoted number."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import pandas as pd

from prism_bench.analysis import formatting
from prism_bench.analysis.frame.columns import COLUMNS
from prism_bench.analysis.frame.dtypes import dtype_of
from prism_bench.analysis.schema.bare_labels import settings_of, with_bare_labels
from prism_bench.analysis.schema.records import Cost, Plan, PlanRow, Record, Value, index_records, load_records
from prism_bench.analysis.schema.stored_plans import experiments_in, load_plans, load_tables

Line = dict[str, object]
VALUE = {field: {"name": "metric", "label": "metric_label"}.get(field, field) for field in Value.model_fields}
"""The fields of a value, and the columns that they fill."""
COST = {field: {"images": "images_seen"}.get(field, field) for field in Cost.model_fields}
"""The same of its costs."""
OF_METRIC = ("metric_label", "group", "better", "unit", "about")
"""What a metric is also called by where a cell has no value of it."""


def frame_of(plan: Plan, records: Iterable[Record]) -> pd.DataFrame:
    """The results of one plan, whatever there is of them.

    Lines stand in the order of the plan (a row with several k_sample: one after the other), metrics in that of the
    records, the main table's first; quoted numbers follow. A cell without values has one line with its status and
    reason, a row without cells another; a metric that a finished cell lacks but another has, or that it declined, has
    a line with the reason.

    Args:
        plan: what was asked for.
        records: those of its cells that are there, in any order; others are passed over.

    Returns:
        The columns of `columns.COLUMNS`.

    Raises:
        AnalysisError: two records of one name say different things.
    """
    plan = with_bare_labels(plan)
    return _typed(_measured(plan, plan.rows, index_records(records)) + _quoted(plan))


def claims_frame(plan: Plan, records: Iterable[Record]) -> pd.DataFrame:
    """The same columns for the cells that the plan's claims speak of, which may belong to other tables."""
    sides = {(side.row, side.label, side.cells): side for claim in plan.claims for side in claim.sides}
    rows = [
        PlanRow(id=side.row, label=side.label, trained_on="", changes={}, cells=side.cells, quoted=(), control=False)
        for side in sides.values()
    ]
    return _typed(_measured(plan, rows, index_records(records)))


def read_frame(store: Path, experiments: Sequence[str] | None = None, *, every_plan: bool = False) -> pd.DataFrame:
    """The results that a store holds.

    Args:
        store: its folder.
        experiments: names of experiments; None: every one that has been run.
        every_plan: each plan by itself; else those that may share a table are one (`load_tables`), each cell once.

    Returns:
        The columns of `columns.COLUMNS`, empty where the store is.

    Raises:
        AnalysisError: an experiment was never run in this store, or a plan or record is malformed.
    """
    names = experiments_in(store) if experiments is None else experiments
    plans: list[Plan] = []
    for name in names:
        plans += load_plans(name, store, every_plan=True) if every_plan else load_tables(name, store)
    return joined([frame_of(plan, load_records(store, plan).values()) for plan in plans])


def joined(frames: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Frames one below the other; of none the columns alone."""
    return pd.concat(frames, ignore_index=True) if frames else _typed([])


def _measured(plan: Plan, rows: Sequence[PlanRow], records: Mapping[str, Record]) -> list[Line]:
    cells = [line for row in rows for line in _cells(row)]
    names = dict.fromkeys(str(line["record"]) for line in cells)
    there = [records[name] for name in names if name in records]
    measured = _measurements(there)
    data = plan.dataset
    of_plan = _of_plan(plan) | {
        "kind": "measured", "scale": plan.scale, "dataset": data.label, "dataset_digest": data.digest,
        "resolution": data.resolution, "images": data.images, "retrieval": data.retrieval, "train": data.train,
    }  # fmt: skip
    return [of_plan | cell | line for cell in cells for line in measured.get(cell["record"], [{}])]


def _of_plan(plan: Plan) -> Line:
    settings = formatting.listing(settings_of(plan)) or None
    return {"experiment": plan.experiment, "panel": plan.panel, "plan": plan.plan, "settings": settings}


def _of_row(row: PlanRow) -> Line:
    parts = ", ".join(f"{family}={member}" for family, member in sorted(row.factors.items()))
    named = {"row": row.id, "label": row.label, "control": row.control, "trained_on": row.trained_on}
    return named | {"variant": parts or None}


def _cells(row: PlanRow) -> list[Line]:
    """The cells of a row by k_sample in order of appearance; one line without a record where it has none."""
    line = _of_row(row) | {"train_images": row.train_images, "retrieval_images": row.retrieval_images}
    if not row.cells:
        reason = row.declined or "no cell of this row is in the plan"
        return [line | {"record": None, "status": "declined" if row.declined else "absent", "reason": reason}]
    order = list(dict.fromkeys(cell.k_sample for cell in row.cells))
    asked = {"status": "pending", "reason": "not run yet"}
    return [
        line | {"record": cell.record, "seed": cell.seed, "k_sample": cell.k_sample} | asked
        for cell in sorted(row.cells, key=lambda cell: order.index(cell.k_sample))
    ]


def _measurements(records: Sequence[Record]) -> dict[object, list[Line]]:
    """What each record adds to its cell: a line for each metric, or one where it has none."""
    values = [value for record in records if record.status == "done" for value in record.values]
    groups = dict.fromkeys(["", *(value.group for value in values)])
    known = {value.name: value for group in groups for value in values if value.group == group}
    return {record.record: _of_record(record, known) for record in records}


def _of_record(record: Record, known: Mapping[str, Value]) -> list[Line]:
    costs: Line = {column: getattr(record.cost, field) for field, column in COST.items()}
    costs["parameters"] = record.parameters
    if record.status != "done":
        return [costs | {"status": record.status, "reason": record.reason}]
    there = {value.name: value for value in record.values}
    names = dict.fromkeys([*known, *sorted(record.why_declined)])
    lines = [costs | _measurement(name, there.get(name), known.get(name), record) for name in names]
    return lines or [costs | {"status": "done", "reason": "no metric was measured"}]


def _measurement(name: str, value: Value | None, other: Value | None, record: Record) -> Line:
    if value is not None:
        return {column: getattr(value, field) for field, column in VALUE.items()} | {"status": "done", "reason": None}
    like = {column: getattr(other, field) for field, column in VALUE.items() if column in OF_METRIC} if other else {}
    declined = name in record.why_declined
    reason = record.why_declined.get(name, "the record holds no such metric")
    return {"metric": name} | like | {"status": "declined" if declined else "absent", "reason": reason}


def _quoted(plan: Plan) -> list[Line]:
    return [
        _of_plan(plan)
        | _of_row(row)
        | {
            "kind": "quoted", "metric": f"{number.column} {number.metric}",
            "metric_label": f"{number.column} {number.metric}", "group": number.column, "value": number.value,
            "better": number.better, "unit": number.unit or None,
            "k_sample": number.k_sample, "about": plan.quoted_source, "status": "done",
        }
        for row in plan.rows
        for number in row.quoted
    ]  # fmt: skip


def _typed(lines: Sequence[Line]) -> pd.DataFrame:
    columns = {
        name: pd.array([line.get(name) for line in lines], dtype=dtype_of(column.dtype))
        for name, column in COLUMNS.items()
    }
    return pd.DataFrame(columns)
