"""MLflow as a view: real SQLite databases, real files, real dead processes."""

import json
import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import tomllib
from collections.abc import Callable
from contextlib import closing
from importlib.metadata import version
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest
from handmade import BARE, document
from packaging.requirements import Requirement

from prism_bench.analysis.schema.records import Cell, Plan, PlanRow, Record, load_plan, load_record
from prism_bench.experiments.mlflow_view.connection import connect, server_address, tracking_uri, ui_command
from prism_bench.experiments.mlflow_view.links import comparison
from prism_bench.experiments.mlflow_view.process_owner import has_ended, owner_of, owner_tags
from prism_bench.experiments.mlflow_view.sync import SyncCount, sync
from prism_bench.experiments.mlflow_view.texts import LONGEST_NOTE, plan_note
from prism_bench.experiments.mlflow_view.tracker import open_tracker
from prism_bench.experiments.reports.cell_picture import picture_at
from prism_bench.experiments.reports.places import report_folder
from prism_bench.experiments.tracking.live import LiveView
from prism_bench.experiments.tracking.payload import (
    cell_name,
    cell_params,
    final_metrics,
    finite,
    flat_params,
    means,
    metric_name,
    training_points,
)
from prism_bench.experiments.tracking.tracker import Tracker
from prism_bench.prism.engine.store import Store
from prism_bench.prism.errors import ComputeError, InputError

CONFIG: dict[str, Any] = {
    "method": {
        "component": "method/patch",
        "aggregator": {"component": "aggregator/mean", "width": 32},
        "k_max": 8,
        "note": "x" * 501,
    },
    "sampling": {"sampler": {"steps": 2}, "k_sample": 1, "samples": 16, "sample_seed": 0},
    "split": {"seed": 0},
    "dataset": {"size": 9},
    "train_seed": 0,
}
_ROWS: list[dict[str, Any]] = [
    {"id": "patchd", "label": "PatchD", "trained_on": "X", "cells": [{"seed": 0, "record": "a0", "k_sample": 1}]},
    {
        "id": "prism",
        "label": "PRISM | full",
        "trained_on": "",
        "cells": [{"seed": s, "record": f"b{s}", "k_sample": 1} for s in (0, 1)],
    },
]
PLAN = load_plan(
    {
        **document(_ROWS, [], 2),
        "plan": "0123456789abcdef",
        "experiment": "ablation-table3",
        "title": "Table 3",
        "scale": "laptop",
        "command": "prism-bench run ablation-table3",
        "choices": {"encoder": "pixels-pca"},
    }
)
ROWS = PLAN.rows


VALUE: dict[str, Any] = {
    "name": "fid@k=1", "label": "FID", "value": 12.5, "floor": 1.25, "n": 1000, "reference_n": 6000, "better": "lower",
    "fingerprint": "f", "scale": "laptop",
}  # fmt: skip


def record_of(name: str, status: str = "done", **more: Any) -> Record:
    facts = {
        **BARE,
        "record": name,
        "status": status,
        "variant": "PatchD",
        "row": "patchd" if name == "a0" else "prism",
        "config": CONFIG,
        "values": [VALUE],
        "parameters": 754595,
        "cost": {"train_seconds": 8.0},
        "stages": {"training": f"t-{name}"},
    }
    return load_record(facts | more)


def row_of_log(images: int, **more: Any) -> str:
    row = {"images": images, "loss": 1 / images, "images_per_second": 800.0, "k_train": 8, "seconds": images / 800}
    return json.dumps(row | more) + "\n"


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated database: making one takes seconds, copying one does not."""
    store = tmp_path_factory.mktemp("template")
    connect(store, lambda _: None)
    return store / "mlflow.db"


@pytest.fixture(autouse=True)
def _no_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)


@pytest.fixture
def store(tmp_path: Path, empty_database: Path) -> Path:
    folder = tmp_path / "my störe #1"
    (folder / "experiments" / "ablation-table3").mkdir(parents=True)
    (folder / "records").mkdir()
    shutil.copyfile(empty_database, folder / "mlflow.db")
    (folder / "experiments" / "ablation-table3" / f"{PLAN.plan}.json").write_text(PLAN.model_dump_json())
    return folder


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def tracker(store: Path, said: list[str]) -> Tracker:
    tracker = open_tracker(store, said.append)
    tracker.begin(PLAN)
    return tracker


def write_record(store: Path, record: Record) -> Record:
    (store / "records" / f"{record.record}.json").write_text(record.model_dump_json())
    log = store / "stages" / "training" / record.stages["training"] / "metrics.jsonl"
    log.parent.mkdir(parents=True, exist_ok=True)
    log.write_text("".join(row_of_log(images) for images in (100, 200, 300)))
    return record


def client_of(store: Path) -> Any:
    from mlflow import MlflowClient

    return MlflowClient(tracking_uri(store))


def runs_of(store: Path) -> dict[str, Any]:
    """Every run of the store's experiment by its name."""
    client = client_of(store)
    experiment = client.get_experiment_by_name("prism-bench/ablation-table3")
    assert experiment is not None
    return {run.info.run_name: run for run in client.search_runs([experiment.experiment_id])}


