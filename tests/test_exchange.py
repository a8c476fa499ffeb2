"""export, sample from a folder, train --from: trained weights from hand to hand, through the command line."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from conftest import TINY, Cli
from PIL import Image
from safetensors import safe_open
from safetensors.torch import load_file
from tiny import RUN, copy_of, made_by

from prism_bench.prism.component import Component, digest_of, from_json
from prism_bench.prism.patch_diffusion.patch_method import PatchMethod

TRAIN = f"train prism {TINY} --set training.images=32 --set sampler.steps=2 --set samples=4"
STORE = "prism-bench-store"


@pytest.fixture(scope="module")
def exported(made: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the exports `prism` and `patchd` of the tiny store; not to be changed."""
    folder = tmp_path_factory.mktemp("exported")
    for row in ("prism", "patchd"):
        typed(f"export ablation-table3/{row} {folder / row} --store {made} --workers 0")
    return folder


def typed(line: str) -> None:
    from prism_bench.experiments.cli.main import main

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.argv", ["prism-bench", *line.split()])
        with pytest.raises(SystemExit) as stop:
            main()
    assert not stop.value.code


def config_of(folder: Path) -> dict:
    return json.loads((folder / "config.json").read_text())


def weights_in(store: Path) -> dict[str, Path]:
    """model.safetensors of every training, by its key."""
    return {path.parent.name: path for path in store.glob("stages/training/*/model.safetensors")}


@pytest.mark.parametrize("row", ["prism", "patchd"])
def test_samples_of_an_export_are_those_of_the_row_without_its_store(
    cli: Cli, made: Path, exported: Path, tmp_path: Path, row: str
) -> None:
    shutil.copytree(exported / row, tmp_path / "elsewhere" / "model")
    options = "--n 6 --seed 3 --sampler dpm++2m --steps 2 --workers 0"
    assert cli(f"sample ablation-table3/{row} {options} --out here.npz --store {copy_of(made, tmp_path)}").code == 0
    said = cli(f"sample elsewhere/model {options} --out there.npz --store nowhere")
    assert said.code == 0, said.err
    assert Path("here.npz").read_bytes() == Path("there.npz").read_bytes()
    assert not Path("nowhere").exists()
    with np.load("there.npz") as there:
        assert ("pseudo_queries" in there.files) == (row == "prism")
        assert len(np.unique(there["images"], axis=0)) == 6


def test_samples_follow_k_sample_as_those_of_the_row_do(cli: Cli, made: Path, exported: Path, tmp_path: Path) -> None:
    store = copy_of(made, tmp_path)
    seen = set()
    for k in (0, 2):
        for where, source in (("here", "ablation-table3/prism"), ("there", exported / "prism")):
            assert (
                cli(f"sample {source} --n 3 --k-sample {k} --workers 0 --out {where}-{k}.npz --store {store}").code == 0
            )
        assert Path(f"here-{k}.npz").read_bytes() == Path(f"there-{k}.npz").read_bytes()
        seen.add(np.load(f"there-{k}.npz")["images"].tobytes())
    assert len(seen) == 2


def test_an_export_says_what_it_is(made: Path, exported: Path) -> None:
    config = config_of(exported / "prism")
    assert (config["schema_version"], config["library_name"]) == (1, "prism-bench")
    assert digest_of(from_json(config["method"]).to_json()) == config["method_digest"]
    assert config["data"]["retrieval"] + config["data"]["train"] == config["data"]["images"] == 64
    assert sorted(config["files"]) == ["model.safetensors", "retrieval.safetensors"]
    assert sorted(config_of(exported / "patchd")["files"]) == ["model.safetensors"]
    own, there = load_file(exported / "prism" / "model.safetensors"), load_file(weights_in(made)[config["training"]])
    assert own.keys() == there.keys()
    assert all((own[name] == there[name]).all() for name in own)
    with safe_open(exported / "prism" / "model.safetensors", "pt") as file:
        assert file.metadata() == {"format": "pt"}


