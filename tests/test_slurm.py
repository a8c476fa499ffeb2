"""The executor slurm: through submitit's local executor, a pretended Slurm of this machine, and Slurm where it is."""

import json
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import fake_slurm
import pytest
from conftest import Cli
from test_run import ENVIRONMENT, PROGRAM, log_rows, model_bytes, type_in
from tiny import RUN

from prism_bench.prism.engine.pool import Answer
from prism_bench.prism.engine.runtime import Runtime, usable_cores, write_json
from prism_bench.prism.engine.stage import Stage, StageContext, perform
from prism_bench.prism.engine.store import Store
from prism_bench.prism.errors import ComputeError, InputError
from prism_bench.prism.executors.executor import Resources
from prism_bench.prism.executors.local_pool import LocalPool
from prism_bench.prism.executors.slurm import slurm_pool
from prism_bench.prism.executors.slurm.batch_queue import JobState
from prism_bench.prism.executors.slurm.board import Board, Terms
from prism_bench.prism.executors.slurm.directives import Directives, directives_of
from prism_bench.prism.executors.slurm.job import Job
from prism_bench.prism.executors.slurm.slurm_pool import SlurmPool

KNOWN = frozenset(fake_slurm.KNOWN)

# --- what is asked ----------------------------------------------------------------------------------------------------


def read(*texts: str, threads: int | None = None, gpu: bool = False) -> Directives:
    return directives_of(Resources(slurm=texts, threads=threads), KNOWN, gpu=gpu)


def test_directives_are_read_with_their_colons_and_commas() -> None:
    found = read("partition=gpu,time=1-00:00:00", "gres=gpu:a100:1,exclude=n1,n2,exclusive,jobs=5", gpu=True)
    assert dict(found.others) == {
        "partition": "gpu",
        "gres": "gpu:a100:1",
        "exclude": "n1,n2",
        "exclusive": True,
        "cpus-per-task": "4",
    }
    assert (found.minutes, found.jobs, found.cpus, found.threads) == (1440, 5, 4, 4)
    assert str(found) == "cpus-per-task=4, exclude=n1,n2, exclusive, gres=gpu:a100:1, partition=gpu, 1440 minutes"


@pytest.mark.parametrize(
    ("time", "minutes"),
    [("30", 30), ("90:01", 91), ("24:00:00", 1440), ("2-3", 3060), ("2-3:04", 3064), ("1-0:00:01", 1441)],
)
def test_times_are_read_as_slurm_reads_them(time: str, minutes: int) -> None:
    assert read(f"time={time}").minutes == minutes


