"""One store's plans, cells and records as MLflow runs. Every call may raise what MLflow raises."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from prism_bench.analysis.schema.records import Cell, Plan, PlanRow, Record
from prism_bench.experiments.mlflow_view import payload
from prism_bench.experiments.mlflow_view.client import Run, RunWriter, now_ms
from prism_bench.experiments.mlflow_view.process_owner import owner_tags

if TYPE_CHECKING:
    from mlflow import MlflowClient

_ENDINGS = {"done": "FINISHED", "failed": "FAILED", "blocked": "FAILED"}
_LONGEST_REASON = 2000


@dataclass(kw_only=True)
class PlanRun:
    """A plan's parent run, and its nested runs by row and record: rows that share a record have a run each."""

    experiment_id: str
    run: Run
    cells: dict[tuple[str, str], Run]


class View:
    """Keeps MLflow in step with the files; finds what an earlier process logged and adds only what is new."""

    def __init__(self, client: "MlflowClient", store: Path) -> None:
        self.writer = RunWriter(client, store)
        self._store = store
        self._plans: dict[str, PlanRun] = {}

    def find_plan(self, plan: Plan) -> PlanRun | None:
        """The parent run of a plan and its cells, found by the plan's digest."""
        if plan.plan not in self._plans:
            experiment_id = self.writer.experiment(plan.experiment)
            same = self.writer.find(experiment_id, "prism.plan", plan.plan)
            found = next((run for run in same if run.tags.get("prism.kind") == "plan"), None)
            if found is None:
                return None
            nested = (run for run in same if run.tags.get("mlflow.parentRunId") == found.id)
            cells = {(run.tags.get("row", ""), run.tags.get("prism.record", "")): run for run in nested}
            self._plans[plan.plan] = PlanRun(experiment_id=experiment_id, run=found, cells=cells)
        return self._plans[plan.plan]

    def plan(self, plan: Plan, started: int | None = None) -> PlanRun:
        """The parent run of a plan, found or made (RUNNING since `started`, ms)."""
        known = self.find_plan(plan)
        if known is None:
            experiment_id = self.writer.experiment(plan.experiment)
            run = self.writer.create(experiment_id, payload.plan_name(plan), payload.plan_tags(plan), started)
            known = self._plans[plan.plan] = PlanRun(experiment_id=experiment_id, run=run, cells={})
        return known

    def begin(self, plan: Plan) -> None:
        """Set the parent run to RUNNING, owned by this process."""
        run = self.plan(plan).run
        self.writer.tag(run, owner_tags(self._store) | {"prism.status": "running"})
        self.writer.resume(run)
        self.describe(plan)

    def describe(self, plan: Plan) -> None:
        """Bring the tags, the page's text and the parameters of the parent run up to date."""
        run = self.plan(plan).run
        self.writer.tag(run, payload.plan_tags(plan))
        self.writer.params(run, payload.plan_params(plan))

    def cell(self, plan: Plan, row: PlanRow, cell: Cell, started: int | None = None) -> Run:
        """The nested run of a cell, found by row and record or made (RUNNING since `started`, ms)."""
        parent = self.plan(plan)
        key = (row.id, cell.record)
        if key not in parent.cells:
            tags = payload.cell_tags(plan, row, cell) | {"mlflow.parentRunId": parent.run.id, "prism.status": "running"}
            parent.cells[key] = self.writer.create(parent.experiment_id, payload.cell_name(row, cell), tags, started)
        return parent.cells[key]

    def start_cell(
        self, plan: Plan, row: PlanRow, cell: Cell, config: Mapping[str, Any],
        training_key: str | None,
    ) -> None:  # fmt: skip
        """Set a cell's run to RUNNING, owned by this process, with its parameters."""
        run = self.cell(plan, row, cell)
        tags = payload.cell_tags(plan, row, cell) | owner_tags(self._store) | {"prism.status": "running"}
        self.writer.tag(run, tags | ({"prism.training": training_key} if training_key else {}))
        if "prism.config" not in run.tags:
            self._config(run, cell, config)
        self.writer.resume(run)

    def progress(self, plan: Plan, record: str, log: Path) -> None:
        """Add what a training log holds beyond the last step logged; a record without a run is passed over."""
        points = list(payload.training_points(log))
        for (_, name), run in self.plan(plan).cells.items():
            if name == record:
                self.writer.curve(run, points)

    def finish_cell(self, plan: Plan, record: Record, artifacts: Mapping[str, Path]) -> None:
        """Write a record into the run of every row that shows it and close them; nothing is sent that is there."""
        for row in plan.rows:
            for cell in row.cells:
                if cell.record == record.record:
                    # Pictures are those of the row that the record names.
                    self._finish(plan, row, cell, record, artifacts if record.row == row.id else {})

    def _finish(
        self, plan: Plan, row: PlanRow, cell: Cell, record: Record,
        artifacts: Mapping[str, Path],
    ) -> None:  # fmt: skip
        ended = self._written(record.record)
        seconds = (record.cost.train_seconds or 0.0) + (record.cost.sample_seconds or 0.0)
        run = self.cell(plan, row, cell, ended - int(1000 * seconds))
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

    def finish_plan(self, plan: Plan, status: str, artifacts: Mapping[str, Path], ended: int) -> None:
        """Close the parent run, and as KILLED those of its cells that are still RUNNING."""
        parent = self.plan(plan)
        for cell in parent.cells.values():
            if cell.status == "RUNNING":
                self.writer.tag(cell, {"prism.status": "killed"})
                self.writer.end(cell, "KILLED", ended)
        self._pictures(parent.run, artifacts)
        self.writer.tag(parent.run, {"prism.status": status.lower()})
        self.writer.end(parent.run, status, ended)

    def _fill(self, run: Run, cell: Cell, record: Record) -> None:
        self._config(run, cell, record.config.model_dump(mode="json"))
        training = record.stages.get("training")
        if training:
            log = self._store / "stages" / "training" / training / "metrics.jsonl"
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
            return int((self._store / "records" / f"{record}.json").stat().st_mtime * 1000)
        except OSError:
            return now_ms()
