"""Shared fixtures: small data, and the command line as a user types it."""

import shlex
import signal
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from postgres import Server, running

from prism_bench.prism.component import Component, load_members
from prism_bench.prism.images import Pixels

torch.set_num_threads(1)
load_members()
# A shell that begins the tests in the background has them ignore Ctrl-C, and with them what they start.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@dataclass(frozen=True)
class Spoken:
    """What a command said: exit code, standard output, standard error."""

    code: int
    out: str
    err: str


Cli = Callable[..., Spoken]


@pytest.fixture(autouse=True)
def _members_of_this_test() -> Iterator[None]:
    """Components of a test's own go with it: the plug-in file of the next one may use their names."""
    before = {family: dict(members) for family, members in Component.members.items()}
    yield
    for family, members in list(Component.members.items()):
        members.clear()
        members.update(before.get(family, {}))


@pytest.fixture
def cli(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Cli:
    """Run `prism-bench` in this process, in an empty folder; a traceback would fail the test."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "160")
    monkeypatch.delenv("PRISM_BENCH_STORE", raising=False)

    def call(line: str) -> Spoken:
        from prism_bench.experiments.cli.main import main

        monkeypatch.setattr(sys, "argv", ["prism-bench", *shlex.split(line)])
        code = 0
        try:
            main()
        except SystemExit as stop:
            code = int(stop.code or 0)
        captured = capfd.readouterr()
        return Spoken(code, captured.out, captured.err)

    return call


TINY = (
    "--scale smoke --no-mlflow --workers 0 --set samples=16 --set training.images=128 --set sampler.steps=3 "
    "--set training.rampup_images=0 --set dataset.size=64"
)
"""The whole of Table 3 in seconds, for tests that need a run but not its numbers."""


@pytest.fixture(scope="session")
def small_images() -> Pixels:
    """Sixteen images of 16x16 without structure."""
    images: Pixels = np.random.default_rng(0).integers(0, 256, (16, 3, 16, 16), np.uint8)
    return images


@pytest.fixture(scope="session")
def postgres() -> Iterator[Server]:
    """A running PostgreSQL server; the test is skipped where none can be started."""
    with running() as server:
        yield server


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished store of two rows of Table 3; not to be changed."""
    from tiny import tiny_store

    return tiny_store(tmp_path_factory)


@pytest.fixture
def store(made: Path, tmp_path: Path) -> Path:
    """A copy of it, in the folder in which `cli` types."""
    from tiny import copy_of

    return copy_of(made, tmp_path)
