"""What lies with the machine: a full or read-only disk, letters that an output has not, closed pipes, little memory."""

import errno
import json
import os
import re
import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import TINY, Cli, Spoken
from tiny import RUN, copy_of

from prism_bench.prism.engine.runtime import Report, Runtime, whole_file, write_bytes
from prism_bench.prism.engine.stage import Stage, StageContext, perform
from prism_bench.prism.engine.store import Store
from prism_bench.prism.errors import ComputeError, InputError, machine_fault

WHOLE = "256m"


def mounted(folder: Path, options: str) -> None:
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "none", str(folder)], check=True, capture_output=True)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own in memory, whose size and mode the test sets."""
    folder = tmp_path / "disk"
    folder.mkdir()
    try:
        mounted(folder, f"size={WHOLE}")
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"a file system of a test's own needs Linux and the right to mount one ({error})")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def remount(disk: Path, options: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{options}", str(disk)], check=True)


def fill(disk: Path) -> None:
    """Make the disk as small as what lies on it."""
    used = os.statvfs(disk)
    remount(disk, f"size={(used.f_blocks - used.f_bfree) * used.f_frsize}")


def temporaries(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.suffix == ".tmp" or path.name.startswith(".probe"))


def typed(line: str, environment: dict[str, str] | None = None) -> Spoken:
    """A command in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-m", "prism_bench.experiments.cli.main", *shlex.split(line)],
        env={**os.environ, "COLUMNS": "160", **(environment or {})},
        capture_output=True,
        timeout=120,
        check=False,
    )
    return Spoken(done.returncode, done.stdout.decode("latin-1"), done.stderr.decode("latin-1"))


def values(store: Path) -> dict[str, object]:
    """The values of every record."""
    return {path.name: json.loads(path.read_text())["values"] for path in (store / "records").glob("*.json")}


def test_a_run_goes_on_once_there_is_room_again(cli: Cli, disk: Path, made: Path) -> None:
    line = f"{RUN.replace('patchd|prism', 'patchd')} --store {disk / 'store'}"
    remount(disk, "size=600k")
    said = cli(line)
    assert said.code == 1
    assert "is full; free space and type the same command again" in said.out + said.err
    assert temporaries(disk) == []
    assert not list((disk / "store" / "locks").rglob("*.json"))
    remount(disk, f"size={WHOLE}")
    assert cli(line).code == 0
    assert values(disk / "store").items() <= values(made).items()
    assert len(values(disk / "store")) == 1
    assert temporaries(disk) == []
    assert "all sound" in cli(f"cache verify --store {disk / 'store'}").out


@pytest.mark.parametrize(
    ("line", "out"),
    [
        ("report ablation-table3 --format html", "store/reports"),
        ("report ablation-table3 --out {disk}/out", "out"),
        ("compare ablation-table3/prism ablation-table3/patchd --out {disk}/out", "out"),
        ("sample ablation-table3/prism --n 2 --out {disk}/out", "out"),
        ("sample ablation-table3/prism --n 2 --out {disk}/out.npz", "out.npz"),
        ("evaluate ablation-table3/prism --metrics frechet:pixels-pca --out {disk}/out.json", "out.json"),
        ("bundle all --out {disk}/out.zip", "out.zip"),
    ],
)
def test_what_the_disk_has_no_room_for_leaves_nothing(cli: Cli, disk: Path, made: Path, line: str, out: str) -> None:
    store = copy_of(made, disk).rename(disk / "store")
    line = f"{line.format(disk=disk)} --store {store}"
    if "sample" in line:  # the samples themselves are there
        assert cli(f"sample ablation-table3/prism --n 2 --out first.npz --store {store}").code == 0
    fill(disk)
    before = {path: path.read_bytes() for path in disk.rglob("*") if path.is_file()}
    said = cli(line)
    assert said.code in {1, 2}
    assert f"{disk / out}" in said.err
    assert "is full" in said.err or "No space left" in said.err
    assert {path: path.read_bytes() for path in disk.rglob("*") if path.is_file()} == before
    remount(disk, f"size={WHOLE}")
    assert cli(line).code == 0