def curves(store: Path, run: Any) -> dict[str, list[tuple[int, float]]]:
    """Every point of a run by metric, read past MLflow."""
    query = "SELECT key, step, value FROM metrics WHERE run_uuid = ? ORDER BY key, step"
    found: dict[str, list[tuple[int, float]]] = {}
    with closing(sqlite3.connect(store / "mlflow.db")) as database:
        for key, step, value in database.execute(query, [run.info.run_id]):
            found.setdefault(key, []).append((step, value))
    return found


def everything(store: Path) -> dict[str, Any]:
    """All that a user sees of the runs, without what names a process or a moment."""
    ours = {"prism.pid", "prism.started", "prism.store", "mlflow.parentRunId", "mlflow.note.content"}
    return {
        name: (
            run.info.status,
            run.data.params,
            {key: value for key, value in run.data.tags.items() if key not in ours},
            curves(store, run),
        )
        for name, run in runs_of(store).items()
    }


def start(tracker: Tracker, row: int = 0, cell: int = 0) -> None:
    asked = ROWS[row].cells[cell]
    tracker.cell_started(ROWS[row], asked, CONFIG, f"t-{asked.record}")


def draw(store: Path, row: str, plan: Plan = PLAN) -> None:
    """What a run draws of a cell."""
    picture = picture_at(report_folder(plan, store), row, 1, 0)
    picture.parent.mkdir(parents=True, exist_ok=True)
    picture.write_bytes(row.encode())


def run_everything(store: Path, say: Callable[[str], None]) -> None:
    tracker = open_tracker(store, say)
    tracker.begin(PLAN)
    for row, cell, name in ((0, 0, "a0"), (1, 0, "b0"), (1, 1, "b1")):
        start(tracker, row, cell)
        record = write_record(store, record_of(name))
        tracker.log_progress(name, store / "stages" / "training" / f"t-{name}" / "metrics.jsonl")
        tracker.cell_finished(record)
    tracker.finish("FINISHED")