def test_no_image_of_the_data_is_in_an_export(exported: Path) -> None:
    config = config_of(exported / "prism")
    held = load_file(exported / "prism" / "retrieval.safetensors")
    assert {name: list(value.shape) for name, value in held.items()} == {
        "ids": [config["data"]["retrieval"]],
        "vectors": [config["data"]["retrieval"], config["embedding_dim"]],
        "neighbours": [config["data"]["retrieval"], config["width"]],
    }
    assert set(held["neighbours"].flatten().tolist()) <= set(held["ids"].tolist())


def test_the_card_has_the_records_numbers_and_says_what_they_are_worth(made: Path, exported: Path) -> None:
    text = " ".join((exported / "prism" / "README.md").read_text().split())
    records = (json.loads(path.read_text()) for path in made.glob("records/*.json"))
    (record,) = (one for one in records if one["row"] == "prism")
    value = record["values"][0]
    assert f"| {value['label']} (lower is better) | " in text
    assert f"| {record['values'][0]['n']:,} |" in text
    for words in (
        "its numbers mean nothing",
        record["dataset"]["digest"],
        "no pixels",
        "No licence is stated for these weights",
        "The licence of the data is not known",
        "prism-bench sample FOLDER",
        "One seed has no interval",
    ):
        assert words in text, words
    assert not text.startswith("---")
    assert "nothing but what the weights have learnt" in (exported / "patchd" / "README.md").read_text()


def test_the_card_has_the_mean_over_the_rows_seeds_and_the_value_of_the_exported_one(
    cli: Cli, tmp_path_factory: pytest.TempPathFactory
) -> None:
    store = made_by(f"{RUN} --only variant=patchd --seeds 0,1", tmp_path_factory, "seeds")
    assert cli(f"export ablation-table3/patchd model --train-seed 1 --workers 0 --store {store}").code == 0
    records = sorted(map(json.loads, (path.read_text() for path in store.glob("records/*.json"))), key=seed_of)
    assert config_of(Path("model"))["training"] == records[1]["stages"]["training"]
    one, other = (record["values"][0] for record in records)
    mean, half = (one["value"] + other["value"]) / 2, 12.706 * abs(one["value"] - other["value"]) / 2
    text = Path("model/README.md").read_text()
    (line,) = (line for line in text.splitlines() if line.startswith(f"| {one['label']} ("))
    assert line.split(" | ")[1:4] == [f"{mean:.0f} ± {half:.0f}", "2", f"{other['value']:.0f}"]
    assert "over seeds 0, 1" in text


def seed_of(record: dict) -> int:
    return int(record["seed"])


