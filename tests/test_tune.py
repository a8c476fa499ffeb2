"""Tuning through the command line: grid and TPE, resumption, sharing, dead trials, storages, and what is refused."""

import csv
import html
import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import optuna
import pytest
from conftest import TINY, Cli
from handmade import DATASET
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import TrialState
from PIL import Image

from prism_bench.analysis.figures.tuning_figures import Tried, sensitivity
from prism_bench.analysis.schema.document import read
from prism_bench.analysis.schema.study import Study
from prism_bench.analysis.table.study_results import StudyResults
from prism_bench.analysis.table.table_model import Measured
from prism_bench.experiments.tuning.space import Parameter, Point, Space
from prism_bench.experiments.tuning.study import Trials, open_study
from prism_bench.prism.component import Json
from prism_bench.prism.errors import InputError

LINE = TINY.replace("training.images=128", "training.images=32").replace("sampler.steps=3", "sampler.steps=2")
FD = "fd_efficientnet_lite0"
GRID = f"tune k-max --values 1,2,4 --seeds 0,1 {LINE}"
STORE = Path("prism-bench-store")


def trials_of(target: str = "k-max") -> list[dict[str, str]]:
    (path,) = STORE.glob(f"reports/tune-{target}/*/trials.csv")
    return rows_of(path)


def rows_of(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(path.read_text().splitlines()))


def study_in(
    folder: Path,
    space: Space,
    asked: dict[str, Json],
    *,
    trials: int,
    sampler: str = "tpe",
    say: Callable[[str], None] = pytest.fail,
) -> Trials:
    return open_study(asked, space, name="s", url=None, folder=folder, sampler=sampler, trials=trials, say=say)


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
    trials = [trial for trial in study.trials if "repeats" not in trial.user_attrs]
    assert sorted(trial.params["k-max"] for trial in trials) == [1, 2, 3, 4]
    assert all(trial.state == TrialState.COMPLETE for trial in trials)


def test_a_trial_whose_process_died_is_tried_again(cli: Cli) -> None:
    line = f"tune k-max --values 1,2 {LINE} --study mine"
    assert cli(f"{line} --trials 1").code == 0
    study = study_of("mine")
    (done,) = [trial.params["k-max"] for trial in study.trials]
    study.enqueue_trial({"k-max": 3 - done})
    dead = study.ask({"k-max": optuna.distributions.IntDistribution(1, 2)})
    before_it_drew = study.ask()
    for trial in (dead, before_it_drew):
        for key, value in (("host", os.uname().nodename), ("pid", 2**22 + 1), ("began", "1")):
            trial.set_user_attr(key, value)
    assert cli(f"{line} --trials 5").code == 0
    states = {trial.number: trial.state for trial in study_of("mine").trials}
    assert states == {0: TrialState.COMPLETE, 1: TrialState.FAIL, 2: TrialState.FAIL, 3: TrialState.COMPLETE}
    assert [row["reason"] for row in trials_of()] == ["", "its process ended", "its process ended", ""]
    (page,) = STORE.glob("reports/tune-k-max/*/summary.md")
    assert "Trial 2 (nothing drawn yet): its process ended." in page.read_text()


def test_a_grid_is_handed_out_once_to_many_who_ask_at_once_whatever_waits_in_it(tmp_path: Path) -> None:
    """A trial that was queued by hand, or left by an earlier version, keeps nobody from its point."""
    space = Space((Parameter("k", "k", (1, 2, 3, 4, 5, 6)),))

    def opened() -> Trials:
        return study_in(tmp_path, space, {"direction": "minimize"}, trials=6, sampler="grid")

    opened().study.enqueue_trial({"k": 3})
    with ThreadPoolExecutor(4) as pool:
        handed = [trial for found in pool.map(lambda _: _all_of(opened()), range(4)) for trial in found]
    assert sorted(trial.params["k"] for trial in handed) == [1, 2, 3, 4, 5, 6]
    assert opened().ask() is None


