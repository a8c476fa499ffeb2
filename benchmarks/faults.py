"""What harms a run or a store, tried many times, and how each try ended: docs/reliability.md's table.

    python -m benchmarks.faults [--seed 0] [--only kills,flips] [--count kills=30] ...

Kills and signals meet real commands at drawn moments, and the same command is then typed again; bits are flipped in
every file of a finished store and in what interrupted trainings left; documents are emptied, replaced and deleted
before every command that reads a store. Good is what ends as it should: equal files where something is made again,
damage that is seen or that changes no number, one message and no traceback.
"""

import argparse
import contextlib
import hashlib
import os
import random
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from benchmarks.damage import COMMANDS, DOCUMENTS, HARM
from benchmarks.invocations import drawn, ended, written
from prism_bench.analysis.frame.frame import read_frame
from prism_bench.experiments.store.inventory import Inventory
from prism_bench.experiments.store.verify import check, wrong_documents

TINY = (
    "--scale smoke --no-mlflow --workers 2 --threads 1 --set samples=16 --set training.images=512 "
    "--set training.rampup_images=0 --set sampler.steps=3 --set dataset.size=64 --checkpoint-seconds 0.2"
)
RUN = f"run ablation-table3 {TINY} --only variant=patchd|prism"
TRAIN = f"train prism {TINY} --set training.images=4000 --checkpoint-seconds 0.1"
RESULTS = (".npy", ".npz", ".safetensors", "values.json", "classes.json")
"""Files of a stage that are a function of its key; logs and manifests hold times."""
COPIES = ("reports", "locks", "logs")
"""Folders of a store that hold what stands elsewhere."""
SAID_OF_DISK = ("is full; free space", "are free on the disk of")
"""Of one that fills up, and of one that is seen to be too small before any work."""
TYPED = (*COMMANDS, "cache verify", RUN.replace("--workers 2", "--workers 0"))
"""What is typed on a damaged store."""


@dataclass
class Tried:
    """How the tries of an area ended; bad: what each bad one was, in words."""

    good: int = 0
    bad: list[str] = field(default_factory=list)

    def add(self, what: str, *faults: str) -> None:
        """One try, with what was wrong with its end."""
        if faults:
            self.bad.append(f"{what}: {'; '.join(faults)}")
            print(f"BAD {self.bad[-1]}", file=sys.stderr, flush=True)
        else:
            self.good += 1


@dataclass
class Bench:
    """A folder to work in, and the store that an undisturbed run leaves."""

    folder: Path
    draw: random.Random
    store: Path
    seconds: float
    results: dict[str, str]

    @classmethod
    def made(cls, folder: Path, seed: int) -> "Bench":
        store, start = folder / "whole", time.monotonic()
        code, out = outcome(begin(f"{RUN} --store {store}", folder))
        assert code == 0, out
        return cls(folder, random.Random(seed), store, time.monotonic() - start, results_in(store))  # noqa: S311

    @contextmanager
    def fresh(self, *, copy: bool = False) -> Iterator[Path]:
        """A store of one try: a copy of the whole one, or none yet."""
        store = self.folder / "one"
        if copy:
            shutil.copytree(self.store, store)
        try:
            yield store
        finally:
            shutil.rmtree(store, ignore_errors=True)

    def again(self, line: str, store: Path, expected: dict[str, str]) -> Iterator[str]:
        """What is wrong once the same command has been typed again."""
        code, out = outcome(begin(f"{line} --store {store}", self.folder))
        if code:
            yield f"the same command ended with {code} ({out.strip().splitlines()[-1:]})"
        elif results_in(store) != expected:
            yield "other bits than an undisturbed run"
        if "Traceback" in out:
            yield "a traceback when it went on"
        if list((store / "locks").iterdir()):
            yield "a lease is left"


