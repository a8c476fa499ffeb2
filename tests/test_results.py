"""docs/results: pages are what the bundle gives, and what is said of them speaks of that bundle."""

import importlib.util
import json
import re
import shutil
import sys
import zipfile
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pytest
from test_docs import check
from tiny import RUN

from prism_bench.analysis.schema.join_plans import HasCells
from prism_bench.analysis.schema.join_rows import with_sides
from prism_bench.analysis.schema.records import Plan, load_plan
from prism_bench.prism.errors import InputError
from prism_bench.sealed import sealed

ROOT = Path(__file__).parent.parent


def _program() -> ModuleType:
    spec = importlib.util.spec_from_file_location("results_program", ROOT / "benchmarks" / "results.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


program = _program()
PAGE = program.Page(name="tiny", title="A tiny table", pictures=("overview.png",), runs=())


@pytest.fixture
def folder(store: Path, tmp_path: Path) -> Path:
    """A folder as docs/results, with bundle and page of the tiny store."""
    (plan,) = store.glob("experiments/*/*.json")
    place = tmp_path / "results"
    place.mkdir()
    program.pack([PAGE], {"tiny": [plan.stem]}, store, place / "bundle.zip")
    program.write_pages(place)
    return place


def test_the_pages_here_are_what_the_bundle_here_gives() -> None:
    """Where there is no bundle yet there is no page either."""
    assert (program.RESULTS / program.RUNS).is_file()
    assert not program.faults(program.RESULTS)


def test_every_run_of_the_list_is_a_command() -> None:
    pages = program.read_pages(program.RESULTS / program.RUNS)
    lines = [" ".join(words) for page in pages for words in page.commands({"emoji": "emoji.zip"})]
    assert len(lines) == len(set(lines)) >= 8
    for line in lines:
        check(f"prism-bench {line}")
    with pytest.raises(InputError, match="page emoji needs --data emoji=PATH"):
        next(page for page in pages if page.name == "emoji").commands({})


def test_pages_are_made_from_the_bundle_alone_to_the_same_bytes(folder: Path, store: Path) -> None:
    shutil.rmtree(store)
    assert not program.faults(folder)
    text = (folder / "tiny.md").read_text()
    digest = program.digest_of(folder / "bundle.zip")
    assert text.startswith("# A tiny table\n\nMade by `python benchmarks/results.py` (prism-bench ")
    assert f"bundle `{digest}`" in text
    assert "\n## Ablation" in text
    assert "\n### Open choices in force" in text
    pictures = [path.relative_to(folder).as_posix() for path in folder.rglob("*.png")]
    assert len(pictures) == 1
    assert f"]({pictures[0]})" in text
    with zipfile.ZipFile(folder / "bundle.zip") as archive:
        kinds = {name.partition("/")[0] for name in archive.namelist()}
    assert kinds == {
        "experiments",
        "records",
        "reports",
        "pages.json",
        "environment.json",
        "README.txt",
        "MANIFEST.json",
    }


def test_every_claim_stands_beside_what_each_page_says_of_it(folder: Path, store: Path) -> None:
    (path,) = store.glob("experiments/*/*.json")
    later = path.with_name("e" * 32 + ".json")
    later.write_text(json.dumps(sealed({**json.loads(path.read_text()), "plan": later.stem, "settings": ["batch=8"]})))
    other = program.Page(name="other", title="Another table", pictures=(), runs=())
    program.pack([other], {"other": [later.stem]}, store, folder / "bundle.zip")
    assert any(fault.startswith("claims.md: is not what the bundle gives") for fault in program.faults(folder))
    program.write_pages(folder)
    assert not program.faults(folder)
    text = (folder / "claims.md").read_text()
    (claim,) = (part for part in text.split("\n## ") if part.startswith("Each component helps"))
    another, _, page, coherence = claim.strip().splitlines()[-4:]
    assert page.startswith("| [A tiny table](tiny.md); ")
    assert " | 1 | appearance, FD " in page
    assert coherence.startswith("|  | 1 | global coherence, far correlation | **")
    assert another.startswith("| [Another table](other.md); batch=8 | 1 | appearance, FD ")
    said = (folder / "tiny.md").read_text().partition("Each component helps")[2].partition("\n")[0]
    appearance, far = (line.split("|")[3].strip() for line in (page, coherence))
    verdicts = [line.split("|")[4].strip() for line in (page, coherence)]
    assert f": {appearance}: {verdicts[0]}; {far}: {verdicts[1]}." in said


def test_the_same_store_gives_the_same_bundle(folder: Path, store: Path, tmp_path: Path) -> None:
    (plan,) = store.glob("experiments/*/*.json")
    program.pack([PAGE], {"tiny": [plan.stem]}, store, tmp_path / "again.zip")
    assert (tmp_path / "again.zip").read_bytes() == (folder / "bundle.zip").read_bytes()


def test_a_picture_may_go_along_for_one_experiment_alone(folder: Path, store: Path, tmp_path: Path) -> None:
    (plan,) = store.glob("experiments/*/*.json")
    made = {"tiny": [plan.stem]}
    program.pack([replace(PAGE, pictures=("ablation-table3/overview.png",))], made, store, tmp_path / "own.zip")
    assert (tmp_path / "own.zip").read_bytes() == (folder / "bundle.zip").read_bytes()
    with pytest.raises(InputError, match="page tiny: none of its reports has a picture table1/overview"):
        program.pack([replace(PAGE, pictures=("table1/overview.png",))], made, store, tmp_path / "other.zip")


def test_a_page_made_by_itself_leaves_the_others(folder: Path, store: Path) -> None:
    bundle, (path,) = folder / "bundle.zip", store.glob("experiments/*/*.json")
    plan = json.loads(path.read_text())
    later = path.with_name("e" * 32 + ".json")
    later.write_text(json.dumps(sealed({**plan, "plan": later.stem, "settings": ["training.images=96"]})))
    before = program.made_from(bundle)
    other = program.Page(name="other", title="Another table", pictures=(), runs=())
    program.pack([other], {"other": [later.stem]}, store, bundle)
    after = program.made_from(bundle)
    assert after.keys() == {*before, "other.md"}
    old, new = _without_digest(before), _without_digest(after)
    claims = [found.pop("claims.md").splitlines() for found in (old, new)]
    assert new | old == new
    assert set(claims[0]) <= set(claims[1])
    assert any(b"(other.md)" in line for line in claims[1])
    program.pack([PAGE], {"tiny": [path.stem]}, store, bundle)
    again = program.made_from(bundle)
    assert _without_digest(again) == _without_digest(after), "made again, it takes its own place"


def test_a_page_goes_on_in_a_new_store(folder: Path, store: Path, tmp_path: Path) -> None:
    bundle, (path,) = folder / "bundle.zip", store.glob("experiments/*/*.json")
    plan = load_plan(path)
    new = tmp_path / "new"
    page = program.replace(PAGE, runs=((("ablation-table3",), "--seeds 0"), (("ablation-table3",), "--seeds 1")))
    (part,) = program._chosen([page], ["tiny/2"])
    assert part.runs == page.runs[1:]
    assert program.take_in([part], bundle, new) == {"tiny": [plan.plan]}
    there = {path.relative_to(new) for path in new.rglob("*.json")}
    assert there == {path.relative_to(store), *(it.relative_to(store) for it in store.glob("records/*.json"))}
    # Its second command: the same rows, with seed 1.
    later = write_seeds(new, plan, {0: 1})
    shutil.copytree(store / "reports", new / "reports")
    program.pack([part], {"tiny": [plan.plan, later.plan]}, new, bundle)
    program.write_pages(folder)
    assert not program.faults(folder)
    text = (folder / "tiny.md").read_text()
    assert text.count("\n## Ablation") == 1, "one table of both"
    assert "seeds 0, 1" in text
    with pytest.raises(InputError, match="--only tiny/3: the page has 2 commands"):
        list(program._chosen([page], ["tiny/3"]))
    assert program.take_in([page], bundle, tmp_path / "none") == {}, "made whole it takes nothing in"


def write_seeds(store: Path, plan: Plan, seeds: dict[int, int]) -> Plan:
    """A copy of a plan and its records with other seeds."""

    def moved(owner: HasCells) -> HasCells:
        cells = (
            cell.model_copy(update={"seed": seeds[cell.seed], "record": cell.record[::-1]}) for cell in owner.cells
        )
        return owner.model_copy(update={"cells": tuple(cells)})

    for file in list(store.glob("records/*.json")):
        record = json.loads(file.read_text())
        changed = {**record, "record": file.stem[::-1], "seed": seeds[record["seed"]]}
        file.with_stem(file.stem[::-1]).write_text(json.dumps(sealed(changed)))
    claims = tuple(with_sides(claim, moved) for claim in plan.claims)
    rows, digest = tuple(map(moved, plan.rows)), "e" * 32
    new = plan.model_copy(update={"plan": digest, "rows": rows, "claims": claims, "seeds": tuple(seeds.values())})
    path = store / "experiments" / plan.experiment / f"{new.plan}.json"
    path.write_text(json.dumps(sealed(new.model_dump(mode="json"))))
    return new


def _without_digest(pages: dict[str, bytes]) -> dict[str, bytes]:
    return {name: re.sub(b"bundle `[0-9a-f]{64}`", b"", content) for name, content in pages.items()}


def test_what_the_bundle_does_not_give_is_found(folder: Path) -> None:
    page = folder / "tiny.md"
    page.write_text(page.read_text().replace("A tiny table", "A better table"))
    (folder / "old.md").write_text("# Of an earlier bundle\n")
    assert program.faults(folder) == [
        "tiny.md: is not what the bundle gives",
        "old.md: is no file that the bundle gives",
    ]
    program.write_pages(folder)
    assert not program.faults(folder)
    assert not (folder / "old.md").exists()
    (folder / "bundle.zip").unlink()
    assert "tiny.md: there is no bundle.zip that it could be made of" in program.faults(folder)


def test_a_commentary_names_the_bundle_that_is_there(folder: Path) -> None:
    digest = program.digest_of(folder / "bundle.zip")
    commentary = folder / "tiny.commentary.md"
    for text, fault in (
        (f"Of bundle `{digest[:12]}`: nothing is decided.", None),
        (f"Of bundle `{'0' * 12}`: all is decided.", f"speaks of bundle {'0' * 12}, not of {digest}"),
        ("All is decided.", f"write bundle `{digest[:12]}`"),
    ):
        commentary.write_text(text)
        found = program.faults(folder)
        assert len(found) == (fault is not None)
        assert fault is None or fault in found[0]
    commentary.rename(folder / "other.commentary.md")
    assert "other.commentary.md: there is no such page" in program.faults(folder)
    program.write_pages(folder)
    assert (folder / "other.commentary.md").exists(), "what an author wrote is not removed"


def test_what_cannot_be_a_bundle_is_refused(store: Path, tmp_path: Path) -> None:
    (path,) = store.glob("experiments/*/*.json")
    out = tmp_path / "b.zip"
    with pytest.raises(InputError, match="page tiny: none of its reports has a picture portrait"):
        program.pack(
            [program.Page(name="tiny", title="", pictures=("portrait.png",), runs=())],
            {"tiny": [path.stem]},
            store,
            out,
        )
    first, second = (store / "records" / f"{name}.json" for name in load_plan(path).records[:2])
    record = json.loads(first.read_text())
    first.write_text(json.dumps(sealed({**record, "environment": {**record["environment"], "prism-bench": "0.4.0"}})))
    with pytest.raises(InputError, match=r"records of several versions, 0\.4\.0, "):
        program.pack([PAGE], {"tiny": [path.stem]}, store, out)
    second.unlink()
    with pytest.raises(InputError, match=r"1 things are missing, the first: .*no record yet"):
        program.pack([PAGE], {"tiny": [path.stem]}, store, out)
    assert not out.exists()


def test_plans_of_one_experiment_stand_side_by_side(store: Path, tmp_path: Path) -> None:
    """Two budgets of Table 3: the records of one stand for both."""
    (path,) = store.glob("experiments/*/*.json")
    plan = json.loads(path.read_text())
    other = path.with_name("f" * 32 + ".json")
    other.write_text(json.dumps(sealed({**plan, "plan": "f" * 32, "settings": ["training.images=96"]})))
    page = program.Page(name="curve", title="A curve", pictures=(), runs=())
    program.pack([page], {"curve": [path.stem, other.stem]}, store, tmp_path / "bundle.zip")
    text = program.made_from(tmp_path / "bundle.zip")["curve.md"].decode()
    (grid,) = [part for part in text.split("\n\n") if part.startswith("| FD (efficientnet-lite0)")][:1]
    lines = grid.splitlines()
    assert lines[0].endswith("training.images=96 |")
    cells = [cell.strip() for cell in lines[2].strip("|").split("|")]
    assert cells[0] == "PatchD"
    assert float(cells[1]) == float(cells[2]) > 0
    assert "Settings: training.images=96." in text


def test_a_run_says_which_plans_it_made_and_resumes(store: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (plan,) = store.glob("experiments/*/*.json")
    options = RUN.partition("run ablation-table3 ")[2].replace(" --no-mlflow", "")
    page = program.Page(name="tiny", title="", pictures=(), runs=((("ablation-table3",), options),))
    assert program.run([page], store, {}) == {"tiny": [plan.stem]}
    assert ", 0 to do" in capfd.readouterr().out
    wrong = program.Page(name="wrong", title="", pictures=(), runs=((("ablation-table3",), "--scale huge"),))
    with pytest.raises(InputError, match=r"page wrong: .* --scale huge .* ended with code 2"):
        program.run([wrong], store, {})
