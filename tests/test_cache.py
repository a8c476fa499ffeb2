"""`prism-bench cache`: what is in a store, why, whether it is sound, and what may go."""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from conftest import Cli
from tiny import RUN, without_torch

from prism_bench.experiments.store.gc import Wish, sweep
from prism_bench.experiments.store.inventory import Inventory, key_of, lineage_of, nested
from prism_bench.prism.component import digest_of
from prism_bench.prism.engine.store import KEY_LENGTH
from prism_bench.prism.stages.data import DatasetStage, EmbeddingsStage, NeighboursStage, SplitStage
from prism_bench.sealed import sealed

EXPERIMENT = "ablation-table3"


def keys(store: Path, kind: str) -> list[str]:
    return sorted(path.name for path in (store / "stages" / kind).iterdir())


def folders(store: Path) -> set[str]:
    return {f"{path.parent.name}/{path.name}" for path in store.glob("stages/*/*")}


def plan_file(store: Path) -> Path:
    (path,) = (store / "experiments" / EXPERIMENT).glob("*.json")
    return path


def training_of(store: Path, row: str) -> str:
    records = [json.loads(path.read_text()) for path in (store / "records").iterdir()]
    return str(next(record for record in records if record["row"] == row)["stages"]["training"])


def add_stage(store: Path, kind: str, like: str, **parameters: Any) -> str:
    """A sound copy of a stage with other parameters, as another run would have left it; returns its key."""
    source = store / "stages" / kind / like
    manifest = json.loads((source / "stage.json").read_text())
    manifest["identity"]["parameters"] |= parameters
    key = digest_of(manifest["identity"])[:KEY_LENGTH]
    target = Path(shutil.copytree(source, source.parent / key))
    (target / "stage.json").write_text(json.dumps(sealed({**manifest, "key": key, "label": "another"})))
    return key


def add_work(store: Path, name: str, *, days: float) -> Path:
    folder = store / "work" / name
    folder.mkdir(parents=True)
    (folder / "checkpoint.safetensors").write_bytes(b"x" * 5000)
    then = time.time() - days * 86400
    for path in (folder / "checkpoint.safetensors", folder):
        os.utime(path, (then, then))
    return folder


