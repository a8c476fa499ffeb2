"""train, sample and evaluate through the command line, on the store of a tiny Table 3."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from conftest import TINY, Cli
from PIL import Image
from tiny import copy_of, made_by

R = 16


@pytest.fixture
def store(tmp_path_factory: pytest.TempPathFactory, tmp_path: Path) -> Path:
    """The whole of Table 3, in the test's own folder, where commands look for it."""
    return copy_of(made_by(f"run ablation-table3 {TINY}", tmp_path_factory, "table3"), tmp_path)


def records(store: Path) -> dict[str, dict]:
    found = [json.loads(path.read_text()) for path in sorted((store / "records").iterdir())]
    return {f"{record['row']}/{record['seed']}": record for record in found}


def samples_of(store: Path, record: dict) -> np.ndarray:
    return np.load(store / "stages" / "samples" / record["stages"]["samples"] / "images.npy")


def as_images(folder: Path) -> np.ndarray:
    return np.stack([np.asarray(Image.open(path)) for path in sorted(folder.iterdir())])


def test_training_a_variant_finds_what_a_table_trained_and_the_other_way_round(cli: Cli, store: Path) -> None:
    said = cli(f"train prism {TINY}")
    assert said.code == 0, said.err
    assert "0 to do" in said.out
    key = records(store)["prism/0"]["stages"]["training"]
    assert f"prism-bench sample {key[:8]} --n 1000" in said.out
    said = cli(f"train random-neighbours {TINY}")
    assert said.code == 0, said.err
    assert "training PRISM, random neighbours, seed 0" in said.out
    assert (store / "reports" / "train-random-neighbours").is_dir()
    said = cli(f"run ablation-table3 {TINY} --with random-neighbours --dry-run")
    assert "x training to do" not in said.out


def test_samples_are_those_of_the_table_whatever_the_number_and_the_form(cli: Cli, store: Path) -> None:
    record = records(store)["prism/0"]
    expected = samples_of(store, record).transpose(0, 2, 3, 1)
    assert cli("sample ablation-table3/prism --n 16 --out all").code == 0
    assert np.array_equal(as_images(Path("all")), expected)
    assert cli(f"sample {record['stages']['training'][:10]} --n 5 --sampler dpm++2m --steps 3 --out few.npz").code == 0
    with np.load("few.npz") as few:
        assert np.array_equal(few["images"], expected[:5])
        queries = np.load(store / "stages" / "samples" / record["stages"]["samples"] / "pseudo_queries.npy")
        assert np.array_equal(few["pseudo_queries"], queries[:5])
        assert int(few["k_sample"]) == 1
    assert cli(f"sample {record['record'][:12]} --n 24 --workers 0 --out more").code == 0
    more = as_images(Path("more"))
    # More samples than the table has are drawn in other batches: equal up to rounding.
    assert np.abs(more[:16].astype(int) - expected).max() <= 1
    assert len(more) == 24


def images_of(store: Path) -> Path:
    """The folder of X; the store also holds the faces that metrics keep out of it."""
    return store / "stages" / "dataset" / records(store)["prism/0"]["dataset"]["digest"]


def test_a_grid_shows_each_row_of_samples_below_its_pseudo_queries(cli: Cli, store: Path) -> None:
    record = records(store)["prism/0"]
    said = cli("sample ablation-table3/prism --n 10 --out grid.png")
    assert said.code == 0, said.err
    assert str(Path("grid.png").absolute()) in said.out
    zoom, cell = 4, 4 * R + 2
    picture = np.asarray(Image.open("grid.png"))
    assert picture.shape[:2] == (4 * cell - 2, 8 * cell - 2)
    folder = store / "stages" / "samples" / record["stages"]["samples"]
    dataset = images_of(store)
    real = np.load(dataset / "images.npy")[np.load(folder / "pseudo_queries.npy")]
    made = samples_of(store, record)

    def shown(row: int, column: int) -> np.ndarray:
        top, left = row * cell, column * cell
        return picture[top : top + zoom * R : zoom, left : left + zoom * R : zoom]

    assert np.array_equal(shown(0, 3), real[3].transpose(1, 2, 0))
    assert np.array_equal(shown(1, 3), made[3].transpose(1, 2, 0))
    assert np.array_equal(shown(2, 1), real[9].transpose(1, 2, 0))
    assert np.array_equal(shown(3, 1), made[9].transpose(1, 2, 0))
    assert (shown(3, 2) == 255).all()


