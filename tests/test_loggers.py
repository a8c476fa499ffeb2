"""TensorBoard and Weights & Biases: real event files and offline runs, read back."""

import inspect
import json
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import Cli
from test_tracking import CONFIG, PLAN, ROWS, VALUE, record_of, row_of_log, write_record
from tiny import RUN

import prism_bench as pb
from prism_bench.experiments.options.texts import LOGGERS as NAMES
from prism_bench.experiments.reports.cell_picture import picture_at
from prism_bench.experiments.reports.places import report_folder
from prism_bench.experiments.tracking import tensorboard, wandb
from prism_bench.experiments.tracking.loggers import LOGGERS
from prism_bench.experiments.tracking.payload import final_metrics
from prism_bench.experiments.tracking.tracker import Tracker
from prism_bench.prism.engine.stamps import STAMPS

CURVES = {"training/loss", "training/images_per_second", "training/k_train"}
Steps = dict[str, list[tuple[int, float]]]


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)  # no git repository
    folder = tmp_path / "my störe"
    (folder / "records").mkdir(parents=True)
    return folder


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Weights & Biases as on a machine where nobody has used it, without its server."""
    home = tmp_path / "home"
    home.mkdir()
    for name in ("WANDB_API_KEY", "WANDB_PROJECT", "WANDB_ENTITY", "WANDB_DIR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("WANDB_CONFIG_DIR", str(home))
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")


def opened(name: str, store: Path, said: list[str]) -> Tracker:
    tracker = LOGGERS[name].tracker(store, said.append)
    said.clear()
    tracker.begin(PLAN)
    return tracker


def run(tracker: Tracker, store: Path, names: tuple[str, ...] = ("a0", "b0", "b1"), **more: Any) -> None:
    """Cells from start to end, each with three lines in its log."""
    for row in ROWS:
        for cell in row.cells:
            if cell.record in names:
                tracker.cell_started(row, cell, CONFIG, None)
                record = write_record(store, record_of(cell.record, seed=cell.seed, **more))
                tracker.log_progress(cell.record, store / "stages" / "training" / f"t-{cell.record}" / "metrics.jsonl")
                tracker.cell_finished(record)
    tracker.finish("FINISHED")


def events(store: Path, name: str = "PatchD · seed 0") -> Any:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    found = EventAccumulator(str(store / "tensorboard" / "ablation-table3" / "01234567" / name))
    found.Reload()
    return found


def scalars(store: Path, name: str = "PatchD · seed 0") -> Steps:
    found = events(store, name)
    return {tag: [(one.step, one.value) for one in found.Scalars(tag)] for tag in found.Tags()["scalars"]}


BLOCK = 32768


def offline_records(path: Path) -> Iterator[Any]:
    """The records of an offline run: LevelDB's log format behind seven bytes."""
    from wandb.proto.wandb_internal_pb2 import Record

    data, at, parts = path.read_bytes(), 7, b""
    assert data[:4] == b":W&B"
    while at + 7 <= len(data):
        if BLOCK - at % BLOCK < 7:
            at += BLOCK - at % BLOCK
            continue
        length, kind = struct.unpack("<HB", data[at + 4 : at + 7])
        parts += data[at + 7 : at + 7 + length]
        at += 7 + length
        if kind in {1, 4}:  # whole, or the last part
            record = Record()
            record.ParseFromString(parts)
            yield record
            parts = b""


def offline_runs(store: Path) -> dict[str, tuple[dict[str, Any], Steps]]:
    """Configuration and history of every offline run, by name."""
    found = {}
    for path in sorted(store.glob("wandb/offline-run-*/run-*.wandb")):
        name, config, steps = "", {}, Steps()
        for record in offline_records(path):
            if record.WhichOneof("record_type") == "run":
                name = record.run.display_name
                config = {one.key: json.loads(one.value_json) for one in record.run.config.update}
            if record.WhichOneof("record_type") == "history":
                row = {"/".join(it.nested_key) or it.key: json.loads(it.value_json) for it in record.history.item}
                for key, value in row.items():
                    if not key.startswith("_") and isinstance(value, int | float):
                        steps.setdefault(key, []).append((row["_step"], value))
        found[name] = (config, steps)
    return found