def _all_of(trials: Trials) -> list[optuna.Trial]:
    return list(iter(trials.ask, None))


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
            trials = study_in(folder, space, {"direction": "minimize"}, trials=each)
            for _ in range(each):
                trial = trials.ask()
                assert trial is not None
                trials.study.tell(trial, float(trial.params["k-max"]))
        drawn = trials.study.get_trials()
        assert len(drawn) == 20, f"{len(drawn) - 20} repeated draws"
        return [trial.params for trial in drawn]

    assert tried(tmp_path / "often", 20, 1) == tried(tmp_path / "once", 1, 20)


@pytest.mark.parametrize("torn", [b'{"op_code":5,"worker_id":"not whole', b"\0" * 40, b'{"op_code":5,"work\n'])
def test_a_journal_that_a_crash_cut_off_goes_on(tmp_path: Path, torn: bytes) -> None:
    space = Space((Parameter(name="k-max", path="k_max", values=(1, 2, 3)),))
    asked: dict[str, Json] = {"direction": "minimize"}
    first = study_in(tmp_path, space, asked, trials=3)
    for value in (1.0, 2.0):
        trial = first.ask()
        assert trial is not None
        first.study.tell(trial, value)
    journal = tmp_path / "s.journal"
    whole = journal.read_bytes()
    journal.write_bytes(whole + torn)
    said: list[str] = []
    again = study_in(tmp_path, space, asked, trials=3, say=said.append)
    assert said == [f"{journal}: its last line was cut off, by a crash or a full disk, and has been dropped"]
    assert journal.read_bytes().startswith(whole)
    assert torn not in journal.read_bytes()
    assert [trial.values for trial in again.every()] == [[1.0], [2.0]]
    assert again.ask() is not None
    assert study_in(tmp_path, space, asked, trials=3).every()[2].state == TrialState.RUNNING
    assert not list(tmp_path.glob("*.lock"))
    journal.write_bytes(whole.replace(b"\n", b"", 1))
    with pytest.raises(InputError, match=r"s.journal is damaged before its last line .*; move it aside"):
        study_in(tmp_path, space, asked, trials=3)


def test_a_proxy_worse_than_the_median_of_four_ends_its_trial(tmp_path: Path) -> None:
    space = Space((Parameter(name="k-max", path="k_max", values=tuple(range(1, 9))),))
    for direction, ended in (("minimize", [5.0, 2.6]), ("maximize", [1.0, 2.4])):
        trials = study_in(tmp_path / direction, space, {"direction": direction}, trials=8)
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
        ("tune k-max --trials 0", "--trials 0: at least 1 is needed"),
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
    one, other = (sensitivity(tried, "FD", tmp_path / name)[0].read_bytes() for name in ("a.png", "b.png"))
    assert one == other