def test_gc_makes_room_on_a_full_disk(cli: Cli, disk: Path, made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = copy_of(made, disk)
    (store / "experiments" / "ablation-table3").rename(disk / "asked")
    fill(disk)
    mkdir = Path.mkdir

    def without_room(path: Path, *args: Any, **options: Any) -> None:  # where a folder needs a block of its own
        if path.name == "removed" and len(list(store.glob("stages/*/*"))) == count:
            raise OSError(errno.ENOSPC, "No space left on device")
        mkdir(path, *args, **options)

    count = len(list(store.glob("stages/*/*")))
    monkeypatch.setattr(Path, "mkdir", without_room)
    said = cli(f"cache gc --older-than 0 --yes --store {store}")
    assert said.code == 0, said
    assert not list(store.glob("stages/*/*"))
    assert not list((store / "locks").iterdir())


def test_a_store_that_may_only_be_read(cli: Cli, disk: Path, made: Path, tmp_path: Path) -> None:
    store = copy_of(made, disk)
    remount(disk, "ro")
    for line in ("report ablation-table3", "compare ablation-table3/prism ablation-table3/patchd"):
        said = cli(f"{line} --store {store}")
        assert said.code == 2
        assert f"{store}/reports" in said.err
        assert "Read-only file system" in said.err
        assert "--out" in said.err
        assert cli(f"{line} --store {store} --out {tmp_path / line[:6]}").code == 0
        assert list((tmp_path / line[:6]).rglob("*.csv"))
    assert cli(f"cache verify --store {store}").code == 0
    assert cli(f"cache gc --store {store}").code == 0


def test_an_output_of_other_letters_is_spelt(made: Path) -> None:
    line = f"evaluate ablation-table3/prism --metrics frechet:pixels-pca --store {made}"
    said = typed(line, {"PYTHONIOENCODING": "ascii"})
    assert said.code == 0, said.err
    assert "+/-" in said.out
    assert (said.out + said.err).isascii()


@pytest.mark.parametrize(
    "line", ["list", "cache ls --store {made}", "report ablation-table3 --store {made} --out {out}"]
)
def test_a_pipe_that_closes_ends_the_command_quietly(line: str, made: Path, tmp_path: Path) -> None:
    command = line.format(made=made, out=tmp_path)
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "wb") as gone:
        done = subprocess.run(
            [sys.executable, "-m", "prism_bench.experiments.cli.main", *shlex.split(command)],
            stdout=gone,
            stderr=subprocess.PIPE,
            timeout=120,
            check=False,
        )
    assert (done.returncode, done.stderr) == (1, b"")


def test_richs_exit_at_a_closed_pipe_is_no_plug_ins(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    def closed(*_: object) -> None:
        try:
            raise BrokenPipeError(errno.EPIPE, "Broken pipe")
        except BrokenPipeError:
            raise SystemExit(1)  # noqa: B904 - as rich does

    monkeypatch.setattr("prism_bench.experiments.tools.look.list_members", closed)
    assert cli("list") == Spoken(1, "", "")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="/dev/full, which is always full, is Linux's")
def test_an_output_on_a_full_disk(made: Path) -> None:
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [sys.executable, "-m", "prism_bench.experiments.cli.main", "version"],
            stdout=full,
            stderr=subprocess.PIPE,
            timeout=120,
            check=False,
        )
    assert done.returncode == 1
    (line,) = done.stderr.decode().splitlines()
    assert "is full; free space" in line


def raises(error: Exception) -> Callable[..., None]:
    def run(*_: object, **__: object) -> None:
        raise error

    return run


