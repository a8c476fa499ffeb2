"""Stages on a Ray cluster: what fits, what is refused, and a real cluster of two nodes on this machine.

The tests of the cluster (marker `cluster`) run in a session of their own: nox -s cluster.
"""

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import psutil
import pytest
from conftest import TINY, Cli
from test_scheduler import Heard, Sum

from prism_bench.prism.engine.lease import Holder, Lease
from prism_bench.prism.engine.pool import Answer
from prism_bench.prism.engine.runtime import Runtime
from prism_bench.prism.engine.scheduler import Scheduler
from prism_bench.prism.engine.stage import Stage
from prism_bench.prism.engine.store import Store, file_digest
from prism_bench.prism.errors import ComputeError, InputError
from prism_bench.prism.executors.ray import ray_pool, task
from prism_bench.prism.executors.ray.cluster import Demand, Node
from prism_bench.prism.executors.ray.ray_pool import RayPool
from prism_bench.prism.executors.ray.task import Order, look_around, make

if TYPE_CHECKING:
    from ray.cluster_utils import Cluster

BIG, SMALL, GPUS, HUGE = (
    Node(id=host, host=host, cpus=cpus, gpus=gpus)
    for host, cpus, gpus in (("a", 8, 0), ("b", 3, 0), ("c", 8, 4), ("d", 9, 0))
)


@pytest.mark.parametrize(
    ("demand", "nodes", "pinned", "others"),
    [
        (Demand(), (BIG, SMALL), 0, 11),
        (Demand(threads=2), (BIG, SMALL), 0, 5),  # a stage does not run on two nodes
        (Demand(workers=3), (BIG, SMALL), 0, 3),
        (Demand(gpus=True), (BIG, GPUS), 4, 12),
        (Demand(gpus=True, threads=4), (GPUS,), 2, 1),  # one at least for what needs no GPU
        (Demand(gpus=True, workers=1), (BIG, GPUS), 4, 1),
        (Demand(), (), 0, 0),
    ],
)
def test_a_node_takes_what_fits(demand: Demand, nodes: tuple[Node, ...], pinned: int, others: int) -> None:
    assert (demand.pinned(nodes), demand.others(nodes)) == (pinned, others)


@pytest.mark.parametrize(
    ("demand", "nodes", "words"),
    [
        (Demand(threads=9), (BIG, SMALL), r"--threads 9: no node .* 2 nodes: a \(8 CPUs\), b \(3 CPUs\)"),
        (Demand(gpus=True), (SMALL,), r"--device cuda: no node has a GPU; .* has 1 node: b \(3 CPUs\)"),
        (
            Demand(gpus=True, threads=9),
            (GPUS, Node(id="d", host="d", cpus=9, gpus=0)),
            "no node with a GPU has so many",
        ),
    ],
)
def test_what_no_node_can_ever_make_is_refused(demand: Demand, nodes: tuple[Node, ...], words: str) -> None:
    with pytest.raises(InputError, match=words):
        demand.check(nodes)


