"""The main command from end to end, with real processes, files, kills and corruption."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from conftest import TINY, Cli
from PIL import Image

PROGRAM = [sys.executable, "-m", "prism_bench"]
ENVIRONMENT = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "COLUMNS": "160", "OMP_NUM_THREADS": "1"}


def type_in(folder: Path, line: str) -> "subprocess.CompletedProcess[str]":
    """What a user types, in a folder of their own, as a process of its own."""
    command = [*PROGRAM, *line.split()]
    return subprocess.run(
        command, cwd=folder, env=ENVIRONMENT, capture_output=True, text=True, timeout=600, check=False
    )


def table_of(output: str) -> str:
    """The printed table: from the blank line before it to the paths behind it."""
    return output[output.index("\n\n") : output.index("Pictures and tables")]


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A finished tiny Table 3, with two workers and MLflow: (folder, what was printed)."""
    folder = tmp_path_factory.mktemp("done")
    line = TINY.replace("--no-mlflow", "").replace("--workers 0", "--workers 2")
    result = type_in(folder, f"run ablation-table3 {line} --seeds 0,1")
    assert result.returncode == 0, result.stdout + result.stderr
    return folder, result.stdout


def test_the_table_has_every_row_the_floor_and_the_papers_numbers(done: tuple[Path, str]) -> None:
    folder, out = done
    (page,) = folder.glob("prism-bench-store/reports/*/*/ablation-table3.md")
    for word in ("PatchD", "RAG + PatchD", "ST + RAG + PatchD", "(PRISM)", "Real images (baseline)", "quoted"):
        assert word in out, "of columns that the terminal has no room for their names"
        assert word in page.read_text()
    assert "*21.99*" in page.read_text()
    assert "*24.68*" in page.read_text()
    assert "prism-bench ui" in out


def test_files_are_written_and_open(done: tuple[Path, str]) -> None:
    folder = done[0] / "prism-bench-store" / "reports" / "ablation-table3"
    (report,) = folder.iterdir()
    names = {path.name for path in report.iterdir()}
    assert {f"ablation-table3.{ending}" for ending in ("tex", "md", "csv")} <= names
    assert {"overview.png", "training-curves.png", "intervals.png"} <= names
    assert len(list((report / "cells").iterdir())) == 8
    for row in ("patchd", "rag", "st-rag", "prism"):
        with Image.open(report / f"grid-{row}.png") as picture:
            assert picture.size[0] > 100


def test_columns_of_the_grids_share_noise_and_pseudo_query(done: tuple[Path, str]) -> None:
    stages = done[0] / "prism-bench-store" / "stages" / "samples"
    by_seed: dict[int, list[bytes]] = {}
    for stage in stages.iterdir():
        seed = json.loads((stage / "stage.json").read_text())["identity"]["parameters"]["sample_seed"]
        by_seed.setdefault(seed, []).append((stage / "pseudo_queries.npy").read_bytes())
    assert {seed: len(set(queries)) for seed, queries in by_seed.items()} == {0: 1, 1: 1}
    assert [len(queries) for queries in by_seed.values()] == [4, 4]


def test_typed_again_it_trains_nothing_and_prints_the_same_table(done: tuple[Path, str]) -> None:
    folder, first = done
    line = TINY.replace("--workers 0", "--workers 2")
    again = type_in(folder, f"run ablation-table3 {line} --seeds 0,1")
    assert again.returncode == 0
    assert "0 to do" in again.stdout
    assert table_of(again.stdout) == table_of(first)


def test_records_hold_values_floors_fingerprints_and_costs(done: tuple[Path, str]) -> None:
    records = [json.loads(path.read_text()) for path in (done[0] / "prism-bench-store" / "records").iterdir()]
    assert len(records) == 8
    for record in records:
        names = {value["name"] for value in record["values"]}
        assert {"fd_efficientnet_lite0", "kid_efficientnet_lite0", "far_correlation", "near_difference"} <= names
        assert all(np.isfinite(value["value"]) and np.isfinite(value["floor"]) for value in record["values"])
        assert all(value["fingerprint"] and value["n"] == 16 for value in record["values"])
        assert record["parameters"] > 1000
        assert record["cost"]["train_seconds"] > 0
    prints = {(value["name"], value["fingerprint"]) for record in records for value in record["values"]}
    assert len(prints) == len({name for name, _ in prints})


def test_mlflow_shows_every_cell_and_none_is_running(done: tuple[Path, str]) -> None:
    import sqlite3

    with sqlite3.connect(done[0] / "prism-bench-store" / "mlflow.db") as database:
        runs = database.execute("select name, status from runs").fetchall()
        curves = {key for (key,) in database.execute("select distinct key from metrics")}
    assert len(runs) == 9
    assert {status for _, status in runs} == {"FINISHED"}
    curve = {f"training/{name}" for name in ("loss", "k_train", "learning_rate", "images_per_second")}
    assert curve | {"measured/fd_efficientnet_lite0", "measured/far_correlation"} <= curves