class TestFacts:
    @pytest.mark.parametrize(
        ("name", "expected"),
        [("fid@k=1", "fid_k_1"), ("fid/k_sample 1", "fid/k_sample 1"), ("../a//b:c", "a/b_c"), ("", "unnamed")],
    )
    def test_names_fit_the_alphabet_of_mlflow(self, name: str, expected: str) -> None:
        from mlflow.utils import validation

        assert metric_name(name) == expected
        assert validation.validate_param_and_metric_name(metric_name(name))  # type: ignore[no-untyped-call]
        assert not validation.path_not_unique(metric_name(name))  # type: ignore[no-untyped-call]

    def test_only_finite_numbers_are_metrics(self) -> None:
        assert finite({"fd": float("inf"), "kid": float("nan"), "is": None, "recall": 1}) == {"recall": 1.0}
        record = record_of("a0", values=[{**VALUE, "floor": None}], parameters=None)
        assert final_metrics(record) == {"measured/fid_k_1": 12.5, "with/cost/train_seconds": 8.0}

    def test_what_is_looked_at_first_sorts_first(self) -> None:
        """MLflow shows sections of charts, parameters and metrics by their names."""
        copied = {**VALUE, "name": "copied_d", "group": "Memorisation", "floor": 7.5}
        names = [*final_metrics(record_of("a0", values=[VALUE, copied])), "training/loss"]
        assert sorted(names) == [
            "measured/fid_k_1",
            "memorisation/copied_d",
            "training/loss",
            "with/cost/parameters",
            "with/cost/train_seconds",
            "with/floor/fid_k_1",
            "with/floor/memorisation/copied_d",
        ]
        changed = ROWS[1].model_copy(update={"changes": {"k_max": (8, 4), "aggregator": (0, 1)}, "factors": {}})
        plan = PLAN.model_copy(update={"rows": (ROWS[0], changed)})
        params = sorted(cell_params(plan, changed, changed.cells[1], CONFIG))
        assert params[:5] == ["aggregator", "k_max", "k_sample", "seed", "variant"]
        assert all(name.startswith("with/") for name in params[5:])

    def test_a_row_without_neighbours_has_neither_k_sample_nor_schedule(self) -> None:
        alone = ROWS[0].model_copy(update={"factors": {"aggregator": "none", "training_set": "X"}})
        params = cell_params(PLAN, alone, alone.cells[0], CONFIG)
        assert (params["aggregator"], params["schedule"], params.get("k_sample")) == ("none", "none", None)
        guided = ROWS[0].model_copy(update={"factors": {"retrieval": "nearest", "schedule": "fixed"}})
        params = cell_params(PLAN, guided, guided.cells[0], CONFIG)
        assert (params["aggregator"], params["schedule"], params["k_sample"]) == ("mean", "fixed", "1")

    def test_means_are_over_the_seeds_of_finished_cells(self) -> None:
        values = {"a0": 1.0, "b0": 2.0, "b1": 4.0}
        records = {name: record_of(name, values=[{**VALUE, "value": value}]) for name, value in values.items()}
        expected = {
            "measured/fid_k_1/patchd": 1.0,
            "measured/fid_k_1/prism": 3.0,
            "with/floor/fid_k_1": 1.25,
            "with/cost/train_seconds/patchd": 8.0,
            "with/cost/train_seconds/prism": 8.0,
        }
        assert means(PLAN, records) == expected
        failed = record_of("b1", "failed", values=[])
        assert means(PLAN, records | {"b1": failed})["measured/fid_k_1/prism"] == 2.0
        swept = ROWS[1].model_copy(update={"cells": (ROWS[1].cells[0], Cell(seed=0, record="b1", k_sample=8))})
        found = means(PLAN.model_copy(update={"rows": (swept,)}), records)
        assert (found["measured/fid_k_1/prism-k1"], found["measured/fid_k_1/prism-k8"]) == (2.0, 4.0)

    def test_long_parameters_are_left_to_the_artifact(self) -> None:
        assert flat_params({"a": {"b": [1, 2]}, "ok": "x" * 500, "long": "x" * 501, "no": None}) == {
            "a.b": "[1,2]",
            "ok": "x" * 500,
            "no": "null",
        }

    def test_damaged_and_half_written_lines_are_passed_over(self, tmp_path: Path) -> None:
        log = tmp_path / "metrics.jsonl"
        log.write_text(row_of_log(100) + '{"images": 15\n[3]\n' + row_of_log(200, loss=float("nan")) + '{"images": 3')
        points = list(training_points(log))
        assert [point.step for point in points] == [100, 200]
        assert "training/loss" not in points[1].values
        assert points[1].values["training/k_train"] == 8

    def test_k_sample_is_named_where_the_cells_of_a_row_differ_in_it(self) -> None:
        cells = (Cell(seed=0, record="a", k_sample=1), Cell(seed=0, record="b", k_sample=8))
        row = PlanRow(id="prism", label="PRISM", trained_on="X", cells=cells)
        assert cell_name(PLAN, row, cells[1]) == "PRISM · seed 0 · k_sample 8"
        alone = row.model_copy(update={"cells": cells[1:]})
        assert cell_name(PLAN, alone, cells[1]) == "PRISM · seed 0"
        assert cell_name(PLAN.model_copy(update={"panel": "CelebA"}), alone, cells[1]) == "PRISM · CelebA · seed 0"

    def test_the_note_keeps_its_table_with_a_bar_in_a_label(self) -> None:
        assert "| PRISM \\| full | prism |  | 2 |" in plan_note(PLAN, "")

    def test_a_note_that_mlflow_would_refuse_is_shorter(self) -> None:
        assert "[Compare the runs](#/compare)" in plan_note(PLAN, "#/compare")
        assert plan_note(PLAN, "#/compare" + "x" * LONGEST_NOTE) == plan_note(PLAN, "")
        rows = tuple(ROWS[1].model_copy(update={"id": f"row{at}"}) for at in range(999))
        assert len(plan_note(PLAN.model_copy(update={"rows": rows}), "#/compare")) == LONGEST_NOTE


