"""Tuning through the command line: grid and TPE, resumption, sharing, dead trials, storages, and what is refused."""

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import optuna
import pytest
from conftest import TINY, Cli
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import TrialState
from PIL import Image

from prism_bench.analysis.figures.tuning_figures import Tried, sensitivity
from prism_bench.experiments.tuning.space import Parameter, Point, Space
from prism_bench.experiments.tuning.study import open_study

LINE = TINY.replace("training.images=128", "training.images=32").replace("sampler.steps=3", "sampler.steps=2")
FD = "fd_efficientnet_lite0"
GRID = f"tune k-max --values 1,2,4 --seeds 0,1 {LINE}"
STORE = Path("prism-bench-store")


def trials_of(target: str = "k-max") -> list[dict[str, str]]:
    (path,) = STORE.glob(f"reports/tune-{target}/*/trials.csv")
    return rows_of(path)


def rows_of(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(path.read_text().splitlines()))


def stages() -> set[str]:
    return {str(path) for path in STORE.glob("stages/*/*")}


def study_of(name: str) -> optuna.Study:
    (path,) = STORE.glob("tuning/*.journal")
    return optuna.load_study(study_name=name, storage=JournalStorage(JournalFileBackend(str(path))))


def test_a_grid_is_tried_once_resumed_for_nothing_and_shared_with_tables(cli: Cli) -> None:
    said = cli(f"{GRID} --trials 2")
    assert said.code == 0, said.err
    assert "every point in turn" in said.out
    assert len(trials_of()) == 2
    assert cli(f"{GRID} --trials 9").code == 0
    rows = trials_of()
    assert sorted(int(row["k-max"]) for row in rows) == [1, 2, 4]
    before = stages()
    said = cli(f"{GRID} --trials 9")
    assert said.code == 0
    assert "Every point has been tried." in said.out
    assert stages() == before
    values = {row["k-max"]: [float(row["seed 0"]), float(row["seed 1"])] for row in rows}
    means = {k: float(np.mean(own)) for k, own in values.items()}
    best = min(means, key=lambda k: means[k])
    assert f"--set k_max={best}" in said.out
    assert f"Best of 3: k-max {best}" in said.out
    for row in rows:
        assert float(row["fd_efficientnet_lite0"]) == pytest.approx(means[row["k-max"]])
        records = [json.loads((STORE / "records" / f"{name}.json").read_text()) for name in row["records"].split()]
        fds = [value["value"] for record in records for value in record["values"] if value["name"] == FD]
        assert fds == values[row["k-max"]]
    (picture,) = STORE.glob("reports/tune-k-max/*/sensitivity.png")
    with Image.open(picture) as shown:
        assert min(shown.size) > 200
    line = f"run ablation-table3 {LINE} --seeds 0,1 --only variant=prism --set k_max=2"
    assert "0 to do" in cli(line).out, "the table's cells are the trial's"


def test_what_a_table_computed_costs_a_study_nothing(cli: Cli) -> None:
    assert cli(f"run ablation-table3 {LINE} --only variant=prism --set k_max=2").code == 0
    before = {path for path in stages() if "training" in path}
    assert cli(f"tune k-max --values 2 {LINE} --trials 1").code == 0
    assert {path for path in stages() if "training" in path} == before


