"""A finished store, made once for all tests that look at one: two rows of Table 3, one seed."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import TINY

RUN = (
    f"run ablation-table3 {TINY} --set training.images=32 --set sampler.steps=2 --set samples=8 "
    "--only variant=patchd|prism"
)
"""Where settings repeat those of TINY the last one counts."""
STORE = "prism-bench-store"


def tiny_store(factory: pytest.TempPathFactory) -> Path:
    """The store, named in its command by its absolute path. Tests that change it copy it first."""
    return made_by(RUN, factory, "tiny")


def made_by(line: str, factory: pytest.TempPathFactory, name: str) -> Path:
    """The store that a command leaves, made once for each name."""
    store = factory.getbasetemp() / name / STORE
    if not store.exists():
        from prism_bench.experiments.cli.main import main

        store.parent.mkdir()
        with pytest.MonkeyPatch.context() as patch:
            patch.chdir(store.parent)
            patch.delenv("PRISM_BENCH_STORE", raising=False)
            patch.setattr(sys, "argv", ["prism-bench", *line.split(), "--store", str(store)])
            with pytest.raises(SystemExit) as stop:
                main()
        assert not stop.value.code
    return store


def copy_of(store: Path, folder: Path) -> Path:
    """A copy to change, times kept."""
    return Path(shutil.copytree(store, folder / STORE))


def without_torch(line: str, folder: Path) -> "subprocess.CompletedProcess[str]":
    """A command in a process of its own, where importing torch fails."""
    # A finder, not None in sys.modules, which scipy takes for a torch that is loaded.
    code = (
        "import sys\n"
        "class Refuse:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name.partition('.')[0] == 'torch':\n"
        "            raise ImportError('there is no torch here')\n"
        "sys.meta_path.insert(0, Refuse())\n"
        f"sys.argv = ['prism-bench', *{line.split()!r}]\nfrom prism_bench.experiments.cli.main import main\nmain()"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "COLUMNS": "160"}
    return subprocess.run(
        [sys.executable, "-c", code],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