def test_chosen_pictures_guide_the_samples_in_turn(cli: Cli, store: Path) -> None:
    rng = np.random.default_rng(0)
    dataset = images_of(store)
    real = np.load(dataset / "images.npy")
    for name, image in (("one", real[0]), ("two", rng.integers(0, 256, (3, R, R), dtype=np.uint8))):
        Image.fromarray(image.transpose(1, 2, 0)).save(f"{name}.png")
    line = "sample ablation-table3/st-rag --n 6 --k-sample 2 --workers 0 --seed 3"
    assert cli(f"{line} --pseudo-query one.png --pseudo-query two.png --out both").code == 0
    assert cli(f"{line} --pseudo-query one.png --out first").code == 0
    assert cli(f"{line} --pseudo-query two.png --out second").code == 0
    both, first, second = (as_images(Path(name)).astype(int) for name in ("both", "first", "second"))
    assert np.abs(both[::2] - first[::2]).max() <= 1
    assert np.abs(both[1::2] - second[1::2]).max() <= 1
    assert (first != second).any()
    assert cli(f"{line} --pseudo-query one.png --out grid.png").code == 0
    picture = np.asarray(Image.open("grid.png"))
    assert np.array_equal(picture[: 4 * R : 4, : 4 * R : 4], real[0].transpose(1, 2, 0))


def test_a_picture_of_d_as_a_file_finds_the_neighbours_of_that_picture(cli: Cli, store: Path) -> None:
    """The sample guided by image q of D as a file is the sample whose pseudo-query was drawn to be q."""
    record = records(store)["st-rag/0"]
    folder = store / "stages" / "samples" / record["stages"]["samples"]
    query = int(np.load(folder / "pseudo_queries.npy")[0])
    dataset = images_of(store)
    Image.fromarray(np.load(dataset / "images.npy")[query].transpose(1, 2, 0)).save("q.png")
    assert cli("sample ablation-table3/st-rag --n 1 --workers 0 --pseudo-query q.png --out one").code == 0
    made = samples_of(store, record)[0].transpose(1, 2, 0).astype(int)
    assert np.abs(as_images(Path("one"))[0] - made).max() <= 1


def test_more_neighbours_than_the_table_kept_are_found_without_training_again(cli: Cli, store: Path) -> None:
    trainings = sorted((store / "stages" / "training").iterdir())
    said = cli("sample ablation-table3/prism --n 4 --k-sample 30 --workers 0 --out wide.npz")
    assert said.code == 0, said.err
    assert sorted((store / "stages" / "training").iterdir()) == trainings
    with np.load("wide.npz") as wide:
        assert int(wide["k_sample"]) == 30
    tables = {len(table[0]): table for table in map(np.load, store.glob("stages/neighbours/*/neighbours.npy"))}
    assert max(tables) == 30
    assert np.array_equal(tables[30][:, : min(tables)], tables[min(tables)])


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("sample zz", "no training or record begins with 'zz'"),
        ("sample ''", "the argument run is empty"),
        ("sample ablation-table3/prsm", "did you mean prism"),
        ("sample ablation-table3/prism --train-seed 7", "has no seed 7"),
        ("sample table9/prism", "no run of 'table9'"),
        ("sample ablation-table3/patchd --k-sample 3", "looks at no neighbours"),
        ("sample ablation-table3/prism --k-sample 900", "900 neighbours are asked for"),
        ("sample ablation-table3/prism --sampler huen", "did you mean heun"),
        ("sample ablation-table3/prism --out x.jpg", ".jpg is not written"),
        ("sample ablation-table3/prism --out prism-bench-store", "is there already"),
        ("sample ablation-table3/prism --pseudo-query nowhere.png", "nowhere.png: cannot be read"),
        ("sample ablation-table3/patchd --pseudo-query nowhere.png", "does not look at nearest neighbours"),
        ("sample ablation-table3/prism --store nowhere", "there is no store"),
        ("evaluate ablation-table3/prsm", "did you mean prism"),
        ("evaluate a b c", "not 3 things"),
        ("evaluate nowhere elsewhere", "no such file or folder"),
        ("evaluate ablation-table3/prism --metrics fdd", "unknown metric 'fdd'"),
        ("evaluate ablation-table3/prism --encoder efficientnet", "unknown encoder"),
        ("evaluate ablation-table3/prism --encoder pixels-pca --input-size 64", "no field 'input_size'"),
        ("train prsm", "did you mean prism"),
        ("train prism --scale paper", "name one with --dataset: cifar10"),
    ],
)
def test_what_cannot_be_is_said_before_any_work(cli: Cli, store: Path, line: str, words: str) -> None:
    before = sorted(path for path in store.rglob("stage.json"))
    said = cli(line)
    assert said.code == 2, said
    assert words in " ".join(said.err.split())
    assert "Traceback" not in said.err
    assert sorted(path for path in store.rglob("stage.json")) == before


