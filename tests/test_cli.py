"""Bad input through the command line: one clear message, exit code 2, no traceback, nothing computed."""

import errno
import json
import os
import zipfile
from pathlib import Path

import numpy as np
import pytest
from conftest import TINY, Cli
from PIL import Image

from prism_bench.experiments.options.option import options_of
from prism_bench.experiments.options.trained import SampleOptions
from prism_bench.prism.errors import InputError

OWN = TINY.replace("--set dataset.size=64", "")


def picture(path: Path, seed: int = 0, side: int = 16) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (side, side, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)
    return path


def pictures(folder: Path, count: int) -> None:
    for index in range(count):
        picture(folder / f"{index}.png", index)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("run ablation-tabel3", ["unknown experiment 'ablation-tabel3'", "did you mean ablation-table3"]),
        ("run ablation-table3 --scale huge", ["unknown scale 'huge'", "laptop"]),
        ("run ablation-table3 --with prsm", ["unknown variant 'prsm'", "did you mean prism"]),
        ("run ablation-table3 --set training.imges=5", ["no field 'imges'", "did you mean images"]),
        ("run ablation-table3 --set trainng.images=5", ["nothing called 'trainng'", "did you mean training"]),
        ("run ablation-table3 --set training.images=many", ["training.images=many", "expected int"]),
        ("run ablation-table3 --set training.images", ["not of the form path=value"]),
        ("run ablation-table3 --set schedule=increasing", ["changes none of the rows", "k_max"]),
        ("run ablation-table3 --seeds 0,x", ["'x' is not a whole number"]),
        ("run ablation-table3 --seeds 3-1", ["holds no number"]),
        ("run ablation-table3 --only prism", ["not of the form key=value"]),
        ("run ablation-table3 --scale smoke --only colour=red", ["colour=red", "variant"]),
        ("run ablation-table3 --scale smoke --only variant=nobody", ["leaves no cell"]),
        ("run ablation-table3 --dataset toyface", ["unknown dataset 'toyface'", "did you mean toyfaces"]),
        ("run ablation-table3 --dataset files", ["give --data PATH"]),
        ("run ablation-table3 --data x --dataset digits", ["exclude each other"]),
        ("run ablation-table3 --data nowhere", ["nowhere"]),
        ("run ablation-table3 --scale smoke --device tpu", ["--device tpu"]),
        ("run ablation-table3 --scale smoke --retrieval-fraction 1.5", ["strictly between 0 and 1, not 1.5"]),
        ("run ablation-table3 --scale smoke --set k_max=500", ["500 neighbours", "holds 179 images", "k <= 179"]),
        (
            "run ablation-table3 --resolution 18",
            ["resolution 18 is not divisible by 4", "every row can have --resolution 16 or --resolution 24"],
        ),
        (
            "run ablation-table3 --scale smoke --resolution 20 --set denoiser.multipliers=1,1,1,1",
            ["cannot halve 3 times"],
        ),
        (
            "run ablation-table3 --scale smoke --set training.images=5",
            ["training.images = 5 is at or below", "training.rampup_images = 512", "--set training.images=513"],
        ),
        ("run ablation-table3 --scale smoke --set training.images=512 --dry-run", ["images = 512 is at or below"]),
        (
            "run ablation-table3 --scale smoke --set training.rampup_images=16 --set training.images=17 --dry-run",
            ["training.images = 17: the first step alone takes 32, at learning rate 0", "training.rampup_images=0"],
        ),
        (
            "tune k-max --scale smoke --set training.rampup_images=16 --set training.images=128 --prune",
            ["--prune, which tries 1/4 of the images first: training.images = 32: the first step alone takes 32"],
        ),
        (
            "run table1 --scale smoke --set rissole.budget=own --set rissole.method.training.rampup_images=20 "
            "--set rissole.method.training.images=20",
            ["rissole.method.training.images = 20 is at or below"],
        ),
        (
            "run table1 --scale smoke --set rissole.method.first_stage.training.rampup_images=20000 "
            "--set rissole.method.first_stage.training.batch=20000 --only variant=rissole",
            ["training.images = 20,000: the first step alone takes 20,000"],
        ),
        ("run ablation-table3 --plugin nowhere.py", ["--plugin nowhere.py", "no such file"]),
        ("run", ["Missing argument"]),
        ("run ablation-table3 --no-such-option", ["No such option"]),
        ("report ablation-table3", ["no run of 'ablation-table3'", "run it first"]),
        ("list colour", ["no family 'colour'"]),
        ("ui", ["there is no store", "--store"]),
        ("sync", ["there is no store", "--store"]),
    ],
)
def test_one_message_and_exit_code_2(cli: Cli, line: str, words: list[str]) -> None:
    said = cli(line)
    assert said.code == 2, said
    text = " ".join((said.out + said.err).replace("│", " ").split())
    for word in words:
        assert word in text, text
    assert "Traceback" not in text