class TestRun:
    def test_a_cell_from_start_to_end(self, tracker: Tracker, store: Path, said: list[str]) -> None:
        start(tracker)
        started = runs_of(store)["PatchD · seed 0"]
        assert started.info.status == "RUNNING"
        assert started.data.params == {
            "variant": "PatchD",
            "seed": "0",
            "k_sample": "1",
            "aggregator": "mean",
            "with/method.component": "method/patch",
            "with/method.aggregator.component": "aggregator/mean",
            "with/method.aggregator.width": "32",
            "with/method.k_max": "8",
            "with/sampling.sampler.steps": "2",
            "with/sampling.k_sample": "1",
            "with/sampling.samples": "16",
            "with/sampling.sample_seed": "0",
            "with/split.seed": "0",
            "with/dataset.size": "9",
            "with/train_seed": "0",
        }
        draw(store, "patchd")
        table = report_folder(PLAN, store) / "table.md"
        table.write_text("a table")
        tracker.cell_finished(write_record(store, record_of("a0")))
        tracker.finish("FINISHED")
        assert said == []
        runs = runs_of(store)
        parent, cell = runs["ablation-table3 · laptop · toyfaces · 01234567"], runs["PatchD · seed 0"]
        assert (parent.info.status, cell.info.status) == ("FINISHED", "FINISHED")
        assert cell.data.tags["mlflow.parentRunId"] == parent.info.run_id
        tags = {"variant": "PatchD", "row": "patchd", "seed": "0", "scale": "laptop", "dataset": "toyfaces"}
        assert tags.items() <= cell.data.tags.items()
        assert cell.data.tags["prism.status"] == "done"
        assert "**Table 3**" in parent.data.tags["mlflow.note.content"]
        assert parent.data.params["dataset.resolution"] == "16"
        assert curves(store, cell)["training/loss"] == [(100, 0.01), (200, 0.005), (300, 1 / 300)]
        final = {
            "measured/fid_k_1": 12.5,
            "with/floor/fid_k_1": 1.25,
            "with/cost/parameters": 754595.0,
            "with/cost/train_seconds": 8.0,
        }
        assert final.items() <= cell.data.metrics.items()
        client = client_of(store)
        names = {file.path for file in client.list_artifacts(cell.info.run_id)}
        assert names == {"config.json", "record.json", "samples.png"}
        assert {file.path for file in client.list_artifacts(parent.info.run_id)} == {"index.html", "table.md"}
        held = store / "mlflow-artifacts" / "ablation-table3" / cell.info.run_id / "artifacts" / "config.json"
        assert json.loads(held.read_text()) == CONFIG

    def test_the_same_plan_again_adds_nothing(self, store: Path, said: list[str]) -> None:
        run_everything(store, said.append)
        before = everything(store)
        assert len(before) == 4
        run_everything(store, said.append)
        assert everything(store) == before
        assert said == []

    def test_a_cached_cell_needs_no_start(self, tracker: Tracker, store: Path) -> None:
        record = write_record(store, record_of("b1"))
        os.utime(store / "records" / "b1.json", (1_700_000_000, 1_700_000_000))
        tracker.cell_finished(record)
        run = runs_of(store)["PRISM | full · seed 1"]
        assert run.info.status == "FINISHED"
        assert run.data.params["with/method.k_max"] == "8"
        assert len(curves(store, run)["training/loss"]) == 3
        # It took 8 s and ended when its file was written.
        assert (run.info.start_time, run.info.end_time) == (1_699_999_992_000, 1_700_000_000_000)

    def test_the_same_values_in_a_changed_record_are_not_doubled(self, tracker: Tracker, store: Path) -> None:
        for system in ("linux", "darwin"):
            tracker.cell_finished(write_record(store, record_of("a0", environment={"system": system})))
        run = runs_of(store)["PatchD · seed 0"]
        assert curves(store, run)["measured/fid_k_1"] == [(0, 12.5)]
        path = client_of(store).download_artifacts(run.info.run_id, "record.json")
        assert json.loads(Path(path).read_text())["environment"]["system"] == "darwin"

    def test_two_rows_of_one_record_have_a_run_each(self, store: Path, said: list[str]) -> None:
        shared = ROWS[0].model_copy(update={"id": "again", "label": "PatchD again"})
        plan = PLAN.model_copy(update={"plan": "fedcba9876543210", "rows": (ROWS[0], shared)})
        tracker = open_tracker(store, said.append)
        tracker.begin(plan)
        for row in ("patchd", "again"):
            draw(store, row, plan)
            tracker.cell_finished(write_record(store, record_of("a0", row=row)))
        tracker.finish("FINISHED")
        runs = runs_of(store)
        for name, row in (("PatchD · seed 0", "patchd"), ("PatchD again · seed 0", "again")):
            assert runs[name].info.status == "FINISHED"
            assert curves(store, runs[name])["measured/fid_k_1"] == [(0, 12.5)]
            files = {file.path for file in client_of(store).list_artifacts(runs[name].info.run_id)}
            assert files == {"config.json", "record.json", "samples.png"}
            picture = client_of(store).download_artifacts(runs[name].info.run_id, "samples.png")
            assert Path(picture).read_bytes() == row.encode()
        assert said == []

    @pytest.mark.parametrize("status", ["failed", "blocked"])
    def test_a_failed_cell_says_why(self, tracker: Tracker, store: Path, status: str) -> None:
        start(tracker)
        record = record_of("a0", status, reason="NaN loss at image 3200", values=[], stages={})
        tracker.cell_finished(record)
        run = runs_of(store)["PatchD · seed 0"]
        assert run.info.status == "FAILED"
        assert (run.data.tags["prism.status"], run.data.tags["prism.reason"]) == (status, "NaN loss at image 3200")
        assert "measured/fid_k_1" not in run.data.metrics

    def test_finish_closes_what_still_runs(self, tracker: Tracker, store: Path) -> None:
        start(tracker)
        tracker.finish("KILLED")
        assert {run.info.status for run in runs_of(store).values()} == {"KILLED"}

    def test_a_failed_cell_that_succeeds_later_keeps_its_run(self, tracker: Tracker, store: Path) -> None:
        config = CONFIG | {"method": CONFIG["method"] | {"k_max": 4}}
        tracker.cell_finished(record_of("a0", "failed", reason="full disk", values=[], stages={}, config=config))
        tracker.finish("FAILED")
        first = runs_of(store)
        run_everything(store, pytest.fail)
        second = runs_of(store)
        assert second["PatchD · seed 0"].info.run_id == first["PatchD · seed 0"].info.run_id
        assert {run.info.status for run in second.values()} == {"FINISHED"}
        assert second["PatchD · seed 0"].data.tags["prism.reason"] == ""
        assert second["PatchD · seed 0"].data.params["with/method.k_max"] == "4", "MLflow refuses to change a parameter"

    def test_the_command_of_the_pages(self, store: Path) -> None:
        command, environment = ui_command(store, 5001)
        assert command[:4] == [sys.executable, "-m", "mlflow", "ui"]
        assert environment["MLFLOW_BACKEND_STORE_URI"] == f"sqlite:///{store}/mlflow.db"
        assert command[command.index("--host") + 1] == "127.0.0.1"
        assert command[command.index("--port") + 1] == "5001"