def test_too_little_memory_names_what_takes_less(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    error = RuntimeError("[enforce fail at alloc_cpu.cpp:117] DefaultCPUAllocator: can't allocate memory: you tried")
    monkeypatch.setattr("prism_bench.prism.stages.model.TrainingStage.run", raises(error))
    said = cli(RUN)
    assert said.code == 1
    assert "Traceback" not in said.out + said.err
    assert "the memory was not enough" in said.out
    for word in ("--workers", "--resolution", "--set"):
        assert word in said.out


@pytest.mark.parametrize(
    ("error", "kind", "words"),
    [
        (OSError(errno.ENOSPC, "No space left on device", "/d/x"), ComputeError, "the disk that holds /d/x is full"),
        (OSError(errno.EDQUOT, "Disk quota exceeded"), ComputeError, "the disk that holds /home is full"),
        (RuntimeError("I/O error: No space left on device (os error 28)"), ComputeError, "/home is full"),
        (PermissionError(errno.EACCES, "Permission denied", "/d/x"), InputError, "/d/x cannot be used (Permission"),
        (NotADirectoryError(errno.ENOTDIR, "Not a directory", "/d/x"), InputError, "/d/x cannot be used (Not a dir"),
        (MemoryError("Unable to allocate 8.00 GiB for an array"), ComputeError, "(Unable to allocate 8.00 GiB"),
        (OSError(errno.ENOMEM, "Cannot allocate memory"), ComputeError, "fewer --workers"),
        (RuntimeError("can't start new thread"), ComputeError, "fewer --workers"),
        (OSError(errno.EMFILE, "Too many open files", "/d/x"), ComputeError, "ulimit -n"),
        (OSError(errno.EIO, "Input/output error", "/d/x"), ComputeError, "look at the disk"),
    ],
)
def test_the_machines_faults_are_told_apart(error: Exception, kind: type[Exception], words: str) -> None:
    fault = machine_fault(error, "/home")
    assert isinstance(fault, kind)
    assert words in str(fault)
    wrapped = ValueError("a library failed")
    wrapped.__cause__ = error
    assert str(machine_fault(wrapped, "/home")) == str(fault)


def test_faults_of_ours_are_not_the_machines() -> None:
    for error in (KeyError("x"), FileNotFoundError(errno.ENOENT, "No such file", "x"), ValueError("memory of 3")):
        assert machine_fault(error) is None


def test_a_file_that_fails_keeps_the_old_bytes(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    write_bytes(path, b"old")
    file = whole_file(path)
    file.__enter__().write(b"half")
    error = OSError(errno.ENOSPC, "No space left on device")
    with pytest.raises(OSError, match=r"a\.json") as raised:
        file.__exit__(OSError, error, None)
    assert raised.value.filename == str(path)
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


class Numbers(Stage):
    """Three numbers."""

    kind = "numbers"

    def run(self, context: StageContext) -> None:
        """Write them."""
        np.save(context.folder / "numbers.npy", np.arange(3))
        Report(context.folder / "progress.json")(1, 1, "arrays")


def test_half_written_files_of_a_dead_process_are_no_part_of_its_stage(tmp_path: Path) -> None:
    store, stage = Store.create(tmp_path), Numbers()
    work = store.work(stage.address)
    (work / ".values.json.0123.tmp").write_bytes(b"half")
    (work / "checkpoint.tmp").write_bytes(b"half")
    perform(stage, store, Runtime())
    manifest = store.manifest(stage.address)
    assert manifest is not None
    assert set(manifest.files) == {"numbers.npy"}
    assert temporaries(tmp_path) == []


def test_a_lease_that_could_not_be_written_holds_nobody_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store, stage = Store.create(tmp_path), Numbers()
    with monkeypatch.context() as patch:
        patch.setattr("json.dump", raises(OSError(errno.ENOSPC, "No space left on device")))
        with pytest.raises(OSError, match="No space"):
            perform(stage, store, Runtime())
    assert store.lease(stage.address).holder() is None
    assert perform(stage, store, Runtime(), wait=False) > 0


def test_gc_removes_what_a_killed_process_was_writing(cli: Cli, store: Path) -> None:
    names = (
        ".a.tmp",
        "records/.r.json.1.tmp",
        "experiments/ablation-table3/.p.json.2.tmp",
        "reports/deep/.x.png.3.tmp",
    )
    for name in names:
        (store / name).parent.mkdir(exist_ok=True)
        (store / name).write_bytes(b"half")
    assert "Nothing to remove" in cli("cache gc --yes --older-than 0").out  # a living process may be writing them
    for name in names:
        os.utime(store / name, (time.time() - 7200,) * 2)
    said = cli("cache gc --yes")
    assert said.code == 0
    assert "half written" in said.out
    assert temporaries(store) == []
    assert cli("cache verify").code == 0


@pytest.mark.parametrize("code", ["0", "3", "'bye'"])
def test_a_plug_in_that_exits_is_an_error(cli: Cli, tmp_path: Path, code: str) -> None:
    (tmp_path / "mine.py").write_text(f"import sys\n\nsys.exit({code})\n")
    said = cli(f"{RUN} --plugin mine.py")
    assert said.code == 2
    assert f"sys.exit({code}) was called in" in said.err
    assert "mine.py, line 3" in said.err


def test_who_exits_is_named_where_a_library_has_replaced_the_exit(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def exit(code: object) -> None:  # noqa: A001 - by this name it is known
        raise SystemExit(code)

    monkeypatch.setattr(sys, "exit", exit)
    (tmp_path / "mine.py").write_text("import sys\n\nsys.exit(3)\n")
    assert "mine.py, line 3" in cli(f"{RUN} --plugin mine.py").err


def test_a_stage_that_exits_fails_and_the_run_says_so(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("prism_bench.prism.stages.model.TrainingStage.run", lambda *_: sys.exit(0))
    said = cli(RUN)
    assert said.code == 1
    assert "sys.exit(0) was called in" in said.out


def test_code_that_exits_amid_a_command(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("prism_bench.experiments.tools.look.list_members", lambda *_: sys.exit(0))
    said = cli("list")
    assert said.code == 2
    assert "sys.exit(0) was called in" in said.err


@pytest.mark.parametrize(
    ("setting", "told"),
    [
        ("samples=100000000000000", "samples PatchD, seed 0 76,800.0 TB of it"),
        ("denoiser.channels=100000000", r"training PatchD, seed 0 [\d.,]+ TB of it"),
    ],
)
def test_what_no_disk_can_hold_is_refused_before_work(cli: Cli, setting: str, told: str) -> None:
    said = cli(f"run ablation-table3 {TINY} --only variant=patchd --set {setting}")
    assert said.code == 2
    assert re.search(f"what is to be made takes .* TB at least, {told}, and .* are free on the disk of", said.err)
    assert "give --store on a larger disk" in said.err
    assert not list(Path("prism-bench-store").glob("stages/training/*"))