@pytest.mark.parametrize(
    ("options", "environment", "words"),
    [
        ("--device cuda:1", {}, "--device cuda:1: with --executor ray the cluster chooses the GPU"),
        ("--workers 0", {}, "--workers 0 computes in this process"),
        ("", {"RAY_ADDRESS": "127.0.0.1:1"}, "RAY_ADDRESS=127.0.0.1:1: nothing answers there"),
    ],
)
def test_options_and_addresses_that_do_not_fit(
    cli: Cli, monkeypatch: pytest.MonkeyPatch, options: str, environment: dict[str, str], words: str
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    line = TINY.replace("--workers 0", "")
    said = cli(f"run ablation-table3 {line} --only variant=patchd --dry-run --executor ray {options}")
    assert said.code == 2
    assert words in said.err


def test_a_missing_package_is_named(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    said = cli(f"run ablation-table3 {TINY.replace('--workers 0', '')} --only variant=patchd --dry-run --executor ray")
    assert said.code == 2
    assert 'pip install "prism-bench[ray]"' in said.err


# --- a worker, in this process --------------------------------------------------------------------------------------


@pytest.fixture
def order(tmp_path: Path) -> Order:
    store = Store.create(tmp_path / "store")
    return Order(root=store.root, command=store.root / "locks" / "ray-x")


def made(stage: Stage, order: Order) -> Answer:
    import pickle

    return make(pickle.dumps(stage), str(stage.address), order, Runtime())


def test_a_worker_works_while_the_command_is_there(order: Order) -> None:
    handler = signal.getsignal(signal.SIGTERM)
    command, stage = Lease(order.command), Sum(number=3)
    command.acquire()
    assert made(stage, order).outcome == "done"
    command.release()
    late = made(Sum(number=4), order)
    assert late.outcome == "stopped"
    assert str(order.root) in late.reason
    assert signal.getsignal(signal.SIGTERM) is handler


class Endless(Sum):
    """Runs until it is asked to stop."""

    kind = "endless"

    def run(self, context: Any) -> None:
        from prism_bench.prism.engine.runtime import StopRequestedError

        while not context.report.should_stop():
            time.sleep(0.01)
        raise StopRequestedError


@pytest.mark.parametrize("how", ["the command has gone", "a polite kill"])
def test_a_worker_stops_politely(order: Order, monkeypatch: pytest.MonkeyPatch, how: str) -> None:
    monkeypatch.setattr(task, "LOOK", 0.01)
    command = Lease(order.command)
    command.acquire()
    end = command.release if how == "the command has gone" else lambda: os.kill(os.getpid(), signal.SIGTERM)
    threading.Timer(0.3, end).start()
    assert made(Endless(number=1), order).outcome == "stopped"


def test_a_node_looks_around(order: Order, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from dataclasses import replace

    monkeypatch.setattr(task, "PATIENCE", 0)
    assert f"does not see the store {order.root}" in look_around(order)
    Lease(order.command).acquire()
    assert look_around(order) == ""
    assert "and the command 0.1; install the same version" in look_around(replace(order, version="0.1"))
    assert "does not see here.py" in look_around(replace(order, plugins=(Path("here.py"),)))


def test_nodes_that_are_lost_are_waited_for_and_not_for_ever(order: Order, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ray_pool, "COUNTED", 0.0)
    nodes = [(BIG, SMALL)]
    monkeypatch.setattr(ray_pool, "living_nodes", lambda: nodes[-1])
    pool = RayPool(Store(order.root), Demand(threads=8))
    assert pool.places == 1
    assert pool.has_place(Sum(number=1))
    nodes.append((SMALL,))
    assert not pool.has_place(Sum(number=1))
    assert not pool.is_full, "nothing runs whose end would make a place"
    monkeypatch.setattr(ray_pool, "NO_NODE", 0.0)
    with pytest.raises(ComputeError, match=r"no node that can make sum .* 1 node: b \(3 CPUs\)"):
        pool.has_place(Sum(number=1))


@dataclass(frozen=True, kw_only=True)
class OnDevice(Sum):
    """One of those that use the device."""

    kind: ClassVar[str] = "on-device"
    uses_device: ClassVar[bool] = True


@dataclass
class Crashing:
    """A Ray whose workers all die; what it was asked for."""

    asked: list[dict[str, Any]] = field(default_factory=list)
    runtimes: list[Runtime] = field(default_factory=list)

    def remote(self, *sent: Any) -> object:
        if callable(sent[0]):
            return self
        self.runtimes.append(sent[-1])
        return object()

    def options(self, **options: Any) -> "Crashing":
        self.asked.append(options)
        return self

    def get(self, ref: object) -> None:
        from ray.exceptions import WorkerCrashedError

        raise WorkerCrashedError

    def wait(self, refs: list[object], **_: Any) -> tuple[list[object], list[object]]:
        return refs, []


@pytest.fixture
def crashing(monkeypatch: pytest.MonkeyPatch) -> Crashing:
    import ray

    found = Crashing()
    for name in ("remote", "get", "wait"):
        monkeypatch.setattr(ray, name, getattr(found, name))
    monkeypatch.setattr(ray_pool, "living_nodes", lambda: (GPUS,))
    return found


def test_a_stage_that_ends_its_workers_is_given_up(order: Order, crashing: Crashing) -> None:
    stage, heard = Sum(number=1, label="top"), Heard([])
    with RayPool(Store(order.root), Demand(threads=2)) as pool:
        scheduler = Scheduler(Store(order.root), pool, [heard])
        scheduler.run({str(stage.address): stage})
    assert heard.lines == ["start top", "lost top"] * 4 + ["start top", "failed top"]
    assert "its worker process died, for the 5th time; type the same" in scheduler.failed[str(stage.address)]
    assert not [*(order.root / "locks").iterdir()], "the lease of the command is given back"


def test_machines_may_come_and_go_for_days(order: Order, crashing: Crashing, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ray_pool, "SOON", 0.0)
    with RayPool(Store(order.root), Demand()) as pool:
        for _ in range(2 * ray_pool.LOSSES):
            pool.submit(Sum(number=1))
            assert [answer.outcome for answer in pool.answers(timeout=1)] == ["lost"]


def test_what_a_stage_needs_is_asked_of_ray(order: Order, crashing: Crashing) -> None:
    with RayPool(Store(order.root), Demand(threads=2, gpus=True), runtime=Runtime(compiles=True)) as pool:
        assert pool.places == 5, "one at least for what needs no GPU"
        for number in range(3):
            assert pool.has_place(OnDevice(number=number))
            pool.submit(OnDevice(number=number))
        pool.submit(Sum(number=9))
        assert pool.has_place(OnDevice(number=3))
        assert not pool.has_place(Sum(number=3))
    asked = [(it["num_cpus"], it["num_gpus"], it["runtime_env"]["env_vars"]) for it in crashing.asked]
    assert asked == [(2, 1, {"OMP_NUM_THREADS": "2"})] * 3 + [(2, 0, {"OMP_NUM_THREADS": "2"})]
    assert [(it.device, it.threads) for it in crashing.runtimes] == [("cuda:0", 2)] * 3 + [("cpu", 2)]
    assert all(it.compiles for it in crashing.runtimes)


# --- a real cluster -------------------------------------------------------------------------------------------------

ONE_THREAD = TINY.replace("--workers 0", "--threads 1")
TRAINING = (
    "train prism --scale smoke --no-mlflow --set dataset.size=64 --set sampler.steps=3 --set training.images=6000 "
    "--threads 1 --checkpoint-seconds 0.1"
)


@pytest.fixture(scope="module")
def cluster() -> "Iterator[Cluster]":
    """Two nodes of one CPU, and a head that computes nothing."""
    from ray.cluster_utils import Cluster

    with pytest.MonkeyPatch.context() as patch:
        # Set but empty, it makes nodes refuse to start; workers find the package where this process finds it.
        patch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
        patch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        started = Cluster(initialize_head=True, head_node_args=node(0))
        try:
            for _ in range(2):
                started.add_node(**node(1))
            patch.setenv("RAY_ADDRESS", started.address)
            yield started
        finally:
            started.shutdown()


def node(cpus: int) -> dict[str, Any]:
    return {"num_cpus": cpus, "include_dashboard": False, "object_store_memory": 80 * 2**20}


def begin(folder: Path, line: str) -> "subprocess.Popen[str]":
    """A command in a process group of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "prism_bench", *line.split()],
        cwd=folder,
        env={**os.environ, "COLUMNS": "160"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def outcome(process: "subprocess.Popen[str]") -> tuple[int, str]:
    out, _ = process.communicate(timeout=300)
    return process.returncode, out


def until(true: Any, what: str, seconds: float = 300) -> Any:
    deadline = time.monotonic() + seconds
    while not (found := true()):
        assert time.monotonic() < deadline, what
        time.sleep(0.05)
    return found


def models(folder: Path) -> dict[str, str]:
    stages = folder / "prism-bench-store" / "stages" / "training"
    return {path.parent.name: file_digest(path) for path in stages.glob("*/model.safetensors")}


def trainer(process: "subprocess.Popen[str]", folder: Path) -> psutil.Process:
    """The worker that trains, once it has written two checkpoints."""
    work = folder / "prism-bench-store" / "work"
    until(lambda: [*work.glob("training-*/checkpoint.previous.safetensors")] or process.poll() is not None, "begun")
    assert process.poll() is None, f"the run ended before it could be stopped: {outcome(process)}"
    holders = [Lease(path).holder() for path in (folder / "prism-bench-store" / "locks").glob("training-*")]
    (holder,) = holders
    assert isinstance(holder, Holder)
    return psutil.Process(holder.pid)


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The model of the training when nothing disturbs it, made without Ray."""
    folder = tmp_path_factory.mktemp("unbroken")
    code, out = outcome(begin(folder, f"{TRAINING} --workers 2"))
    assert code == 0, out
    return models(folder)


@pytest.mark.cluster
def test_table_3_with_a_row_of_ones_own_has_the_bits_of_a_local_run(cluster: "Cluster", tmp_path: Path) -> None:
    """The classes of a plug-in are needed to read its stages."""
    readme = (Path(__file__).parent.parent / "README.md").read_text()
    found = []
    for name, where in (("ray", "--executor ray"), ("local", "--workers 2")):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "mine.py").write_text(readme.partition("```python\n")[2].partition("```")[0])
        code, out = outcome(
            begin(folder, f"run ablation-table3 {ONE_THREAD} --plugin mine.py --with quadratic {where}")
        )
        assert code == 0, out
        assert "PRISM, quadratic schedule" in out
        assert not [line for line in out.splitlines() if "ray" in line.lower() and "/" not in line], "no noise of Ray's"
        found.append(models(folder))
    assert len(found[0]) == 5
    assert found[0] == found[1]
    manifests = Store(tmp_path / "ray" / "prism-bench-store").manifests("training")
    assert {(it.runtime.device, it.runtime.threads) for it in manifests} == {("cpu", 1)}


@pytest.mark.cluster
def test_what_the_cluster_does_not_have_is_refused_at_once(cluster: "Cluster", tmp_path: Path) -> None:
    code, out = outcome(begin(tmp_path, TRAINING.replace("--threads 1", "--threads 64") + " --executor ray"))
    assert code == 2, out
    assert "--threads 64: no node has so many CPUs" in out
    assert "(0 CPUs)" in out
    assert "(1 CPU)" in out


@pytest.mark.cluster
def test_a_node_killed_in_the_middle_of_a_training(
    cluster: "Cluster", unbroken: dict[str, str], tmp_path: Path
) -> None:
    process = begin(tmp_path, f"{TRAINING} --executor ray")
    raylet = trainer(process, tmp_path).parent()
    assert raylet is not None
    nodes = {it.all_processes["raylet"][0].process.pid: it for it in cluster.worker_nodes}
    lost = nodes[raylet.pid]
    for victim in (raylet, *raylet.children(recursive=True)):
        with contextlib.suppress(psutil.NoSuchProcess):
            victim.kill()
    code, out = outcome(process)
    cluster.remove_node(lost, allow_graceful=False)
    cluster.add_node(**node(1))
    assert code == 0, out
    assert "lost  training" in out
    assert "raylet" not in out, "pages of Ray's logs"
    assert models(tmp_path) == unbroken


@pytest.mark.cluster
def test_a_node_that_has_just_gone_stops_no_command(cluster: "Cluster", tmp_path: Path) -> None:
    """Ray calls it alive for some seconds more, and then says that nothing can be scheduled there."""
    lost = cluster.add_node(**node(1))
    psutil.Process(lost.all_processes["raylet"][0].process.pid).kill()
    code, out = outcome(begin(tmp_path, TRAINING.replace("6000", "600") + " --executor ray"))
    cluster.remove_node(lost, allow_graceful=False)
    assert code == 0, out
    assert len(models(tmp_path)) == 1


@pytest.mark.cluster
def test_the_command_killed_leaves_nothing_behind_and_goes_on(
    cluster: "Cluster", unbroken: dict[str, str], tmp_path: Path
) -> None:
    process = begin(tmp_path, f"{TRAINING} --executor ray")
    worker = trainer(process, tmp_path)
    process.kill()
    outcome(process)
    psutil.wait_procs([worker], timeout=60)
    assert not worker.is_running(), "the orphan works on"
    assert not models(tmp_path)
    code, out = outcome(begin(tmp_path, f"{TRAINING} --executor ray"))
    assert code == 0, out
    assert models(tmp_path) == unbroken


@pytest.mark.cluster
def test_ctrl_c_saves(cluster: "Cluster", tmp_path: Path) -> None:
    process = begin(tmp_path, f"{TRAINING.replace('0.1', '1000')} --executor ray")
    store = tmp_path / "prism-bench-store"
    until(lambda: [*store.glob("work/training-*/progress.json")] or process.poll() is not None, "begun")
    assert not [*store.glob("work/training-*/checkpoint.safetensors")]
    os.killpg(process.pid, signal.SIGINT)
    code, out = outcome(process)
    assert code == 130, out
    assert "the same command goes on from here" in out
    assert "Traceback" not in out
    assert [*store.glob("work/training-*/checkpoint.safetensors")]
    assert not [*store.glob("locks/*")]