def test_the_names_of_the_option_are_those_there_are() -> None:
    assert tuple(LOGGERS) == NAMES
    for call in (pb.run, pb.plan):
        assert "log" in inspect.signature(call).parameters


class TestTensorBoard:
    def test_a_cell_shows_what_mlflow_shows(self, store: Path, said: list[str]) -> None:
        from PIL import Image

        picture = picture_at(report_folder(PLAN, store), "patchd", 1, 0)
        picture.parent.mkdir(parents=True)
        Image.new("RGB", (4, 2), "red").save(picture)
        run(opened("tensorboard", store, said), store, cost={"train_seconds": 8.0, "images": 300})
        assert said == []
        found = scalars(store)
        record = record_of("a0", cost={"train_seconds": 8.0, "images": 300})
        assert found.keys() == final_metrics(record).keys() | CURVES
        assert found["measured/fid_k_1"] == [(300, 12.5)], "over the images seen"
        assert found["training/loss"] == [(n, pytest.approx(1 / n)) for n in (100, 200, 300)], "as float32"
        (image,) = events(store).Images("samples")
        assert (image.width, image.height, image.step) == (4, 2, 300)
        there = {path.name for path in (store / "tensorboard" / "ablation-table3" / "01234567").iterdir()}
        assert there == {"PatchD · seed 0", "PRISM _ full · seed 0", "PRISM _ full · seed 1"}

    def test_parameters_stand_beside_the_numbers(self, store: Path, said: list[str]) -> None:
        from tensorboard.plugins.hparams.metadata import PLUGIN_NAME
        from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

        run(opened("tensorboard", store, said), store)
        found = events(store).PluginTagToContent(PLUGIN_NAME)["_hparams_/session_start_info"]
        shown = HParamsPluginData.FromString(found).session_start_info.hparams
        assert {name: shown[name].string_value or shown[name].number_value for name in shown} == {
            "variant": "PatchD", "seed": 0.0, "k_sample": 1.0, "aggregator": "mean",
        }  # fmt: skip

    def test_a_second_time_adds_nothing_and_another_record_is_shown_anew(self, store: Path, said: list[str]) -> None:
        run(opened("tensorboard", store, said), store)
        before = {path: path.read_bytes() for path in (store / "tensorboard").rglob("events*")}
        run(opened("tensorboard", store, said), store)
        assert {path: path.read_bytes() for path in (store / "tensorboard").rglob("events*")} == before
        run(opened("tensorboard", store, said), store, values=[{**VALUE, "value": 7.0}])
        found = scalars(store)
        assert found["measured/fid_k_1"] == [(300, 7.0)]
        assert [step for step, _ in found["training/loss"]] == [100, 200, 300]

    def test_an_interrupted_cell_goes_on_without_a_point_twice(self, store: Path, said: list[str]) -> None:
        first, log = opened("tensorboard", store, said), store / "metrics.jsonl"
        first.cell_started(ROWS[0], ROWS[0].cells[0], CONFIG, None)
        log.write_text(row_of_log(100))
        first.log_progress("a0", log)
        first.finish("KILLED")
        assert [step for step, _ in scalars(store)["training/loss"]] == [100]
        run(opened("tensorboard", store, said), store)
        assert [step for step, _ in scalars(store)["training/loss"]] == [100, 200, 300]

    def test_a_failure_is_said_once_and_loses_nothing(
        self, store: Path, said: list[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from torch.utils.tensorboard import SummaryWriter

        tracker = opened("tensorboard", store, said)

        def full(*_: Any, **__: Any) -> None:
            raise OSError("No space left on device")

        with monkeypatch.context() as broken:
            broken.setattr(SummaryWriter, "add_scalar", full)
            run(tracker, store)
        words = "No space left on device. The records are complete; the same command writes what is missing."
        assert said == [f"TensorBoard in {store / 'tensorboard'}: {words}"]
        run(opened("tensorboard", store, said), store)
        assert scalars(store)["measured/fid_k_1"] == [(300, 12.5)]


@pytest.mark.usefixtures("offline")
class TestWeightsAndBiases:
    def test_an_offline_run_shows_what_mlflow_shows(self, store: Path, said: list[str]) -> None:
        run(opened("wandb", store, said), store, cost={"train_seconds": 8.0, "images": 300})
        assert said == []
        runs = offline_runs(store)
        assert runs.keys() == {"PatchD · seed 0", "PRISM _ full · seed 0", "PRISM _ full · seed 1"}
        config, steps = runs["PatchD · seed 0"]
        asked = {"variant": "PatchD", "seed": 0, "k_sample": 1, "aggregator": "mean", "with/method.k_max": 8}
        assert asked.items() <= config.items()
        record = record_of("a0", cost={"train_seconds": 8.0, "images": 300})
        assert steps.keys() == final_metrics(record).keys() | CURVES
        assert steps["training/loss"] == [(100, 0.01), (200, 0.005), (300, 1 / 300)]
        assert steps["measured/fid_k_1"] == [(300, 12.5)]

    def test_a_second_time_adds_nothing(self, store: Path, said: list[str]) -> None:
        for _ in range(2):
            run(opened("wandb", store, said), store, names=("a0",))
        assert len(list(store.glob("wandb/offline-run-*"))) == 1

    def test_who_is_not_logged_in_is_told_before_any_work(
        self, cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        import wandb as package

        package.teardown()
        monkeypatch.setenv("WANDB_MODE", "online")
        done = cli(f"{RUN} --log wandb --store new")
        package.teardown()
        assert (done.code, done.out) == (2, "")
        assert "nobody is logged in to Weights & Biases; type `wandb login`" in done.err
        assert "set WANDB_MODE=offline" in done.err
        assert not (tmp_path / "new").exists()


class TestCommand:
    @pytest.mark.parametrize(("name", "module"), [("tensorboard", tensorboard), ("wandb", wandb)])
    def test_what_is_not_installed_is_refused_before_any_work(
        self, cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, module: Any
    ) -> None:
        monkeypatch.setattr(module, "find_spec", lambda _: None)
        done = cli(f"{RUN} --log {name} --store new")
        assert (done.code, done.out) == (2, "")
        assert f'--log {name} needs the package {name}: pip install "prism-bench[{name}]"' in done.err
        assert not (tmp_path / "new").exists()
        with pytest.raises(pb.InputError, match="pip install"):
            pb.run("ablation-table3", log=name, store=tmp_path / "new")

    def test_an_unknown_one_is_named(self, cli: Cli) -> None:
        done = cli(f"{RUN} --log tensorboard,mlflow --store new")
        assert done.code == 2
        assert "--log tensorboard,mlflow: 'mlflow' is unknown; known are tensorboard, wandb" in done.err

    @pytest.mark.usefixtures("offline")
    def test_a_finished_table_is_shown_and_stays_as_it_is(self, cli: Cli, made: Path, tmp_path: Path) -> None:
        from tiny import copy_of

        store = copy_of(made, tmp_path)
        before = computed(store)
        done = cli(f"{RUN} --log tensorboard,wandb --store {store}")
        assert done.code == 0, done.err
        assert f"TensorBoard: tensorboard --logdir {store}/tensorboard" in done.out
        assert "Weights & Biases: project prism-bench; files in" in done.out
        assert computed(store) == before
        plan = next((store / "experiments").glob("*/*.json"))
        (row, *_) = json.loads(plan.read_text())["rows"]
        record = json.loads((store / "records" / f"{row['cells'][0]['record']}.json").read_text())
        expected = {value["name"]: value["value"] for value in record["values"] if not value["group"]}
        shown = {path.name: scalars_at(path) for path in (store / "tensorboard").glob("*/*/*")}
        runs = offline_runs(store)
        assert shown.keys() == runs.keys()
        name = next(name for name in runs if name.startswith("PatchD"))
        for metric, value in expected.items():
            assert runs[name][1][f"measured/{metric}"][-1][1] == pytest.approx(value)
            assert shown[name][f"measured/{metric}"][-1][1] == pytest.approx(value, rel=1e-6)


def computed(store: Path) -> dict[Path, bytes]:
    """All stages and records, without when files were last looked at."""
    files = (path for kind in ("records", "stages") for path in (store / kind).rglob("*"))
    return {path: path.read_bytes() for path in files if path.is_file() and path.name != STAMPS}


def scalars_at(folder: Path) -> Steps:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    found = EventAccumulator(str(folder))
    found.Reload()
    return {tag: [(one.step, one.value) for one in found.Scalars(tag)] for tag in found.Tags()["scalars"]}
