"""A table as tidy CSV: one line for each cell, seed and metric, and one for each quoted number."""

import csv
import io
from collections.abc import Iterable

from prism_bench.analysis.frame.joined_rows import Line, groups_of, lines_of, metrics_of, why_missing
from prism_bench.analysis.schema.records import Cell, Plan, Record, Value, index_records

HEADER = (
    "experiment",
    "row",
    "trained_on",
    "seed",
    "k_sample",
    "metric",
    "value",
    "floor",
    "n",
    "reference_n",
    "better",
    "fingerprint",
    "status",
    "reason",
    "kind",
    "record",
)
Fields = dict[str, object]


def table_csv(plan: Plan, records: Iterable[Record]) -> str:
    """UTF-8 text with a heading line, full precision, empty fields for what there is not; lines end in a line feed.

    A cell without values gives one line with its status and reason and no metric; a metric that a finished cell lacks
    but another has, or that it declined, gives one line with the reason. `kind` is measured or quoted.

    Raises:
        AnalysisError: values of one metric carry two fingerprints.
    """
    lines = lines_of(plan, index_records(records))
    names = [name for group in ("", *groups_of(lines)) for name in metrics_of(lines, group)]
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, HEADER, restval="", lineterminator="\n")
    writer.writeheader()
    for line in lines:
        for cell in line.cells:
            writer.writerows(_cell_lines(plan, line, cell, names))
    writer.writerows(_quoted_lines(plan))
    return buffer.getvalue()


def _cell_lines(plan: Plan, line: Line, cell: Cell, names: list[str]) -> list[Fields]:
    common: Fields = {
        "experiment": plan.experiment,
        "row": line.row.label,
        "trained_on": line.row.trained_on,
        "seed": cell.seed,
        "k_sample": "" if cell.k_sample is None else cell.k_sample,
        "kind": "measured",
        "record": cell.record,
    }
    record = line.records.get(cell.record)
    if record is None or record.status != "done":
        status = "pending" if record is None else record.status
        return [common | {"status": status, "reason": (record.reason if record else None) or why_missing(record, None)}]
    values = {value.name: value for value in record.values}
    rows: list[Fields] = []
    for name in dict.fromkeys([*names, *sorted(record.why_declined)]):
        if name in values:
            rows.append(common | {"status": "done"} | _value_fields(values[name]))
        else:
            reason = record.why_declined.get(name, "the record holds no such metric")
            rows.append(
                common
                | {"metric": name, "status": "declined" if name in record.why_declined else "absent", "reason": reason}
            )
    return rows or [common | {"status": "done", "reason": "no metric was measured"}]


def _value_fields(value: Value) -> Fields:
    return {
        "metric": value.name,
        "value": repr(value.value),
        "floor": "" if value.floor is None else repr(value.floor),
        "n": value.n,
        "reference_n": value.reference_n,
        "better": value.better,
        "fingerprint": value.fingerprint,
    }


def _quoted_lines(plan: Plan) -> list[Fields]:
    return [
        {
            "experiment": plan.experiment,
            "row": row.label,
            "trained_on": row.trained_on,
            "k_sample": "" if number.k_sample is None else number.k_sample,
            "metric": f"{number.column} {number.metric}",
            "value": repr(number.value),
            "better": number.better,
            "reason": plan.quoted_source or "",
            "kind": "quoted",
        }
        for row in plan.rows
        for number in row.quoted
    ]