class TestProgress:
    def test_a_log_that_grows_shrinks_and_grows(self, tracker: Tracker, store: Path, said: list[str]) -> None:
        log = store / "metrics.jsonl"
        tracker.log_progress("a0", log)
        start(tracker)
        lines = [row_of_log(images) for images in (100, 200, 300, 400)]
        expected = [(images, 1 / images) for images in (100, 200, 300, 400)]
        for text, logged in [
            (lines[0] + lines[1][:20], 1),
            ("".join(lines[:3]), 3),
            (lines[0], 3),
            ("".join(lines), 4),
        ]:
            log.write_text(text)
            tracker.log_progress("a0", log)
            assert curves(store, runs_of(store)["PatchD · seed 0"])["training/loss"] == expected[:logged]
        assert said == []

    def test_another_process_goes_on_after_the_last_step(self, tracker: Tracker, store: Path) -> None:
        log = store / "metrics.jsonl"
        start(tracker)
        log.write_text(row_of_log(100) + row_of_log(200))
        tracker.log_progress("a0", log)
        later = open_tracker(store, pytest.fail)
        later.begin(PLAN)
        start(later)
        # Other seconds: after a resume the same images come at another time, and must still not be logged twice.
        log.write_text("".join(row_of_log(images, seconds=images) for images in (100, 200, 300)))
        later.log_progress("a0", log)
        steps = [step for step, _ in curves(store, runs_of(store)["PatchD · seed 0"])["training/k_train"]]
        assert steps == [100, 200, 300]

    def test_a_long_log_is_split_into_requests(
        self, tracker: Tracker, store: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from mlflow import MlflowClient

        sizes, log_batch = [], MlflowClient.log_batch

        def counted(self: Any, run_id: str, metrics: Any = (), **rest: Any) -> Any:
            sizes.append(len(metrics))
            return log_batch(self, run_id, metrics=metrics, **rest)

        start(tracker)
        monkeypatch.setattr(MlflowClient, "log_batch", counted)
        log = store / "metrics.jsonl"
        log.write_text("".join(row_of_log(images) for images in range(1, 401)))
        tracker.log_progress("a0", log)
        assert sizes == [999, 201]


PROGRAM = """
import json, pathlib, signal, sys
from prism_bench.analysis.schema.records import load_plan
from prism_bench.experiments.mlflow_view.tracker import open_tracker
store, plan = pathlib.Path(sys.argv[1]), load_plan(json.loads(sys.argv[2]))
tracker = open_tracker(store, print)
tracker.begin(plan)
tracker.cell_started(plan.rows[0], plan.rows[0].cells[0], {}, None)
print("ready", flush=True)
signal.pause()
"""


class TestParent:
    def test_it_shows_means_the_page_and_the_data(self, store: Path, said: list[str]) -> None:
        run_everything(store, said.append)
        runs = runs_of(store)
        parent = runs["ablation-table3 · laptop · toyfaces · 01234567"]
        expected = {"measured/fid_k_1/patchd": 12.5, "measured/fid_k_1/prism": 12.5, "with/floor/fid_k_1": 1.25}
        assert expected.items() <= parent.data.metrics.items()
        page = client_of(store).download_artifacts(parent.info.run_id, "index.html")
        assert "PRISM | full" in Path(page).read_text()
        for run in runs.values():
            (used,) = run.inputs.dataset_inputs
            assert (used.dataset.name, used.dataset.digest) == ("toyfaces", "d0")
            assert json.loads(used.dataset.profile) == {"images": 9, "resolution": 16, "retrieval": 6, "train": 3}
        assert said == []

    def test_its_note_leads_to_the_comparison_of_its_cells(self, store: Path, said: list[str]) -> None:
        run_everything(store, said.append)
        runs = runs_of(store)
        cells = ("PatchD · seed 0", "PRISM | full · seed 0", "PRISM | full · seed 1")
        page = comparison(runs[cells[0]].info.experiment_id, [runs[name].info.run_id for name in cells])
        note = runs["ablation-table3 · laptop · toyfaces · 01234567"].data.tags["mlflow.note.content"]
        assert f"[Compare the runs]({page})" in note

    def test_the_commit_is_that_of_the_records(self, store: Path, said: list[str]) -> None:
        sha = "c0ffee" + "0" * 34
        for name, commit in (("a0", sha), ("b0", f"{sha} with changes"), ("b1", None)):
            write_record(store, record_of(name, commit=commit))
        sync(store, said.append)
        runs = runs_of(store)
        for name, words in (("PatchD · seed 0", sha), ("PRISM | full · seed 0", f"{sha} with changes")):
            tags = runs[name].data.tags
            assert (tags["mlflow.source.git.commit"], tags["prism.commit"]) == (sha, words)
        for name in ("PRISM | full · seed 1", "ablation-table3 · laptop · toyfaces · 01234567"):
            assert "mlflow.source.git.commit" not in runs[name].data.tags, "there is none, or there are several"

    def test_there_is_no_default_experiment(self, store: Path, said: list[str]) -> None:
        client = client_of(store)
        assert [one.name for one in client.search_experiments()] == []
        client.restore_experiment("0")
        sync(store, said.append)
        assert [one.name for one in client.search_experiments()] == ["Default"], "somebody wants it"


def as_older(store: Path) -> list[str]:
    """Make the runs of a store those of an earlier version, with its names; their ids."""
    client = client_of(store)
    found = list(runs_of(store).values())
    for run in found:
        client.delete_tag(run.info.run_id, "prism.view")
        client.log_metric(run.info.run_id, "fid_k_1_floor", 1.0)
    return [run.info.run_id for run in found]


class TestOlderNames:
    @pytest.mark.parametrize("how", ["sync", "run"])
    def test_runs_of_an_earlier_version_are_replaced(self, store: Path, said: list[str], how: str) -> None:
        run_everything(store, said.append)
        before = everything(store)
        older = as_older(store)
        if how == "sync":
            assert sync(store, said.append).runs_added == 4
        else:
            run_everything(store, said.append)
        assert everything(store) == before
        assert not {run.info.run_id for run in runs_of(store).values()} & set(older)
        client = client_of(store)
        assert {client.get_run(one).info.lifecycle_stage for one in older} == {"deleted"}, "in MLflow's trash"
        assert sync(store, said.append) == SyncCount(plans=1, cells=3, runs_added=0, points_added=0)
        assert said == []

    def test_not_while_another_process_works_on_them(self, store: Path, said: list[str]) -> None:
        run_everything(store, said.append)
        client = client_of(store)
        older = as_older(store)
        parent = runs_of(store)["ablation-table3 · laptop · toyfaces · 01234567"]
        client.update_run(parent.info.run_id, status="RUNNING")
        with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as other:
            facts = {**owner_tags(store), "prism.pid": str(other.pid)}
            facts["prism.started"] = str(psutil.Process(other.pid).create_time())
            for name, value in facts.items():
                client.set_tag(parent.info.run_id, name, value)
            sync(store, said.append)
            assert {run.info.run_id for run in runs_of(store).values()} == set(older)
            other.communicate(b"\n")
        assert said == ["ablation-table3 (01234567) is running and left alone"]


class TestStale:
    def test_the_runs_of_a_killed_process_are_closed(self, store: Path, said: list[str]) -> None:
        command = [sys.executable, "-c", PROGRAM, str(store), PLAN.model_dump_json()]
        child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        try:
            assert child.stdout is not None
            assert child.stdout.readline() == "ready\n"
            open_tracker(store, said.append)
            assert [run.info.status for run in runs_of(store).values()] == ["RUNNING"] * 2, "it lives: hands off"
            write_record(store, record_of("a0"))
            assert sync(store, said.append).cells == 0
            assert said == ["ablation-table3 (01234567) is running and left alone"]
        finally:
            child.send_signal(signal.SIGKILL)
            child.wait()
            if child.stdout is not None:
                child.stdout.close()
        open_tracker(store, said.append)
        for run in runs_of(store).values():
            assert (run.info.status, run.data.tags["prism.status"]) == ("KILLED", "killed")
            assert run.data.tags["prism.reason"] == f"process {child.pid} ended without closing this run"
        assert said[1:] == ["MLflow: closed 2 run(s) that an ended process had left RUNNING"]

    def test_runs_of_other_hosts_and_stores_are_left_alone(self, tracker: Tracker, store: Path) -> None:
        start(tracker)
        client = client_of(store)
        elsewhere = ({"prism.host": "node7", "prism.machine": "node7 boot pid"}, {"prism.store": "elsewhere"})
        for run, tags in zip(runs_of(store).values(), elsewhere, strict=True):
            for name, value in ({"prism.pid": str(2**22 + 1)} | tags).items():
                client.set_tag(run.info.run_id, name, value)
        open_tracker(store, pytest.fail)
        assert {run.info.status for run in runs_of(store).values()} == {"RUNNING"}

    def test_a_later_process_of_the_same_number_is_another(self, store: Path) -> None:
        tags = owner_tags(store)
        host, boot, *rest = tags["prism.machine"].split()
        for ended, change in (
            (False, {}),
            (True, {"prism.started": str(float(tags["prism.started"]) - 60)}),
            (True, {"prism.pid": str(2**22 + 1)}),
            (True, {"prism.machine": " ".join([host, f"not-{boot}", *rest])}),  # before the last boot
            (False, {"prism.machine": " ".join([host, boot, "pid:[1]"])}),  # another container
            (False, {"prism.host": "node7", "prism.machine": "node7 boot pid:[1]", "prism.pid": str(2**22 + 1)}),
        ):
            owner = owner_of(tags | change)
            assert owner is not None
            assert has_ended(owner) == ended, change

    @pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="the ticks of a process are read from /proc")
    def test_owners_as_older_versions_wrote_them_are_read(self) -> None:
        ticks = Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19]
        old = {"prism.host": socket.gethostname(), "prism.pid": str(os.getpid()), "prism.pid_began": ticks}
        for ended, change in (
            (False, {}),
            (False, {"prism.pid_began": ""}),
            (True, {"prism.pid_began": str(int(ticks) - 6000)}),
            (True, {"prism.pid": str(2**22 + 1)}),
            (False, {"prism.host": "node7", "prism.pid": str(2**22 + 1)}),
        ):
            owner = owner_of(old | change)
            assert owner is not None
            assert has_ended(owner) == ended, change
        assert owner_of({}) is None