def test_a_job_gets_a_gpu_and_the_cores_of_its_threads() -> None:
    assert dict(read(threads=3, gpu=True).others) == {"cpus-per-task": "3", "gpus-per-node": "1"}
    assert dict(read("cpus_per_task=8", threads=3).others) == {"cpus-per-task": "8"}
    assert read("cpus_per_task=8", threads=3).threads == 3


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("partitoin=gpu", "did you mean partition"),
        ("output=x", "output is set for each job by this program"),
        ("time=soon", "write minutes, hh:mm:ss or days-hh:mm:ss"),
        ("time=0", "a job needs some time"),
        ("jobs=0", "a whole number from 1"),
        ("cpus-per-task=2", "--threads 3: a job has 2 cores"),
    ],
)
def test_what_cannot_be_asked_is_refused(text: str, words: str) -> None:
    with pytest.raises(InputError, match=words):
        read(text, threads=3)


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The programs of a pretended Slurm are found first; the folder of its jobs."""
    for name, value in fake_slurm.install(tmp_path / "slurm").items():
        monkeypatch.setenv(name, value)
    return tmp_path / "slurm"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ("--executor slurm --slurm partitoin=gpu", "--slurm partitoin=gpu: did you mean partition"),
        ("--executor slurm --slurm partition=nope", "sbatch refuses such a job: invalid partition specified: nope"),
        ("--executor slurm --device cuda:1", "--device cuda:1: Slurm says which GPU a job gets"),
        ("--slurm partition=gpu", "--executor local submits no jobs; add --executor slurm"),
    ],
)
def test_a_command_is_refused_before_any_data_is_read(fake: Path, cli: Cli, options: str, words: str) -> None:
    said = cli(f"run ablation-table3 --scale smoke --no-mlflow {options} --data nowhere")
    assert said.code == 2, said.out
    assert words in " ".join(said.err.split())


def test_without_sbatch_the_array_of_commands_is_named(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    said = cli("run ablation-table3 --scale smoke --no-mlflow --executor slurm")
    assert said.code == 2, said.out
    assert "there is no sbatch here" in said.err
    assert "sbatch --array=0-7" in " ".join(said.err.split())


# --- what becomes of jobs, by a queue that says what the test wants ---------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Piece(Stage):
    """piece.txt."""

    kind: ClassVar[str] = "piece"
    uses_device: ClassVar[bool] = True
    word: str

    def run(self, context: StageContext) -> None:
        (context.folder / "piece.txt").write_text(self.word)


@dataclass
class Queue:
    """Jobs in the states that a test gives them; refuses: what it says to the next ones."""

    every: float = 0.0
    now: dict[str, JobState] = field(default_factory=dict)
    refuses: list[str] = field(default_factory=list)
    submitted: int = 0
    cancelled: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)

    def submit(self, job: Job, name: str) -> str:
        assert name.startswith("prism-bench-piece")
        if self.refuses:
            raise ComputeError(f"sbatch: {self.refuses.pop(0)}")
        self.submitted += 1
        number = str(self.submitted)
        self.now[number] = JobState("PENDING", "Priority")
        return number

    def states(self) -> dict[str, JobState]:
        return dict(self.now)

    def ask_to_stop(self, jobs: Any) -> None:
        self.asked += [job for job in jobs if self.now.pop(job)]

    def cancel(self, jobs: Any) -> None:
        for job in jobs:
            self.cancelled.append(job)
            self.now.pop(job, None)


TERMS = Terms(runtime=Runtime(), plugins=(), directives="partition=gpu")


@pytest.fixture
def queue() -> Queue:
    return Queue()


@pytest.fixture
def pool(tmp_path: Path, queue: Queue) -> Iterator[SlurmPool]:
    store = Store.create(tmp_path / "store")
    with SlurmPool(store, LocalPool.one(store, Runtime()), queue, TERMS, 2) as pool:
        yield pool


def heard(pool: SlurmPool) -> list[tuple[str, str]]:
    return [(answer.outcome, answer.reason) for answer in pool.answers(0.0)]


def test_a_job_that_waits_is_shown_with_the_queues_reason(pool: SlurmPool, queue: Queue) -> None:
    pool.submit(Piece(word="a"))
    assert heard(pool) == [("waits", "job 1"), ("waits", "job 1: Priority")]
    assert heard(pool) == [], "the same is not said again"
    queue.now["1"] = JobState("PENDING", "Resources")
    assert heard(pool) == [("waits", "job 1: Resources")]


def test_there_are_as_many_jobs_as_were_asked_for(pool: SlurmPool) -> None:
    for word in "ab":
        assert pool.has_place(Piece(word=word))
        pool.submit(Piece(word=word))
    assert not pool.has_place(Piece(word="c"))
    assert not pool.is_full, "this machine has a place"


def test_a_job_that_vanished_is_followed_by_another_until_none_gets_on(pool: SlurmPool, queue: Queue) -> None:
    stage = Piece(word="a")
    pool.submit(stage)
    heard(pool)
    queue.now["1"] = JobState("NODE_FAIL")
    assert heard(pool)[0] == ("waits", "its job 1 ended without an answer (node_fail); goes on as job 2")
    write_json(pool.store.work(stage.address) / "progress.json", {"done": 5, "total": 9, "unit": "steps"})
    queue.now["2"] = JobState("")
    assert "the queue does not know it); goes on as job 3" in heard(pool)[0][1]
    for number in ("3", "4"):
        queue.now[number] = JobState("TIMEOUT")
        assert heard(pool)[0][0] == "waits", "job 2 had got further: three more"
    queue.now["5"] = JobState("TIMEOUT")
    ((outcome, reason),) = heard(pool)
    assert outcome == "failed"
    assert re.search(r"its job 5 .*, the last of 3 that got no further \(log: .*/5\)", reason)
    assert pool.has_place(stage)


def test_a_job_that_was_stopped_and_saved_is_followed_at_once(pool: SlurmPool, queue: Queue) -> None:
    stage = Piece(word="a")
    pool.submit(stage)
    heard(pool)
    pool.board.tell(Answer(str(stage.address), "stopped"))
    assert heard(pool) == [("waits", "its job 1 stopped and saved; goes on as job 2")]
    assert not list(pool.board.answers())
    order = pool.board.order(str(stage.address))
    assert order is not None
    assert order.job == "2"


@pytest.mark.parametrize(("word", "reason"), [("CANCELLED", "type the same command"), ("OUT_OF_MEMORY", "--slurm mem")])
def test_a_job_that_was_cancelled_or_too_big_is_not_tried_again(
    pool: SlurmPool, queue: Queue, word: str, reason: str
) -> None:
    pool.submit(Piece(word="a"))
    heard(pool)
    queue.now["1"] = JobState(word)
    ((outcome, said),) = heard(pool)
    assert outcome == "failed"
    assert reason in said


def test_a_job_that_hangs_is_replaced(pool: SlurmPool, queue: Queue, monkeypatch: pytest.MonkeyPatch) -> None:
    pool.submit(Piece(word="a"))
    queue.now["1"] = JobState("RUNNING")
    assert heard(pool) == [("waits", "job 1")]
    monkeypatch.setattr(slurm_pool, "HUNG", 0.0)
    assert re.match("its job 1 gave no sign of life .* goes on as job 2", heard(pool)[0][1])
    assert "1" in queue.cancelled


def test_a_full_queue_is_waited_for_and_a_refusal_is_not(pool: SlurmPool, queue: Queue) -> None:
    queue.refuses = ["QOSMaxSubmitJobPerUserLimit"] * 5
    pool.submit(Piece(word="a"))
    said = [answer for _ in range(5) for answer in heard(pool)]
    assert said[0] == ("waits", "sbatch: QOSMaxSubmitJobPerUserLimit")
    assert said[-1] == ("waits", "job 1")
    queue.refuses = ["Invalid qos"] * 3
    pool.submit(Piece(word="b"))
    said = [answer for _ in range(3) for answer in heard(pool)]
    assert said[-1] == ("failed", "sbatch: Invalid qos, the last of 3 that got no further")


def test_what_another_process_makes_needs_no_job(pool: SlurmPool, queue: Queue) -> None:
    stage = Piece(word="a")
    pool.submit(stage)
    with pool.store.making(stage.address):
        assert heard(pool) == [("waits", "job 1")]
        assert queue.cancelled == ["1"]
    perform(stage, pool.store, Runtime())
    assert [outcome for outcome, _ in heard(pool)] == ["done"]


def test_a_pending_job_of_an_earlier_command_is_taken_for_ones_own(pool: SlurmPool, queue: Queue) -> None:
    stage = Piece(word="a")
    queue.submitted, queue.now["1"] = 1, JobState("PENDING", "Priority")
    pool.board.give(stage, TERMS, "1")
    pool.submit(stage)
    assert heard(pool) == [("waits", "job 1: Priority")]
    other = Piece(word="b")
    pool.board.give(other, Terms(runtime=Runtime(threads=3), plugins=(), directives=""), "1")
    pool.submit(other)
    assert queue.cancelled == ["1"]
    assert heard(pool)[0] == ("waits", "job 2")


def test_at_the_end_jobs_that_wait_are_cancelled_and_others_save(tmp_path: Path, queue: Queue) -> None:
    store = Store.create(tmp_path / "store")
    with SlurmPool(store, LocalPool.one(store, Runtime()), queue, TERMS, 2) as pool:
        pool.submit(Piece(word="a"))
        pool.submit(Piece(word="b"))
        queue.now["2"] = JobState("RUNNING")
    assert (queue.cancelled, queue.asked) == (["1"], ["2"])
    assert pool.board.ordered() == []


# --- what a job does --------------------------------------------------------------------------------------------------


@pytest.fixture
def board(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Board]:
    """With handlers of signals put back; a job waits for nothing."""
    monkeypatch.setattr("prism_bench.prism.executors.slurm.job.LINGER", 0.0)
    monkeypatch.setenv("SUBMITIT_EXECUTOR", "slurm")
    monkeypatch.setenv("SUBMITIT_FOLDER", str(tmp_path / "%j"))
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR2)}
    board = Board(Store.create(tmp_path / "store"))
    board.open()
    yield board
    for number, handler in before.items():
        signal.signal(number, handler)


def test_a_job_makes_its_stage_and_then_others_of_its_terms(board: Board, tmp_path: Path) -> None:
    mine, next_one, other = (Piece(word=word) for word in ("mine", "next", "other"))
    for stage in (next_one, mine):
        board.give(stage, TERMS)
    board.give(other, Terms(runtime=Runtime(), plugins=(), directives="partition=cpu"))
    Job(tmp_path / "store", str(mine.address))()
    said = {answer.address: answer.outcome for answer in board.answers()}
    assert said == {str(mine.address): "done", str(next_one.address): "done"}
    assert board.ordered() == [str(other.address)]


def test_a_job_without_its_gpu_says_so(board: Board, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    stage = Piece(word="a")
    board.give(stage, Terms(runtime=Runtime(device="cuda:0"), plugins=(), directives="partition=cpu"))
    Job(tmp_path / "store", str(stage.address))()
    (answer,) = board.answers()
    assert answer.outcome == "failed"
    assert "no GPU that torch can use (partition=cpu); ask for one, as --slurm gres=gpu:1" in answer.reason
    assert "/7/7_0_log.out" in answer.reason


def test_orders_of_another_account_are_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    board = Board(Store.create(tmp_path / "store"))
    board.open()
    assert board.folder.stat().st_mode & 0o777 == 0o700
    monkeypatch.setattr(os, "getuid", lambda: 12345)
    with pytest.raises(InputError, match="belongs to another account"):
        board.open()


# --- whole commands ---------------------------------------------------------------------------------------------------

TRAINING = (
    "train prism --scale smoke --no-mlflow --set dataset.size=64 --set sampler.steps=3 --set training.images=6000 "
    "--workers 1 --checkpoint-seconds 0.1 --threads 1 --device cpu"
)
BY_SLURM = "--executor slurm --slurm time=10"


@dataclass(frozen=True)
class Site:
    """Where commands are typed, and the variables by which they find what runs jobs."""

    folder: Path
    environment: dict[str, str]

    @property
    def store(self) -> Path:
        return self.folder / "prism-bench-store"

    @property
    def calls(self) -> str:
        """What the pretended Slurm was asked to do."""
        return (self.folder / "slurm" / "calls.txt").read_text()

    def start(self, line: str) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            [*PROGRAM, *line.split()],
            cwd=self.folder,
            env={**ENVIRONMENT, **self.environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def end(self, command: "subprocess.Popen[str]", code: int = 0) -> str:
        """What a command has said when it has ended."""
        out, _ = command.communicate(timeout=600)
        assert command.returncode == code, out
        return out

    def at_work(self, command: "subprocess.Popen[str]") -> int:
        """The process that makes the training, as soon as it has written two checkpoints."""
        self.wait_for("work/training-*/checkpoint.previous.safetensors", command)
        (lease,) = self.store.glob("locks/training-*/*.json")
        return int(json.loads(lease.read_text())["pid"])

    def wait_for(self, pattern: str, command: "subprocess.Popen[str]") -> None:
        deadline = time.monotonic() + 400
        while not list(self.store.glob(pattern)):
            assert command.poll() is None, command.communicate()[0]
            assert time.monotonic() < deadline
            time.sleep(0.02)


def local_site(folder: Path) -> Site:
    """Jobs by submitit's local executor."""
    return Site(folder, {"PRISM_BENCH_SLURM": "local"})