def test_mlflow_is_rebuilt_from_the_records(done: tuple[Path, str], tmp_path: Path) -> None:
    import shutil
    import sqlite3

    copy = shutil.copytree(done[0] / "prism-bench-store", tmp_path / "copy")
    (copy / "mlflow.db").unlink()
    result = type_in(tmp_path, "sync --store copy")
    assert result.returncode == 0, result.stdout + result.stderr
    with (
        sqlite3.connect(copy / "mlflow.db") as rebuilt,
        sqlite3.connect(done[0] / "prism-bench-store" / "mlflow.db") as first,
    ):
        query = "select name, status from runs order by name"
        assert rebuilt.execute(query).fetchall() == first.execute(query).fetchall()
        query = "select key, value from latest_metrics where key like 'fd_%' order by value, key"
        assert rebuilt.execute(query).fetchall() == first.execute(query).fetchall()


def test_the_page_leads_to_every_run_and_record(done: tuple[Path, str]) -> None:
    import sqlite3

    result = type_in(done[0], "report ablation-table3 --format html --out page")
    assert result.returncode == 0, result.stderr
    page = (done[0] / "page" / "index.html").read_text()
    with sqlite3.connect(done[0] / "prism-bench-store" / "mlflow.db") as database:
        cells = database.execute("select run_uuid from tags where key = 'prism.kind' and value = 'cell'").fetchall()
    runs = re.findall(r'href="http://127.0.0.1:5000/#/experiments/1/runs/(\w+)"', page)
    assert sorted(runs) == sorted(run for (run,) in cells)
    records = re.findall(r'href="(\.\./prism-bench-store/records/\w+\.json)"', page)
    assert len(records) == len(runs) == 8
    assert all((done[0] / "page" / record).is_file() for record in records)


