"""Leases: one process makes a stage, whoever is gone is followed, whoever was followed publishes nothing."""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import psutil
import pytest
from test_run import ENVIRONMENT, PROGRAM

from prism_bench.prism.engine.lease import SILENCE, HeldError, Holder, Lease, LeaseLostError
from prism_bench.prism.engine.runtime import Runtime, write_json
from prism_bench.prism.engine.stage import Stage, StageContext, perform
from prism_bench.prism.engine.store import Address, Store

ELSEWHERE = Holder(host="node7", machine="node7 another boot", pid=4711, started=1.0, token="theirs")  # noqa: S106


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "locks" / "note-a"


def held_by(folder: Path, holder: Holder, *, number: int = 1, silent: float = 0.0) -> Path:
    """A lease as that process would have left it, without a sign of life for so many seconds."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{number}.json"
    path.write_text(json.dumps(asdict(holder)))
    os.utime(path, (time.time() - silent,) * 2)
    return path


def test_a_lease_is_of_one_process_and_comes_back(folder: Path) -> None:
    mine, other = Lease(folder), Lease(folder)
    assert mine.holder() is None
    assert not mine.acquire(), "nobody was there before"
    with pytest.raises(HeldError, match=f"is being made by process {os.getpid()} on "):
        other.acquire()
    with mine:
        assert mine.is_held()
        assert other.holder() == mine.mine
        assert not other.is_held()
    assert not folder.exists()
    assert not other.acquire()


def test_a_process_that_has_ended_is_followed_at_once(folder: Path) -> None:
    code = (
        "import sys, pathlib\nfrom prism_bench.prism.engine.lease import Lease\n"
        "Lease(pathlib.Path(sys.argv[1])).acquire()"
    )
    subprocess.run([sys.executable, "-c", code, str(folder)], check=True)
    lease = Lease(folder)
    assert lease.holder() is None
    assert lease.acquire()
    assert lease.is_held()
    lease.release()
    assert not folder.exists(), "older leases go too"


def test_a_number_that_came_again_is_another_process(folder: Path) -> None:
    me = Holder.here()
    held_by(folder, replace(me, started=me.started - 60))
    assert Lease(folder).holder() is None
    held_by(folder, me)
    assert Lease(folder).holder() == me


@pytest.mark.parametrize(("silent", "alive"), [(SILENCE - 20, True), (SILENCE + 20, False)])
def test_a_process_elsewhere_is_gone_when_it_was_silent_for_long(folder: Path, silent: float, alive: bool) -> None:
    held_by(folder, ELSEWHERE, silent=silent)
    lease = Lease(folder)
    if alive:
        with pytest.raises(HeldError, match="process 4711 on node7"):
            lease.acquire()
    else:
        assert lease.acquire()


def test_the_clock_of_the_file_system_is_read_once_for_many_looks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, touch, read = Store.create(tmp_path), Path.touch, list[Path]()

    def counted(self: Path, *arguments: Any) -> None:
        read.append(self)
        touch(self, *arguments)

    monkeypatch.setattr(Path, "touch", counted)
    addresses = [Address("note", str(index)) for index in range(5)]
    paths = [held_by(tmp_path / "locks" / str(one), ELSEWHERE, silent=SILENCE - 20) for one in addresses]
    assert [store.lease(one).holder() for one in addresses] == [ELSEWHERE] * 5
    assert len(read) == 1
    # This process's own clock runs ahead: nobody is taken for gone before the file system's has been asked.
    now = time.monotonic
    monkeypatch.setattr(time, "monotonic", lambda: now() + 30)
    assert store.lease(addresses[0]).holder() == ELSEWHERE
    assert len(read) == 2
    os.utime(paths[1], (time.time() - SILENCE - 20,) * 2)
    assert store.lease(addresses[1]).holder() is None


def test_a_lease_that_is_being_written_is_alive(folder: Path) -> None:
    held_by(folder, ELSEWHERE).write_text("")
    with pytest.raises(HeldError, match="another machine"):
        Lease(folder).acquire()


def test_the_holder_gives_signs_of_life(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("prism_bench.prism.engine.lease.BEAT", 0.05)
    lease = Lease(folder)
    lease.acquire()
    path = folder / "1.json"
    with lease:
        os.utime(path, (1.0, 1.0))
        deadline = time.monotonic() + 10
        while path.stat().st_mtime == 1.0 and time.monotonic() < deadline:
            time.sleep(0.02)
        assert path.stat().st_mtime > time.time() - 20


def test_who_was_followed_knows_it_and_takes_nothing_back(folder: Path) -> None:
    slow = Lease(folder)
    slow.acquire()
    theirs = held_by(folder, ELSEWHERE, number=2)
    assert not slow.is_held()
    with pytest.raises(LeaseLostError, match="gave no sign of life"):
        slow.check()
    slow.release()
    assert theirs.exists()


def test_of_many_that_come_at_once_one_is_first(folder: Path, tmp_path: Path) -> None:
    held_by(folder, ELSEWHERE, silent=2 * SILENCE)
    code = (
        "import sys, pathlib, time\nfrom prism_bench.prism.engine.lease import HeldError, Lease\n"
        "while not pathlib.Path(sys.argv[2]).exists(): pass\n"
        "try:\n    Lease(pathlib.Path(sys.argv[1])).acquire()\n    print('mine', flush=True)\n"
        "except HeldError:\n    print('held', flush=True)\n"
        "sys.stdin.read()"
    )
    command = [sys.executable, "-c", code, str(folder), str(tmp_path / "go")]
    processes = [subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(6)]
    (tmp_path / "go").touch()
    said = [process.stdout.readline().strip() for process in processes if process.stdout]
    for process in processes:
        process.communicate("")
    assert sorted(said) == ["held"] * 5 + ["mine"]


# --- stages ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Note(Stage):
    """note.txt; `during`: what happens while it is made."""

    kind: ClassVar[str] = "note"
    word: str
    during: ClassVar[Callable[[StageContext], None]] = staticmethod(lambda _: None)

    def run(self, context: StageContext) -> None:
        type(self).during(context)
        (context.folder / "note.txt").write_text(self.word)


@pytest.fixture
def during(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[StageContext], None]], None]:
    return lambda what: monkeypatch.setattr(Note, "during", staticmethod(what))


def follow(store: Store, note: Note) -> None:
    """Another process takes the stage over, as it does where this one was silent."""
    held_by(store.root / "locks" / str(note.address), ELSEWHERE, number=2)
    store.take_over_work(note.address, "theirs")


@pytest.mark.parametrize("when", ["before it writes", "before it publishes"])
def test_a_process_that_was_followed_does_not_publish(tmp_path: Path, during: Any, when: str) -> None:
    store, note = Store.create(tmp_path), Note(word="late")

    def followed(context: StageContext) -> None:
        if when == "before it publishes":
            (context.folder / "note.txt").write_text("early")
        follow(store, note)
        if when == "before it publishes":
            context.folder.mkdir()  # as code that makes its folders would

    during(followed)
    with pytest.raises(LeaseLostError):
        perform(note, store, Runtime())
    assert store.manifest(note.address) is None
    assert store.work_folder(note.address).name == f"{note.address}~theirs"
    assert (store.root / "locks" / str(note.address) / "2.json").exists()


def test_a_loop_that_reports_stops_when_it_was_followed(
    tmp_path: Path, during: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, note, steps = Store.create(tmp_path), Note(word="late"), []
    ticks = iter(range(0, 1000, 2))
    monkeypatch.setattr("prism_bench.prism.engine.lease.time.monotonic", lambda: float(next(ticks)))

    def loop(context: StageContext) -> None:
        for step in range(10):
            if step == 3:
                held_by(store.root / "locks" / str(note.address), ELSEWHERE, number=2)
            context.report(step, 10, "steps")
            steps.append(step)

    during(loop)
    with pytest.raises(LeaseLostError):
        perform(note, store, Runtime())
    assert steps == [0, 1, 2]


def test_who_follows_goes_on_from_what_is_there(tmp_path: Path, during: Any) -> None:
    store, note = Store.create(tmp_path), Note(word="mine")
    held_by(store.root / "locks" / str(note.address), ELSEWHERE, silent=2 * SILENCE)
    (store.work(note.address) / "checkpoint.safetensors").write_text("step 7")
    seen = []
    during(lambda context: seen.append((context.folder.name, (context.folder / "checkpoint.safetensors").read_text())))
    assert perform(note, store, Runtime()) > 0
    ((name, checkpoint),) = seen
    assert name.startswith(f"{note.address}~")
    assert checkpoint == "step 7"
    assert store.manifest(note.address) is not None
    assert not list((store.root / "work").iterdir())
    assert not list((store.root / "locks").iterdir())


# --- several processes, accounts and containers -----------------------------------------------------------------------

NAPS = """
import os, sys, time
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar
from prism_bench.prism.executors.local_pool import LocalPool
from prism_bench.prism.engine.runtime import Runtime
from prism_bench.prism.engine.scheduler import Scheduler
from prism_bench.prism.executors.slots import Slots
from prism_bench.prism.engine.stage import Stage
from prism_bench.prism.engine.store import Address, Store