def pretended_site(folder: Path) -> Site:
    """Jobs by the pretended Slurm, which is asked more often than a real one."""
    (folder / "sitecustomize.py").write_text(
        "from prism_bench.prism.executors.slurm.batch_queue import SlurmQueue\nSlurmQueue.every = 1.0\n"
    )
    path = os.pathsep.join([str(folder), ENVIRONMENT["PYTHONPATH"]])
    return Site(folder, {**fake_slurm.install(folder / "slurm"), "PYTHONPATH": path})


def real_site(folder: Path) -> Site:
    """Slurm itself, in its default partition."""
    if shutil.which("sbatch") is None:
        pytest.skip("there is no Slurm here (no sbatch)")
    return Site(folder, {})


@pytest.fixture(params=[local_site, pretended_site, real_site], ids=["local", "pretended", "Slurm"])
def site(request: pytest.FixtureRequest, tmp_path: Path) -> Site:
    found: Site = request.param(tmp_path)
    return found


@pytest.fixture
def pretended(tmp_path: Path) -> Site:
    return pretended_site(tmp_path)


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The training made by a process of this machine."""
    folder = tmp_path_factory.mktemp("unbroken")
    assert type_in(folder, TRAINING).returncode == 0
    return folder


@pytest.mark.cluster
def test_table_3_has_the_bits_of_this_machine(tmp_path: Path, made: Path) -> None:
    site, line = local_site(tmp_path), RUN.replace("--workers 0", "--workers 1")
    out = site.end(site.start(f"{line} --threads {usable_cores()} --device cpu {BY_SLURM}"))
    assert re.search(r"queued +training PatchD, seed 0 \(job \d+\)", out)
    models = [path.relative_to(made) for path in made.glob("stages/training/*/*.safetensors")]
    assert len(models) == 2
    for path in models:
        assert (site.store / path).read_bytes() == (made / path).read_bytes()
    assert {path.name for path in made.glob("records/*")} == {path.name for path in site.store.glob("records/*")}


@pytest.mark.cluster
def test_a_job_that_is_killed_is_noticed_and_its_training_goes_on(site: Site, unbroken: Path) -> None:
    command = site.start(f"{TRAINING} {BY_SLURM}")
    os.kill(site.at_work(command), signal.SIGKILL)
    site.end(command)
    # Its own job, where another one had taken the stage, or the one that follows it.
    logs = [path.read_text() for path in site.store.glob("logs/slurm/*/*/*_log.out")]
    begun = [bool(re.search("^training .*: begun", log, re.MULTILINE)) for log in logs]
    done = [bool(re.search("^training .*: done", log, re.MULTILINE)) for log in logs]
    assert (sum(begun), sum(done)) == (2, 1)
    assert model_bytes(site.folder) == model_bytes(unbroken)
    assert log_rows(site.folder) == log_rows(unbroken)


@pytest.mark.cluster
def test_when_its_time_is_up_a_job_saves_and_is_queued_again(pretended: Site, unbroken: Path) -> None:
    command = pretended.start(f"{TRAINING} {BY_SLURM}")
    os.kill(pretended.at_work(command), signal.SIGUSR2)
    out = pretended.end(command)
    assert "goes on as job" not in out, "it is the same job"
    assert re.search(r"scontrol requeue \d+", pretended.calls)
    assert model_bytes(pretended.folder) == model_bytes(unbroken)
    assert log_rows(pretended.folder) == log_rows(unbroken)


@pytest.mark.cluster
def test_interrupted_it_lets_its_jobs_save_and_cancels_them(pretended: Site, unbroken: Path) -> None:
    command = pretended.start(f"{TRAINING} {BY_SLURM}")
    pretended.at_work(command)
    command.send_signal(signal.SIGINT)
    assert "Stopping jobs (cpus-per-task=1, 10 minutes)" in pretended.end(command, 130)
    (said,) = pretended.store.glob("logs/slurm/*/answers/training-*.json")
    assert json.loads(said.read_text())["outcome"] == "stopped"
    assert "scancel --signal=TERM" in pretended.calls
    states = {json.loads(path.read_text())["state"] for path in (pretended.folder / "slurm").glob("*.json")}
    assert not {"PENDING", "RUNNING"} & states
    assert not list(pretended.store.glob("locks/*"))
    pretended.end(pretended.start(f"{TRAINING} {BY_SLURM}"))
    assert model_bytes(pretended.folder) == model_bytes(unbroken)


@pytest.mark.cluster
def test_the_command_may_die_and_its_jobs_are_found_again(pretended: Site, unbroken: Path) -> None:
    (pretended.folder / "slurm" / "hold").touch()
    command = pretended.start(f"{TRAINING} {BY_SLURM}")
    pretended.wait_for("logs/slurm/*/[0-9]*/*_submitted.pkl", command)
    while "squeue" not in pretended.calls.partition("run 1\n")[2]:
        time.sleep(0.02)  # until then it has not written down which job it is
    command.kill()
    command.communicate()
    looks = pretended.calls.count("squeue")
    again = pretended.start(f"{TRAINING} {BY_SLURM}")
    deadline = time.monotonic() + 120
    while pretended.calls.count("squeue") < looks + 4 and time.monotonic() < deadline:
        time.sleep(0.1)
    (pretended.folder / "slurm" / "hold").unlink()
    assert re.search(r"queued  .*\(job 1: Priority\)", pretended.end(again)), "job 1 is the first command's"
    assert "scancel 1\n" not in pretended.calls
    assert model_bytes(pretended.folder) == model_bytes(unbroken)