def flipped(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(bytes(data))


@pytest.mark.parametrize("name", ["model.safetensors", "retrieval.safetensors"])
def test_a_changed_byte_is_refused_by_name(cli: Cli, exported: Path, name: str) -> None:
    folder = Path(shutil.copytree(exported / "prism", "model"))
    flipped(folder / name)
    said = cli("sample model --n 2")
    assert said.code == 2
    assert f"model/{name} is not what was exported" in said.err
    assert not list(Path().glob("samples*"))


def test_what_is_no_export_is_refused_with_what_is_missing(cli: Cli, exported: Path) -> None:
    Path("empty").mkdir()
    said = cli("sample empty")
    assert (said.code, "config.json cannot be read" in said.err) == (2, True)
    folder = Path(shutil.copytree(exported / "prism", "model"))
    (folder / "retrieval.safetensors").unlink()
    said = cli("sample model")
    assert (said.code, "model lacks retrieval.safetensors" in said.err) == (2, True)
    config = config_of(folder)
    for changed, words in (
        ({**config, "resolution": 32}, "was changed after it was written"),
        ({"a": 1}, "no such library_name"),
        ({"library_name": "prism-bench", "schema_version": 9}, "newer one wrote it"),
        ({"library_name": "prism-bench", "schema_version": 1}, "version: Field required"),
        (
            {**without_checksum(config), "method": {**config["method"], "component": "method/patsh"}},
            "not the one whose",
        ),
    ):
        (folder / "config.json").write_text(json.dumps(changed))
        said = cli("sample model")
        assert said.code == 2, changed
        assert words in " ".join(said.err.split()), said.err


def without_checksum(config: dict) -> dict:
    return {name: value for name, value in config.items() if name != "checksum"}


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("sample {prism} --k-sample 900", "neighbours of each image were exported"),
        ("sample {patchd} --k-sample 2", "looks at no neighbours"),
        ("sample {prism} --sampler ddpm", "does not fit method patch"),
        ("sample {prism} --out x.jpg", ".jpg is not written"),
        ("sample {prism} --pseudo-query x.png", "fitted on the images of D"),
        ("sample {patchd} --prompt word", "does not look at nearest neighbours"),
        ("export ablation-table3/prsm new --store {made}", "did you mean prism"),
        ("export ablation-table3/prism {prism} --store {made}", "is not empty"),
        ("export ablation-table3/prism new --store {made} --to onnx", "--to onnx"),
        ("export ablation-table3/prism new --store {made} --push me/model", "add --to hf"),
        ("export ablation-table3/prism new --store nowhere", "there is no store"),
        ("train prism {tiny} --from {patchd}", "missing (aggregator"),
        ("train patchd {tiny} --from {prism}", "unexpected (aggregator"),
        ("train prism {tiny} --from {prism} --set denoiser.channels=16", "of another shape"),
        ("train rissole {tiny} --from {prism}", "cannot begin from exported weights"),
        ("train prism {tiny} --from .", "is no exported model"),
    ],
)
def test_what_cannot_be_is_said_before_any_work(cli: Cli, made: Path, exported: Path, line: str, words: str) -> None:
    folders = {"prism": exported / "prism", "patchd": exported / "patchd", "made": made, "tiny": TINY}
    said = cli(line.format(**folders))
    assert said.code == 2, said
    assert words in " ".join(said.err.split())
    assert not Path("new").exists()
    assert not list(Path().glob("*/stages/[et]*/*")), "no embeddings, no training"


def test_a_damaged_training_is_not_handed_on(cli: Cli, store: Path) -> None:
    for path in weights_in(store).values():
        flipped(path)
    said = cli("export ablation-table3/prism new")
    assert (said.code, "is damaged (model.safetensors has sha256" in said.err) == (2, True)
    assert not Path("new").exists()


def test_writing_over_an_export_is_asked_for(cli: Cli, store: Path) -> None:
    assert cli("export ablation-table3/patchd model --workers 0").code == 0
    assert cli("export ablation-table3/prism model --workers 0").code == 2
    said = cli("export ablation-table3/prism model --workers 0 --force --json")
    assert said.code == 0, said.err
    told = json.loads(said.out)
    assert told["training"] == config_of(Path("model"))["training"]
    assert all(Path(name).is_file() for name in told["files"])
    assert sorted(path.name for path in Path().iterdir()) == ["model", STORE], "nothing is left beside it"


def test_training_that_learns_nothing_from_exported_weights_gives_them(cli: Cli, exported: Path) -> None:
    said = cli(f"{TRAIN} --set training.learning_rate=1e-30 --from {exported / 'prism'}")
    assert said.code == 0, said.err
    (path,) = weights_in(Path(STORE)).values()
    own, begun = load_file(exported / "prism" / "model.safetensors"), load_file(path)
    assert own.keys() == begun.keys()
    assert all((own[name] == begun[name]).all() for name in own)


def test_a_method_that_begins_from_no_weights_has_the_digest_that_it_had() -> None:
    method, digests = PatchMethod(), {PatchMethod(initial_weights=f"sha256:{name}").digest() for name in "ab"}
    assert "initial_weights" not in method.to_json()
    assert len({method.digest(), *digests}) == 3