def test_bad_pictures_are_named_and_skipped_only_when_asked(cli: Cli, tmp_path: Path) -> None:
    pictures(tmp_path / "p", 12)
    (tmp_path / "p" / "words.png").write_text("not a picture")
    jpeg = tmp_path / "p" / "torn.jpg"
    Image.fromarray(np.zeros((64, 64, 3), np.uint8)).save(jpeg)
    jpeg.write_bytes(jpeg.read_bytes()[:300])
    said = cli(f"run ablation-table3 {OWN} --data p --dry-run")
    assert said.code == 2
    for word in ("words.png", "torn.jpg", "--skip-bad"):
        assert word in said.err
    said = cli(f"run ablation-table3 {OWN} --data p --dry-run --skip-bad")
    assert said.code == 0, said
    assert "skipped torn.jpg" in said.out
    assert "12 images" in said.out


def test_another_dataset_of_equal_size_and_date_is_another_dataset(cli: Cli, tmp_path: Path) -> None:
    for name, level in (("cats", 50), ("dogs", 200)):
        pixels = np.full((40, 16, 16, 3), level, np.uint8)
        pixels[:, 0] += np.arange(40, dtype=np.uint8)[:, None, None]
        np.savez(tmp_path / f"{name}.npz", images=pixels)
        os.utime(tmp_path / f"{name}.npz", (1, 1))
        said = cli(f"run ablation-table3 {OWN} --data {name}.npz --dry-run --only variant=patchd")
        assert said.code == 0, said.err
        assert f"{name} 16x16, 40 images" in said.out
    for note in (tmp_path / "prism-bench-store" / "imports").iterdir():
        note.write_text(note.read_text()[:20])
    said = cli(f"run ablation-table3 {OWN} --data dogs.npz --dry-run --only variant=patchd")
    assert said.code == 0, said.err
    assert "Decoding the images of dogs.npz" in said.out, "a damaged note is made anew"


def test_the_home_folder_is_meant_by_a_tilde_in_any_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/u")
    monkeypatch.setenv("PRISM_BENCH_STORE", "~/s")
    queries = ["~/q.png", Path("~/p.png"), "x~"]
    found = options_of(SampleOptions, {"run": "x", "out": "~/o.png", "pseudo_queries": queries})
    assert (found.store, found.out) == (Path("/home/u/s"), Path("/home/u/o.png"))
    assert found.pseudo_queries == (Path("/home/u/q.png"), Path("/home/u/p.png"), Path("x~"))
    with pytest.raises(InputError, match="~nobody-is-called-so/x: that home folder is not known"):
        options_of(SampleOptions, {"run": "x", "out": "~nobody-is-called-so/x"})


