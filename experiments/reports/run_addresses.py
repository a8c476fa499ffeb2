"""Where MLflow shows the runs of cells, read from a store's own database. Needs no MLflow."""

import sqlite3
from contextlib import closing
from pathlib import Path

DATABASE = "mlflow.db"
"""The store's own, below its folder."""
SERVER = "http://127.0.0.1:5000"
"""Where `prism-bench ui` serves it, unless told otherwise."""
TAGS = ("row", "prism.record")
QUERY = """
SELECT runs.experiment_id, runs.run_uuid, of_row.value, record.value
FROM runs
JOIN tags AS of_row ON of_row.run_uuid = runs.run_uuid AND of_row.key = ?
JOIN tags AS record ON record.run_uuid = runs.run_uuid AND record.key = ?
WHERE runs.lifecycle_stage = 'active'
ORDER BY runs.start_time, runs.run_uuid
"""


def run_addresses(store: Path) -> dict[tuple[str, str], str]:
    """The page of each cell's run, by row and record; of those of several plans the latest.

    Empty where the store has no database of its own, or one that cannot be read: a report does without.
    """
    path = (store / DATABASE).resolve()
    if not path.is_file():
        return {}
    try:
        with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True, timeout=5)) as database:
            found = database.execute(QUERY, TAGS).fetchall()
    except sqlite3.Error:
        return {}
    return {(row, record): f"{SERVER}/#/experiments/{at}/runs/{run}" for at, run, row, record in found}