def test_what_a_training_begins_from_is_part_of_its_identity(cli: Cli, exported: Path) -> None:
    shutil.copytree(exported / "prism", "one")
    assert cli(f"{TRAIN} --from one").code == 0
    said = cli(f"{TRAIN} --from {exported / 'prism'}")
    assert (said.code, "0 to do" in said.out) == (0, True), "wherever they lie"
    (key,) = weights_in(Path(STORE))
    identity = json.loads(next(Path(STORE).glob("stages/training/*/stage.json")).read_text())["identity"]
    assert identity["parameters"]["method"]["initial_weights"].startswith("sha256:")
    shutil.rmtree("one")
    assert cli(f"sample {key[:8]} --n 2 --workers 0 --out few.npz").code == 0, "samples need no weights to begin from"
    assert cli(f"export {key[:8]} two --workers 0").code == 0
    said = cli(f"{TRAIN} --from two --dry-run --json")
    assert said.code == 0, said.err
    assert [it["state"] for it in json.loads(said.out)["stages"] if it["kind"] == "training"] == ["to do"]
    flipped(Path("two/model.safetensors"))
    said = cli(f"{TRAIN} --from two")
    assert (said.code, "two/model.safetensors is not what was exported" in said.err) == (2, True)


ENCODER = """
import numpy as np
from dataclasses import dataclass
from prism_bench import Encoder

@dataclass(frozen=True, kw_only=True)
class Means(Encoder, name="means"):
    \"\"\"Mean colour of the rows.\"\"\"

    def load(self, gallery, device):
        return lambda images: (images.mean(axis=3) / 255).reshape(len(images), -1).astype(np.float32)
"""


def test_pictures_guide_an_export_whose_encoder_needs_no_images_of_d(cli: Cli) -> None:
    Path("own.py").write_text(ENCODER)
    picture = np.random.default_rng(0).integers(0, 256, (16, 16, 3), dtype=np.uint8)
    Image.fromarray(picture).save("q.png")
    assert cli(f"{TRAIN} --set retrieval.encoder=means --plugin own.py").code == 0
    assert cli("export train-prism/prism model --workers 0 --plugin own.py").code == 0
    assert config_of(Path("model"))["plugins"] == ["own.py"]
    assert "--plugin own.py" in Path("model/README.md").read_text()
    options = "--n 3 --pseudo-query q.png --k-sample 2 --workers 0 --plugin own.py"
    assert cli(f"sample train-prism/prism {options} --out here.png").code == 0
    said = cli(f"sample model {options} --out there.png --store nowhere")
    assert said.code == 0, said.err
    here, there = (np.asarray(Image.open(f"{name}.png")).astype(int) for name in ("here", "there"))
    assert np.abs(here - there).max() <= 1, "other rows of a gallery, and so other batches of distances"
    Component.members["encoder"].pop("means")
    said = cli("sample model --n 2")
    assert (said.code, "it was exported with --plugin own.py" in said.err) == (2, True)


def test_a_method_that_keeps_a_database_takes_it_along_and_says_so(cli: Cli) -> None:
    small = "--scale smoke --no-mlflow --workers 0 --set samples=4 --set training.images=513 --set dataset.size=64"
    said = cli(f"train rissole {small} --set rissole.sampler.steps=3")
    assert said.code == 0, said.err
    assert cli("export train-rissole/rissole model --workers 0 --to hf").code == 0
    assert {"database_codes.npy", "database_ids.npy", "model.safetensors", "retrieval.safetensors"} <= set(
        config_of(Path("model"))["files"]
    )
    assert "latents of the images, from which its first stage makes the pictures" in Path("model/README.md").read_text()
    for source, out in (("train-rissole/rissole", "here.npz"), ("model", "there.npz")):
        assert cli(f"sample {source} --n 3 --seed 1 --workers 0 --out {out}").code == 0
    assert Path("here.npz").read_bytes() == Path("there.npz").read_bytes()


def test_rows_that_learn_nothing_have_nothing_to_hand_on(cli: Cli, tmp_path_factory: pytest.TempPathFactory) -> None:
    store = made_by(
        "train uniform-noise --scale smoke --no-mlflow --workers 0 --set dataset.size=64", tmp_path_factory, "noise"
    )
    said = cli(f"export train-uniform-noise/uniform-noise new --store {store}")
    assert (said.code, "there are no weights to export" in said.err) == (2, True)
