"""The schema of plans, records and manifests: what is written is what is read, and a store of 0.4.0 stays valid."""

import json
import zipfile
from pathlib import Path
from typing import Any

import pytest
from conftest import Cli
from handmade import BARE, claim, document, row

from prism_bench.analysis.errors import AnalysisError, NewerSchemaError
from prism_bench.analysis.schema.document import parse
from prism_bench.analysis.schema.records import Plan, Record, load_plan, load_record
from prism_bench.analysis.schema.study import Study
from prism_bench.experiments.cli.schema import Document as Kind
from prism_bench.experiments.cli.schema import json_schema
from prism_bench.prism.engine.manifest import Manifest, read_manifest
from prism_bench.prism.engine.stamps import STAMPS
from prism_bench.prism.engine.store import Address, Store
from prism_bench.prism.errors import InputError
from prism_bench.sealed import CHECKSUM, DamagedError, sealed

OLD = Path(__file__).parent / "golden" / "store-0.4.0.zip"
COMMAND = (
    "run ablation-table3 --scale smoke --no-mlflow --workers 0 --set samples=8 --set training.images=64 "
    "--set training.rampup_images=16 --set sampler.steps=2 --set dataset.size=32 --set denoiser.channels=4 "
    "--only 'variant=patchd|prism' --store g --set diffusion.loss=mean"
)
"""The command that made it, and the loss that was the only one then."""
METRICS = "metrics (metrics)"
OUTCOMES = [
    {"of": "appearance", "metric": "fd_efficientnet_lite0"},
    {"of": "global coherence", "metric": "far_correlation"},
]


FILES: dict[Any, str] = {
    Plan: "experiments/*/*.json",
    Record: "records/*.json",
    Manifest: "stages/*/*/stage.json",
}


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """A store that 0.4.0 made, in the folder in which `cli` types."""
    with zipfile.ZipFile(OLD) as archive:
        archive.extractall(tmp_path / "g")
    return tmp_path / "g"


def keys_of(value: Any) -> set[str]:
    """Every key of a JSON value at any depth, as a dotted path without indices."""
    if isinstance(value, list):
        return {key for item in value for key in keys_of(item)}
    if not isinstance(value, dict):
        return set()
    return set(value) | {f"{name}.{key}" for name, item in value.items() for key in keys_of(item)}


def files_of(store: Path) -> dict[Path, tuple[int, bytes]]:
    """The files of all stages, with the times they were written; not what is noted of how they look."""
    paths = [path for path in store.glob("stages/*/*/*") if path.is_file() and path.name != STAMPS]
    return {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in paths}


def contents(path: Path) -> Any:
    return json.loads(path.read_text())


def test_what_is_written_is_what_the_schema_holds(made: Path) -> None:
    """Written by a run, read, dumped: the same keys and values, so that no writer adds a key of its own."""
    for model in (Plan, Record, Manifest):
        found = list(made.glob(FILES[model]))
        assert found
        for path in found:
            value = model.model_validate_json(path.read_bytes())
            assert sealed(value.model_dump(mode="json")) == contents(path)
            assert model.model_validate_json(value.model_dump_json()) == value
            assert contents(path)["schema_version"] == model.newest


def test_what_claims_are_judged_by_is_measured(made: Path) -> None:
    (plan,) = map(load_plan, made.glob(FILES[Plan]))
    (claim,) = [claim for claim in plan.claims if claim.pairs]
    assert [outcome.model_dump() for outcome in claim.outcomes] == OUTCOMES
    for path in made.glob(FILES[Record]):
        assert {outcome.metric for outcome in claim.outcomes} <= {value.name for value in load_record(path).values}


def test_the_printed_schema_names_every_key(cli: Cli, made: Path) -> None:
    for model, pattern in FILES.items():
        said = cli(f"schema {model.__name__.lower()}")
        assert said.code == 0, said.err
        schema = json.loads(said.out)
        path = next(iter(made.glob(pattern)))
        # Where no git repository is no commit is written, and without a plug-in nothing of its code.
        assert set(contents(path)) == set(schema["properties"]) - {"commit", "code"}
        assert schema["properties"]["schema_version"]["const"] == 2
    assert cli("schema table").code == 2