@contextmanager
def locked(store: Path, address: str) -> Iterator[None]:
    """Another process makes the stage."""
    code = (
        "import sys, pathlib\nfrom prism_bench.prism.engine.lease import Lease\n"
        "Lease(pathlib.Path(sys.argv[1])).acquire()\nprint('held', flush=True)\nsys.stdin.read()"
    )
    command = [sys.executable, "-c", code, str(store / "locks" / address)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield
        process.communicate("")


def test_keys_are_the_hashes_of_the_identities_in_the_manifests(made: Path) -> None:
    inventory = Inventory.read(made)
    assert len(inventory.stages) > 15
    for address, held in inventory.stages.items():
        assert key_of(held.identity) == address.key
        for identity in nested(held.identity):
            assert inventory.find(identity), (address, identity["kind"])


def test_lineages_read_from_manifests_are_those_that_stages_give() -> None:
    from prism_bench.prism.conditioning.retrieval import Nearest
    from prism_bench.prism.data.split import Split
    from prism_bench.prism.data.toyfaces import ToyFaces
    from prism_bench.prism.encoders.pca import PixelsPCA

    data = DatasetStage(dataset=ToyFaces(size=64))
    split = SplitStage(data=data, split=Split())
    retrieval = Nearest(encoder=PixelsPCA(components=8))
    embeddings = EmbeddingsStage(data=data, split=split, encoder=retrieval.encoder)
    neighbours = NeighboursStage(embeddings=embeddings, split=split, retrieval=retrieval, width=8)
    for stage in (data, split, embeddings, neighbours):
        identity = json.loads(json.dumps(stage.identity))
        assert lineage_of(identity) == stage.lineage
    assert lineage_of(lineage_of(json.loads(json.dumps(neighbours.identity)))) == neighbours.lineage


def test_ls_shows_kinds_sizes_and_what_experiments_need(cli: Cli, store: Path) -> None:
    said = cli("cache ls")
    assert said.code == 0
    for word in ("kind", "dataset", "training", "metric", "floor", f"{EXPERIMENT}: ", "2 records", str(store)):
        assert word in said.out, said.out
    total = next(line for line in said.out.splitlines() if line.startswith("total"))
    assert f" {len(folders(store))} " in total
    trainings = cli("cache ls training")
    for key in keys(store, "training"):
        assert key in trainings.out
    assert "2 stages of kind training" in trainings.out


def test_ls_shows_work_and_what_was_set_aside(cli: Cli, store: Path) -> None:
    add_work(store, "training-aaaa", days=1)
    add_work(store, "samples-bbbb", days=1)
    (store / "corrupted" / "training-x").mkdir(parents=True)
    with locked(store, "training-aaaa"):
        out = cli("cache ls").out
    assert "1 stage being made now, 5 kB\n  training aaaa" in out
    assert "1 stage interrupted: the same command goes on from there, 5 kB\n  samples bbbb" in out
    assert "1 corrupted stage set aside" in out


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("ls trainin", ["no stages of kind 'trainin'", "did you mean training"]),
        ("ls --store nowhere", ["there is no store at nowhere", "--store"]),
        ("why zzz", ["nothing in the store is called 'zzz'", EXPERIMENT, "cache ls KIND"]),
        ("why ablation-tabel3", [f"did you mean {EXPERIMENT}"]),
        ("why metric/", ["may be any of metric", "write more of it"]),
        ("gc --kind training", ["--kind training", "embeddings, features, neighbours"]),
        ("gc --older-than -1", ["--older-than"]),
    ],
)
def test_one_message_and_exit_code_2(cli: Cli, store: Path, line: str, words: list[str]) -> None:
    said = cli(f"cache {line}")
    assert said.code == 2, said
    text = " ".join((said.out + said.err).replace("│", " ").split())
    for word in words:
        assert word in text, text
    assert "Traceback" not in text


def test_why_of_a_stage(cli: Cli, store: Path) -> None:
    key = training_of(store, "prism")
    for name in (key[:7], f"training/{key[:5]}", f"training-{key}"):
        out = cli(f"cache why {name}").out
        assert f"training {key}" in out
    for word in (
        "method.aggregator",
        "set-transformer",
        "method.training.images",
        "Rests on",
        "neighbours: neighbours",
    ):
        assert word in out.replace("set_transformer", "set-transformer"), out
    assert f"dataset {keys(store, 'dataset')[0]} (as above)" in out
    assert "NOT THERE" not in out
    needed = out[out.index("Needed by") :]
    for word in ("samples ", "features ", "metric ", "record ", f"{EXPERIMENT} (toyfaces 16px, smoke), latest"):
        assert word in needed
    assert "patchd" not in needed.lower().replace("st + rag + patchd", "")


def test_why_of_a_record_and_of_an_experiment(cli: Cli, store: Path) -> None:
    record = sorted((store / "records").iterdir())[0].stem
    out = cli(f"cache why {record[:10]}").out
    for word in ("FD (efficientnet-lite0)", "training ", "samples ", "computed by: prism-bench run", "latest"):
        assert word in out
    out = cli(f"cache why {EXPERIMENT}").out
    assert out.count("  done") == 2
    assert f"asked by: prism-bench {RUN.split()[0]}" in out
    (store / "records" / f"{record}.json").unlink()
    assert f"record {record}  no record yet" in cli(f"cache why {EXPERIMENT}").out
    assert "is not there yet" in cli(f"cache why {record}").out


def test_why_a_missing_stage_has_to_be_computed(cli: Cli, store: Path) -> None:
    key = training_of(store, "prism")
    shutil.rmtree(store / "stages" / "training" / key)
    out = cli(f"cache why {key}").out
    assert "is not in the store" in out
    assert f"differs from {training_of(store, 'patchd')} 'PatchD, seed 0' in" in out
    assert "aggregator" in out
    assert "computed by: prism-bench run" in out
    # Without any manifest that holds its identity, its record still tells the same.
    for kind in ("samples", "features", "metric"):
        shutil.rmtree(store / "stages" / kind)
    guessed = cli(f"cache why {key}").out
    assert "differs from" in guessed
    assert "aggregator" in guessed