def test_two_processes_share_a_study_without_duplicates(tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "OMP_NUM_THREADS": "1"}
    command = [
        sys.executable,
        "-m",
        "prism_bench",
        *f"tune k-max --values 1,2,3,4 {LINE} --trials 4".split(),
    ]
    both = [
        subprocess.Popen(command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        for _ in range(2)
    ]
    said = [process.communicate(timeout=300)[0].decode() for process in both]
    assert [process.returncode for process in both] == [0, 0], said
    (path,) = tmp_path.glob("prism-bench-store/tuning/*.journal")
    storage = JournalStorage(JournalFileBackend(str(path)))
    (study,) = (optuna.load_study(study_name=one.study_name, storage=storage) for one in storage.get_all_studies())
    assert sorted(trial.params["k-max"] for trial in study.trials) == [1, 2, 3, 4]
    assert all(trial.state == TrialState.COMPLETE for trial in study.trials)


def test_a_trial_whose_process_died_is_tried_again(cli: Cli) -> None:
    line = f"tune k-max --values 1,2 {LINE} --study mine"
    assert cli(f"{line} --trials 1").code == 0
    study = study_of("mine")
    (done,) = [trial.params["k-max"] for trial in study.trials]
    study.enqueue_trial({"k-max": 3 - done})
    dead = study.ask({"k-max": optuna.distributions.IntDistribution(1, 2)})
    for key, value in (("host", os.uname().nodename), ("pid", 2**22 + 1), ("began", "1")):
        dead.set_user_attr(key, value)
    assert cli(f"{line} --trials 5").code == 0
    states = {trial.number: trial.state for trial in study_of("mine").trials}
    assert states == {0: TrialState.COMPLETE, 1: TrialState.FAIL, 2: TrialState.COMPLETE}
    assert [row["reason"] for row in trials_of()] == ["", "its process ended", ""]


def test_an_endless_space_is_searched_by_tpe_without_repeats_and_stays_resumable(cli: Cli) -> None:
    line = f"tune k-max --values 1-4 --over learning-rate,schedule {LINE} --store other"
    said = cli(f"{line} --trials 2")
    assert said.code == 0, said.err
    assert "(TPE)" in said.out
    assert cli(f"{line} --trials 1").code == 0
    (path,) = Path("other").glob("reports/tune-k-max/*/trials.csv")
    rows = rows_of(path)
    assert len(rows) == 3
    assert len({(row["k-max"], row["learning-rate"], row["schedule"]) for row in rows}) == 3
    assert all(2e-3 / 3 <= float(row["learning-rate"]) <= 6e-3 for row in rows)


def test_a_restart_draws_no_old_point_again(tmp_path: Path) -> None:
    """Twenty processes with one trial each draw the points of one with twenty trials, and none twice."""

    def tried(folder: Path, processes: int, each: int) -> list[Point]:
        space = Space(
            (
                Parameter(name="k-max", path="k_max", values=(1, 2, 3, 4)),
                Parameter(name="learning-rate", path="training.learning_rate", low=1e-4, high=1e-2),
            )
        )
        for _ in range(processes):
            trials = open_study(
                {"direction": "minimize"}, space, name="s", url=None, folder=folder, sampler="tpe", trials=each
            )
            for _ in range(each):
                trial = trials.ask()
                assert trial is not None
                trials.study.tell(trial, float(trial.params["k-max"]))
        drawn = trials.study.get_trials()
        assert len(drawn) == 20, f"{len(drawn) - 20} repeated draws"
        return [trial.params for trial in drawn]

    assert tried(tmp_path / "often", 20, 1) == tried(tmp_path / "once", 1, 20)


def test_a_proxy_worse_than_the_median_of_four_ends_its_trial(tmp_path: Path) -> None:
    space = Space((Parameter(name="k-max", path="k_max", values=tuple(range(1, 9))),))
    for direction, ended in (("minimize", [5.0, 2.6]), ("maximize", [1.0, 2.4])):
        trials = open_study(
            {"direction": direction}, space, name=direction, url=None, folder=tmp_path, sampler="tpe", trials=8
        )
        for proxy in (1.0, 2.0, 3.0, 4.0):
            trial = trials.study.ask(space.distributions)
            trial.report(proxy, step=0)
            assert not trial.should_prune(), "fewer than four to compare with"
            trials.study.tell(trial, proxy)
        for proxy in (1.0, 2.4, 2.5, 2.6, 5.0):
            trial = trials.study.ask(space.distributions)
            trial.report(proxy, step=0)
            assert trial.should_prune() == (proxy in ended)


def test_proxies_end_bad_trials_and_their_rank_correlation_is_told(cli: Cli) -> None:
    said = cli(f"tune k-max --values 1-6 {LINE} --trials 6 --prune --seeds 0")
    assert said.code == 0, said.err
    rows = trials_of()
    finished = [row for row in rows if row["status"] == "complete"]
    assert len(finished) >= 4
    assert all(row["proxy"] for row in finished)
    assert f"over {len(finished)} trials" in said.out or "cannot be told" in said.out
    assert "Kendall's tau" in said.out


def test_another_storage_by_its_address(cli: Cli) -> None:
    said = cli(f"tune k-max --values 2 {LINE} --trials 1 --storage sqlite:///studies.db --study mine")
    assert said.code == 0, said.err
    assert [study.study_name for study in optuna.get_all_study_summaries("sqlite:///studies.db")] == ["mine"]
    assert not list(STORE.glob("tuning/*.journal"))


def test_a_metric_of_which_more_is_better_is_maximised(cli: Cli) -> None:
    said = cli(f"tune k-max --values 1,2 {LINE} --trials 2 --metric far_correlation")
    assert said.code == 0, said.err
    rows = trials_of()
    best = max(rows, key=lambda row: float(row["far_correlation"]))
    assert f"Best of 2: k-max {best['k-max']}" in said.out


def test_trials_are_runs_under_the_studys_parent(cli: Cli) -> None:
    from mlflow import MlflowClient

    assert cli(f"tune k-max --values 2 {LINE} --trials 1").code == 0
    said = cli(f"tune k-max --values 2 {LINE.replace('--no-mlflow', '')} --trials 1")
    assert said.code == 0, said.err
    client = MlflowClient(f"sqlite:///{(STORE / 'mlflow.db').absolute()}")
    experiment = client.get_experiment_by_name("prism-bench/tune")
    assert experiment is not None
    runs = client.search_runs([experiment.experiment_id])
    (parent,) = [run for run in runs if run.data.tags["prism.kind"] == "study"]
    (trial,) = [run for run in runs if run.data.tags["prism.kind"] == "trial"]
    assert trial.data.tags["mlflow.parentRunId"] == parent.info.run_id
    assert trial.data.params == {"k-max": "2"}
    assert trial.data.metrics["fd_efficientnet_lite0"] == parent.data.metrics["fd_efficientnet_lite0"]
    assert {run.info.status for run in runs} == {"FINISHED"}


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("tune k-mx", "nothing called 'k-mx' to tune; did you mean k-max"),
        ("tune k-max --over dept", "nothing called 'dept' to tune"),
        ("tune k-max --trials 0", "--trials 0: at least one is needed"),
        ("tune k-max --values 1,900", "900 neighbours are asked for"),
        ("tune learning-rate --values 1,2", "which learning-rate does not take"),
        ("tune k-max --metric fd", "--metric fd"),
        ("tune k-max --variant prsm", "did you mean prism"),
        ("tune k-max --variant patchd", "changes none of the rows"),
        ("tune learning-rate --sampler grid", "continuous"),
        ("tune k-max --sampler random", "known are auto, grid, tpe"),
        ("tune k-max --storage nonsense://x", "--storage nonsense://x"),
        ("tune k-max --scale paper", "name one with --dataset"),
    ],
)
def test_what_cannot_be_is_said_before_anything_is_computed(cli: Cli, line: str, words: str) -> None:
    said = cli(f"{line} {'' if '--scale' in line else TINY}")
    assert said.code == 2, said
    assert words in " ".join(said.err.split())
    assert "Traceback" not in said.err
    assert not list(STORE.glob("stages/training/*"))


