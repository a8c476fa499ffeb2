"""A plan, its cells and their records as MLflow runs. Every call may raise what MLflow raises."""

import json
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from prism_bench.analysis.schema.records import Cell, Plan, PlanRow, Record
from prism_bench.experiments.mlflow_view import payload
from prism_bench.experiments.mlflow_view.client import Run, RunWriter, now_ms
from prism_bench.experiments.mlflow_view.process_owner import owner_tags

_ENDINGS = {"done": "FINISHED", "failed": "FAILED", "blocked": "FAILED"}
_LONGEST_REASON = 2000


class PlanView:
    """Keeps a plan's runs in step with the files; finds what an earlier process logged and adds only what is new.

    Its nested runs are known by row and record: rows that share a record have a run each.
    """

    def __init__(self, writer: RunWriter, plan: Plan) -> None:
        self.writer, self.plan = writer, plan
        self._run: Run | None = None
        self._cells: dict[tuple[str, str], Run] = {}

    def find(self) -> Run | None:
        """The plan's parent run, with its cells, found by the plan's digest."""
        if self._run is None:
            same = self.writer.find(self._experiment, "prism.plan", self.plan.plan)
            self._run = next((run for run in same if run.tags.get("prism.kind") == "plan"), None)
            if self._run is not None:
                nested = (run for run in same if run.tags.get("mlflow.parentRunId") == self._run.id)
                self._cells = {(run.tags.get("row", ""), run.tags.get("prism.record", "")): run for run in nested}
        return self._run

    def run(self, started: int | None = None) -> Run:
        """The parent run, found or made (RUNNING since `started`, ms)."""
        run = self.find()
        if run is None:
            name, tags = payload.plan_name(self.plan), payload.plan_tags(self.plan)
            run = self._run = self.writer.create(self._experiment, name, tags, started)
        return run

    def begin(self) -> None:
        """Set the parent run to RUNNING, owned by this process."""
        run = self.run()
        self.writer.tag(run, owner_tags(self.writer.store) | {"prism.status": "running"})
        self.writer.resume(run)
        self.describe()

    def describe(self) -> None:
        """Bring the tags, the page's text and the parameters of the parent run up to date."""
        run = self.run()
        self.writer.tag(run, payload.plan_tags(self.plan))
        self.writer.params(run, payload.plan_params(self.plan))

    def start_cell(self, row: PlanRow, cell: Cell, config: Mapping[str, Any], training_key: str | None) -> None:
        """Set a cell's run to RUNNING, owned by this process, with its parameters."""
        run = self._cell(row, cell)
        tags = payload.cell_tags(self.plan, row, cell) | owner_tags(self.writer.store) | {"prism.status": "running"}
        self.writer.tag(run, tags | ({"prism.training": training_key} if training_key else {}))
        if "prism.config" not in run.tags:
            self._config(run, cell, config)
        self.writer.resume(run)

    def progress(self, record: str, log: Path) -> None:
        """Add what a training log holds beyond the last step logged; a record without a run is passed over."""
        points = list(payload.training_points(log))
        self.run()
        for (_, name), run in self._cells.items():
            if name == record:
                self.writer.curve(run, points)

    def finish_cell(self, record: Record, artifacts: Mapping[str, Path]) -> None:
        """Write a record into the run of every row that shows it and close them; nothing is sent that is there."""
        for row in self.plan.rows:
            for cell in row.cells:
                if cell.record == record.record:
                    # Pictures are those of the row that the record names.
                    self._finish(row, cell, record, artifacts if record.row == row.id else {})

    def _finish(self, row: PlanRow, cell: Cell, record: Record, artifacts: Mapping[str, Path]) -> None:
        ended = self._written(record.record)
        seconds = (record.cost.train_seconds or 0.0) + (record.cost.sample_seconds or 0.0)
        run = self._cell(row, cell, ended - int(1000 * seconds))
        status = _ENDINGS.get(record.status, "KILLED")
        logged = payload.fingerprint(record.model_dump(mode="json", exclude={"row", "variant", "schema_version"}))
        if run.tags.get("prism.logged") != logged:
            self._fill(run, cell, record)
        self._pictures(run, artifacts)
        reason = (record.reason or "")[:_LONGEST_REASON]
        training = record.stages.get("training", "")
        tags = {"prism.status": record.status, "prism.training": training, "prism.reason": reason}
        news = {name: text for name, text in tags.items() if text or name in run.tags}
        # Last, so that a process killed before this line does the whole again.
        self.writer.tag(run, news | {"prism.logged": logged})
        self.writer.end(run, status, ended)

    def finish(self, status: str, artifacts: Mapping[str, Path], ended: int) -> None:
        """Close the parent run, and as KILLED those of its cells that are still RUNNING."""
        run = self.run()
        for cell in self._cells.values():
            if cell.status == "RUNNING":
                self.writer.tag(cell, {"prism.status": "killed"})
                self.writer.end(cell, "KILLED", ended)
        self._pictures(run, artifacts)
        self.writer.tag(run, {"prism.status": status.lower()})
        self.writer.end(run, status, ended)

    @cached_property
    def _experiment(self) -> str:
        return self.writer.experiment(self.plan.experiment)

    def _cell(self, row: PlanRow, cell: Cell, started: int | None = None) -> Run:
        """The nested run of a cell, found by row and record or made (RUNNING since `started`, ms)."""
        parent, key = self.run(), (row.id, cell.record)
        if key not in self._cells:
            tags = payload.cell_tags(self.plan, row, cell)
            tags |= {"mlflow.parentRunId": parent.id, "prism.status": "running"}
            self._cells[key] = self.writer.create(self._experiment, payload.cell_name(row, cell), tags, started)
        return self._cells[key]

    def _fill(self, run: Run, cell: Cell, record: Record) -> None:
        self._config(run, cell, record.config.model_dump(mode="json"))
        training = record.stages.get("training")
        if training:
            log = self.writer.store / "stages" / "training" / training / "metrics.jsonl"
            self.writer.curve(run, payload.training_points(log))
        self.writer.metrics(run, payload.final_metrics(record))
        self._json(run, "record.json", record.model_dump(mode="json"))

    def _config(self, run: Run, cell: Cell, config: Mapping[str, Any]) -> None:
        asked = cell.model_dump(include={"seed", "k_sample"})
        self.writer.params(run, payload.flat_params(asked | dict(config)))
        digest = payload.fingerprint(config)
        if run.tags.get("prism.config") != digest:
            self._json(run, "config.json", config)
            self.writer.tag(run, {"prism.config": digest})

    def _json(self, run: Run, name: str, value: Mapping[str, Any]) -> None:
        self.writer.client.log_text(run.id, json.dumps(value, indent=1, sort_keys=True) + "\n", name)

    def _pictures(self, run: Run, artifacts: Mapping[str, Path]) -> None:
        present = {name: path for name, path in artifacts.items() if path.is_file()}
        digest = payload.files_fingerprint(present)
        if present and run.tags.get("prism.pictures") != digest:
            self.writer.files(run, present)
            self.writer.tag(run, {"prism.pictures": digest})

    def _written(self, record: str) -> int:
        """When the record's file was written (ms); now where there is none."""
        try:
            return int((self.writer.store / "records" / f"{record}.json").stat().st_mtime * 1000)
        except OSError:
            return now_ms()
