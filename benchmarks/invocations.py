"""Drawn invocations of `prism-bench`, and how each of them ends.

    python -m benchmarks.invocations [--count 1000] [--seed 0]

Every command and every option that the command line declares is drawn from, so that a new one is covered by itself;
values fit, stand at an edge, or are beyond any sense. Commands that train get --dry-run or a fault that ends them
before they do. An invocation ends well with exit code 0, 1 or 2, without a traceback, with one message where it is
refused, and within `PATIENCE` seconds. tests/test_invocations.py holds some dozens of them to that.
"""

import argparse
import contextlib
import io
import os
import random
import shlex
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import FrameType
from typing import Any, get_args, get_origin

import numpy as np
import typer
from hypothesis import strategies as st
from PIL import Image

from prism_bench.experiments.cli.main import app, main
from prism_bench.experiments.options.option import options_in, type_of
from prism_bench.experiments.paper.scales import scale_named
from prism_bench.prism.component import Component, leaves, load_members

PATIENCE = 30
"""Seconds; two orders more than a refusal takes, as the machine may be busy."""
FIRST = {
    "run": "--dry-run --scale smoke",
    "schedule-sweep": "--dry-run --scale smoke",
    "train": "--dry-run --scale smoke",
    "tune": "--scale smoke --no-mlflow",
    "sample": "--workers 0",
    "evaluate": "--workers 0",
    "export": "--workers 0",
    "doctor": "--no-golden",
}
"""What keeps a command from computing for long; drawn options follow."""
LAST = {"tune": "--metric none-is-called-so", "ui": "--store no-such-store"}
"""The same, where only a fault does."""
FITTING = {
    "run": ("ablation-table3", "table1", "schedule-sweep", "all"),
    "train": ("prism", "patchd", "rissole"),
    "tune": ("k-max", "k-sample", "schedule", "learning-rate"),
    "sample": ("ablation-table3/prism", "ablation-table3/patchd"),
    "evaluate": ("ablation-table3/prism", "pictures pictures"),
    "export": ("ablation-table3/prism out", "ablation-table3/patchd out"),
    "compare": ("ablation-table3/prism ablation-table3/patchd",),
    "report": ("ablation-table3", "all"),
    "bundle": ("ablation-table3", "all"),
    "cache why": ("ablation-table3",),
    "cache push": ("file:///dev/null/x", "pictures"),
    "data prepare": ("cifar10", "celeba"),
}
"""Arguments that get most invocations past the first check."""
UNDRAWN = {"--golden", "--compile", "--threads", "--download", "--mlflow", "--workers", "--push"}
"""Options that would compute, fetch, send, or start processes of their own."""
WHOLE = [
    "-1",
    "0",
    "1",
    "2",
    "3",
    "4",
    "8",
    "16",
    "1000000000",
    str(2**63 - 1),
    str(2**63),
    "1" + "0" * 30,
    "²",
    "1.5",
    "x",
]
RANGES = ["0-2", "0-2000000000", "2-1", "0,0", "0,x", "1,4,8"]
REAL = ["-1", "0", "0.5", "1", "1e-320", "1e308", "nan", "inf", "-inf", "1e400", "x"]
TEXT = [
    "",
    " ",
    ",",
    "x",
    "0",
    "-",
    "=",
    "a=b",
    "a=b=c",
    ":",
    "..",
    "ä",
    "[red]x",
    "%",
    "?",
    "a\nb",
    "\udcff",
    "x" * 5000,
]
PATHS = [
    "",
    "pictures",
    "a-file",
    "nowhere",
    "nowhere/below",
    "a-file/below",
    "/dev/null",
    "~",
    "~nobody/x",
    "https://x.org/a.zip",
]
PATHS += [
    "x.png",
    "x.npz",
    "x.zip",
    "x.json",
    "x.pt",
    "broken.zip",
    "broken.npz",
    "broken.py",
    "exits.py",
    "x" * 300,
    ".",
]


MAKE = (
    "run ablation-table3 --scale smoke --no-mlflow --workers 0 --only variant=patchd|prism --set training.images=32 "
    "--set training.rampup_images=0 --set samples=8 --set sampler.steps=2 --set dataset.size=64"
)
"""What makes the store that the invocations meet."""


