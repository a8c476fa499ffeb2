"""`prism-bench.toml`: the defaults of a project, and what goes before them."""

import json
import shlex
from pathlib import Path

import pytest
from conftest import TINY, Cli
from tiny import STORE

from prism_bench.analysis.schema.stored_plans import load_plans

TABLE = """
store = "kept/my store"
scale = "smoke"
set = ["training.images=64", "training.rampup_images=0", "samples=8", "sampler.steps=2", "dataset.size=64"]
workers = 0

[run]
mlflow = false
only = "variant=patchd"
seeds = [0, 1]

[cache.gc]
dry-run = true
"""


def project(folder: Path, text: str = TABLE) -> Path:
    path = folder / "prism-bench.toml"
    path.write_text(text)
    return path


def test_the_closest_file_upwards_gives_defaults_and_each_is_said(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = project(tmp_path)
    below = tmp_path / "deep" / "er"
    below.mkdir(parents=True)
    monkeypatch.chdir(below)
    said = cli("run ablation-table3 --seeds 1")
    assert said.code == 0, said.err
    store = tmp_path / "kept" / "my store"
    (line,) = said.err.splitlines()
    assert line == (
        f"From {path}: store = {store}, scale = smoke, "
        "set = training.images=64,training.rampup_images=0,samples=8,sampler.steps=2,dataset.size=64, "
        "workers = 0, mlflow = false, only = variant=patchd"
    )
    (plan,) = load_plans("ablation-table3", store)
    assert (plan.scale, plan.seeds, [row.id for row in plan.rows]) == ("smoke", (1,), ["patchd"])
    # The command that the plan keeps says the same where there is no file.
    path.unlink()
    again = cli(f"{plan.command.removeprefix('prism-bench ')} --dry-run --json")
    assert again.code == 0, again.err
    assert json.loads(again.out)["tables"][0]["plan"] == plan.plan
    assert not [stage for stage in json.loads(again.out)["stages"] if stage["state"] == "to do"]


def test_a_closer_file_stands_alone_and_quiet_says_nothing(cli: Cli, store: Path, tmp_path: Path) -> None:
    project(tmp_path.parent, "scale = 'huge'\n")
    project(tmp_path, f"store = '{STORE}'\n")
    assert cli("report ablation-table3").code == 0
    assert cli("report ablation-table3 -q").err == ""


def test_the_line_and_the_environment_win(
    cli: Cli, store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project(tmp_path, "store = 'elsewhere'\n[report]\nformat = 'csv'\n")
    assert cli("report ablation-table3").code == 2, "there is nothing elsewhere"
    said = cli(f"report ablation-table3 --store {STORE} --format markdown")
    assert said.code == 0, said.err
    assert said.err == ""
    assert ".csv" not in said.out
    monkeypatch.setenv("PRISM_BENCH_STORE", STORE)
    said = cli("report ablation-table3")
    assert said.code == 0, said.err
    assert said.err.splitlines() == [f"From {tmp_path / 'prism-bench.toml'}: format = csv"]
    assert ".md" not in said.out


def test_what_is_suggested_next_needs_no_store_that_the_file_names(cli: Cli, tmp_path: Path) -> None:
    project(tmp_path)
    said = cli("run ablation-table3 --seeds 0")
    assert "Compare the runs: prism-bench ui\n" in said.out
    (page,) = [line.partition(": ")[2] for line in said.out.splitlines() if line.startswith("One page")]
    assert cli(page.removeprefix("prism-bench ")).code == 0
    other = cli(f"run ablation-table3 --seeds 0 --store '{tmp_path / 'the other #1'}'")
    commands = [line.partition(": ")[2] for line in other.out.splitlines() if ": prism-bench " in line]
    assert len(commands) == 2
    assert all(shlex.split(command)[-2:] == ["--store", str(tmp_path / "the other #1")] for command in commands)
    assert cli(commands[0].removeprefix("prism-bench ")).code == 0


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("sedes = 1\n", ["sedes = 1", "is not an option of any command", "did you mean seeds"]),
        ("[run]\nport = 5000\n", ["port = 5000", "is not an option of run"]),
        ("scale = 3\n", ["scale = 3", "expected str"]),
        ("workers = 'many'\n", ["workers = 'many'", "expected int"]),
        ("workers = -1\n", ["workers = -1", "at least 0"]),
        ("seeds = '0-x'\n", ["seeds = '0-x'", "is not a whole number"]),
        ("controls = 'yes'\n", ["controls = 'yes'", "expected bool"]),
        ("[cache]\ngcc = {dry-run = true}\n", ["gcc", "did you mean gc"]),
        ("scale = \n", ["cannot be read as TOML", "line 1"]),
        ("experiments = ['table1']\n", ["experiments = ['table1']", "is not an option"]),
    ],
)
def test_what_does_not_fit_is_told_with_file_key_and_value(
    cli: Cli, tmp_path: Path, text: str, words: list[str]
) -> None:
    path = project(tmp_path, text)
    said = cli("report ablation-table3")
    assert (said.code, said.out) == (2, "")
    for word in (f"error: {path}: ", *words):
        assert word in said.err


def test_calls_from_python_read_no_file(store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import prism_bench as pb

    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PRISM_BENCH_STORE", raising=False)
    project(tmp_path, "store = 'elsewhere'\n")
    assert len(pb.results()) > 0


def test_a_plug_in_of_the_file_lies_beside_it(cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    readme = (Path(__file__).parent.parent / "README.md").read_text()
    (tmp_path / "rows.py").write_text(readme.partition("```python\n")[2].partition("```")[0])
    project(tmp_path, "plugin = ['rows.py']\ndata = ['pictures']\n")
    (tmp_path / "below").mkdir()
    monkeypatch.chdir(tmp_path / "below")
    said = cli("list variant")
    assert "quadratic" in said.out
    said = cli(f"run ablation-table3 {TINY.replace('--set dataset.size=64', '')} --dry-run")
    assert said.code == 2
    assert f"{tmp_path / 'pictures'}" in said.err
