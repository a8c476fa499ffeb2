"""The commands that reports print for computing a cell again: typed as they stand, they find everything there."""

import re
import shlex
from pathlib import Path

import numpy as np
import pytest
from conftest import TINY, Cli
from handmade import plan_of, row
from PIL import Image

from prism_bench.analysis.formats.rerun_command import cell_command
from prism_bench.analysis.schema.stored_plans import load_plans

SMALL = TINY.replace("training.images=128", "training.images=32").replace("sampler.steps=3", "sampler.steps=2")
LINE = (
    f"{SMALL.replace('--set dataset.size=64', '')} --set samples=8 --resolution 16 --data 'my pictures' "
    "--store 'my store' --plugin 'my rows.py'"
)
STORE = Path("my store")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "my pictures").mkdir()
    rng = np.random.default_rng(0)
    for index in range(48):
        Image.fromarray(rng.integers(0, 256, (16, 16, 3), np.uint8)).save(tmp_path / "my pictures" / f"{index}.png")
    readme = (Path(__file__).parent.parent / "README.md").read_text()
    (tmp_path / "my rows.py").write_text(readme.partition("```python\n")[2].partition("```")[0])
    return tmp_path


def recomputed(cli: Cli, experiment: str) -> set[str]:
    """Type the command of every cell of an experiment, the first in earnest; returns what was typed."""
    plans = load_plans(experiment, STORE)
    commands = {cell_command(plan, row, cell) for plan in plans for row in plan.rows for cell in row.cells}
    for index, command in enumerate(sorted(commands)):
        said = cli(f"{command.removeprefix('prism-bench ')}{' --dry-run' if index else ''}")
        assert said.code == 0, said.out + said.err
        assert " 0 to do" in said.out, said.out
    return commands


def test_of_several_experiments_a_setting_of_one_among_them(cli: Cli, folder: Path) -> None:
    only = "--only 'variant=prism|quadratic|decreasing,k_sample=1'"
    line = f"{LINE} --set k_samples=1,2 --set schedules=decreasing --with quadratic"
    assert cli(f"run ablation-table3 schedule-sweep {line} {only}").code == 0
    typed = recomputed(cli, "ablation-table3")
    assert len(typed) == 2
    assert len(recomputed(cli, "schedule-sweep")) == 2


def test_of_a_sweep_a_training_a_comparison_and_a_study(cli: Cli, folder: Path) -> None:
    assert cli(f"schedule-sweep --k-sample 1,2 --schedules=decreasing {LINE}").code == 0
    assert len(recomputed(cli, "schedule-sweep")) == 2
    assert cli(f"train quadratic {LINE} --seeds 0,1").code == 0
    assert len(recomputed(cli, "train-quadratic")) == 2
    said = cli(f"tune k-max --values 2 --trials 1 --variant quadratic {LINE}")
    assert said.code == 0, said.err
    (command,) = re.findall(r"Use it: prism-bench (.*)", said.out)
    said = cli(f"{command} --only variant=quadratic")
    assert said.code == 0, said.err
    assert " 0 to do" in said.out, said.out


def test_of_a_comparison_what_computed_its_cells(cli: Cli, store: Path) -> None:
    """`compare` computes nothing; its own command works too."""
    names = "ablation-table3/patchd ablation-table3/prism"
    said = cli(f"compare {names} --out here")
    assert said.code == 0, said.err
    (printed,) = re.findall(r"```\nprism-bench (compare .*)\n```", next(Path("here").rglob("*.md")).read_text())
    assert cli(printed).code == 0
    cells = [{"seed": 0, "record": next((store / "records").iterdir()).stem, "k_sample": 1}]
    plan = plan_of([row("a", 1, cells=cells)], [], 1, command=f"prism-bench {printed}")
    said = cli(cell_command(plan, plan.rows[0], plan.rows[0].cells[0]).removeprefix("prism-bench "))
    assert said.code == 0, said.err
    (command,) = re.findall(r"computed by: prism-bench (.*)", said.out)
    assert shlex.split(command)[:2] == ["run", "ablation-table3"]
