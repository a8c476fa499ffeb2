"""What a shell is offered while somebody types."""

import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest
from typer.main import get_command

from prism_bench.experiments.cli.main import app
from prism_bench.experiments.options.completion import Typed, settings
from prism_bench.experiments.options.sources import Sources
from prism_bench.experiments.paper.names import NUMBERED, PAPER_ORDER, SCALES_FOR
from prism_bench.experiments.paper.scales import SCALES, scale_named
from prism_bench.prism.component import Component, leaves, load_members

HEAVY = {"torch", "numpy", "pandas", "mlflow", "matplotlib", "scipy"}


def offered(line: str, folder: Path) -> list[str]:
    """What bash is offered at the end of a line, by the program that it calls."""
    words = line.split(" ")
    environment = {
        **os.environ,
        "_PRISM_BENCH_COMPLETE": "complete_bash",
        "COMP_WORDS": line,
        "COMP_CWORD": str(len(words) - 1),
        "PYTHONPATH": os.pathsep.join(sys.path),
    }
    code = (
        "import sys; sys.argv = ['prism-bench']\nfrom prism_bench.experiments.cli.main import main\n"
        f"try:\n    main()\nfinally:\n    assert not {HEAVY!r} & set(sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert done.stderr == ""
    return done.stdout.split()


@pytest.mark.parametrize(
    ("line", "names"),
    [
        ("prism-bench run abl", ["ablation-table3"]),
        ("prism-bench run table1 --with pris", ["prism"]),
        ("prism-bench run table1 --scale s", ["smoke"]),
        ("prism-bench run table1 --set training.im", ["training.images"]),
        ("prism-bench run table1 --set schedule=dec", ["schedule=decreasing"]),
        ("prism-bench run table1 --only variant=patchd|pri", ["variant=patchd|prism"]),
        ("prism-bench run table1 --metrics frechet,pr", ["frechet,prdc"]),
        ("prism-bench --vers", ["--version"]),
        ("prism-bench tune k-m", ["k-max"]),
        ("prism-bench list vari", ["variant"]),
    ],
)
def test_names_are_completed_without_anything_heavy(tmp_path: Path, line: str, names: list[str]) -> None:
    assert offered(line, tmp_path) == names


def test_what_the_store_holds_and_a_plug_in_declares(store: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text('class Mine(Variant, name="my-own-row"):\n    """A row."""\n')
    assert offered("prism-bench sample ablation-table3/pr", tmp_path) == ["ablation-table3/prism"]
    assert offered("prism-bench report abl", tmp_path) == ["ablation-table3"]
    assert offered("prism-bench run table1 --plugin mine.py --with my", tmp_path) == ["my-own-row"]
    assert offered("prism-bench sample abl --store nowhere --run", tmp_path) == []


def test_the_sources_declare_what_importing_them_does() -> None:
    load_members()
    found = Sources.of()
    for family, members in Component.members.items():
        own = {name: kind for name, kind in members.items() if kind.__module__.startswith("prism_bench.")}
        assert {name: kind.summary() for name, kind in own.items()} == found.summaries.get(family, {}), family
    assert tuple(SCALES) == tuple(SCALES_FOR)
    assert set(PAPER_ORDER) | set(NUMBERED.values()) <= set(found.members("experiment"))


@pytest.mark.parametrize("name", ["smoke", "laptop", "gpu"])
def test_every_setting_of_a_scale_is_offered(name: str) -> None:
    scale = scale_named(name).whole
    assert scale is not None
    known = set(settings(Typed("", Path())))
    parts = [scale.method, *scale.parts]
    needed = {path for part in parts for path, _ in leaves(part.to_json(whole=True)) if "component" not in path}
    retired = {field for kind in type(scale.method).__mro__ for field in getattr(kind, "retired", ())}
    missing = {path for path in needed - known if path.rpartition(".")[2] not in retired}
    assert {path for path in missing if not path.startswith("rissole.")} == set()
    assert {"samples", "k_max", "sampler.steps", "dataset.size"} <= known


def test_answering_takes_little_time(tmp_path: Path) -> None:
    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
    offered("prism-bench run table1 --set training.", tmp_path)
    # A fifth of a second on an idle core; the bound leaves room for a busy one.
    assert resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - before < 1.5


def test_every_name_of_a_command_has_something_to_offer() -> None:
    run = get_command(app).commands["run"]  # type: ignore[attr-defined]
    silent = {one.name for one in run.params if one._custom_shell_complete is None}
    assert {"experiments", "extra", "scale", "settings", "only", "metrics", "dataset", "device"} & silent == set()