class TestSync:
    def test_an_empty_database_is_filled_again(
        self, store: Path, tmp_path: Path, empty_database: Path, said: list[str]
    ) -> None:
        run_everything(store, said.append)
        # Another folder: this process still holds the deleted database of the first one open.
        copy = tmp_path / "copy"
        shutil.copytree(store, copy, ignore=shutil.ignore_patterns("mlflow*"))
        shutil.copyfile(empty_database, copy / "mlflow.db")
        # Per cell: 3 rows x 3 curves, 4 final values; 5 means.
        assert sync(copy, said.append) == SyncCount(plans=1, cells=3, runs_added=4, points_added=44)
        assert sync(copy, said.append) == SyncCount(plans=1, cells=3, runs_added=0, points_added=0)
        rebuilt, lived = everything(copy), everything(store)
        assert len(lived) == 4
        assert rebuilt == lived
        assert said == []

    def test_what_lives_is_not_sent_again(self, store: Path, said: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
        from mlflow import MlflowClient

        run_everything(store, said.append)
        before = everything(store)
        for name in ("log_batch", "log_text", "log_artifacts", "create_run", "set_terminated"):
            monkeypatch.setattr(MlflowClient, name, lambda *_, **__: pytest.fail("there was nothing to send"))
        count = sync(store, said.append)
        assert (count.runs_added, count.points_added) == (0, 0)
        assert everything(store) == before
        assert said == []

    def test_an_unfinished_plan_and_a_damaged_file(self, store: Path, said: list[str]) -> None:
        write_record(store, record_of("a0"))
        (store / "records" / "b0.json").write_text('{"record": ')
        (store / "experiments" / "ablation-table3" / "other.json").write_text("[]")
        count = sync(store, said.append)
        assert (count.plans, count.cells, count.runs_added) == (1, 1, 2)
        assert [message.split(": ")[1].split(" (")[0] for message in said] == [
            "is not valid JSON",
            "must hold a JSON object, found list; delete the file and run the same command again; passed over",
        ]
        runs = runs_of(store)
        assert runs["ablation-table3 · laptop · toyfaces · 01234567"].info.status == "KILLED"


class TestTrouble:
    def test_the_environment_names_the_database(
        self, store: Path, empty_database: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: list[str]
    ) -> None:
        shutil.copyfile(empty_database, tmp_path / "team.db")
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/team.db")
        (store / "mlflow.db").unlink()
        run_everything(store, said.append)
        assert said == []
        assert len(runs_of(store)) == 4
        assert tracking_uri(store) == f"sqlite:///{tmp_path}/team.db"
        assert not (store / "mlflow.db").exists()

    def test_a_dead_server_is_said_once_and_stops_nothing(
        self, store: Path, monkeypatch: pytest.MonkeyPatch, said: list[str]
    ) -> None:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
        run_everything(store, said.append)
        assert len(said) == 1
        assert said[0].startswith("MLflow at http://127.0.0.1:9: API request to http://127.0.0.1:9/")
        assert said[0].endswith("The records are complete; run `prism-bench sync` later.")
        with pytest.raises(ComputeError, match=r"MLflow at http://127.0.0.1:9: API request"):
            sync(store, said.append)
        assert server_address(store) == "http://127.0.0.1:9"

    def test_a_failure_on_the_way_is_made_good_at_the_end(
        self, tracker: Tracker, store: Path, said: list[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from mlflow import MlflowClient

        calls = []

        def locked(*_: Any, **__: Any) -> None:
            calls.append(1)
            raise OSError("database is locked")

        start(tracker)
        with monkeypatch.context() as broken:
            broken.setattr(MlflowClient, "log_batch", locked)
            record = write_record(store, record_of("a0"))
            tracker.log_progress("a0", store / "stages" / "training" / "t-a0" / "metrics.jsonl")
            tracker.cell_finished(record)
            start(tracker, 1)
            assert len(calls) == 1, "after a failure MLflow is left in peace for a while"
            tracker.finish("FINISHED")
            assert len(calls) == 2
        assert said == [
            f"MLflow at {tracking_uri(store)}: database is locked. "
            "The records are complete; run `prism-bench sync` later."
        ]
        tracker.finish("FINISHED")
        run = runs_of(store)["PatchD · seed 0"]
        assert run.info.status == "FINISHED"
        assert len(curves(store, run)["training/loss"]) == 3

    def test_a_file_that_is_no_database(self, store: Path, said: list[str]) -> None:
        (store / "mlflow.db").write_text("not a database, but long enough to be taken for one" * 99)
        run_everything(store, said.append)
        assert len(said) == 1
        assert "file is not a database); move the file aside and run `prism-bench sync`" in said[0]

    def test_a_folder_that_is_not_there(self, tmp_path: Path) -> None:
        with pytest.raises(InputError, match=r"unable to open database file\); make the folder writable"):
            sync(tmp_path / "none", lambda _: None)

    def test_a_database_of_another_mlflow(self, store: Path, said: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
        with closing(sqlite3.connect(store / "mlflow.db")) as database:
            database.execute("UPDATE alembic_version SET version_num = 'from_the_future'")
            database.commit()
        commands = []

        # The real command takes seconds and answers just this.
        def upgrade(command: list[str], **_: Any) -> subprocess.CompletedProcess[str]:
            commands.append(command[1:])
            return subprocess.CompletedProcess(
                command, 1, "", "Can't locate revision identified by 'from_the_future'\n"
            )

        monkeypatch.setattr(subprocess, "run", upgrade)
        open_tracker(store, said.append)
        assert commands == [["-m", "mlflow", "db", "upgrade", tracking_uri(store)]]
        assert said[0].startswith("Upgrading MLflow's database")
        assert "cannot be upgraded (Can't locate revision identified by 'from_the_future')" in said[1]
        assert (store / "mlflow.db.before-upgrade").exists()

    def test_a_moved_store(self, store: Path, tmp_path: Path, said: list[str]) -> None:
        run_everything(store, said.append)
        moved = tmp_path / "moved"
        shutil.copytree(store, moved)
        with pytest.raises(InputError, match=r"the store was moved: mlflow.db still points to file://"):
            sync(moved, said.append)


def test_trainings_that_run_at_the_same_time_all_have_curves(tracker: Tracker, store: Path) -> None:
    class Address(str):
        key = "0"

    addresses = [Address(f"training-{name}") for name in ("a0", "b0")]
    trainings = [SimpleNamespace(address=a, method=SimpleNamespace(to_json=lambda: CONFIG)) for a in addresses]
    cells = [
        SimpleNamespace(training=training, samples=SimpleNamespace(k_sample=1, parameters=dict), **facts)
        for training, facts in zip(
            trainings,
            ({"record": "a0", "row": "patchd", "seed": 0}, {"record": "b0", "row": "prism", "seed": 0}),
            strict=True,
        )
    ]
    view = LiveView([tracker], SimpleNamespace(document=PLAN, cells=cells), Store(store))  # type: ignore[arg-type]
    for address in addresses:
        log = store / "work" / address / "metrics.jsonl"
        log.parent.mkdir(parents=True)
        log.write_text(row_of_log(100))
    for training in trainings:
        view.progressed(training, {})  # type: ignore[arg-type]
    runs = [run for run in runs_of(store).values() if "mlflow.parentRunId" in run.data.tags]
    assert len(runs) == 2
    assert all(curves(store, run)["training/loss"] == [(100, 0.01)] for run in runs)


def test_what_is_used_of_mlflow_beyond_its_client_is_still_there() -> None:
    """`SqlAlchemyStore` makes the database before any worker starts, and MLflow documents no other way to.

    Its next major version is therefore kept out (pyproject.toml) until this has been tried with it.
    """
    from inspect import Parameter, signature

    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    needed = [name for name, one in signature(SqlAlchemyStore).parameters.items() if one.default is Parameter.empty]
    assert needed == ["db_uri", "default_artifact_root"]
    project = tomllib.loads((Path(__file__).parent.parent / "pyproject.toml").read_text())
    (asked,) = [Requirement(one) for one in project["project"]["dependencies"] if one.startswith("mlflow")]
    assert version("mlflow") in asked.specifier
    assert "4.0" not in asked.specifier