def test_why_compares_with_the_most_similar_stage(cli: Cli, store: Path) -> None:
    key = training_of(store, "patchd")
    for number in range(5):
        add_stage(store, "training", key, method={"other": number}, train_seed=number)
    add_stage(store, "training", key, train_seed=5)
    shutil.rmtree(store / "stages" / "training" / key)
    assert "'another' in train_seed 5 -> 0" in cli(f"cache why {key}").out


def test_neighbours_of_any_width_serve(cli: Cli, store: Path) -> None:
    (key,) = keys(store, "neighbours")
    wider = add_stage(store, "neighbours", key, width=99)
    first, second = sorted([key, wider])
    out = cli(f"cache why training/{training_of(store, 'prism')}").out
    assert f"neighbours {first}, {second}" in out or f"neighbours {second}, {first}" in out
    assert "Nothing to remove" in cli("cache gc --older-than 0").out
    for name in (key, wider):
        shutil.rmtree(store / "stages" / "neighbours" / name)
    assert "neighbours of any width  NOT THERE" in cli(f"cache why training/{training_of(store, 'prism')}").out


def test_verify_reads_everything_and_finds_every_fault(cli: Cli, store: Path) -> None:
    said = cli("cache verify")
    assert said.code == 0
    assert f"{len(folders(store))} stages" in said.out
    assert "all sound" in said.out
    key = training_of(store, "prism")
    weights = store / "stages" / "training" / key / "model.safetensors"
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)
    floor = keys(store, "floor")[0]
    (store / "stages" / "floor" / floor / "values.json").unlink()
    (store / "stages" / "split" / keys(store, "split")[0] / "stage.json").write_text("{")
    before = folders(store)
    said = cli("cache verify")
    assert said.code == 1
    for word in (
        f"training {key}: model.safetensors has sha256",
        f"floor {floor}: values.json is missing",
        "stage.json is not valid JSON",
    ):
        assert word in said.out
    assert f"training {key}, " in said.out
    assert "made again by: prism-bench run" in said.out
    assert "3 faults" in said.out
    assert folders(store) == before
    told = cli("cache verify --json")
    document = json.loads(told.out)
    assert told.code == 1
    assert {(one["kind"], one["key"]) for one in document["faults"]} >= {("training", key), ("floor", floor)}
    assert (len(document["faults"]), document["documents"], document["set_aside"]) == (3, [], False)
    (command,) = document["made_again_by"]
    assert command.startswith("prism-bench run")
    assert f"training {key}" in document["made_again_by"][command]
    said = cli("cache verify --set-aside")
    assert said.code == 1
    assert len(before - folders(store)) == 3
    assert len(list((store / "corrupted").iterdir())) == 3
    assert cli("cache verify").code == 0


def test_verify_names_a_torn_record(cli: Cli, store: Path) -> None:
    record = sorted((store / "records").iterdir())[0]
    record.write_text('{"record": ')
    said = cli("cache verify")
    assert said.code == 1
    assert f"{record}: is not valid JSON" in said.out


def test_gc_finds_nothing_in_a_finished_store(cli: Cli, store: Path) -> None:
    before = folders(store)
    said = cli("cache gc --older-than 0 --yes")
    assert said.code == 0
    assert "Nothing to remove" in said.out
    assert folders(store) == before


