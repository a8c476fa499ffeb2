"""What stands behind a table: total cost, choices in force, changes, cells with their commands, environment."""

from collections.abc import Sequence

import pandas as pd

from prism_bench.analysis import formatting
from prism_bench.analysis.formats.html.html_escape import Markup, join, simple_table, tag, text
from prism_bench.analysis.formats.rerun_command import cell_command
from prism_bench.analysis.schema.records import Plan, Record, index_records
from prism_bench.analysis.table.ledger import LEDGER, ledger_lines
from prism_bench.analysis.table.results import Results

SHORT = 12
"""Characters of a digest that are shown; the whole stands in its title."""


def total_cost(results: Results) -> tuple[float, float]:
    """(seconds of training, seconds of sampling) of the distinct trainings and samples of a plan."""
    finished = set(results.lines.finished["record"])
    records = [record for record in results.records if record.record in finished]
    trainings = {one.stages.get("training", one.record): one.cost.train_seconds or 0.0 for one in records}
    samples = {one.stages.get("samples", one.record): one.cost.sample_seconds or 0.0 for one in records}
    return sum(trainings.values()), sum(samples.values())


def choices_html(plan: Plan) -> Markup:
    """The paper's open choices, with the values in force."""
    rows = [[name, formatting.setting(value)] for name, value in plan.choices.items()]
    choices = simple_table(["Choice", "Value"], rows, 9)
    ledger = ledger_lines(plan)
    return join([choices, simple_table(LEDGER, ledger, 9)]) if ledger else choices


def changes_html(plan: Plan) -> Markup:
    """What each row changes of the base method."""
    rows = []
    for row in plan.rows:
        changed = [
            f"{path}: {formatting.setting(old)} → {formatting.setting(new)}" for path, (old, new) in row.changes.items()
        ]
        rows.append([row.label, "; ".join(changed) or (row.declined or "nothing, it is the base")])
    return simple_table(["Variant", "Changes"], rows, 9)


def cells_html(results: Results) -> Markup:
    """Every cell: its record (the run's name in MLflow), the digests of its training and samples, its command."""
    plan, records = results.plan, index_records(results.records)
    cells = results.lines.every_cell
    states = dict(zip(cells["record"], cells["state"], strict=True))
    rows = []
    for row in plan.rows:
        for cell in row.cells:
            record = records.get(cell.record)
            stages = {} if record is None else record.stages
            rows.append(
                [
                    row.label,
                    str(cell.seed),
                    "" if cell.k_sample is None else str(cell.k_sample),
                    states[cell.record],
                    _digest(cell.record),
                    _digest(stages.get("training", "")),
                    _digest(stages.get("samples", "")),
                    tag("code", cell_command(plan, row, cell)),
                ]
            )
    head = ["Variant", "Seed", "k_sample", "Status", "Record", "Training", "Samples", "Command"]
    return simple_table(head, rows, 9)


def environment_html(records: Sequence[Record]) -> Markup:
    """The versions that the records were made with; more than one column where they differ."""
    environments = [record.environment for record in records if record.environment]
    if not environments:
        return tag("p", "No record says what it was made with.")
    versions = pd.DataFrame(environments).drop_duplicates().fillna("").T.sort_index()
    head = ["Library", *(f"records {index + 1}" for index in range(versions.shape[1]))]
    return simple_table(head, versions.itertuples(), 9)


def _digest(digest: str) -> Markup:
    return tag("code", digest[:SHORT], title=digest) if digest else text("")