def test_a_training_that_was_cleaned_away_is_named_with_the_remedy(cli: Cli, store: Path) -> None:
    key = records(store)["prism/0"]["stages"]["training"]
    (store / "stages" / "training" / key / "model.safetensors").unlink()
    said = cli("sample ablation-table3/prism")
    assert said.code == 2
    assert f"{key[:12]} is not in the store" in said.err


def test_evaluating_a_run_gives_the_numbers_of_its_cell(cli: Cli, store: Path) -> None:
    record = records(store)["prism/0"]
    said = cli(f"evaluate {record['record'][:12]} --out found.json --workers 0")
    assert said.code == 0, said.err
    assert "mostly the bias of the small sample" in said.out
    found = {value["name"]: value for value in json.loads(Path("found.json").read_text())["values"]}
    assert list(found) == [value["name"] for value in record["values"]]
    for value in record["values"]:
        for key in ("value", "n", "reference_n", "fingerprint", "floor", "floor_n"):
            assert found[value["name"]][key] == value[key]
    assert "prism-bench-store" not in Path("found.json").read_text()


def test_another_encoder_or_size_gives_every_value_once(cli: Cli, store: Path) -> None:
    own = {value["name"]: value["fingerprint"] for value in records(store)["prism/0"]["values"]}
    found = {}
    for option in ("encoder pixels-pca", "input-size 32"):
        said = cli(f"evaluate ablation-table3/prism --{option} --out found.json --workers 0")
        assert said.code == 0, said.err
        values = json.loads(Path("found.json").read_text())["values"]
        found[option] = {value["name"]: value["fingerprint"] for value in values}
        assert len(found[option]) == len(values), option
    through, resized = found.values()
    assert (through["fd_pixels_pca"], "fd_efficientnet_lite0" in through) == (own["fd_pixels_pca"], False)
    assert resized.keys() == own.keys()
    assert resized["fd_efficientnet_lite0"] != own["fd_efficientnet_lite0"]
    assert resized["fd_pixels_pca"] == own["fd_pixels_pca"], "components of the pixels have no input size"


def test_a_set_of_pictures_is_at_distance_zero_from_itself_and_far_from_noise(cli: Cli, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for index in range(24):
        flat = np.tile(rng.integers(0, 256, (1, 1, 3), dtype=np.uint8), (R + 2, R + 5, 1))
        noise = rng.integers(0, 256, (R + 2, R + 5, 3), dtype=np.uint8)
        for name, pixels in (("flat", flat), ("noise", noise)):
            (tmp_path / name).mkdir(exist_ok=True)
            Image.fromarray(pixels).save(tmp_path / name / f"{index}.png")

    def distance(one: str, other: str) -> dict[str, float]:
        said = cli(f"evaluate {one} {other} --input-size 64 --out found.json")
        assert said.code == 0, said.err
        assert f"{R + 2}x{R + 2}" in said.out, "their own shorter side"
        return {value["name"]: value["value"] for value in json.loads(Path("found.json").read_text())["values"]}

    shutil.copytree(tmp_path / "noise", tmp_path / "renamed")
    for index in range(24):
        (tmp_path / "renamed" / f"{index}.png").rename(tmp_path / "renamed" / f"{7 * index % 24:02} other.png")
    found = {}
    for order in ("flat noise", "flat renamed", "noise flat"):
        assert cli(f"evaluate {order} --input-size 64 --metrics kid,far-dependence --out found.json").code == 0
        found[order] = json.loads(Path("found.json").read_text())["values"]
    without = [{**value, "fingerprint": "of other files"} for value in found["flat noise"]]
    assert without == [{**value, "fingerprint": "of other files"} for value in found["flat renamed"]], "names"
    kids = [next(v for v in values if v["name"].startswith("kid")) for values in found.values()]
    assert kids[0]["value"] == pytest.approx(kids[2]["value"], rel=1e-6), "order of the sets"
    assert kids[0]["standard_error"] > 0
    assert kids[0]["floor_spread"] > 0
    same, apart = distance("flat", "flat"), distance("noise", "flat")
    assert same["fd_efficientnet_lite0"] == pytest.approx(0, abs=1e-3 * apart["fd_efficientnet_lite0"])
    assert abs(same["kid_efficientnet_lite0"]) < 0.05 * apart["kid_efficientnet_lite0"]
    said = cli("evaluate flat noise --metrics coherence")
    assert said.code == 2
    assert "--metrics coherence" in said.err