def begin(line: str, folder: Path) -> "subprocess.Popen[str]":
    """A command in a process group of its own."""
    return subprocess.Popen(
        [sys.executable, "-P", "-m", "prism_bench", *shlex.split(line)],
        cwd=folder,
        env={**os.environ, "OMP_NUM_THREADS": "1", "COLUMNS": "160"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        start_new_session=True,
    )


def outcome(process: "subprocess.Popen[str]") -> tuple[int, str]:
    out, _ = process.communicate(timeout=600)
    return process.returncode, out


def results_in(store: Path) -> dict[str, str]:
    """SHA-256 of every result, by its place in the store."""
    paths = [path for path in store.glob("stages/*/*/*") if path.name.endswith(RESULTS)]
    return {path.relative_to(store).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}


def orphans(folder: Path) -> list[psutil.Process]:
    """Processes that still work in a folder."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.pid != os.getpid() and process.cwd() == str(folder) and process.status() != "zombie":
                found.append(process)
    return found


def kills(bench: Bench, count: int) -> Tried:
    """SIGKILL of the whole group, of the command, of one of its workers."""
    tried = Tried()
    for number in range(count):
        whom = ("group", "command", "worker")[number % 3]
        with bench.fresh() as store:
            process = begin(f"{RUN} --store {store}", bench.folder)
            time.sleep(bench.draw.uniform(0.1, 0.95) * bench.seconds)
            with contextlib.suppress(ProcessLookupError, psutil.Error, IndexError):
                if whom == "group":
                    os.killpg(process.pid, signal.SIGKILL)
                elif whom == "command":
                    process.kill()
                else:
                    bench.draw.choice(psutil.Process(process.pid).children(recursive=True)).kill()
            _, out = outcome(process)
            gone = psutil.wait_procs(orphans(bench.folder), timeout=30)[1]
            faults = ["an orphan works on"] if gone else []
            faults += ["a traceback"] if whom == "worker" and "Traceback" in out else []
            tried.add(f"{whom} killed", *faults, *bench.again(RUN, store, bench.results))
    return tried


def signals(bench: Bench, count: int) -> Tried:
    """SIGTERM, SIGINT, SIGHUP and SIGQUIT to the whole group, as a shell or a terminal that closes sends them."""
    tried = Tried()
    for number in range(count):
        which = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT)[number % 4]
        with bench.fresh() as store:
            process = begin(f"{RUN} --store {store}", bench.folder)
            time.sleep(bench.draw.uniform(0.3, 0.95) * bench.seconds)
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, which)
            _, out = outcome(process)
            faults = ["a traceback"] if "Traceback" in out else []
            tried.add(which.name, *faults, *bench.again(RUN, store, bench.results))
    return tried


def flips(bench: Bench, count: int) -> Tried:
    """One bit of a finished store: half of the files drawn by their number, half by their size."""
    tried, seen = Tried(), 0
    with bench.fresh(copy=True) as store:
        before = numbers(store)
        files = [path for path in sorted(store.rglob("*")) if path.is_file() and path.stat().st_size]
        files = [path for path in files if path.relative_to(store).parts[0] not in COPIES]
        sizes = [path.stat().st_size for path in files]
        for number in range(count):
            (path,) = bench.draw.choices(files, weights=sizes if number % 2 else None)
            whole, bit = path.read_bytes(), bench.draw.randrange(8 * path.stat().st_size)
            flip(path, bit)
            noticed = is_seen(store)
            seen += noticed
            same = noticed or numbers(store) == before
            tried.add(f"bit {bit} of {path.relative_to(store)}", *([] if same else ["unseen, and a number changed"]))
            path.write_bytes(whole)
    print(f"{seen} of {count} flipped bits seen, the others change no number", file=sys.stderr)
    return tried


def numbers(store: Path) -> str:
    """All that the store's records say."""
    return read_frame(store).to_csv()


def is_seen(store: Path) -> bool:
    """Whether `cache verify` would name a fault, which `run`, `report` and the others see by the same functions."""
    inventory = Inventory.read(store)
    return any(one.fault for one in check(inventory)) or any(True for _ in wrong_documents(inventory))


def flip(path: Path, bit: int) -> None:
    """One bit of a file the other way round."""
    data = bytearray(path.read_bytes())
    data[bit // 8] ^= 1 << bit % 8
    path.write_bytes(data)


def work(bench: Bench, count: int) -> Tried:
    """One bit of what an interrupted training left; the same command goes on."""
    tried = Tried()
    with bench.fresh() as store:
        assert outcome(begin(f"{TRAIN} --store {store}", bench.folder))[0] == 0
        expected = results_in(store)
    for _ in range(count):
        with bench.fresh() as store:
            process = begin(f"{TRAIN} --store {store}", bench.folder)
            while process.poll() is None and not list(store.glob("work/training-*/checkpoint.previous.safetensors")):
                time.sleep(0.05)
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            outcome(process)
            files = [path for path in store.glob("work/*/*") if path.is_file() and path.stat().st_size]
            if not files:
                continue
            path = bench.draw.choice(files)
            flip(path, bench.draw.randrange(8 * path.stat().st_size))
            tried.add(f"a bit of {path.name}", *bench.again(TRAIN, store, expected))
    return tried


def damage(bench: Bench, count: int) -> Tried:
    """Documents of a store, harmed in every way, before commands that read it; then `cache verify --set-aside`."""
    tried = Tried()
    cases = [(document, harm, line) for document in DOCUMENTS for harm in HARM for line in TYPED]
    for number, (document, harm, line) in enumerate(bench.draw.sample(cases, min(count, len(cases)))):
        with bench.fresh(copy=True) as store:
            path, record = bench.draw.choice(sorted(store.glob(document))), sorted(store.glob("records/*"))[0].stem
            HARM[harm](path)
            at = ("--store", str(store))
            said = ended((*shlex.split(line.format(number=number, record=record)), *at), 0)
            faults = [said.verdict] if said.is_bad else []
            ended(("cache", "verify", "--set-aside", *at), 0)
            if ended(("cache", "verify", *at), 0).code:
                faults.append("cache verify --set-aside left a fault")
            tried.add(f"{path.relative_to(store)} {harm}, then {line.partition(' --')[0]}", *faults)
    return tried


def concurrency(bench: Bench, count: int) -> Tried:
    """Four equal commands at once, on one store."""
    tried = Tried()
    for _ in range(count):
        with bench.fresh() as store:
            store.mkdir()
            ends = [outcome(process) for process in [begin(f"{RUN} --store {store}", bench.folder) for _ in range(4)]]
            faults = [f"one ended with {code}" for code, _ in ends if code]
            faults += ["a traceback"] if any("Traceback" in out for _, out in ends) else []
            faults += ["other bits than one command alone"] if results_in(store) != bench.results else []
            faults += ["something was set aside"] if (store / "corrupted").exists() else []
            tried.add("four commands", *faults)
    return tried


def disk(bench: Bench, count: int) -> Tried:
    """A disk that is full at a drawn moment, and then is not; needs the right to mount a file system in memory."""
    tried, place = Tried(), bench.folder / "disk"
    place.mkdir()
    for _ in range(count):
        room = bench.draw.randrange(200, 2400)
        mount = ["mount", "-t", "tmpfs", "-o", f"size={room}k", "none", str(place)]
        if subprocess.run(mount, capture_output=True, check=False).returncode:
            print("disk: needs the right to mount a file system", file=sys.stderr)
            return tried
        try:
            line = f"{RUN} --store {place / 'store'}"
            code, out = outcome(begin(line, bench.folder))
            faults = ["a traceback"] if "Traceback" in out else []
            told = any(words in out for words in SAID_OF_DISK)
            faults += [] if code == 0 or told else [f"no word of the disk, code {code}"]
            subprocess.run(["mount", "-o", "remount,size=256m", str(place)], check=True)
            tried.add(f"{room} KiB", *faults, *bench.again(RUN, place / "store", bench.results))
        finally:
            subprocess.run(["umount", "-l", str(place)], check=True)
    return tried


def invocations(bench: Bench, count: int) -> Tried:
    """Drawn commands and options: python -m benchmarks.invocations."""
    tried = Tried()
    own = bench.folder / "invocations"
    own.mkdir()
    with contextlib.chdir(own):
        written(own)
        shutil.copytree(bench.store, own / "prism-bench-store")
        for words in drawn(count, bench.draw.randrange(2**31)):
            said = ended(words)
            tried.add(shlex.join(words)[:200], *([said.verdict] if said.is_bad else []))
    return tried


AREAS: dict[str, tuple[str, int, Callable[[Bench, int], Tried]]] = {
    "kills": ("SIGKILL of group, command or worker, then the same command", 30, kills),
    "signals": ("SIGTERM, SIGINT, SIGHUP, SIGQUIT to the group, then the same command", 12, signals),
    "flips": ("one flipped bit in any file of a finished store", 1000, flips),
    "work": ("one flipped bit in what an interrupted training left, then the same command", 20, work),
    "damage": ("a document emptied, cut, replaced or deleted, then one of nine commands, then mended", 216, damage),
    "concurrency": ("four equal commands at once on a new store", 5, concurrency),
    "disk": ("a full disk at a drawn moment, then room", 10, disk),
    "invocations": ("drawn commands and options", 1000, invocations),
}


def table(every: Sequence[tuple[str, Tried]]) -> Iterator[str]:
    """Markdown."""
    yield "| tried | times | good | bad |"
    yield "|---|---:|---:|---|"
    for words, tried in every:
        bad = f"{len(tried.bad)}: {tried.bad[0]}" if tried.bad else "0"
        yield f"| {words} | {tried.good + len(tried.bad):,} | {tried.good:,} | {bad} |"


def program() -> None:
    parser = argparse.ArgumentParser(description="Faults, and how each ends.")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", default=",".join(AREAS))
    parser.add_argument("--count", action="append", default=[], metavar="AREA=N")
    options = parser.parse_args()
    counts = {name: int(number) for name, _, number in (item.partition("=") for item in options.count)}
    os.environ.pop("PRISM_BENCH_STORE", None)
    every: list[tuple[str, Tried]] = []
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        bench = Bench.made(Path(folder), options.seed)
        for name in options.only.split(","):
            words, usual, run = AREAS[name]
            every.append((words, run(bench, counts.get(name, usual))))
            print("\n".join(table(every[-1:])), file=sys.stderr, flush=True)
    print("\n".join(table(every)))


if __name__ == "__main__":
    program()