def test_the_report_is_a_pure_function_of_the_records(done: tuple[Path, str], tmp_path: Path) -> None:
    for out in ("a", "b"):
        result = type_in(done[0], f"report ablation-table3 --format latex,csv --out {tmp_path / out}")
        assert result.returncode == 0, result.stderr
    first, second = (
        {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
        for folder in (tmp_path / "a", tmp_path / "b")
    )
    tables = {path.name for path in first if path.suffix in {".tex", ".csv"}}
    assert tables == {
        "all.tex", "all.csv", "ablation-table3.csv", "ablation-table3.tex", "ablation-table3-appendix.tex",
    }  # fmt: skip
    assert first == second


def test_a_lost_record_is_a_hole_with_a_reason(done: tuple[Path, str], tmp_path: Path) -> None:
    records = done[0] / "prism-bench-store" / "records"
    victim = sorted(records.iterdir())[0]
    kept = victim.read_bytes()
    victim.unlink()
    try:
        assert type_in(done[0], f"report ablation-table3 --format markdown --out {tmp_path}").returncode == 0
        (table,) = tmp_path.rglob("ablation-table3.md")
        assert "not run yet" in table.read_text()
    finally:
        victim.write_bytes(kept)


def test_a_corrupted_stage_is_found_said_and_computed_again(done: tuple[Path, str]) -> None:
    folder, first = done
    model = sorted((folder / "prism-bench-store" / "stages" / "training").rglob("model.safetensors"))[0]
    before = model.read_bytes()
    model.write_bytes(before[:-4] + b"\0\1\2\3")
    again = type_in(folder, f"run ablation-table3 {TINY.replace('--workers 0', '--workers 2')} --seeds 0,1")
    assert again.returncode == 0, again.stderr
    assert re.search(r"training .* was damaged \(model.safetensors has sha256", again.stdout)
    assert "1 to do" in again.stdout
    assert model.read_bytes() == before
    assert table_of(again.stdout) == table_of(first)


def test_a_changed_field_recomputes_what_rests_on_it_and_says_why(done: tuple[Path, str]) -> None:
    changed = TINY.replace("sampler.steps=3", "sampler.steps=4")
    result = type_in(done[0], f"run ablation-table3 {changed} --seeds 0 --dry-run")
    assert result.returncode == 0, result.stderr
    assert "4 x samples to do" in result.stdout
    assert "x training" not in result.stdout
    assert "time from a short probe" in result.stdout
    result = type_in(done[0], f"run ablation-table3 {TINY} --set training.batch=8 --seeds 0 --dry-run")
    assert "method.training.batch 16 -> 8" in result.stdout
    assert "4 x training to do" in result.stdout
    assert "dataset to do" not in result.stdout


TRAINING = (
    "train prism --scale smoke --no-mlflow --set dataset.size=64 --set sampler.steps=3 --set training.images=3000 "
    "--workers 2 --checkpoint-seconds 0.1"
)
"""Some sixty steps, checkpoints all along, and nothing measured: most of its time goes into starting up.

Two workers, of which one has work, share the cores: threads that wait for each other are slow on a busy machine.
"""


def model_bytes(folder: Path) -> bytes:
    (model,) = (folder / "prism-bench-store" / "stages" / "training").rglob("model.safetensors")
    return model.read_bytes()


def log_rows(folder: Path) -> list[dict[str, float]]:
    """The training's log without its times."""
    (log,) = (folder / "prism-bench-store" / "stages" / "training").rglob("metrics.jsonl")
    rows = [json.loads(line) for line in log.read_text().splitlines()]
    return [{**row, "seconds": 0, "images_per_second": 0} for row in rows]


def started(folder: Path, until: str) -> "subprocess.Popen[str]":
    """The training under way in a process group of its own, once its work folder holds a file of that name."""
    process = subprocess.Popen(
        [*PROGRAM, *TRAINING.split()],
        cwd=folder,
        env=ENVIRONMENT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    deadline = time.monotonic() + 120
    while not list((folder / "prism-bench-store" / "work").glob(f"training-*/{until}")):
        assert process.poll() is None, "the run ended before it could be stopped"
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return process


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("unbroken")
    assert type_in(folder, TRAINING).returncode == 0
    return folder


@pytest.mark.parametrize("victims", ["parent", "all"])
def test_killed_at_any_moment_the_same_command_gives_the_same_bits(
    victims: str, unbroken: Path, tmp_path: Path
) -> None:
    """A real SIGKILL in the middle of training, of the parent alone or of every process, then the command again.

    What a kill may leave of a single file is tried file by file in test_training.py and test_store.py.
    """
    process = started(tmp_path, "checkpoint.previous.safetensors")
    if victims == "all":
        os.killpg(process.pid, signal.SIGKILL)
    else:
        process.kill()
    process.wait()
    assert process.stdout is not None
    process.stdout.close()
    assert not list((tmp_path / "prism-bench-store" / "stages").glob("training/*"))
    resumed = type_in(tmp_path, TRAINING)
    assert resumed.returncode == 0, resumed.stdout + resumed.stderr
    assert model_bytes(tmp_path) == model_bytes(unbroken)
    assert log_rows(tmp_path) == log_rows(unbroken)


def test_interrupted_politely_it_saves_and_says_so(tmp_path: Path) -> None:
    process = started(tmp_path, "progress.json")
    process.terminate()
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 130, out
    assert "the same command goes on from here" in out
    assert list((tmp_path / "prism-bench-store" / "work").glob("training-*/checkpoint.safetensors"))


def test_a_diverged_cell_fails_with_its_reason_and_the_others_go_on(cli: Cli, tmp_path: Path) -> None:
    plugin = tmp_path / "wild.py"
    plugin.write_text(
        "from dataclasses import dataclass\n"
        "from prism_bench.prism.variants.variant import Variant\n"
        "@dataclass(frozen=True, kw_only=True)\n"
        "class Wild(Variant, name='wild'):\n"
        "    '''PRISM with an absurd learning rate.'''\n"
        "    label = 'Wild & 100% _mad_'\n"
        "    def method(self, scale):\n"
        "        wild = scale.method.training.replace(learning_rate=1e30, rampup_images=0)\n"
        "        return scale.method.replace(training=wild)\n"
    )
    said = cli(f"run ablation-table3 {TINY} --plugin wild.py --with wild --only variant=wild|prism")
    assert said.code == 1, said.out + said.err
    assert re.search(r"FAILED +training Wild.*loss became (nan|inf) at image", said.out)
    assert "ST + RAG + PatchD + DS (PRISM)" in said.out
    statuses = {
        json.loads(path.read_text())["status"] for path in (tmp_path / "prism-bench-store" / "records").iterdir()
    }
    assert statuses == {"done", "failed"}
    tex = next((tmp_path / "prism-bench-store" / "reports").rglob("*.tex")).read_text()
    assert r"Wild \& 100\% \_mad\_" in tex


def test_a_variant_of_ones_own_is_a_new_row(cli: Cli, tmp_path: Path) -> None:
    """The README's example, word for word."""
    readme = (Path(__file__).parent.parent / "README.md").read_text()
    code = readme.partition("```python\n")[2].partition("```")[0]
    (tmp_path / "mine.py").write_text(code)
    said = cli(f"run ablation-table3 {TINY} --plugin mine.py --with quadratic --only variant=quadratic")
    assert said.code == 0, said.out + said.err
    assert "PRISM, quadratic schedule" in said.out


def test_own_images_with_classes(cli: Cli, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for index in range(40):
        folder = tmp_path / "pictures" / ("cats" if index % 2 else "dogs")
        folder.mkdir(parents=True, exist_ok=True)
        pixels = rng.integers(0, 256, (20, 24, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{index}.png")
    line = TINY.replace("--set dataset.size=64", "") + " --data pictures --resolution 16 --only variant=rag"
    said = cli(f"run ablation-table3 {line}")
    assert said.code == 0, said.out + said.err
    assert "pictures 16x16, 40 images: D 28, X_train 12" in said.out
    (record,) = (tmp_path / "prism-bench-store" / "records").iterdir()
    (declined,) = json.loads(record.read_text())["declined"]
    assert declined["metric"] == "coherence"
    assert "regions" in declined["reason"]
    (tmp_path / "pictures").rename(tmp_path / "elsewhere")
    moved = cli(f"run ablation-table3 {line.replace('--data pictures', '--data elsewhere')}")
    assert "0 to do" in moved.out, "the data's bytes identify it, not its path"
