"""A plan, its cells and their records as MLflow runs. Every call may raise what MLflow raises."""

import json
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from prism_bench.analysis.schema.bare_labels import with_bare_labels
from prism_bench.analysis.schema.records import Cell, Plan, PlanRow, Record, load_records
from prism_bench.experiments.mlflow_view import links, texts
from prism_bench.experiments.mlflow_view.client import Run, RunWriter
from prism_bench.experiments.mlflow_view.process_owner import has_ended, owner_of, owner_tags
from prism_bench.experiments.reports.cell_picture import cell_picture
from prism_bench.experiments.reports.places import report_folder, table_with
from prism_bench.experiments.tracking import payload
from prism_bench.experiments.tracking.payload import now_ms

_ENDINGS = {"done": "FINISHED", "failed": "FAILED", "blocked": "FAILED"}
_LONGEST_REASON = 2000


class PlanView:
    """Keeps a plan's runs in step with the files; finds what an earlier process logged and adds only what is new.

    Its nested runs are known by row and record: rows that share a record have a run each. Runs whose names are those
    of an earlier version are deleted (MLflow keeps them in its trash) and made anew: it lets nobody rename a parameter.
    """

    def __init__(self, writer: RunWriter, plan: Plan) -> None:
        self.writer, self.plan = writer, with_bare_labels(plan)
        self._run: Run | None = None
        self._cells: dict[tuple[str, str], Run] = {}

    def find(self) -> Run | None:
        """The plan's parent run, with its cells, found by the plan's digest."""
        if self._run is None:
            same = self._of_this_version(self.writer.find(self._experiment, {"prism.plan": self.plan.plan}))
            # The oldest, as all commands see it.
            self._run = next((run for run in reversed(same) if run.tags.get("prism.kind") == "plan"), None)
            if self._run is not None:
                nested = (run for run in same if run.tags.get("mlflow.parentRunId") == self._run.id)
                self._cells = {(run.tags.get("row", ""), run.tags.get("prism.record", "")): run for run in nested}
        return self._run

    def _of_this_version(self, same: list[Run]) -> list[Run]:
        """Some runs without those of earlier versions, which are deleted, but for what another process works on."""
        older = [run for run in same if texts.view_of(run.tags) < texts.VIEW]
        if any(run.status == "RUNNING" and self._is_anothers(run) for run in older):
            return same
        for run in older:
            self.writer.delete(run)
        return [run for run in same if run not in older]

    def run(self, started: int | None = None) -> Run:
        """The parent run, found or made (RUNNING since `started`, ms)."""
        run = self.find()
        if run is None:
            known = {"prism.plan": self.plan.plan, "prism.kind": "plan"}
            name, tags = payload.plan_name(self.plan), texts.plan_tags(self.plan)
            run = self._run = self.writer.one(self._experiment, known, name, tags, started)
        return run

    def begin(self) -> None:
        """Set the parent run to RUNNING, owned by this process."""
        run = self.run()
        self.writer.tag(run, owner_tags(self.writer.store) | {"prism.status": "running"})
        self.writer.resume(run)
        self.describe()

    def describe(self) -> None:
        """Bring the tags, the page's text, the parameters and the data of the parent run up to date."""
        run = self.run()
        self.writer.params(run, texts.plan_params(self.plan))
        comparison = links.comparison(self._experiment, self.cells) if self.cells else ""
        note = {"mlflow.note.content": texts.plan_note(self.plan, comparison)}
        self.writer.tag(run, texts.plan_tags(self.plan) | note)
        self._dataset(run)

    def start_cell(self, row: PlanRow, cell: Cell, config: Mapping[str, Any], training_key: str | None) -> None:
        """Set a cell's run to RUNNING, owned by this process, with its parameters."""
        run = self._cell(row, cell)
        tags = texts.cell_tags(self.plan, row, cell) | owner_tags(self.writer.store) | {"prism.status": "running"}
        self.writer.tag(run, tags | ({"prism.training": training_key} if training_key else {}))
        if "prism.config" not in run.tags:
            self._config(run, row, cell, config)
        self._dataset(run)
        self.writer.resume(run)

    @property
    def cells(self) -> list[str]:
        """The ids of the cells' runs, in the order of the table's rows, seeds and numbers of neighbours."""
        return list(self.runs.values())

    @property
    def runs(self) -> dict[tuple[str, str], str]:
        """The same by row and record."""
        asked = [(row.id, cell.record) for row in self.plan.rows for cell in row.cells]
        return {key: self._cells[key].id for key in asked if key in self._cells}

    def progress(self, record: str, log: Path) -> None:
        """Add what a training log holds beyond the last step logged; a record without a run is passed over."""
        points = list(payload.training_points(log))
        self.run()
        for (_, name), run in self._cells.items():
            if name == record:
                self.writer.curve(run, points)

    def finish_cell(self, record: Record) -> None:
        """Write a record into the run of every row that shows it and close them; nothing is sent that is there."""
        for row in self.plan.rows:
            for cell in row.cells:
                if cell.record == record.record:
                    self._finish(row, cell, record)

    def _finish(self, row: PlanRow, cell: Cell, record: Record) -> None:
        ended = self._written(record.record)
        seconds = (record.cost.train_seconds or 0.0) + (record.cost.sample_seconds or 0.0)
        run = self._cell(row, cell, ended - int(1000 * seconds))
        status = _ENDINGS.get(record.status, "KILLED")
        logged = payload.fingerprint(record.model_dump(mode="json", exclude={"row", "variant", "schema_version"}))
        if run.tags.get("prism.logged") != logged:
            with self.writer.alone(run.id):
                self.writer.refresh(run)
                if run.tags.get("prism.logged") != logged:
                    self._fill(run, row, cell, record)
                    # Last, so that a process killed before this line does the whole again.
                    self.writer.tag(run, {"prism.logged": logged})
        self._files(run, {payload.PICTURE: cell_picture(report_folder(self.plan, self.writer.store), row.id, record)})
        reason = (record.reason or "")[:_LONGEST_REASON]
        training = record.stages.get("training", "")
        tags = {"prism.status": record.status, "prism.training": training, "prism.reason": reason}
        news = {name: text for name, text in tags.items() if text or name in run.tags}
        self.writer.tag(run, news | texts.commit_tags(record.commit or ""))
        self._dataset(run)
        self.writer.end(run, status, ended)

    def finish(self, status: str, ended: int) -> None:
        """Close the parent run, and as KILLED those of its cells that are still RUNNING.

        What another living command on the store works on is left to it.
        """
        run = self.run()
        for cell in self._cells.values():
            if cell.status == "RUNNING" and not self._is_anothers(cell):
                self.writer.tag(cell, {"prism.status": "killed"})
                self.writer.end(cell, "KILLED", ended)
        if status == "KILLED" and self._is_anothers(run):
            return
        self._conclude(run)
        self.writer.tag(run, {"prism.status": status.lower()})
        self.writer.end(run, status, ended)

    def _conclude(self, run: Run) -> None:
        """Show on the parent run what its cells came to: means, the report page, tables and pictures."""
        self.describe()
        records = load_records(self.writer.store, self.plan)
        self.writer.metrics(run, payload.means(self.plan, records))
        self.writer.tag(run, texts.commit_tags(texts.shared_commit(records)))
        shown = payload.fingerprint([record.model_dump(mode="json") for record in records.values()])
        if run.tags.get("prism.page") != shown:
            # What makes a page takes long to import, and mostly there is nothing new.
            from prism_bench.experiments.mlflow_view.page import page_of

            self.writer.client.log_text(run.id, page_of(self.plan, self.writer.store), "index.html")
            self.writer.tag(run, {"prism.page": shown})
        self._files(run, {path.name: path for path in sorted(self._folder.glob("[!.]*.*"))})

    def _is_anothers(self, run: Run) -> bool:
        """Whether another living process has set a run to RUNNING since."""
        self.writer.refresh(run)
        owner = owner_of(run.tags)
        ours = owner_tags(self.writer.store).items() <= run.tags.items()
        return run.status == "RUNNING" and not ours and owner is not None and not has_ended(owner)

    @cached_property
    def _experiment(self) -> str:
        return self.writer.experiment(self.plan.experiment)

    def _cell(self, row: PlanRow, cell: Cell, started: int | None = None) -> Run:
        """The nested run of a cell, found by row and record or made (RUNNING since `started`, ms)."""
        parent, key = self.run(), (row.id, cell.record)
        if key not in self._cells:
            tags = texts.cell_tags(self.plan, row, cell)
            tags |= {"mlflow.parentRunId": parent.id, "prism.status": "running"}
            known = {name: tags[name] for name in ("mlflow.parentRunId", "row", "prism.record")}
            name = payload.cell_name(self.plan, row, cell)
            self._cells[key] = self.writer.one(self._experiment, known, name, tags, started)
        return self._cells[key]

    def _fill(self, run: Run, row: PlanRow, cell: Cell, record: Record) -> None:
        self._config(run, row, cell, record.config.model_dump(mode="json"))
        # First: pages begin with the first metric that a run was given.
        self.writer.metrics(run, payload.final_metrics(record), record.cost.images or 0)
        training = record.stages.get("training")
        if training:
            log = self.writer.store / "stages" / "training" / training / "metrics.jsonl"
            self.writer.curve(run, payload.training_points(log))
        self._json(run, "record.json", record.model_dump(mode="json"))

    def _config(self, run: Run, row: PlanRow, cell: Cell, config: Mapping[str, Any]) -> None:
        self.writer.params(run, payload.cell_params(self.plan, row, cell, config))
        digest = payload.fingerprint(config)
        if run.tags.get("prism.config") != digest:
            self._json(run, "config.json", config)
            self.writer.tag(run, {"prism.config": digest})

    def _dataset(self, run: Run) -> None:
        digest = self.plan.dataset.digest
        if run.tags.get("prism.dataset") == digest:
            return
        # MLflow finds or makes the dataset of an experiment, and fails where two do so at once.
        with self.writer.alone(self._experiment, "dataset", digest):
            self.writer.refresh(run)
            if run.tags.get("prism.dataset") != digest:
                self.writer.dataset(run, self.plan.dataset)
                self.writer.tag(run, {"prism.dataset": digest})

    def _json(self, run: Run, name: str, value: Mapping[str, Any]) -> None:
        self.writer.client.log_text(run.id, json.dumps(value, indent=1, sort_keys=True) + "\n", name)

    @cached_property
    def _folder(self) -> Path:
        """The folder of the report that shows the plan, which may not be there."""
        return table_with(self.plan, self.writer.store)[1]

    def _files(self, run: Run, files: Mapping[str, Path]) -> None:
        """Copy those of some files that are there among a run's artifacts, by name, where any of them is new."""
        present = {name: path for name, path in files.items() if path.is_file()}
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
