"""What a command says, how much of it, and where."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import TINY, Cli
from rich.cells import cell_len
from tiny import RUN
from typer.main import get_command

import prism_bench as pb
from prism_bench.analysis.formats.rerun_command import FLAGS, cell_command
from prism_bench.analysis.frame.columns import COLUMNS
from prism_bench.analysis.schema.stored_plans import load_plans
from prism_bench.experiments.cli.main import app
from prism_bench.experiments.execution.time_left import TimeLeft
from prism_bench.experiments.execution.work import LEAST, SHARES, Work, work_of
from prism_bench.experiments.options.option import Panel, options_in, type_of
from prism_bench.experiments.options.training import RunOptions, SweepOptions, TrainOptions, TuneOptions
from prism_bench.experiments.planning.prepare import prepare
from prism_bench.experiments.screen import Screen


@pytest.mark.parametrize("line", ["--version", "-V", "version"])
def test_the_version_is_told_and_nothing_else(cli: Cli, line: str) -> None:
    said = cli(line)
    assert (said.code, said.out, said.err) == (0, f"{pb.__version__}\n", "")


def test_the_version_loads_nothing_heavy() -> None:
    code = (
        "import sys; sys.argv = ['prism-bench', '-V']\n"
        "from prism_bench.experiments.cli.main import main\n"
        "try:\n    main()\nexcept SystemExit:\n    print(*sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not set(done.stdout.split()) & {"torch", "numpy", "pandas", "mlflow", "matplotlib", "pydantic"}


def test_a_run_as_one_document(cli: Cli, store: Path) -> None:
    said = cli(f"{RUN} --json")
    assert said.code == 0, said.err
    found = json.loads(said.out)
    assert "0 to do" in said.err, "what it does is told beside it"
    assert found["ok"]
    assert Path(found["store"]) == store
    assert set(found["rows"][0]) == set(COLUMNS)
    done = [row for row in found["rows"] if row["status"] == "done"]
    frame = pb.results(store)
    assert [row["value"] for row in done] == frame[frame.status == "done"].value.tolist()
    assert {Path(path).name for path in found["files"]} >= {"ablation-table3.md", "overview.png"}
    assert all(Path(path).is_file() for path in found["files"])
    (table,) = found["tables"]
    assert table["experiment"] == "ablation-table3"
    assert len(table["headline"]) == 1
    assert {one["verdict"] for claim in table["claims"] for one in claim["outcomes"]} <= {"undecided", "not tested"}


def test_a_dry_run_as_one_document_names_the_stages(cli: Cli) -> None:
    said = cli(f"run ablation-table3 {TINY} --only variant=prism --dry-run --json")
    assert said.code == 0, said.err
    found = json.loads(said.out)
    assert {row["status"] for row in found["rows"] if row["kind"] == "measured"} == {"pending"}
    assert "training" in {stage["kind"] for stage in found["stages"] if stage["state"] == "to do"}


@pytest.mark.parametrize(
    ("line", "names"),
    [
        ("report ablation-table3", {"store", "tables", "rows", "files"}),
        ("compare ablation-table3/patchd ablation-table3/prism", {"base", "settings", "differences", "rows", "files"}),
        ("evaluate ablation-table3/prism --metrics frechet --workers 0", {"what", "values", "notes", "files"}),
        ("sample ablation-table3/prism --n 2 --workers 0", {"run", "n", "seed", "files"}),
    ],
)
def test_other_results_as_one_document(cli: Cli, store: Path, line: str, names: set[str]) -> None:
    said = cli(f"{line} --json")
    assert said.code == 0, said.err
    found = json.loads(said.out)
    assert names <= found.keys()
    assert all(Path(path).is_file() for path in found["files"])


def test_a_study_as_one_document(cli: Cli, store: Path) -> None:
    said = cli(f"tune k-max --values 2 --trials 1 {TINY} --set training.images=32 --set samples=8 --json")
    assert said.code == 0, said.err
    found = json.loads(said.out)
    assert found["best"]["point"] == {"k-max": 2}
    assert [trial["status"] for trial in found["trials"]] == ["complete"]
    (used,) = [line for line in found["lines"] if line.startswith("Use it: ")]
    assert "--json" not in used
    assert "--quiet" not in used


def test_a_fault_leaves_standard_output_empty(cli: Cli) -> None:
    said = cli("run ablation-tabel3 --json")
    assert (said.code, said.out) == (2, "")
    assert "did you mean ablation-table3" in said.err


def test_quiet_prints_results_and_errors_only(cli: Cli, store: Path) -> None:
    said = cli(f"{RUN} -q")
    assert (said.code, said.err) == (0, "")
    assert said.out.startswith("ST + RAG + PatchD + DS (PRISM) ")
    assert "to do" not in said.out
    assert "prism-bench ui" not in said.out
    assert "Pictures and tables of ablation-table3: " in said.out
    assert cli("run table9 -q").err
    both = cli(f"{RUN} -qv")
    assert both.code == 2
    assert "--quiet and --verbose exclude each other" in both.err


def test_stages_of_no_time_are_one_line_and_verbose_names_each(cli: Cli) -> None:
    line = f"{RUN} --only variant=patchd"
    usual = cli(line)
    assert usual.code == 0, usual.err
    lines = [text for text in usual.out.splitlines() if text.startswith("  done  ")]
    assert "metric" in lines[-1]
    assert lines[-1].endswith("each in less than 1 s")
    assert not [text for text in lines[:-1] if "(0 s)" in text]
    verbose = cli(f"{line} -v --store other")
    named = [text for text in verbose.out.splitlines() if text.startswith("  done  ")]
    assert len(named) > 15
    assert all(re.search(r"  [a-z]+\S[0-9a-f]{20,}$", text) for text in named), "with the stage's address"


@pytest.mark.parametrize("width", [60, 80, 140])
def test_what_came_of_it_fits_the_terminal(cli: Cli, store: Path, monkeypatch: pytest.MonkeyPatch, width: int) -> None:
    said_first = cli("report ablation-table3")
    monkeypatch.setenv("COLUMNS", str(width))
    monkeypatch.setenv("NO_COLOR", "1")
    said = cli(f"{RUN} -q")
    table = said.out.partition("Further tables")[0]
    assert max(map(cell_len, table.splitlines())) <= width
    assert "…" not in table
    assert "\x1b" not in said.out
    sentence = next(line for line in said_first.out.splitlines() if "one seed: no interval" in line)
    assert sentence.removeprefix("ablation-table3: ") in " ".join(table.split()), "first what it says, then the table"
    assert table.index("one seed") < table.index("Variant")


SPLIT, PATCHD, PRISM = Work("split", LEAST), Work("training", 100.0, "patchd"), Work("training", 100.0, "prism")
NEAREST, SAMPLES, OTHERS = Work("training", LEAST, "nearest"), Work("samples", 20.0, "patchd"), Work("samples", 20.0)


def test_the_time_left_is_one_number() -> None:
    now = [0.0]
    left = TimeLeft([SPLIT, *[PATCHD] * 3, *[SAMPLES] * 3], places=2, clock=lambda: now[0])
    assert left.seconds is None
    left.started("samples/z", SPLIT)
    left.finished("samples/z", 0.1)
    assert left.seconds is None, "what takes no time says nothing of what does"
    left.started("training/a", PATCHD)
    left.expected("training/a", 100.0)
    assert left.seconds == pytest.approx((3 * 100 + 3 * 20) / 2), (
        "samples take a fifth of a training, as far as is known"
    )
    now[0] = 50.0
    assert left.seconds == pytest.approx((50 + 2 * 100 + 3 * 20) / 2)
    left.finished("training/a", 80.0)
    left.started("samples/a", SAMPLES)
    left.finished("samples/a", 10.0)
    assert left.seconds == pytest.approx((2 * 80 + 2 * 10) / 2)
    left.started("training/b", PATCHD)
    left.put_back("training/b")
    left.started("training/b", PATCHD)
    left.expected("training/b", 500.0)
    assert left.seconds == 500.0, "no shorter than its longest stage"


def test_the_time_left_knows_rows_from_one_another() -> None:
    """The nearest image is a row whose training takes no time; before, it counted as any other."""
    left = TimeLeft([*[PATCHD] * 2, *[PRISM] * 2, *[NEAREST] * 4], clock=lambda: 0.0)
    left.started("training/a", PATCHD)
    left.expected("training/a", 100.0)
    assert left.seconds == pytest.approx(4 * 100 + 4 * LEAST)
    left.finished("training/a", 100.0)
    left.started("training/b", PRISM)
    left.finished("training/b", 140.0)
    assert left.seconds == pytest.approx(100 + 140 + 4 * LEAST * 1.2), (
        "what has not begun takes its share of their mean"
    )


def test_the_time_left_goes_by_what_is_known_of_a_kind() -> None:
    """Samples of other rows take what samples took here, be they much quicker than a fifth of a training."""
    left = TimeLeft([PATCHD, *[NEAREST] * 2, *[SAMPLES] * 2, *[OTHERS] * 5], clock=lambda: 0.0)
    left.started("training/z", NEAREST)
    left.finished("training/z", 3.0)
    assert left.seconds is None, "a training of nothing says nothing of what trains"
    left.started("training/a", PATCHD)
    left.finished("training/a", 600.0)
    assert left.seconds == pytest.approx(3 + 7 * 120)
    left.started("samples/a", SAMPLES)
    left.finished("samples/a", 60.0)
    assert left.seconds == pytest.approx(3 + 6 * 60)


def test_work_is_told_by_what_is_trained_and_how(store: Path) -> None:
    options = RunOptions(
        experiments=("ablation-table3",), scale="smoke", seeds=(0, 1), extra=("real-images",), store=store, dry_run=True
    )
    (plan,) = prepare(options, Screen.of(quiet=True)).plans
    works = {(cell.row, cell.seed): (work_of(cell.training), work_of(cell.samples)) for cell in plan.cells}
    for row in {cell.row for cell in plan.cells}:
        assert works[row, 0] == works[row, 1], "seeds take the same time"
    shares = {row: tuple(work.share for work in both) for (row, _), both in works.items()}
    assert shares.pop("real-images") == (LEAST, LEAST)
    assert set(shares.values()) == {(SHARES["training"], SHARES["samples"])}
    assert len({both for both in works.values()}) == len(shares) + 1


def test_a_command_that_is_typed_again_is_no_quieter(store: Path) -> None:
    (plan,) = load_plans("ablation-table3", store)
    loud = plan.model_copy(update={"command": f"{plan.command} -q --json --compile"})
    again = cell_command(loud, plan.rows[0], plan.rows[0].cells[0])
    assert "--json" not in again
    assert " -q" not in again
    assert "--compile" in again
    switches = {
        name
        for kind in (RunOptions, SweepOptions, TrainOptions, TuneOptions)
        for field, option in options_in(kind)
        if type_of(field) is bool
        for name in (option.flag or option.spelled(field.name)).split()
    }
    assert switches <= FLAGS


def commands(command: Any, name: str = "") -> Iterator[str]:
    """Every command by its name."""
    yield name
    for word, below in getattr(command, "commands", {}).items():
        yield from commands(below, f"{name} {word}".strip())


@pytest.mark.parametrize("name", list(commands(get_command(app))))
def test_no_help_is_cut_at_80_columns(cli: Cli, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    said = cli(f"{name} --help")
    assert said.code == 0
    assert "…" not in said.out
    assert max(map(cell_len, said.out.splitlines())) <= 80


def test_the_options_of_run_stand_in_panels(cli: Cli) -> None:
    said = cli("run --help")
    found = re.findall(r"^╭─ (.*?) ─+╮$", said.out, re.MULTILINE)
    assert found == ["Arguments", "Options", *Panel]
    images = said.out.partition("╭─ Images")[2].partition("╭─")[0]
    assert "--data" in images
    assert "--workers" not in images


def test_without_colour_where_none_is_wanted(store: Path, tmp_path: Path) -> None:
    """In a terminal, which a pipe is not: FORCE_COLOR makes rich take it for one."""
    for more, coloured in (({}, True), ({"NO_COLOR": "1"}, False)):
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "FORCE_COLOR": "1", **more}
        done = subprocess.run(
            [sys.executable, "-m", "prism_bench", "run", "--help"],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            check=True,
        )
        assert bool(re.search(r"\x1b\[[0-9;]*3[0-9]m", done.stdout)) == coloured


def test_what_there_is_for_programs(store: Path, cli: Cli) -> None:
    variants = json.loads(cli("list variants --json").out)
    assert list(variants) == ["variant"]
    assert "Set Transformer" in variants["variant"]["prism"]
    families = json.loads(cli("list --json").out)
    assert {"variant", "schedule", "scale"} <= families.keys()
    assert all(summary for members in families.values() for summary in members.values())

    said = cli("doctor --no-golden --json")
    found = json.loads(said.out)
    assert found["ok"] == (said.code == 0)
    assert {line["state"] for line in found["findings"]} <= {"ok", "note", "fails"}
    assert any(line["name"] == "python" and line["state"] == "ok" for line in found["findings"])

    listed = json.loads(cli(f"cache ls --json --store {store}").out)
    assert {stage["kind"] for stage in listed["stages"]} >= {"dataset", "training", "samples", "metric"}
    assert len(listed["stages"]) == len(list(store.glob("stages/*/*")))
    assert sum(stage["bytes"] for stage in listed["stages"]) > 0
    assert listed["broken"] == []
    datasets = json.loads(cli(f"cache ls dataset --json --store {store}").out)["stages"]
    assert {one["kind"] for one in datasets} == {"dataset"}
    refused = cli(f"cache ls nothing --json --store {store}")
    assert (refused.code, refused.out) == (2, "")