def test_gc_removes_exactly_what_no_plan_needs_and_no_record_plan_or_report(cli: Cli, store: Path) -> None:
    needed = folders(store)
    extra = {
        f"training/{add_stage(store, 'training', training_of(store, 'prism'), train_seed=5)}",
        f"dataset/{add_stage(store, 'dataset', keys(store, 'dataset')[0], dataset={'other': 1})}",
        f"embeddings/{add_stage(store, 'embeddings', keys(store, 'embeddings')[0], encoder={'other': 1})}",
    }
    kept = {path: path.read_bytes() for name in ("records", "experiments", "reports") for path in rglob(store / name)}
    assert len(kept) > 10
    shown = cli("cache gc --older-than 0 --dry-run")
    assert shown.code == 0
    assert "Would remove 3 folders" in shown.out
    assert "nothing was removed" in shown.out
    for name in extra:
        assert name.replace("/", " ") in shown.out
    asked = cli("cache gc --older-than 0")
    assert asked.code == 2
    assert "add --yes, or --dry-run" in asked.err
    assert folders(store) == needed | extra
    told = json.loads(cli("cache gc --older-than 0 --dry-run --json").out)
    assert {"/".join(Path(one["folder"]).parts[-2:]) for one in told["items"]} == extra
    assert not any(one["removed"] for one in told["items"])
    assert cli("cache gc --older-than 0 --json").code == 2, "nobody is asked"
    done = json.loads(cli("cache gc --older-than 0 --yes --json").out)
    assert [one["removed"] for one in done["items"]] == [True] * 3
    assert sum(one["bytes"] for one in done["items"]) > 0
    assert folders(store) == needed
    assert not list(store.glob("removed/*"))
    assert kept == {
        path: path.read_bytes() for name in ("records", "experiments", "reports") for path in rglob(store / name)
    }