def undescribed(schema: dict[str, Any]) -> list[str]:
    """The keys, `Part.key`, of which a JSON Schema does not say what they hold."""
    parts = {"": schema, **schema.get("$defs", {})}
    found = [(part, key, field) for part, it in parts.items() for key, field in it.get("properties", {}).items()]
    assert found
    return [f"{part}.{key}" for part, key, field in found if not field.get("description", "").strip()]


@pytest.mark.parametrize("document", Kind)
def test_every_key_is_described(document: Kind) -> None:
    assert not undescribed(json_schema(document))
    assert not undescribed(Study.model_json_schema(mode="serialization"))


def test_plans_that_say_nothing_new_are_written_as_before() -> None:
    """Keys that 0.4.0 left out at their default are left out still: its digests are of such files."""
    data = document([row("a", 1, 2.5), row("b", 1)], [claim(("b", "a"), seeds=1)], 1)
    for side in data["claims"][0]["pairs"][0].values():
        for cell in side["cells"] if isinstance(side, dict) else []:
            del cell["k_sample"]
    for one in data["rows"]:
        for cell in one["cells"]:
            cell["k_sample"] = 1
    written = load_plan(data).model_dump(mode="json")
    assert keys_of(written) - keys_of(data) == {"schema_version", "settings", "only"}
    assert "limit" not in written["claims"][0]


def test_files_of_version_1_are_read_with_what_they_lack() -> None:
    failed = load_record({**BARE, "record": "a", "status": "failed", "reason": "full disk"})
    assert (failed.schema_version, failed.parameters, failed.cost.train_seconds) == (2, None, None)
    assert load_plan(document([row("a", 1)], [], 1)).schema_version == 2


def test_a_newer_schema_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text(json.dumps({**BARE, "record": "a", "status": "done", "schema_version": 3}))
    with pytest.raises(NewerSchemaError, match=r"a.json: has the schema_version 3, .* reads 1 to 2: .*--upgrade"):
        load_record(path)
    with pytest.raises(NewerSchemaError, match="plan: has the schema_version '2'"):
        load_plan(document([], [], 1, schema_version="2"))
    with pytest.raises(InputError, match=r"stage.json: has the schema_version 3"):
        read_manifest(b'{"schema_version": 3}', "stage.json")
    with pytest.raises(DamagedError, match="kind: Field required"):  # made anew
        read_manifest(b'{"schema_version": 2}', "stage.json")


def test_a_newer_store_is_neither_listed_as_damaged_nor_cleaned(cli: Cli, old: Path) -> None:
    path = next(iter(old.glob("records/*")))
    path.write_text(json.dumps({**contents(path), "schema_version": 3}))
    sides = "ablation-table3/patchd ablation-table3/prism"
    for line in ("cache gc --store g", "report all --store g", f"compare {sides} --store g"):
        said = cli(line)
        assert (said.code, f"{path.name}: has the schema_version 3" in said.err) == (2, True), said.err


def test_a_copy_with_other_rows_knows_its_own_cells() -> None:
    """pydantic copies what was worked out of the fields along with them."""
    plan = load_plan(document([row("a", 1)], [], 1))
    (shown,) = plan.records
    assert plan.asked_by(shown) == plan
    again = plan.model_copy(update={"rows": (plan.rows[0].model_copy(update={"id": "again"}),)})
    assert again.asked_by(shown).rows[0].id == "again"


def test_json_that_only_pythons_reader_takes_is_told_by_its_file() -> None:
    with pytest.raises(AnalysisError, match=r"deep\.json: Invalid JSON: recursion limit exceeded.*"):
        parse(Record, b'{"record": ' + b"[" * 300 + b"]" * 300 + b"}", "deep.json")


def test_numbers_must_be_finite() -> None:
    with pytest.raises(AnalysisError, match="cost: 'train_seconds' must be a finite number, found inf; delete"):
        load_record({**BARE, "record": "a", "status": "done", "parameters": 1, "cost": {"train_seconds": float("inf")}})


def test_a_store_of_0_4_0_opens(cli: Cli, old: Path) -> None:
    training = next(iter(old.glob("stages/training/*"))).name
    for line, words in (
        ("report all --store g --out tables", "ablation-table3.md"),
        ("compare ablation-table3/patchd ablation-table3/prism --store g", "aggregator: none -> set_transformer"),
        ("cache verify --store g", ""),
        (f"cache why {training[:8]} --store g", "Needed by"),
        ("cache why ablation-table3 --store g", "rests on"),
    ):
        said = cli(line)
        assert said.code == 0, said.err
        assert words in said.out
    manifest = Store(old).manifest(Address("training", training))
    assert manifest is not None
    assert manifest.files["model.safetensors"].bytes > 1000