def written(folder: Path) -> None:
    """The files that drawn paths name."""
    (folder / "pictures").mkdir()
    for index in range(12):
        pixels = np.random.default_rng(index).integers(0, 256, (16, 16, 3), np.uint8)
        Image.fromarray(pixels).save(folder / "pictures" / f"{index}.png")
    for name in ("a-file", "broken.zip", "broken.npz"):
        (folder / name).write_text("not what its name says")
    (folder / "broken.py").write_text("raise ValueError('on purpose')\n")
    (folder / "exits.py").write_text("raise SystemExit(0)\n")


@dataclass(frozen=True)
class Parameter:
    """An option or an argument of a command: how it is spelled, and what it takes."""

    spelled: str
    hint: Any
    argument: bool = False

    @property
    def is_flag(self) -> bool:
        """Whether it stands without a value."""
        return self.hint is bool


@cache
def commands() -> dict[str, tuple[Parameter, ...]]:
    """Every command with what it declares."""

    def walk(group: typer.Typer, above: str) -> Iterator[tuple[str, tuple[Parameter, ...]]]:
        for command in group.registered_commands:
            assert command.callback is not None
            name = command.name or command.callback.__name__.replace("_", "-")
            kind = getattr(command.callback, "options", None)
            taken = () if kind is None else options_in(kind)
            yield (
                f"{above} {name}".strip(),
                tuple(Parameter(it.spelled(field.name), type_of(field), it.argument) for field, it in taken),
            )
        for below in group.registered_groups:
            assert below.typer_instance is not None
            yield from walk(below.typer_instance, f"{above} {below.name}".strip())

    return dict(walk(app, ""))


@cache
def _names() -> tuple[str, ...]:
    """Names that options may mean: of every family's members, and of what only some options know."""
    load_members()
    members = {name for family in Component.members.values() for name in family}
    others = {
        "smoke",
        "laptop",
        "all",
        "crop",
        "pad",
        "t",
        "bootstrap",
        "cpu",
        "cuda",
        "k-max",
        "learning-rate",
        "grid",
    }
    others |= {"ablation-table3/prism", "ablation-table3/nobody", "record", "training", "html", "csv,parquet"}
    others |= {"learning-rate", "grid", "plan"}
    return tuple(sorted((members | others) - {"ray"}))


@cache
def _settings() -> tuple[str, ...]:
    """Every path that `--set` knows at the smallest scale, and some that it does not."""
    scale = scale_named("smoke").on("")
    paths = {path.removesuffix(".component") for path, _ in leaves(scale.to_json(whole=True))}
    parts = {field for part in scale.parts for field in part.to_json(whole=True) if field != "component"}
    return tuple(sorted((paths | parts | {"nothing", "training", "training.nothing", "k_max"}) - {""}))


@st.composite
def _value(draw: st.DrawFn, parameter: Parameter) -> str:
    kinds = {parameter.hint, *get_args(parameter.hint)}
    if parameter.spelled == "--set":
        worth = st.sampled_from([*WHOLE, *REAL, *TEXT, *_names()])
        return f"{draw(st.sampled_from(_settings()))}={draw(worth)}"
    if float in kinds:
        return draw(st.sampled_from(REAL))
    if Path in kinds:
        return draw(st.sampled_from(PATHS))
    if int in kinds:
        return draw(st.sampled_from([*WHOLE, *RANGES]))
    return draw(st.one_of(*map(st.sampled_from, (_names(), TEXT, PATHS, WHOLE))))


