"""A team's servers: MLflow and Optuna on PostgreSQL, several commands at once, and passwords that nobody reads."""

import json
import re
import socket
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from conftest import TINY, Cli
from postgres import PASSWORD, Server
from test_run import ENVIRONMENT
from test_tracking import PLAN, record_of, runs_of, write_record

from prism_bench.experiments.mlflow_view.sync import SyncCount, sync
from prism_bench.experiments.mlflow_view.tracker import open_tracker
from prism_bench.experiments.tools.serve import answers, end

ON_HOST = """
import json, pathlib, socket, sys, time
host, *rest = sys.argv[1:]
socket.gethostname = lambda: host
"""
"""The beginning of a program that takes itself to be on another machine; its name is the first argument."""


def program(code: str, *arguments: object, **environment: str) -> "subprocess.Popen[str]":
    command = [sys.executable, "-c", ON_HOST + code, *map(str, arguments)]
    return subprocess.Popen(
        command, env={**ENVIRONMENT, **environment}, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )


def all_of(running: "list[subprocess.Popen[str]]") -> list[str]:
    """What processes say that begin together and end well."""
    for process in running:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in running:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    said = [process.communicate(timeout=300)[0] for process in running]
    assert [process.returncode for process in running] == [0] * len(running), said
    return said


@pytest.fixture(params=["sqlite", "postgresql"])
def tracking(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Where MLflow keeps its runs: in the store, or on a server with an empty database."""
    if request.param == "sqlite":
        monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
        return ""
    server: Server = request.getfixturevalue("postgres")
    address = server.new_database()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
    return address


@pytest.fixture
def planned(tmp_path: Path) -> Path:
    """A store with a plan, its records and its trainings' logs."""
    store = tmp_path / "store"
    (store / "experiments" / "ablation-table3").mkdir(parents=True)
    (store / "records").mkdir()
    (store / "experiments" / "ablation-table3" / f"{PLAN.plan}.json").write_text(PLAN.model_dump_json())
    for name in ("a0", "b0", "b1"):
        write_record(store, record_of(name))
    return store


COMMAND = """
from prism_bench.analysis.schema.document import read
from prism_bench.analysis.schema.records import Plan, Record
from prism_bench.experiments.mlflow_view.tracker import open_tracker
store = pathlib.Path(rest[0])
import mlflow.store.tracking.sqlalchemy_store
(path,) = store.glob("experiments/*/*.json")
plan = read(Plan, path)
print("ready", flush=True)
sys.stdin.readline()
tracker = open_tracker(store, print)
tracker.begin(plan)
for row in plan.rows:
    for cell in row.cells:
        tracker.cell_started(row, cell, {}, "t-" + cell.record)
        tracker.cell_finished(read(Record, store / "records" / f"{cell.record}.json"))
tracker.finish("FINISHED")
"""


def test_four_equal_commands_make_one_run_for_each_cell(planned: Path, tracking: str) -> None:
    said = all_of([program(COMMAND, "here", planned, MLFLOW_TRACKING_URI=tracking) for _ in range(4)])
    assert set("".join(said).splitlines()) <= {"Preparing MLflow (once for each of its versions, a few seconds) ..."}
    from mlflow import MlflowClient

    client = MlflowClient(tracking or f"sqlite:///{planned}/mlflow.db")
    (experiment,) = [one for one in client.search_experiments() if one.name.startswith("prism-bench/")]
    runs = client.search_runs([experiment.experiment_id])
    assert Counter(run.info.run_name for run in runs) == {
        "ablation-table3 · laptop · toyfaces · 01234567": 1,
        "PatchD · seed 0": 1,
        "PRISM | full · seed 0": 1,
        "PRISM | full · seed 1": 1,
    }
    for run in runs:
        assert run.info.status == "FINISHED"
        if run.data.tags["prism.kind"] == "cell":
            for name in ("measured/fid_k_1", "training/loss"):
                history = [point.step for point in client.get_metric_history(run.info.run_id, name)]
                assert history == ([0] if name == "measured/fid_k_1" else [100, 200, 300]), (
                    "what one logged no other adds"
                )
    assert not list((planned / "locks").glob("mlflow-*"))


def test_artifacts_of_a_bare_database_lie_in_the_store(
    planned: Path, postgres: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = postgres.new_database()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    tracker = open_tracker(planned, pytest.fail)
    tracker.begin(PLAN)
    tracker.cell_finished(record_of("a0"))
    tracker.finish("FINISHED")
    run = runs_of(planned)["PatchD · seed 0"]
    held = planned / "mlflow-artifacts" / "ablation-table3" / run.info.run_id / "artifacts" / "record.json"
    assert json.loads(held.read_text())["record"] == "a0"
    assert not list(Path().iterdir()), "nothing in the folder in which the command was typed"


def test_a_server_on_postgresql_keeps_the_artifacts(
    planned: Path, postgres: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    options = ["--artifacts-destination", str(tmp_path / "kept"), "--host", "127.0.0.1", "--port", str(port)]
    address = f"http://127.0.0.1:{port}"
    settings = {"MLFLOW_BACKEND_STORE_URI": postgres.new_database(), "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    with subprocess.Popen(
        [sys.executable, "-m", "mlflow", "server", *options, "--workers", "1"],
        env=ENVIRONMENT | settings, cwd=tmp_path, start_new_session=True,
    ) as server:  # fmt: skip
        try:
            assert answers(server, port)
            monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
            assert sync(planned, pytest.fail) == SyncCount(plans=1, cells=3, runs_added=4, points_added=44)
            run = runs_of(planned)["PatchD · seed 0"]
        finally:
            end(server)
    (held,) = (tmp_path / "kept").rglob(f"{run.info.run_id}/artifacts/record.json")
    assert json.loads(held.read_text())["record"] == "a0"
    assert not (planned / "mlflow-artifacts").exists()


STUDY = """
from prism_bench.experiments.tuning import storage, study
from prism_bench.experiments.tuning.space import Parameter, Space
from prism_bench.prism.engine import lease
url, folder, sampler, each, seconds, storage.BEAT, silence = json.loads(rest[0])
storage.SILENCE = study.SILENCE = lease.SILENCE = silence
lease.BEAT = storage.BEAT
space = Space((Parameter("k", "k", tuple(range(1, 9))), Parameter("s", "s", ("x", "y"))))
trials = study.open_study({"direction": "minimize"}, space, name="team's", url=url, folder=pathlib.Path(folder),
                          sampler=sampler, trials=each, say=print)
print("ready", flush=True)
sys.stdin.readline()
for _ in range(each):
    trial = trials.ask()
    if trial is None:
        break
    with trials.tried(trial):
        print(json.dumps(trial.params), flush=True)
        time.sleep(seconds)
        trial.set_user_attr("by_seed", {"0": 1.0})
        trials.study.tell(trial, 1.0)
"""


def asked(url: str | None, folder: Path, sampler: str = "grid", each: int = 16, seconds: float = 0.0) -> str:
    folder.mkdir(exist_ok=True)
    return json.dumps([url, str(folder), sampler, each, seconds, 1, 3])


def study_of(address: str | None, folder: Path) -> Any:
    import optuna

    journals = optuna.storages.journal.JournalFileBackend(str(folder / "team's.journal"))
    return optuna.load_study(study_name="team's", storage=address or optuna.storages.JournalStorage(journals))


@pytest.mark.parametrize(("where", "sampler"), [("journal", "grid"), ("postgresql", "grid"), ("postgresql", "tpe")])
def test_no_point_is_tried_twice_on_two_hosts(
    where: str, sampler: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    shared = where == "journal"
    address = None if shared else request.getfixturevalue("postgres").new_database()
    each = 4 if sampler == "grid" else 3
    said = all_of(
        [
            # Machines that share nothing but the database have stores of their own.
            program(STUDY, host, asked(address, tmp_path if shared else tmp_path / f"{host}{n}", sampler, each))
            for host in ("node1", "node2")
            for n in range(2)
        ]
    )
    points = [tuple(json.loads(line).values()) for text in said for line in text.splitlines()]
    assert len(set(points)) == len(points) == 4 * each
    done = [trial for trial in study_of(address, tmp_path).trials if "by_seed" in trial.user_attrs]
    assert sorted(tuple(trial.params.values()) for trial in done) == sorted(points)


@pytest.mark.parametrize("where", ["journal", "postgresql"])
def test_the_trial_of_a_dead_host_is_taken_up_and_that_of_a_living_one_is_not(
    where: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    address = None if where == "journal" else request.getfixturevalue("postgres").new_database()

    def begun(host: str, each: int, seconds: float) -> "subprocess.Popen[str]":
        folder = tmp_path if address is None else tmp_path / host
        process = program(STUDY, host, asked(address, folder, each=each, seconds=seconds))
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
        return process

    with begun("node1", 1, 600) as dies, begun("node2", 1, 600) as lives:
        try:
            assert dies.stdout is not None
            assert lives.stdout is not None
            lost, kept = ([next(pipe), json.loads(next(pipe))][1] for pipe in (dies.stdout, lives.stdout))
            assert lost != kept
            dies.kill()
            time.sleep(4.5)  # more than the silence after which a trial is dead
            ready, *lines = begun("node3", 16, 0).communicate(timeout=120)[0].splitlines()
        finally:
            dies.kill()
            lives.kill()
    points = [json.loads(line) for line in lines]
    assert ready == "ready"
    assert lost in points
    assert kept not in points
    assert len(points) == 15
    trials = study_of(address, tmp_path).trials
    # The first two may draw one point at once, and the later of them then draws again.
    states = Counter(trial.state.name for trial in trials if "repeats" not in trial.user_attrs)
    assert states == {"COMPLETE": 15, "FAIL": 1, "RUNNING": 1}


def test_a_machine_of_the_same_name_is_another(tmp_path: Path, postgres: Server) -> None:
    """Many cloud machines are called `localhost`: only the database's heartbeat says whether a trial lives there."""
    address = postgres.new_database()
    first = program(STUDY, "localhost", asked(address, tmp_path / "a", each=1))
    assert len(all_of([first])[0].splitlines()) == 1
    study = study_of(address, tmp_path)
    study.enqueue_trial({"k": 1, "s": "x"})
    other = study.ask()
    other.set_user_attr("process", {"host": "localhost", "machine": "localhost boot pid", "pid": "1", "started": "1"})
    second = program(STUDY, "localhost", asked(address, tmp_path / "b"))
    assert len(all_of([second])[0].splitlines()) in {14, 15}
    assert study_of(address, tmp_path).trials[other.number].state.name == "RUNNING"


@pytest.mark.parametrize(
    ("line", "variable"),
    [
        (f"tune k-max {TINY} --storage postgresql://me:{PASSWORD}@db/studies", ""),
        (f"run ablation-table3 {TINY.replace('--no-mlflow', '')}", f"postgresql://me:{PASSWORD}@db/mlflow"),
        (f"tune k-max {TINY.replace('--no-mlflow', '')}", f"postgresql://me:{PASSWORD}@db/mlflow"),
    ],
)
def test_a_missing_driver_is_named_before_anything_is_computed(
    cli: Cli, monkeypatch: pytest.MonkeyPatch, line: str, variable: str
) -> None:
    for module in ("psycopg", "psycopg2"):
        monkeypatch.setitem(sys.modules, module, None)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", variable)
    said = cli(line)
    assert said.code == 2, said
    assert re.search(r"(--storage|MLFLOW_TRACKING_URI) postgresql://me:\*\*\*@db/", said.err)
    assert 'is not installed: pip install "prism-bench[team]"' in said.err
    assert not list(Path("prism-bench-store").glob("stages/training/*"))
    assert PASSWORD not in said.out + said.err


def test_no_password_is_printed_or_kept(cli: Cli, postgres: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    import psycopg

    tracking, studies = postgres.new_database(), postgres.new_database()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", tracking)
    line = TINY.replace("--no-mlflow", "").replace("training.images=128", "training.images=32")
    for command, code in (
        (f"tune k-max --values 2 --trials 1 {line} --storage {studies}", 0),
        (f"run ablation-table3 --only variant=prism --set k_max=2 {line} --store {Path('s').absolute()}", 0),
        ("bundle all --out all.zip --store s", 0),
        (f"tune k-max --values 2 --trials 1 {line} --storage {studies.replace('prism:', 'nobody:')}", 2),
        (f"tune k-max --values 2 --trials 1 {line} --storage {studies.replace('127.0.0.1:', '127.0.0.1:x')}", 2),
        (f"run {studies}", 2),
        ("sync --store s", 0),
    ):
        said = cli(command)
        assert said.code == code, said
        assert PASSWORD not in said.out + said.err, command
        assert "MLflow at" not in said.out
    monkeypatch.setenv("MLFLOW_TRACKING_URI", tracking.replace("prism:", "nobody:"))
    said = cli(f"run ablation-table3 --only variant=prism --set k_max=2 {line} --store s")
    assert said.code == 0
    assert "MLflow at postgresql://nobody:***@127.0.0.1" in said.out
    assert "password authentication failed" in said.out
    assert PASSWORD not in said.out + said.err
    held = [path for path in Path().rglob("*") if path.is_file() and PASSWORD.encode() in path.read_bytes()]
    assert held == []
    for address in (tracking, studies):
        with psycopg.connect(address) as connection:
            query = "SELECT table_name FROM information_schema.tables WHERE table_schema = 'public'"
            names = [name for (name,) in connection.execute(query)]
            assert len(names) > 5
            for name in names:
                assert PASSWORD not in str(connection.execute(f'SELECT * FROM "{name}"'.encode()).fetchall()), name  # noqa: S608