def test_the_plan_says_what_was_found_and_left_out(cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    folder = tmp_path / "pets [old]"
    pictures(folder / "train" / "cat", 20)
    pictures(folder / "test" / "dog", 18)
    picture(folder / "train" / "cat" / "wide.tif", 77, 20)
    Image.fromarray(np.zeros((16, 24, 3), np.uint8)).save(folder / "test" / "dog" / "wide.webp", lossless=True)
    (folder / "notes.txt").write_text("")
    run = f"run ablation-table3 {OWN} --dry-run --only variant=patchd --data='~/pets [old]'"
    for _ in range(2):  # The second time from what is remembered.
        said = cli(run)
        assert said.code == 0, said.err
        for words in (
            "pets [old] 16x16, 40 images: D",
            "2 classes: cat 21, dog 19",
            "test, train are parts of a split, no classes",
            "left out as no pictures: 1 x .txt",
            "1 of 40 pictures: not square, cropped to the central square (--fit has other ways)",
        ):
            assert said.out.count(words) == 1, said.out
    assert "Decoding" not in said.out
    assert "1 of 40 pictures: not square, padded with white" in cli(f"{run} --fit pad").out
    contents = {path.read_text() for path in (tmp_path / "prism-bench-store" / "imports").iterdir()}
    assert len(contents) == 2
    assert not (tmp_path / "~").exists()
    for line, words in (
        (f"{run} --fit squash", "--fit squash: known: crop, pad, stretch"),
        (f"run ablation-table3 {OWN} --dry-run --fit pad", "--fit pad is about pictures of your own"),
        (f"run ablation-table3 {OWN} --dry-run --data=", "--data is empty"),
    ):
        said = cli(line)
        assert said.code == 2, said
        assert words in said.err


def test_empty_and_unusable_sources(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert cli(f"run ablation-table3 {OWN} --data empty").code == 2
    (tmp_path / "fake.zip").write_text("no zip")
    said = cli(f"run ablation-table3 {OWN} --data fake.zip")
    assert said.code == 2
    assert "fake.zip" in said.err


def test_a_zip_that_climbs_out_or_explodes_is_refused(cli: Cli, tmp_path: Path) -> None:
    inside = picture(tmp_path / "a.png").read_bytes()
    with zipfile.ZipFile(tmp_path / "climb.zip", "w") as archive:
        archive.writestr("../a.png", inside)
    said = cli(f"run ablation-table3 {OWN} --data climb.zip")
    assert said.code == 2
    assert "../a.png" in said.err
    with zipfile.ZipFile(tmp_path / "bomb.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("bomb.png", b"\0" * (600 << 20))
    said = cli(f"run ablation-table3 {OWN} --data bomb.zip")
    assert said.code == 2
    assert "bomb.png" in said.err


def test_too_few_images_and_lonely_classes(cli: Cli, tmp_path: Path) -> None:
    pictures(tmp_path / "few", 4)
    said = cli(f"run ablation-table3 {OWN} --data few")
    assert said.code == 2
    assert "4 neighbours are asked for but the retrieval set D holds 3" in said.err
    pictures(tmp_path / "classes" / "many", 12)
    picture(tmp_path / "classes" / "lonely" / "one.png", 99)
    said = cli(f"run ablation-table3 {OWN} --data classes")
    assert said.code == 2
    assert "class 'lonely' has 1 image" in said.err
    assert "--no-stratify" in said.err
    assert cli(f"run ablation-table3 {OWN} --data classes --no-stratify --dry-run").code == 0


def test_a_store_that_cannot_be_written(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    said = cli(f"run ablation-table3 {TINY} --store file/store")
    assert said.code == 2
    assert "cannot be written" in said.err


def test_a_full_disk_fails_the_cell_with_the_remedy(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    assert cli(f"run ablation-table3 {TINY} --dry-run").code == 0
    monkeypatch.setattr("prism_bench.prism.stages.model.TrainingStage.run", full)
    said = cli(f"run ablation-table3 {TINY} --only variant=prism")
    assert said.code == 1
    assert "is full; free space and type the same command again" in said.out


def test_an_unforeseen_error_is_one_line_and_a_file(cli: Cli, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def broken(*_: object, **__: object) -> None:
        raise KeyError("surprise")

    monkeypatch.setattr("prism_bench.prism.stages.model.TrainingStage.run", broken)
    said = cli(f"run ablation-table3 {TINY} --only variant=prism")
    assert said.code == 1
    assert "Traceback" not in said.out + said.err
    assert "KeyError: 'surprise' (details:" in said.out
    (log,) = (tmp_path / "prism-bench-store" / "logs").iterdir()
    assert "Traceback" in log.read_text()


def test_a_weight_file_with_a_wrong_checksum(cli: Cli, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from prism_bench.prism.encoders.efficientnet import EfficientNetLite0

    weights = tmp_path / "weights"
    weights.mkdir()
    (weights / EfficientNetLite0.weights.file).write_bytes(b"no weights")
    monkeypatch.setenv("PRISM_BENCH_WEIGHTS", str(weights))
    said = cli(f"run ablation-table3 {TINY}")
    assert said.code == 2
    assert "sha256" in said.err
    assert EfficientNetLite0.weights_sha256.fget(EfficientNetLite0()) in said.err  # type: ignore[attr-defined]


def test_list_names_families_and_members_with_a_line_each(cli: Cli) -> None:
    families = cli("list")
    assert families.code == 0
    for word in ("schedule", "decreasing", "toyfaces", "ablation-table3", "patchd-x-train", "laptop"):
        assert word in families.out
    schedules = cli("list schedules").out.splitlines()
    assert any(line.startswith("decreasing") and "annealing" in line for line in schedules)
    assert "smoke" in cli("list scale").out


def test_an_index_of_faiss_says_how_many_neighbours_it_finds(cli: Cli) -> None:
    line = f"run ablation-table3 {TINY} --only variant=prism --set retrieval=faiss-index"
    wrong = cli(f"{line} --set retrieval.factory=IVFX")
    assert wrong.code == 2
    assert "retrieval.factory='IVFX' is no index that faiss can make (could not parse index string IVFX)" in wrong.err
    many = cli(f"{line} --set retrieval.factory=IVF64,Flat")
    assert many.code == 2
    assert "retrieval.factory asks for 64 cells, and the retrieval set D holds 45 images" in many.err
    done = cli(f"{line} --set retrieval.factory=IVF4,Flat --set retrieval.parameters=nprobe=4")
    assert done.code == 0, done.err
    (folder,) = Path("prism-bench-store/stages/neighbours").iterdir()
    words = "has recall@1 1.000, recall@4 1.000 of faiss-index against exact search, 64 queries"
    assert words in done.out, done.out
    assert json.loads((folder / "stage.json").read_text())["note"] == words
    assert json.loads((folder / "recall.json").read_text())["recall@4"] == 1
    assert len(np.load(folder / "vectors.npy")[0]) == 16, "the scale's encoder is kept"


def test_same_encoder_for_retrieval_and_evaluation_is_pointed_out(cli: Cli) -> None:
    said = cli(f"run ablation-table3 {TINY} --set retrieval.encoder=efficientnet-lite0 --dry-run")
    assert "retrieval and evaluation both use the encoder efficientnet-lite0" in said.out
    assert "both use" not in cli(f"run ablation-table3 {TINY} --dry-run").out


def test_numbers_are_read_in_every_common_form() -> None:
    from prism_bench.experiments.options.texts import numbers

    assert numbers("0") == (0,)
    assert numbers("0,2,1") == (0, 2, 1)
    assert numbers("0-3") == (0, 1, 2, 3)
    assert numbers("0-1, 1, 7") == (0, 1, 7)