def without(value: Any, *keys: str) -> Any:
    """A JSON value without some keys, at any depth."""
    if isinstance(value, list):
        return [without(item, *keys) for item in value]
    if not isinstance(value, dict):
        return value
    return {key: without(item, *keys) for key, item in value.items() if key not in keys}


def test_of_a_store_of_0_4_0_what_trains_or_measures_otherwise_is_made_again(cli: Cli, old: Path) -> None:
    before, records = files_of(old), {path: contents(path) for path in old.glob("records/*")}
    (plan,) = (contents(path) for path in old.glob("experiments/*/*.json"))
    assert cli("report ablation-table3 --store g --out before").code == 0
    assert "Where a plan names no outcome the first metric decides" in (old.parent / "before/index.html").read_text()
    said = cli(COMMAND)
    assert said.code == 0, said.err
    assert ", 35 to do" in said.out
    after = files_of(old)
    assert after | before == after, "what was there is there"
    made = {path.parent for path in after.keys() - before.keys()}
    identities = [(path.parent.name, contents(path / "stage.json")["identity"]["parameters"]) for path in made]
    measures = sorted((kind, it["metric"]["component"]) for kind, it in identities if "metric" in it)
    floors = [measure for kind, measure in measures if kind == "floor"]
    of_samples = [measure for kind, measure in measures if kind == "metric"]
    assert of_samples == sorted(2 * floors), "two cells each, of new samples"
    assert len(floors) == 7, "the baseline of every metric is a mean over splits now"
    facts = [measure for kind, measure in measures if kind == "reference"]
    assert facts == [f"metric/{name}" for name in ("far-dependence", "frechet", "frechet", "kid", "memorisation")], (
        "what they say of the real images alone, for both cells"
    )
    looked_at = sorted(kind for kind, it in identities if "metric" not in it)
    rest = ["embeddings", *4 * ["features"], "samples", "samples", "training", "training"]
    assert looked_at == rest, "trainings are version 2; pixels are looked at by their components, too"
    (new,) = (it for it in map(contents, old.glob("experiments/*/*.json")) if it["plan"] != plan["plan"])
    assert new.pop("ledger"), "what the paper leaves open is said of every plan, and is no part of its digest"
    assert without(new, "record", "plan", "kin", "separable", CHECKSUM) == without(
        {
            **plan,
            "claims": [{**claim, "outcomes": OUTCOMES} if claim["pairs"] else claim for claim in plan["claims"]],
            "command": f"prism-bench {COMMAND}",
            "settings": [*plan["settings"], "diffusion.loss=mean"],
            "rows": [{**row, "label": row["label"].replace("]", ", diffusion.loss=mean]")} for row in plan["rows"]],
            "schema_version": 2,
            "choices": {**plan["choices"], METRICS: plan["choices"][METRICS].replace("kid,", "kid, frechet,")},
        },
        "record",
        "plan",
    ), "the setting that keeps the loss of then; claims name their outcomes, and nothing else but the ledger is new"
    found = {path: contents(path) for path in old.glob("records/*")}
    assert found | records == found
    assert len(found) == 2 * len(records)
    assert not [*(old / "work").iterdir()]


def test_no_path_from_a_document_leaves_the_folder_it_is_written_to(cli: Cli, store: Path, tmp_path: Path) -> None:
    (path,) = store.glob("experiments/ablation-table3/*.json")
    plan = json.loads(path.read_text())
    plan["panel"] = "x/../../../gone"
    plan["scale"] = "y/../../../gone"
    plan["dataset"]["label"] = "..\\..\\gone"
    plan["rows"][0]["id"] = "../../../gone"
    path.write_text(json.dumps(sealed(plan)))
    before = set(tmp_path.rglob("*"))
    for line in ("report all --out deep/here --format html,markdown", "report all --format csv"):
        assert cli(line).code == 0
    places = ((tmp_path / "deep" / "here"), store / "reports")
    written = [found for found in set(tmp_path.rglob("*")) - before if found.is_file()]
    assert written
    for found in written:
        assert any(found.resolve().is_relative_to(place) for place in places), found
    assert not list(tmp_path.parent.glob("gone*"))
    assert {found.name for found in places[0].iterdir()} == {"ablation-table3-x_.._.._.._gone", "index.html"}