@dataclass(frozen=True, kw_only=True)
class Nap(Stage):
    kind: ClassVar[str] = "nap"
    number: int
    def run(self, context):
        if self.number < 0:
            return
        with open(Path(sys.argv[1]) / "made.txt", "a") as file:
            file.write(f"{self.number} {os.getpid()}\\n")
        time.sleep(0.5)

def work(root, numbers):
    store = Store.create(root)
    naps = {str(nap.address): nap for nap in (Nap(number=n) for n in numbers)}
    with LocalPool(store, Slots.one(Runtime(), here=True)) as pool:
        scheduler = Scheduler(store, pool)
        scheduler.run(dict(naps))
    assert not scheduler.failed, scheduler.failed
    assert all(store.manifest(nap.address) for nap in naps.values())

work(Path(sys.argv[1]) / f"warm-{os.getpid()}", [-1])  # what is loaded late is not to be timed
(Path(sys.argv[1]) / f"ready-{os.getpid()}").touch()
while not (Path(sys.argv[1]) / "go").exists():
    time.sleep(0.01)
started = time.monotonic()
work(Path(sys.argv[1]), range(12))
print(time.monotonic() - started)
"""


def napping(root: Path, processes: int) -> tuple[float, list[tuple[str, str]]]:
    """The longest time of so many processes on one store, and (stage, process) as they were made."""
    root.mkdir()
    command = [sys.executable, "-c", NAPS, str(root)]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(processes)]
    deadline = time.monotonic() + 60
    while len(list(root.glob("ready-*"))) < processes and time.monotonic() < deadline:
        time.sleep(0.05)
    (root / "go").touch()
    said = [process.communicate(timeout=120)[0] for process in running]
    assert [process.returncode for process in running] == [0] * processes
    made = [tuple(line.split()) for line in (root / "made.txt").read_text().splitlines()]
    return max(map(float, said)), [(number, pid) for number, pid in made]


def test_four_processes_share_the_work_of_one_store(tmp_path: Path) -> None:
    alone, made = napping(tmp_path / "one", 1)
    assert len(made) == 12
    together, made = napping(tmp_path / "four", 4)
    assert sorted(int(number) for number, _ in made) == list(range(12)), "nothing is made twice"
    assert len({pid for _, pid in made}) == 4, "each makes a part"
    assert together < 0.6 * alone


@pytest.fixture
def shared() -> Iterator[Path]:
    """A folder of a group."""
    root = Path(tempfile.mkdtemp())
    os.chown(root, 0, 54321)
    root.chmod(0o2770)
    yield root
    shutil.rmtree(root)


def as_account(user: int, act: Callable[[], None]) -> None:
    """Do something as another account of the group, in a process of its own."""
    child = os.fork()
    if not child:
        code = 1
        try:
            os.setgroups([])
            os.setgid(54321)
            os.setuid(user)
            os.umask(0o022)
            act()
            code = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root may act as two accounts")
def test_two_accounts_of_a_group_share_a_store(shared: Path, tmp_path: Path) -> None:
    perform(Note(word="to load what is loaded late"), Store.create(tmp_path), Runtime())

    def work(word: str) -> None:
        store = Store.create(shared)
        perform(Note(word=word), store, Runtime())
        write_json(store.record_path("r"), word)
        with (store.work(Note(word="both").address) / "log").open("a") as log:
            log.write(word)

    as_account(60001, lambda: work("first"))
    as_account(60002, lambda: work("second"))
    store = Store(shared)
    assert all(store.manifest(Note(word=word).address) for word in ("first", "second"))
    assert json.loads(store.record_path("r").read_text()) == "second"
    assert (store.work_folder(Note(word="both").address) / "log").read_text() == "firstsecond"


def namespaces() -> bool:
    """Whether processes may be started in a namespace of their own."""
    found = shutil.which("unshare")
    return found is not None and not subprocess.run(
        [found, "--pid", "--fork", "--mount-proc", "true"], capture_output=True, check=False
    ).returncode  # fmt: skip


@pytest.mark.skipif(not namespaces(), reason="process namespaces cannot be made here (unshare --pid)")
def test_a_container_does_not_take_anothers_number_for_its_own(folder: Path, tmp_path: Path) -> None:
    """Two containers, each with a process of number 1: neither is the other's, and the first is not gone."""
    code = (
        "import os, sys, pathlib\nfrom prism_bench.prism.engine.lease import HeldError, Lease\n"
        "from prism_bench.prism.engine.runtime import write_json\n"
        "try:\n    Lease(pathlib.Path(sys.argv[1])).acquire()\n    print(os.getpid(), 'mine', flush=True)\n"
        "except HeldError as error:\n    print(os.getpid(), error, flush=True)\n"
        "sys.stdin.read()\n"
    )
    command = ["unshare", "--pid", "--fork", "--mount-proc", sys.executable, "-c", code, str(folder)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as first:
        assert first.stdout is not None
        assert first.stdout.readline() == "1 mine\n"
        second = subprocess.run(command, input="", capture_output=True, text=True, check=True)
        assert second.stdout.startswith("1 is being made by process 1 on ")
        with pytest.raises(HeldError):
            Lease(folder).acquire()
        first.communicate("")


def test_the_start_of_a_process_is_read_alike_by_all() -> None:
    """A second of tolerance is enough: two readings of one start differ by the rounding of the boot's time."""
    me = psutil.Process()
    assert abs(me.create_time() - Holder.here().started) < 0.1


SHARED = (
    "run ablation-table3 --scale smoke --workers 1 --set samples=16 --set sampler.steps=2 "
    "--set dataset.size=64 --set training.images=1500 --set training.rampup_images=0 --only variant=patchd|rag -v"
)


def test_two_commands_share_a_store_and_both_end_with_the_table(tmp_path: Path) -> None:
    from mlflow import MlflowClient

    running = [
        subprocess.Popen(
            [*PROGRAM, *SHARED.split(" ")], cwd=tmp_path, env=ENVIRONMENT, stdout=subprocess.PIPE, text=True
        )
        for _ in range(2)
    ]
    said = [process.communicate(timeout=300)[0] for process in running]
    assert [process.returncode for process in running] == [0, 0], said
    # Of what has a title of its own; one that another process made has that in brackets, not its time.
    made = [set(re.findall(r"  done  ((?:training|features|metric|floor) .*?) \(\d", text)) for text in said]
    assert all(made), "each has its part"
    assert not made[0] & made[1], "nothing is made twice"
    assert len([title for title in made[0] | made[1] if title.startswith("training")]) == 2
    assert re.search(r"  elsewhere  .* \(process \d+ on ", "".join(said)), "who makes a stage is said"
    assert all("Pictures and tables of ablation-table3" in text for text in said)
    assert not list((tmp_path / "prism-bench-store" / "locks").iterdir())
    client = MlflowClient(f"sqlite:///{tmp_path}/prism-bench-store/mlflow.db")
    found = client.search_runs([one.experiment_id for one in client.search_experiments()])
    cells = [run.data.tags["row"] for run in found if run.data.tags["prism.kind"] == "cell"]
    assert sorted(cells) == ["patchd", "rag"], "one MLflow run for each cell"
    assert {run.info.status for run in found} == {"FINISHED"}
    assert len(found) == 3
