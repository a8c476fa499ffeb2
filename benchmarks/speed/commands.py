"""Whole commands, each a process of its own: CPU seconds of it and of all that it leaves.

BEFORE=/path/to/another/prism-bench compares with another version's program as well; each has a store of its own.
"""

import ctypes
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from resource import RUSAGE_CHILDREN, getrusage

from benchmarks.speed.pairs import Missing, Row, Way

BEFORE = os.environ.get("BEFORE", "")
OURS = str(Path(sys.executable).with_name("prism-bench"))
RUN = "run ablation-table3 --scale smoke"
SUBREAPER = 36
"""prctl: what a child leaves behind becomes ours, to be waited for and counted."""
BARE = (
    "import typer\napp = typer.Typer()\n@app.command()\ndef one(name: str, n: int = 1): 'One.'\n"
    "@app.command()\ndef other(): 'Another.'\napp(prog_name='bare')"
)
"""A command line of two commands, with typer and nothing else."""


def rows() -> Iterator[Row]:
    """Cold and warm runs, a report, and what answers while one types."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(SUBREAPER, 1, 0, 0, 0)
    with tempfile.TemporaryDirectory() as folder:
        yield from _of_a_store(Path(folder))
    bare = partial(_way, "typer with two commands and nothing else", sys.executable, "-c", BARE)
    others = (bare("--help"), *_before("--help"))
    yield Row(work="--help", ours=_ours("--help"), others=others, goal="0.2 s", rounds=5)
    yield Row(work="list", ours=_ours("list"), others=(_importing_torch(), *_before("list")), goal="0.4 s", rounds=5)
    words = {"_PRISM_BENCH_COMPLETE": "complete_bash", "COMP_WORDS": "prism-bench run abl", "COMP_CWORD": "2"}
    typed = {"_BARE_COMPLETE": "complete_bash", "COMP_WORDS": "bare o", "COMP_CWORD": "1"}
    complete = _way("prism-bench", OURS, environment=words)
    yield Row(work="completion of a name", ours=complete, others=(bare(environment=typed),), goal="0.1 s", rounds=5)


def _of_a_store(folder: Path) -> Iterator[Row]:
    stores = {program: folder / str(index) for index, program in enumerate((OURS, BEFORE))}
    python = _importing_torch()

    def beside(work: str, line: str, goal: str, rounds: int, floor: tuple[Way, ...]) -> Row:
        ours = _ours(*line.format(own=stores[OURS]).split(), "--store", str(stores[OURS]))
        before = _before(*line.format(own=stores[BEFORE]).split(), "--store", str(stores[BEFORE]))
        return Row(work=work, ours=ours, others=(*before, *floor), goal=goal, rounds=rounds, once=rounds > 1)

    cold = beside("Table 3 at scale smoke, nothing there", RUN, "0.64 of 0.4.0's", 1, ())
    yield (
        cold
        if BEFORE
        else Row(work=cold.work, ours=cold.ours, others=(Missing(label="another version", why="BEFORE names none"),))
    )
    if not BEFORE:
        cold.ours.run()
    yield beside("the same again, all there", RUN, "0.31 of 0.4.0's", 3, (python,))
    report = "report all --format latex,markdown,csv,html"
    yield beside("report all of it, four formats, all there", report, "a third of 0.4.0's", 3, (python,))
    elsewhere = f"{report} --out {{own}}-elsewhere"
    yield beside("the same into a folder of one's own, drawn anew each time", elsewhere, "a third of 0.4.0's", 3, ())


def _importing_torch() -> Way:
    return _way("Python, importing torch", sys.executable, "-c", "import torch")


def _ours(*arguments: str) -> Way:
    return _way("prism-bench", OURS, *arguments)


def _before(*arguments: str) -> tuple[Way, ...]:
    if not BEFORE:
        return ()
    version = subprocess.run([BEFORE, "version"], capture_output=True, text=True, check=True).stdout.strip()
    return (_way(f"prism-bench {version}", BEFORE, *arguments),)


def _way(label: str, *command: str, environment: dict[str, str] | None = None) -> Way:
    """A way whose CPU seconds are those of the processes."""

    def run() -> float:
        before = _used()
        done = subprocess.run(command, env={**os.environ, **(environment or {})}, capture_output=True, check=False)
        if done.returncode:
            raise SystemExit(f"{' '.join(command)}: {done.stderr.decode()[-2000:]}")
        while True:
            try:
                os.wait()
            except ChildProcessError:
                return _used() - before

    return Way(label=label, run=run, seconds=float)


def _used() -> float:
    used = getrusage(RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