@st.composite
def invocations(draw: st.DrawFn) -> tuple[str, ...]:
    """The words after `prism-bench`."""
    # Commands with more to say wrong are drawn as much more often.
    name = draw(
        st.sampled_from([name for name, taken in sorted(commands().items()) for _ in range(len(taken) // 3 + 1)])
    )
    words = [*name.split(), *FIRST.get(name, "").split()]
    options = [it for it in commands()[name] if not it.argument and it.spelled not in UNDRAWN]
    for option in draw(st.lists(st.sampled_from(options), max_size=3)) if options else []:
        words += [option.spelled] if option.is_flag else [option.spelled, draw(_value(option))]
    words += LAST.get(name, "").split()
    if name in FITTING and draw(st.integers(0, 4)):
        return (*words, *draw(st.sampled_from(FITTING[name])).split())
    for argument in (it for it in commands()[name] if it.argument):
        most = 3 if get_origin(argument.hint) is tuple else 1
        count = draw(st.integers(0 if draw(st.integers(0, 9)) == 0 else 1, most))
        words += [draw(_value(argument)) for _ in range(count)]
    return tuple(words)


@dataclass(frozen=True)
class Ended:
    """How an invocation ended. code: None where it did not end by itself."""

    words: tuple[str, ...]
    code: int | None
    text: str
    seconds: float
    broke: str = ""

    @property
    def verdict(self) -> str:
        """ "exit 0", "exit 1" or "exit 2"; anything else is bad."""
        if self.broke:
            return self.broke
        if self.code not in {0, 1, 2}:
            return "another exit code"
        if "Traceback (most recent call last)" in self.text:
            return "traceback"
        messages = sum(line.startswith("error: ") or "─ Error ─" in line for line in self.text.splitlines())
        if self.code == 2 and messages != 1:
            return "no message or several"
        return f"exit {self.code}"

    @property
    def is_bad(self) -> bool:
        """Whether it did not end as it should."""
        return not self.verdict.startswith("exit ")


class _TooLongError(BaseException):
    """Nothing that a command catches."""


def ended(words: tuple[str, ...], patience: int = PATIENCE) -> Ended:
    """Type an invocation in this process; patience: seconds (0: without end)."""

    def stop(_signal: int, _frame: FrameType | None) -> None:
        raise _TooLongError

    text, before, code, broke = io.StringIO(), sys.argv, None, ""
    start = time.monotonic()
    old = signal.signal(signal.SIGALRM, stop)
    signal.alarm(patience)
    sys.argv = ["prism-bench", *words]
    try:
        with contextlib.redirect_stdout(text), contextlib.redirect_stderr(text):
            main()
        code = 0
    except SystemExit as stopped:
        code = stopped.code if isinstance(stopped.code, int) else int(stopped.code is not None)
    except _TooLongError:
        broke = "too slow"
        text.write("".join(traceback.format_exc()[-2000:]))
    except BaseException:
        broke = "traceback"
        text.write(traceback.format_exc())
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, old)
        sys.argv = before
    return Ended(words, code, text.getvalue(), time.monotonic() - start, broke)


def drawn(count: int, seed: int) -> Iterator[tuple[str, ...]]:
    """So many invocations, by a random generator in place of hypothesis's search."""
    from hypothesis import HealthCheck, Phase, given, settings
    from hypothesis import seed as seeded

    found: list[tuple[str, ...]] = []

    @seeded(seed)
    @settings(
        max_examples=count,
        phases=[Phase.generate],
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(words=invocations())
    def collect(words: tuple[str, ...]) -> None:
        found.append(words)

    collect()
    random.Random(seed).shuffle(found)  # noqa: S311 - an order
    yield from found[:count]


def table(every: list[Ended]) -> Iterator[str]:
    """Markdown: how many of each command ended how."""
    verdicts = ["exit 0", "exit 1", "exit 2", *sorted({one.verdict for one in every if one.is_bad})]
    yield f"| command | drawn | {' | '.join(verdicts)} | longest |"
    yield f"|---|---:|{'---:|' * len(verdicts)}---:|"
    for name in [*sorted(commands()), "all"]:
        mine = [one for one in every if name == "all" or one.words[: len(name.split())] == tuple(name.split())]
        counts = Counter(one.verdict for one in mine)
        cells = " | ".join(str(counts[verdict] or "") for verdict in verdicts)
        yield f"| {name} | {len(mine)} | {cells} | {max((one.seconds for one in mine), default=0):.1f} s |"


def program() -> None:
    parser = argparse.ArgumentParser(description="Drawn invocations and how they end.")
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    os.environ.pop("PRISM_BENCH_STORE", None)
    every = []
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        written(Path(folder))
        made = ended(tuple(MAKE.split()), 0)
        assert made.code == 0, made.text
        for words in drawn(options.count, options.seed):
            every.append(ended(words))
            if every[-1].is_bad:
                print(
                    f"BAD {every[-1].verdict}: {shlex.join(words)}\n{every[-1].text[-1500:]}",
                    file=sys.stderr,
                    flush=True,
                )
    print("\n".join(table(every)))


if __name__ == "__main__":
    program()