def test_a_study_of_another_space_or_metric_is_not_gone_on_with(cli: Cli) -> None:
    line = f"tune k-max --values 2 {LINE} --trials 1 --study mine"
    assert cli(line).code == 0
    said = cli(line.replace("--values 2", "--values 1,2"))
    assert said.code == 2
    assert "the study mine was begun with another space" in said.err
    said = cli(f"{line} --metric far_correlation")
    assert said.code == 2
    assert "another direction and metric" in said.err
    said = cli(f"{line} --seeds 0,1")
    assert "another seeds" in said.err


def test_a_grid_holds_every_point_once_in_a_fixed_order() -> None:
    space = Space((Parameter(name="a", path="a", values=(1, 2, 3)), Parameter(name="b", path="b", values=("x", "y"))))
    points = list(space.points())
    assert len(points) == space.size == 6
    assert len({tuple(point.items()) for point in points}) == 6
    assert points == list(space.points())
    assert Space((Parameter(name="a", path="a", low=0.1, high=1.0),)).size is None


def test_the_picture_is_the_same_bytes(tmp_path: Path) -> None:
    tried = [Tried(point={"k-max": k, "schedule": "fixed"}, values=(1.0 * k, 2.0 * k), best=k == 1) for k in (1, 2, 8)]
    one, other = (sensitivity(tried, "FD", tmp_path / name).read_bytes() for name in ("a.png", "b.png"))
    assert one == other
