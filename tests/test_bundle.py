"""`prism-bench bundle`: the tables of a store, packed so that they can be rebuilt elsewhere."""

import errno
import hashlib
import json
import shutil
import zipfile
from pathlib import Path
from typing import Any

import pytest
from conftest import Cli
from tiny import copy_of, without_torch

from prism_bench.experiments.tools.bundling.anonymous import Anonymous
from prism_bench.prism.engine.store import Address, Store
from prism_bench.sealed import sealed

EXPERIMENT = "ablation-table3"


def members(path: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def unpacked(path: Path, folder: Path) -> Path:
    with zipfile.ZipFile(path) as archive:
        archive.extractall(folder)
    return folder


def change(path: Path, **facts: Any) -> None:
    path.write_text(json.dumps(sealed({**json.loads(path.read_text()), **facts}), indent=1, sort_keys=True) + "\n")


def records(store: Path) -> list[Path]:
    return sorted((store / "records").iterdir())


def test_the_tables_are_rebuilt_without_torch_to_the_same_bytes(cli: Cli, store: Path, tmp_path: Path) -> None:
    assert cli(f"report {EXPERIMENT} --store {store}").code == 0
    said = cli(f"bundle {EXPERIMENT} --out b.zip --store {store}")
    assert said.code == 0, said
    assert "1 plan, 2 records" in said.out
    assert "missing" not in said.out
    there = unpacked(tmp_path / "b.zip", tmp_path / "elsewhere")
    tables = [path for path in there.rglob("reports/**/*") if path.suffix in {".tex", ".md", ".csv"}]
    assert len(tables) >= 3
    before = {path: path.read_bytes() for path in tables}
    for path in tables:
        path.unlink()
    done = without_torch(f"report {EXPERIMENT} --store {there}", tmp_path)
    assert done.returncode == 0, done.stderr
    assert {path: path.read_bytes() for path in tables} == before


def test_everything_of_a_result_is_inside_and_the_large_things_are_not(cli: Cli, made: Path, tmp_path: Path) -> None:
    assert cli(f"bundle all --out b.zip --store {made}").code == 0
    found = members(tmp_path / "b.zip")
    for path in [*made.glob("records/*"), *made.glob("reports/**/*.png"), *made.glob("stages/*/*/stage.json")]:
        assert found[path.relative_to(made).as_posix()] == path.read_bytes()
    for kind, name in (("training", "metrics.jsonl"), ("metric", "values.json"), ("floor", "values.json")):
        assert sum(member.startswith(f"stages/{kind}/") and member.endswith(name) for member in found) > 1
    assert not [name for name in found if name.endswith((".npy", ".safetensors", ".npz"))]
    versions = json.loads(found["environment.json"])
    assert versions["computed with"][0]["torch"] == versions["bundled with"]["torch"]
    readme = found["README.txt"].decode()
    for word in ("prism-bench report all --store .", "prism-bench run ablation-table3", "without generated images"):
        assert word in readme


def test_the_manifest_tells_every_byte(cli: Cli, made: Path, tmp_path: Path) -> None:
    assert cli(f"bundle all --out b.zip --store {made}").code == 0
    found = members(tmp_path / "b.zip")
    manifest = json.loads(found.pop("MANIFEST.json"))
    assert manifest["members"] == {
        name: {"sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)} for name, data in found.items()
    }
    assert manifest["experiments"] == [EXPERIMENT]
    assert manifest["missing"] == []


def test_the_same_results_give_the_same_bytes_wherever_the_store_lies(cli: Cli, made: Path, tmp_path: Path) -> None:
    moved = copy_of(made, tmp_path / "a" / "deeper")
    for path in moved.rglob("*"):
        path.touch()
    assert cli(f"bundle all --out one.zip --store {made}").code == 0
    assert cli(f"bundle all --out two.zip --store {moved}").code == 0
    assert (tmp_path / "one.zip").read_bytes() == (tmp_path / "two.zip").read_bytes()
    with zipfile.ZipFile(tmp_path / "one.zip") as archive:
        names = archive.namelist()
        assert names == sorted(names)
        assert {info.date_time for info in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}


def test_no_place_of_this_machine_is_inside(cli: Cli, store: Path, made: Path, tmp_path: Path) -> None:
    reason = f"KeyError: 'x' (details: {store}/logs/training-1.txt); no file {Path.home()}/w.pt or '/opt/big/w.bin'"
    change(records(store)[0], status="failed", reason=reason)
    assert cli(f"report {EXPERIMENT} --store {store}").code == 0
    (page,) = store.rglob("reports/**/*.md")
    assert str(made) in page.read_text()
    assert "/opt/big" in page.read_text()
    said = cli(f"bundle all --out b.zip --store {store}")
    assert said.code == 0, said
    found = members(tmp_path / "b.zip")
    for name, data in found.items():
        for place in (store, made, tmp_path, Path.home(), "/opt/big"):
            assert f"{place}/".encode() not in data, name
            assert str(made).encode() not in data, name
    (plan,) = [json.loads(found[name]) for name in found if name.startswith("experiments/") and name.endswith(".json")]
    assert plan["command"].endswith("--store STORE")
    clean = json.loads(found[f"records/{records(store)[0].name}"])["reason"]
    assert clean == "KeyError: 'x' (details: STORE/logs/training-1.txt); no file HOME/w.pt or 'w.bin'"
    there = unpacked(tmp_path / "b.zip", tmp_path / "elsewhere")
    before = {path: path.read_bytes() for path in there.rglob("reports/**/ablation-table3.*")}
    assert cli(f"report {EXPERIMENT} --store {there}").code == 0
    assert before == {path: path.read_bytes() for path in before}


def test_a_place_that_cannot_be_taken_out_stops_the_bundle(cli: Cli, store: Path, tmp_path: Path) -> None:
    (log, *_) = store.glob("stages/training/*/metrics.jsonl")
    log.write_text(json.dumps({"note": f"from {store}"}) + "\n")
    said = cli(f"bundle all --out b.zip --store {store}")
    assert said.code == 2
    assert "metrics.jsonl names" in said.err
    assert not list(tmp_path.glob("*.zip"))


@pytest.mark.parametrize(
    ("command", "clean"),
    [
        ("prism-bench run x --store {store}", "prism-bench run x --store STORE"),
        ("prism-bench run x --store=/old/place", "prism-bench run x --store=STORE"),
        ("prism-bench run x --data {store}/data/faces", "prism-bench run x --data STORE/data/faces"),
        ("prism-bench run x --data /home/ann/faces.zip", "prism-bench run x --data faces.zip"),
        ("prism-bench run x --data celeba=/mnt/d/celeba", "prism-bench run x --data celeba=celeba"),
        ("prism-bench run x --data '/home/ann b/my faces'", "prism-bench run x --data 'my faces'"),
        ("prism-bench run x --plugin mine.py --set a=1/2", "prism-bench run x --plugin mine.py --set a=1/2"),
        ("prism-bench run  x", "prism-bench run  x"),
    ],
)
def test_commands_keep_their_words(tmp_path: Path, command: str, clean: str) -> None:
    anonymous = Anonymous(tmp_path)
    assert anonymous.value({"command": command.format(store=tmp_path)}) == {"command": clean}


def test_a_path_is_found_in_every_escape(tmp_path: Path) -> None:
    store = tmp_path / "my_store & <more>"
    anonymous = Anonymous(store)
    for written in (
        str(store),
        str(store).replace("_", r"\_").replace("&", r"\&").replace("<", "$<$").replace(">", "$>$"),
    ):
        assert anonymous.left(f"see {written}/x".encode()) is not None
        assert anonymous.text(f"see {written}/x") == "see STORE/x"
    assert anonymous.text(str(store).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")) == "STORE"
    assert anonymous.left(b"see STORE/x") is None


def test_what_is_missing_is_said_and_the_rest_is_packed(cli: Cli, store: Path, tmp_path: Path) -> None:
    gone = records(store)[0]
    gone.unlink()
    shutil.rmtree(store / "reports")
    said = cli("bundle all --out b.zip")
    assert said.code == 0
    assert "no record yet" in said.out
    assert "no report; `prism-bench report ablation-table3` writes its tables" in said.out
    found = members(tmp_path / "b.zip")
    assert "no record yet" in found["README.txt"].decode()
    assert len(json.loads(found["MANIFEST.json"])["missing"]) == 2
    assert f"records/{gone.name}" not in found
    there = unpacked(tmp_path / "b.zip", tmp_path / "elsewhere")
    assert cli(f"report {EXPERIMENT} --store {there}").code == 0


def test_an_unpacked_bundle_is_verified_without_what_it_left_out(cli: Cli, made: Path, tmp_path: Path) -> None:
    assert cli(f"bundle all --out b.zip --store {made}").code == 0
    there = unpacked(tmp_path / "b.zip", tmp_path / "elsewhere")
    said = cli(f"cache verify --store {there}")
    assert said.code == 0, said.out
    assert "unpacked bundle" in said.out
    values = sorted(there.rglob("values.json"))
    values[0].unlink()
    values[1].write_text("[]")
    said = cli(f"cache verify --store {there}")
    assert said.code == 1
    assert "values.json is missing" in said.out
    assert "values.json has sha256" in said.out
    assert "2 faults" in said.out


def test_samples_and_models_go_along_when_asked_for(cli: Cli, made: Path, tmp_path: Path) -> None:
    said = cli(f"bundle all --out b.zip --with-samples --with-models --store {made}")
    assert said.code == 0
    there = Store(unpacked(tmp_path / "b.zip", tmp_path / "elsewhere"))
    for kind in ("samples", "training"):
        addresses = [Address(kind, path.name) for path in (made / "stages" / kind).iterdir()]
        assert len(addresses) == 2
        assert [there.fault(address) for address in addresses] == [None, None]
    assert not list((there.root / "stages").rglob("features.npy"))


def test_earlier_plans_and_older_stores(cli: Cli, store: Path, tmp_path: Path) -> None:
    folder = store / "experiments" / EXPERIMENT
    (plan,) = folder.glob("*.json")
    change(plan, plan="0" * 32)
    plan.rename(folder / f"{'0' * 32}.json")
    shutil.copy(folder / f"{'0' * 32}.json", folder / f"{'1' * 32}.json")
    change(folder / f"{'1' * 32}.json", plan="1" * 32)
    (folder / "latest").write_text(json.dumps({"plans": ["1" * 32]}))
    assert cli("bundle all --out latest.zip").code == 0
    found = members(tmp_path / "latest.zip")
    assert json.loads(found[f"experiments/{EXPERIMENT}/latest"]) == sealed({"plans": ["1" * 32]})
    assert f"experiments/{EXPERIMENT}/{'0' * 32}.json" not in found
    assert cli("bundle all --out every.zip --every-plan").code == 0
    found = members(tmp_path / "every.zip")
    assert f"experiments/{EXPERIMENT}/{'0' * 32}.json" in found
    assert json.loads(found[f"experiments/{EXPERIMENT}/latest"]) == sealed({"plans": ["1" * 32]})


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("bundle ablation-tabel3", ["no run of 'ablation-tabel3'", "did you mean ablation-table3"]),
        ("bundle all --out b.tar", ["b.tar", "name it b.tar.zip"]),
        ("bundle all --out no/such/b.zip", ["no/such/b.zip cannot be written", "another folder"]),
        ("bundle all --store nowhere", ["there is no store at nowhere"]),
        ("bundle", ["Missing argument"]),
    ],
)
def test_one_message_and_exit_code_2(cli: Cli, store: Path, tmp_path: Path, line: str, words: list[str]) -> None:
    said = cli(line)
    assert said.code == 2, said
    text = " ".join((said.out + said.err).replace("│", " ").split())
    for word in words:
        assert word in text, text
    assert not list(tmp_path.glob("*.zip"))
    assert not list(tmp_path.glob(".*"))


def test_a_file_is_overwritten_only_when_asked(cli: Cli, store: Path, tmp_path: Path) -> None:
    (tmp_path / "b.zip").write_text("mine")
    said = cli("bundle all --out b.zip")
    assert said.code == 2
    assert "is there already" in said.err
    assert (tmp_path / "b.zip").read_text() == "mine"
    told = json.loads(cli("bundle all --out b.zip --force --json").out)
    assert told["sha256"] == hashlib.sha256(Path("b.zip").read_bytes()).hexdigest()
    assert (told["bytes"], Path(told["file"])) == (Path("b.zip").stat().st_size, Path("b.zip").absolute())
    assert told["records"] == len(list(store.glob("records/*.json")))
    assert zipfile.is_zipfile(tmp_path / "b.zip")


def test_a_full_disk_leaves_no_half_bundle(
    cli: Cli, made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(shutil, "copyfileobj", full)
    said = cli(f"bundle all --out b.zip --store {made}")
    assert said.code == 2
    assert "cannot be written (No space left on device)" in said.err
    assert not list(tmp_path.iterdir())


def test_no_link_is_followed(cli: Cli, store: Path, tmp_path: Path) -> None:
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret" / "key.txt").write_text("the secret")
    (tmp_path / "secret" / "key.png").write_text("the secret")
    folder = next((store / "reports" / EXPERIMENT).iterdir())
    (folder / "note.txt").symlink_to(tmp_path / "secret" / "key.txt")
    (folder / "grid.png").symlink_to(tmp_path / "secret" / "key.png")
    (folder / "deep").symlink_to(tmp_path / "secret")
    (values, *_) = store.glob("stages/metric/*/values.json")
    values.rename(tmp_path / "values.json")
    values.symlink_to(tmp_path / "values.json")
    assert cli("bundle all --out b.zip").code == 0
    found = members(tmp_path / "b.zip")
    assert not [name for name, data in found.items() if b"the secret" in data]
    missing = json.loads(found["MANIFEST.json"])["missing"]
    for path in (folder / "note.txt", folder / "grid.png", values):
        assert path.relative_to(store).as_posix() not in found
        assert f"{path.relative_to(store).as_posix()}: is a link, and a bundle follows none" in missing


def test_a_linked_record_is_refused_and_a_linked_folder_of_stages_is_not(cli: Cli, store: Path, tmp_path: Path) -> None:
    (store / "stages").rename(tmp_path / "elsewhere")
    (store / "stages").symlink_to(tmp_path / "elsewhere")
    assert cli("bundle all --out whole.zip").code == 0
    assert json.loads(members(tmp_path / "whole.zip")["MANIFEST.json"])["missing"] == []
    (record, *_) = records(store)
    record.rename(tmp_path / "record.json")
    record.symlink_to(tmp_path / "record.json")
    said = cli("bundle all --out b.zip")
    assert said.code == 2
    assert f"{record} is a link, and a bundle follows none" in said.err


def test_files_that_a_manifest_names_outside_its_stage_stay_there(cli: Cli, store: Path, tmp_path: Path) -> None:
    (store / "weights.bin").write_text("the secret")
    (manifest, *_) = store.glob("stages/samples/*/stage.json")
    change(manifest, files={"../../../weights.bin": {"bytes": 10, "sha256": "0" * 64}})
    assert cli("bundle all --out b.zip --with-samples").code == 0
    found = members(tmp_path / "b.zip")
    assert not [name for name, data in found.items() if ".." in name or b"the secret" in data]


def test_nobodys_home_is_inside(cli: Cli, store: Path, tmp_path: Path) -> None:
    (record, *_) = records(store)
    change(record, status="failed", reason="no MLflow at file:///home/ann/runs/mlflow.db, nor at /Users/bob")
    note = next((store / "reports" / EXPERIMENT).iterdir()) / "note.txt"
    note.write_text("made in /home/eve/work and home/made")
    assert cli("bundle all --out b.zip").code == 0
    found = members(tmp_path / "b.zip")
    reason = json.loads(found[f"records/{record.name}"])["reason"]
    assert reason == "no MLflow at file://mlflow.db, nor at HOME"
    assert found[note.relative_to(store).as_posix()] == b"made in HOME/work and home/made"
    (log, *_) = store.glob("stages/training/*/metrics.jsonl")
    log.write_text(json.dumps({"note": "from /home/ann/x"}) + "\n")
    said = cli("bundle all --out c.zip")
    assert said.code == 2
    assert "metrics.jsonl names '/home/ann'" in said.err


def test_a_foreign_text_among_the_reports_is_packed_as_it_is(cli: Cli, store: Path, tmp_path: Path) -> None:
    note = next((store / "reports" / EXPERIMENT).iterdir()) / "note.txt"
    note.write_bytes(b"caf\xe9")
    assert cli("bundle all --out b.zip").code == 0
    assert members(tmp_path / "b.zip")[note.relative_to(store).as_posix()] == b"caf\xe9"


def test_a_store_without_experiments_has_nothing_to_bundle(cli: Cli, tmp_path: Path) -> None:
    Store.create(tmp_path / "prism-bench-store")
    said = cli("bundle all")
    assert said.code == 2
    assert "holds no experiment to bundle; run one first" in said.err
