"""`import prism_bench`: what the commands do, as functions, and the names that a plug-in needs."""

import ast
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from conftest import Cli
from tiny import RUN

import prism_bench as pb

ROOT = Path(__file__).parent.parent
SETTINGS = {"training.images": 32, "training.rampup_images": 0, "sampler.steps": 2, "samples": 8, "dataset.size": 64}
"""Those of `tiny.RUN`, in values."""


def run_tiny(store: Path) -> pb.RunResult:
    """What `tiny.RUN` computes, or finds computed."""
    return pb.run(
        "ablation-table3",
        scale="smoke",
        mlflow=False,
        workers=0,
        settings=TINY_SETTINGS,
        only={"variant": ["patchd", "prism"]},
        store=store,
        quiet=True,
    )


TINY_SETTINGS = [word for before, word in zip(RUN.split(), RUN.split()[1:], strict=False) if before == "--set"]


def records_of(store: Path) -> dict[str, dict[str, Any]]:
    return {path.name: json.loads(path.read_text()) for path in sorted(store.glob("records/*.json"))}


def typed_imports() -> dict[str, tuple[str, ...]]:
    """What type checkers are told: module -> names."""
    tree = ast.parse((ROOT / "prism_bench" / "__init__.py").read_text())
    (block,) = [node for node in tree.body if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"]
    names: dict[str, tuple[str, ...]] = {}
    for node in block.body:
        assert isinstance(node, ast.ImportFrom)
        module = str(node.module).removeprefix("prism_bench.")
        if module == "prism_bench":
            continue
        names[module] = (*names.get(module, ()), *(alias.name for alias in node.names))
    return names


def test_public_names_are_there_for_the_interpreter_and_for_type_checkers() -> None:
    assert typed_imports() == pb._MODULES
    assert set(pb.__all__) == {"__version__"}.union(*pb._MODULES.values())
    for name in pb.__all__:
        assert getattr(pb, name) is not None
    assert set(pb.__all__) <= set(dir(pb))
    assert pb.testing.__name__ == "prism_bench.testing"
    with pytest.raises(AttributeError, match="no attribute 'Varaint'"):
        _ = pb.Varaint  # type: ignore[attr-defined]


def test_importing_loads_nothing_heavy_and_takes_no_time() -> None:
    code = "import sys; import prism_bench; print(*sys.modules)"
    seconds = []
    for _ in range(3):
        started = time.perf_counter()
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        seconds.append(time.perf_counter() - started)
    heavy = {"torch", "numpy", "pandas", "mlflow", "matplotlib", "rich", "typer"}
    assert not set(done.stdout.split()) & heavy
    # A tenth of a second on an idle core; the bound leaves room for a busy one.
    assert min(seconds) < 2.0


def test_a_run_is_that_of_the_command(made: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    capfd.readouterr()  # what was said when `made` was made
    run = run_tiny(tmp_path / "other")
    said = capfd.readouterr()
    assert (said.out, said.err) == ("", "")
    assert run.ok
    documents = [json.loads(path.read_text()) for path in sorted(made.glob("experiments/ablation-table3/*.json"))]
    assert [plan.plan for plan in run.plans] == [document["plan"] for document in documents]
    records, found = records_of(made), records_of(tmp_path / "other")
    assert found.keys() == records.keys()
    for name, record in records.items():
        assert {key: found[name][key] for key in ("config", "stages")} == {
            key: record[key] for key in ("config", "stages")
        }
        values, others = ({value["name"]: value["value"] for value in one["values"]} for one in (found[name], record))
        assert values == pytest.approx(others, rel=1e-6)


def test_what_a_run_leaves_is_read_from_the_store(store: Path, tmp_path: Path) -> None:
    run = run_tiny(store)
    assert run.folder == next((store / "reports" / "ablation-table3").iterdir())
    assert run.figure("overview")._repr_png_()[:4] == b"\x89PNG"
    with pytest.raises(pb.InputError, match="no figure 'overveiw'; did you mean overview"):
        run.figure("overveiw")
    written = run.report(tmp_path / "report", formats="csv,markdown")
    assert {path.name for path in written} >= {"ablation-table3.csv", "ablation-table3.md"}
    assert "2 cells: done" in repr(run)


def test_the_command_of_a_call_gives_the_same_plan(cli: Cli, store: Path) -> None:
    run = run_tiny(store)
    command = run.plans[0].command
    said = cli(f"{command.removeprefix('prism-bench ')} --dry-run")
    assert (said.code, said.err) == (0, "")
    assert ", 0 to do" in said.out


def test_results_and_table_are_frames(store: Path) -> None:
    run = run_tiny(store)
    measured = run.results.query("kind == 'measured'")
    assert set(measured["row"]) == {"patchd", "prism"}
    assert set(measured["status"]) == {"done"}
    stored = pb.results(store, "ablation-table3")
    assert stored.equals(run.results)
    assert len(run.table()) == 2
    with pytest.raises(pb.InputError, match="no run of 'table1'"):
        pb.results(store, "table1")
    with pytest.raises(pb.InputError, match="there is no store at"):
        pb.results(store / "elsewhere")


def test_a_plan_is_a_frame_of_stages_and_computes_nothing(store: Path, capfd: pytest.CaptureFixture[str]) -> None:
    before = sorted(store.glob("stages/*/*"))
    options = {"scale": "smoke", "mlflow": False, "settings": TINY_SETTINGS, "store": store, "quiet": True}
    stages = pb.plan("ablation-table3", only="variant=patchd|prism|rag", **options)
    assert capfd.readouterr().out == ""
    assert list(stages.columns) == ["kind", "label", "key", "state", "seconds"]
    trainings = stages[stages["kind"] == "training"]
    assert sorted(trainings["state"]) == ["cached", "cached", "to do"]
    assert (stages["seconds"] > 0).equals(stages["state"] == "to do")
    assert sorted(store.glob("stages/*/*")) == before


def test_comparisons_show_themselves(store: Path) -> None:
    found = pb.compare("ablation-table3/patchd", "ablation-table3/prism", store=store)
    assert "aggregator: none -> set_transformer" in repr(found)
    assert found.results.plan.command.startswith("prism-bench compare ablation-table3/patchd ablation-table3/prism")
    with pytest.raises(pb.InputError, match="has no row 'prsm'; did you mean prism"):
        pb.compare("ablation-table3/patchd", "ablation-table3/prsm", store=store)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"scale": "smok"}, "did you mean smoke"),
        ({"scal": "smoke"}, "no option 'scal'; did you mean scale"),
        ({"seeds": "a"}, "--seeds a: 'a' is not a whole number"),
        ({"seeds": -1}, "--seeds -1"),
        ({"workers": -1}, "--workers -1: at least 0"),
        ({"workers": 1.5}, "--workers 1.5: expected int"),
        ({"resolution": "16"}, "--resolution '16': expected int"),
        ({"settings": {"training.image": 3}}, "training.image=3"),
        ({"dry_run": True}, "`plan` is the dry run"),
        ({"only": "rag"}, "not of the form key=value"),
    ],
)
def test_what_cannot_be_done_is_an_input_error(tmp_path: Path, options: dict[str, object], message: str) -> None:
    with pytest.raises(pb.InputError, match=message):
        pb.run("ablation-table3", **{"store": tmp_path / "store", "scale": "smoke", "mlflow": False, **options})