def rglob(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def test_gc_keeps_what_is_young(cli: Cli, store: Path) -> None:
    plan_file(store).unlink()
    said = cli("cache gc --yes")
    assert "Nothing to remove" in said.out
    assert "younger than 1 hour: kept" in said.out
    assert len(folders(store)) > 15
    assert "Removed" in cli("cache gc --older-than 0 --yes").out
    assert not folders(store)
    assert len(list((store / "records").iterdir())) == 2


def test_a_store_that_names_one_latest_plan_is_read_alike_by_cache_and_report(cli: Cli, store: Path) -> None:
    """As earlier versions wrote it."""
    path = plan_file(store)
    document = json.loads(path.read_text())
    (path.parent / "older.json").write_text(json.dumps(sealed({**document, "plan": "older"})))
    (path.parent / "latest").write_text(json.dumps({"plan": path.stem}))
    latest = {plan.path.stem: plan.latest for plan in Inventory.read(store).plans}
    assert latest == {path.stem: True, "older": False}
    for command in ("cache ls", "report ablation-table3 --format csv"):
        said = cli(command)
        assert (said.code, said.err) == (0, ""), said.err


def test_gc_keeps_older_plans_unless_told_otherwise(cli: Cli, store: Path) -> None:
    """One plan is split into two by row: shared stages stay, and those of the older row go only with --keep-latest."""
    path = plan_file(store)
    document = json.loads(path.read_text())
    for row in document["rows"]:
        (path.parent / f"{row['id']}.json").write_text(
            json.dumps(sealed({**document, "rows": [row], "plan": row["id"], "claims": []}))
        )
    path.unlink()
    (path.parent / "latest").write_text('{"plans": ["patchd"]}')
    assert "Nothing to remove" in cli("cache gc --older-than 0").out
    assert "1 older plan" in cli("cache ls").out
    before = folders(store)
    assert "Removed" in cli("cache gc --older-than 0 --keep-latest --yes").out
    gone = before - folders(store)
    assert f"training/{training_of(store, 'prism')}" in gone
    assert {name.partition("/")[0] for name in gone} == {
        "training",
        "samples",
        "features",
        "metric",
        "neighbours",
        "embeddings",
    }
    assert not {f"floor/{key}" for key in keys(store, "floor")} & gone
    assert len([name for name in gone if name.startswith("embeddings/")]) == 1
    assert "Nothing to remove" in cli("cache gc --older-than 0 --keep-latest").out


def test_gc_keeps_everything_on_the_data_of_an_unfinished_plan(cli: Cli, store: Path) -> None:
    sorted((store / "records").iterdir())[0].unlink()
    kept = f"training/{add_stage(store, 'training', training_of_any(store), train_seed=5)}"
    other = f"dataset/{add_stage(store, 'dataset', keys(store, 'dataset')[0], dataset={'other': 1})}"
    said = cli("cache gc --older-than 0 --kind features --yes")
    assert "has 1 unfinished cell: everything on its data is kept" in said.out
    assert kept in folders(store)
    assert other not in folders(store)
    assert keys(store, "features")


def training_of_any(store: Path) -> str:
    return keys(store, "training")[0]


def test_gc_of_an_intermediate_kind_costs_a_finished_table_nothing(cli: Cli, store: Path, made: Path) -> None:
    said = cli("cache gc --older-than 0 --kind features --kind neighbours --yes")
    assert said.code == 0
    assert not keys(store, "features")
    assert not keys(store, "neighbours")
    assert keys(store, "embeddings")
    again = cli(f"{RUN} --dry-run --store {store}")
    assert again.code == 0
    assert "0 to do" in again.out, again.out


def test_gc_never_removes_what_a_process_is_using(cli: Cli, store: Path) -> None:
    key = add_stage(store, "training", training_of(store, "prism"), train_seed=5)
    work = add_work(store, "samples-bbbb", days=90)
    with locked(store, f"training-{key}"), locked(store, "samples-bbbb"):
        said = cli("cache gc --older-than 0 --yes")
        assert "2 stages in use by a running process: kept" in said.out
        assert "Nothing to remove" in said.out
    assert f"training/{key}" in folders(store)
    assert work.exists()
    assert "Removed 2 folders" in cli("cache gc --older-than 0 --yes").out


def test_a_lock_taken_between_the_look_and_the_removal_is_respected(store: Path) -> None:
    from prism_bench.experiments.store.gc import remove

    key = add_stage(store, "training", training_of(store, "prism"), train_seed=5)
    inventory = Inventory.read(store)
    found = sweep(inventory, Wish(older_than=0.0))
    assert [item.path.name for item in found.items] == [key]
    with locked(store, f"training-{key}"):
        assert [gone for _, gone in remove(inventory.store, found.items)] == [False]
    assert f"training/{key}" in folders(store)


def test_gc_of_interrupted_work_and_corrupted_files(cli: Cli, store: Path) -> None:
    young, old = add_work(store, "training-aaaa", days=3), add_work(store, "training-bbbb", days=40)
    aside = store / "corrupted" / "training-x"
    aside.mkdir(parents=True)
    said = cli("cache gc --yes")
    assert "interrupted work younger than 30 days: kept" in said.out
    assert young.exists()
    assert not old.exists()
    assert aside.exists()  # just set aside
    assert "Removed 2 folders" in cli("cache gc --older-than 0 --yes").out
    assert not young.exists()
    assert not aside.exists()


def test_a_removal_cut_short_leaves_no_half_stage(cli: Cli, store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    key = add_stage(store, "training", training_of(store, "prism"), train_seed=5)

    def killed(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(shutil, "rmtree", killed)
        cli("cache gc --older-than 0 --yes")
    assert f"training/{key}" not in folders(store)
    assert len(list((store / "removed").iterdir())) == 1
    assert cli("cache verify").code == 0
    assert "Removed 1 folder" in cli("cache gc --older-than 0 --yes").out
    assert not list((store / "removed").iterdir())


def test_gc_stops_at_a_plan_it_cannot_read(cli: Cli, store: Path) -> None:
    plan_file(store).write_text("{")
    said = cli("cache gc --older-than 0 --yes")
    assert said.code == 2
    assert "cannot be read, so what it needs is unknown" in said.err
    assert len(folders(store)) > 15


def test_the_cache_commands_need_no_torch(store: Path) -> None:
    for line in ("cache ls", f"cache why {EXPERIMENT}", "cache verify", "cache gc --dry-run"):
        done = without_torch(line, store.parent)
        assert done.returncode == 0, done.stderr
        assert str(store) in done.stdout