def test_a_study_stands_in_the_report_as_a_table_does(cli: Cli, tmp_path: Path) -> None:
    refused = cli("report tune")
    assert refused.code == 2
    assert "no study in the store prism-bench-store; prism-bench tune k-max makes one" in refused.err
    assert cli(f"{GRID} --trials 9 --study widths/mine").code == 0
    document = json.loads((STORE / "tuning" / "widths_mine.json").read_text())
    assert sorted(trial["point"]["k-max"] for trial in document["trials"]) == [1, 2, 4]
    folder = STORE / "reports" / "tune-k-max" / "widths_mine"
    names = {"trials.csv", "sensitivity.png", "summary.md", "tune-k-max.tex"}
    assert {path.name for path in folder.iterdir()} == names
    before = {path: path.read_bytes() for path in folder.iterdir()}
    for path in before:
        path.unlink()

    # From its document alone, as Optuna's journal may lie on another machine.
    for path in STORE.glob("tuning/*.journal*"):
        path.unlink()
    said = cli("report tune")
    assert said.code == 0, said.err
    note = folder / ".made-study.json"
    assert {path: path.read_bytes() for path in folder.iterdir() if path != note} == before
    page = (STORE / "reports" / "index.html").read_text()
    best = min(document["trials"], key=lambda trial: sum(trial["values"].values()))
    assert "k-max of ST + RAG + PatchD + DS (PRISM), tuned by FD (efficientnet-lite0)" in page
    assert f"Best of 3: k-max {best['point']['k-max']}: FD (efficientnet-lite0) " in page
    assert best["command"] in html.unescape(page)
    text = (folder / "tune-k-max.tex").read_text()
    assert [line.split("&")[0].strip() for line in text.splitlines() if line.startswith("k-max")] == [
        f"k-max {trial['point']['k-max']}"
        for trial in sorted(document["trials"], key=lambda trial: sum(trial["values"].values()))
    ]
    assert "widths" in (STORE / "reports" / "all.tex").read_text()

    assert cli("report widths/mine --out one --format markdown").code == 0
    assert [path.name for path in Path("one").rglob("*.md")] == ["summary.md"]
    assert cli(f"run ablation-table3 {LINE} --only variant=patchd").code == 0
    assert cli("report all --out everything").code == 0
    assert "tuned by FD" in Path("everything", "index.html").read_text()
    assert Path("everything", "tune-k-max", "widths_mine", "trials.csv").is_file()
    assert cli("bundle all --out b.zip").code == 0
    with zipfile.ZipFile("b.zip") as archive:
        archive.extractall("elsewhere")
    assert Path("elsewhere", folder.relative_to(STORE), "sensitivity.png").is_file()
    assert cli("report tune --store elsewhere --out again --format markdown").code == 0
    (again,) = Path("again").rglob("summary.md")
    assert "Best of 3" in again.read_text()


def test_the_table_of_a_study_says_which_point_can_be_told_from_the_others(tmp_path: Path) -> None:
    def study(*values: tuple[float, ...], better: str = "lower") -> StudyResults:
        trials = [
            {"number": k, "point": {"k-max": k}, "status": "complete", "values": dict(zip("012", own, strict=True))}
            for k, own in enumerate(values, start=1)
        ]
        failed = {"number": 9, "point": {"k-max": 9}, "status": "fail", "reason": "out of memory"}
        document = {
            "study": "s", "target": "k-max", "parameters": ["k-max"], "variant": "PRISM", "metric": "fd", "label": "FD",
            "better": better, "scale": "laptop", "dataset": DATASET, "samples": 100, "seeds": [0, 1, 2],
            "command": "prism-bench tune k-max", "trials": [*trials, failed],
        }  # fmt: skip
        return StudyResults(study=read(Study, document), folder=tmp_path)

    clear = study((30.0, 31.0, 32.0), (10.0, 11.1, 12.0), (20.0, 21.0, 22.2))
    marks = [(row.label, cell.best, cell.second) for row in clear.table.rows for cell in row.cells[:1]]  # type: ignore[union-attr]
    assert marks == [("k-max 2", True, False), ("k-max 3", False, True), ("k-max 1", False, False)]
    assert clear.sentences[1].startswith("It is separable from the next, k-max 3: paired difference in FD -10.0")
    assert clear.table.remarks == ("Trial 9 (k-max 9): out of memory.",)
    even = study((10.0, 20.0, 30.0), (21.0, 11.0, 28.5))
    assert not any(cell.best for row in even.table.rows for cell in row.cells if isinstance(cell, Measured))
    assert "It is not separable from the next" in even.sentences[1]
    level = study((0.1, 0.2, 0.3), (0.3, 0.4, 0.5))
    assert "It is not separable from the next, k-max 2: paired difference in FD -0.200" in level.sentences[1]
    assert study((1.0, 1.0, 1.1), (2.0, 2.1, 2.0), better="higher").table.rows[0].label == "k-max 2"