def test_the_store_of_the_environment_is_that_of_calls_too(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PRISM_BENCH_STORE", str(store))
    found = pb.compare("ablation-table3/patchd", "ablation-table3/prism")
    assert found.folder.is_relative_to(store / "reports")


def test_ctrl_c_is_a_keyboard_interrupt_and_keeps_what_was_computed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from prism_bench.prism.stages.model import TrainingStage

    def stopped(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(TrainingStage, "run", stopped)
    with pytest.raises(KeyboardInterrupt):
        run_tiny(tmp_path / "store")
    assert list((tmp_path / "store" / "stages" / "dataset").iterdir())
    assert not records_of(tmp_path / "store")


def test_a_failed_cell_is_no_exception(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from prism_bench.prism.stages.model import SamplesStage

    def broken(*_: object, **__: object) -> None:
        raise pb.ComputeError("no more samples today")

    monkeypatch.setattr(SamplesStage, "run", broken)
    run = run_tiny(tmp_path / "store")
    assert not run.ok
    records = records_of(tmp_path / "store")
    assert {(record["status"], record["reason"]) for record in records.values()} == {
        ("failed", "no more samples today")
    }


def test_variants_and_experiments_are_given_as_values(tmp_path: Path) -> None:
    from prism_bench.baselines.table3 import Rag
    from prism_bench.experiments.paper.table1 import Table1

    options = {"scale": "smoke", "store": tmp_path, "quiet": True, "only": {"variant": "rag"}}
    stages = pb.plan(Table1(), extra=[Rag()], **options)
    assert sum(stages["kind"] == "training") == 1


def test_plug_ins_of_earlier_versions_are_told_the_new_import(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(
        "from prism.schedules import Tabulated\nfrom prism.variant import Variant\nfrom analysis import Nothing\n"
    )
    said = cli("list variant --plugin mine.py")
    assert said.code == 2
    assert "write `from prism_bench import Tabulated, Variant`" in " ".join(said.err.split())
    (tmp_path / "other.py").write_text("import nowhere\n")
    said = cli("list variant --plugin other.py")
    assert said.code == 2
    assert "No module named 'nowhere'" in said.err
    assert "prism_bench import" not in said.err


def test_every_option_says_what_it_is_and_is_declared_once() -> None:
    from dataclasses import fields

    from prism_bench.experiments.options import data, shown, stored, trained, training
    from prism_bench.experiments.options.option import Option, option_of

    kinds = [
        kind
        for module in (shown, stored, training, trained, data)
        for kind in vars(module).values()
        if isinstance(kind, type) and kind.__module__ == module.__name__
    ]
    assert len(kinds) > 15
    for kind in kinds:
        for field in fields(kind):
            option = option_of(field)
            assert isinstance(option, Option) or field.name == "command", (kind, field.name)
            assert option is None or (option.help[0] and option.help.endswith((".", "..."))), field.name
