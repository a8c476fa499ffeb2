"""The paper's datasets: small archives of exactly the official formats, from the file to a trained smoke run."""

import hashlib
import io
import json
import pickle
import tarfile
import threading
import zipfile
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from conftest import Cli
from PIL import Image

from prism_bench.prism.data.decode import from_bytes
from prism_bench.prism.data.official.afhqv2 import AFHQv2
from prism_bench.prism.data.official.celeba import CelebA
from prism_bench.prism.data.official.cifar10 import FOLDER, Cifar10
from prism_bench.prism.data.official.imagenet100 import BATCHES, CLASS_MAP, USUAL, ImageNet100
from prism_bench.prism.data.official.pickles import read_batch
from prism_bench.prism.errors import InputError
from prism_bench.prism.images import Pixels
from prism_bench.sealed import sealed

STORE = Path("prism-bench-store")
SMALL = (
    "--scale smoke --no-mlflow --workers 0 "
    "--set samples=16 --set training.images=64 --set training.rampup_images=0 --set sampler.steps=2"
)


def pixels(n: int, side: int, seed: int = 0) -> Pixels:
    return np.random.default_rng(seed).integers(0, 256, (n, 3, side, side), np.uint8)


def encoded(image: Pixels, kind: str = "PNG", mode: str = "RGB") -> bytes:
    file = io.BytesIO()
    Image.fromarray(image.transpose(1, 2, 0)).convert(mode).save(file, kind)
    return file.getvalue()


def batch(images: Pixels, labels: list[int]) -> bytes:
    """As Python 2 wrote them: protocol 2, a dict of an array of rows and a list."""
    return pickle.dumps({"data": images.reshape(len(images), -1), "labels": labels, "batch_label": "b"}, protocol=2)


def md5(data: bytes) -> str:
    return hashlib.md5(data, usedforsecurity=False).hexdigest()


def prepared_folder(held_out: bool = False, store: Path = STORE) -> Path:
    """The one folder of X, or of what is kept out of it."""

    def is_held_out(folder: Path) -> bool:
        identity = json.loads((folder / "stage.json").read_text())["identity"]
        return bool(identity["parameters"]["dataset"]["component"] == "dataset/held-out")

    (folder,) = (one for one in (store / "stages" / "dataset").iterdir() if is_held_out(one) is held_out)
    return folder


def prepared_images() -> Pixels:
    images: Pixels = np.load(prepared_folder() / "images.npy")
    return images


# --- CIFAR-10 -------------------------------------------------------------------------------------------------------


@pytest.fixture
def cifar(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Pixels]:
    """Five batches of twelve 32x32 images in ten classes, in an archive with the checksums made to fit."""
    images = pixels(60, 32)
    labels = [index % 10 for index in range(60)]
    parts = {
        name: batch(images[12 * at : 12 * at + 12], labels[12 * at : 12 * at + 12])
        for at, name in enumerate(Cifar10.batches)
    }
    unseen = {"test_batch": batch(pixels(12, 32, seed=1), labels[:12])}
    path = tmp_path / "cifar-10-python.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        for name, data in (parts | unseen).items():
            info = tarfile.TarInfo(f"{FOLDER}/{name}")
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    monkeypatch.setattr(Cifar10, "batches", {name: md5(data) for name, data in parts.items()})
    monkeypatch.setattr(Cifar10, "test_batch", {name: md5(data) for name, data in unseen.items()})
    monkeypatch.setattr(Cifar10, "md5", md5(path.read_bytes()))
    monkeypatch.setattr(Cifar10, "declared", (6,) * 10)
    return path, images


def test_cifar10_from_the_archive_to_a_trained_run(cli: Cli, cifar: tuple[Path, Pixels]) -> None:
    path, images = cifar
    said = cli("data list")
    assert "cifar10: not here" in said.out
    assert "cifar-10-python.tar.gz" in said.out
    said = cli(f"run table1 {SMALL} --dataset cifar10 --resolution 32")
    assert said.code == 2
    assert "prism-bench data prepare cifar10 --from PATH" in " ".join(said.err.split())
    said = cli(f"data prepare cifar10 --from {path}")
    assert said.code == 0, said.err
    assert np.array_equal(prepared_images(), images), "planes R, G, B in their order, no resizing"
    assert "cifar10: ready at 32x32, 60 images in 10 classes" in cli("data list").out
    assert "cifar10: 60 images, sound" in cli("data verify").out
    assert "prepared already" in cli(f"data prepare cifar10 --from {path}").out
    said = cli(f"run ablation-table3 {SMALL} --dataset cifar10 --resolution 32 --only variant=prism")
    assert said.code == 0, said.err
    (record,) = (json.loads(file.read_text()) for file in (STORE / "records").iterdir())
    assert record["status"] == "done"
    assert record["config"]["dataset"]["component"] == "dataset/cifar10"


def test_cifar10s_test_batch_is_held_out_of_x_and_measured_against(cli: Cli, cifar: tuple[Path, Pixels]) -> None:
    assert cli(f"data prepare cifar10 --from {cifar[0]}").code == 0
    assert np.array_equal(np.load(prepared_folder(held_out=True) / "images.npy"), pixels(12, 32, seed=1))
    said = cli(f"run ablation-table3 {SMALL} --dataset cifar10 --resolution 32 --only variant=prism --seeds 0")
    assert said.code == 0, said.err
    (record,) = (json.loads(path.read_text()) for path in (STORE / "records").iterdir())
    against = {value["name"]: value["reference_n"] for value in record["values"] if "_to_" in value["name"]}
    assert against == {f"fd_efficientnet_lite0_to_{part}": 12 for part in ("d", "x_train", "held_out_images")}


def test_a_damaged_copy_is_found(cli: Cli, cifar: tuple[Path, Pixels]) -> None:
    assert cli(f"data prepare cifar10 --from {cifar[0]}").code == 0
    folder = prepared_folder()
    whole = (folder / "images.npy").read_bytes()
    (folder / "images.npy").write_bytes(whole[:-1] + b"\0")
    said = cli("data verify")
    assert said.code == 1
    assert "images.npy has sha256" in said.out
    (folder / "images.npy").write_bytes(whole)
    assert cli("data verify").code == 0
    note = next((STORE / "prepared").glob("cifar10*.json"))
    known = json.loads(note.read_text())
    note.write_text(json.dumps(sealed({**known, "classes": {**known["classes"], "cat": 7}})))
    said = cli("data verify")
    assert (said.code, "instead of [6, 6, 6, 7" in said.out) == (1, True)


def test_cifar10s_folder_is_the_archives(cli: Cli, cifar: tuple[Path, Pixels], tmp_path: Path) -> None:
    with tarfile.open(cifar[0]) as archive:
        archive.extractall(tmp_path / "unpacked", filter="data")
    for at, folder in enumerate((tmp_path / "unpacked", tmp_path / "unpacked" / FOLDER)):
        assert cli(f"data prepare cifar10 --from {folder} --store s{at}").code == 0
        stage = prepared_folder(store=Path(f"s{at}"))
        assert np.array_equal(np.load(stage / "images.npy"), cifar[1])


def test_what_is_wrong_with_a_cifar_archive_is_told(cli: Cli, cifar: tuple[Path, Pixels], tmp_path: Path) -> None:
    path = cifar[0]
    whole = path.read_bytes()
    path.write_bytes(whole[:-7])
    said = cli(f"data prepare cifar10 --from {path}")
    assert said.code == 2
    assert md5(whole[:-7]) in said.err
    assert md5(whole) in said.err
    assert not list(STORE.glob("stages/dataset/*")), "never half used"
    empty = tmp_path / "empty"
    empty.mkdir()
    assert "lacks data_batch_1" in cli(f"data prepare cifar10 --from {empty}").err
    assert "no such file" in cli("data prepare cifar10 --from nowhere").err
    assert "--download" in cli("data prepare cifar10").err
    assert "is given out by" in cli("data prepare celeba").err
    assert "needs no preparing" in cli("data prepare toyfaces --from .").err
    assert "did you mean cifar10" in cli("data prepare cifar --from .").err
    assert "not been prepared" in cli("data verify cifar10").err


def test_wrong_numbers_of_a_class_are_told(cifar: tuple[Path, Pixels], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Cifar10, "declared", (6,) * 9 + (7,))
    with pytest.raises(InputError, match="truck 6 instead of 7"):
        Cifar10().read(cifar[0], lambda done, of: None)


def test_an_interrupted_download_is_not_used(
    cli: Cli, cifar: tuple[Path, Pixels], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = cifar[0].read_bytes()
    served = cifar[0].with_name("served.tar.gz")
    handler = partial(Quiet, directory=str(served.parent))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setattr(Cifar10, "url", f"http://127.0.0.1:{server.server_port}/{served.name}")
        served.write_bytes(whole[:-100])
        said = cli("data prepare cifar10 --download")
        assert said.code == 2, said
        assert "could not be fetched" in said.err
        served.write_bytes(whole)
        assert cli("data prepare cifar10 --download").code == 0
        server.shutdown()
    assert np.array_equal(prepared_images(), cifar[1])


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *words: object) -> None:
        pass


class Code:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return eval, ("1 + 1",)


def test_a_pickle_with_code_is_refused_and_never_run() -> None:
    bad = pickle.dumps({"data": Code(), "labels": [1]}, protocol=2)
    with pytest.raises(InputError, match=r"asks for (builtins|__builtin__)\.eval"):
        read_batch(bad, "batch", 32)
    for data in (b"", bad[:-4], pickle.dumps({"labels": [1]}), pickle.dumps([1, 2])):
        with pytest.raises(InputError, match="is not a batch of 32x32 images"):
            read_batch(data, "batch", 32)
    with pytest.raises(InputError, match="1 labels"):
        read_batch(batch(pixels(2, 32), [1]), "batch", 32)


# --- CelebA ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def celeba(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Forty 178x218 pictures in a zip, with the tables beside it."""
    monkeypatch.setattr(CelebA, "declared", (40,))
    rng = np.random.default_rng(0)
    path = tmp_path / "img_align_celeba.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for number in range(1, 41):
            image = rng.integers(0, 256, (3, 218, 178), np.uint8)
            archive.writestr(f"img_align_celeba/{number:06d}.jpg", encoded(image, "JPEG"))
    partition = "".join(f"{number:06d}.jpg {number % 3}\n" for number in range(1, 41))
    (tmp_path / "list_eval_partition.txt").write_text(partition)
    rows = "".join(f"{number:06d}.jpg  {1 if number % 2 else -1}  -1\n" for number in range(1, 41))
    (tmp_path / "list_attr_celeba.txt").write_text(f"40\nSmiling Male \n{rows}")
    return path


def test_celeba_from_the_zip_to_a_trained_run(cli: Cli, celeba: Path) -> None:
    assert cli(f"data prepare celeba --from {celeba} --resolution 16").code == 0
    folder = prepared_folder()
    images = np.load(folder / "images.npy")
    with np.load(folder / "attributes.npz") as file:
        tables = dict(file)
    with zipfile.ZipFile(celeba) as archive, archive.open("img_align_celeba/000007.jpg") as file:
        picture = Image.open(file).convert("RGB")
        # EDM's centre crop, written out: the rows from (218 - 178) // 2 = 20 on, all columns.
        square = picture.crop((0, 20, 178, 198)).resize((16, 16), Image.Resampling.LANCZOS)
    assert np.array_equal(images[6], np.asarray(square).transpose(2, 0, 1))
    assert np.array_equal(tables["partition"], [number % 3 for number in range(1, 41)])
    assert np.array_equal(tables["Smiling"], [1 if number % 2 else -1 for number in range(1, 41)])
    said = cli(f"run ablation-table3 {SMALL} --dataset celeba --resolution 16 --only variant=patchd")
    assert said.code == 0, said.err


def test_a_celeba_zip_with_missing_members_or_a_table_with_missing_rows(cli: Cli, celeba: Path) -> None:
    short = celeba.with_name("short.zip")
    with zipfile.ZipFile(celeba) as whole, zipfile.ZipFile(short, "w") as archive:
        for name in whole.namelist():
            if "000009" not in name:
                archive.writestr(name, whole.read(name))
    said = cli(f"data prepare celeba --from {short}")
    assert said.code == 2
    assert "lacks 000009.jpg of 40 pictures" in said.err
    table = celeba.with_name("list_eval_partition.txt")
    table.write_text(table.read_text().replace("000011.jpg 2\n", ""))
    assert "says nothing of 000011.jpg" in cli(f"data prepare celeba --from {celeba}").err


def test_a_truncated_picture_is_named(cli: Cli, celeba: Path) -> None:
    broken = celeba.with_name("broken.zip")
    with zipfile.ZipFile(celeba) as whole, zipfile.ZipFile(broken, "w") as archive:
        for name in whole.namelist():
            data = whole.read(name)
            archive.writestr(name, data[: len(data) // 2] if "000005" in name else data)
    said = cli(f"data prepare celeba --from {broken}")
    assert said.code == 2
    assert f"--from {broken}: 1 of 40 images cannot be used: img_align_celeba/000005.jpg" in " ".join(said.err.split())


# --- AFHQv2 ---------------------------------------------------------------------------------------------------------


def test_afhqv2_from_the_zip_to_a_trained_run(cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(AFHQv2, "declared", (20, 12, 16))
    path = tmp_path / "afhq_v2.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for part, share in (("train", 0.75), ("test", 0.25)):
            for animal, count in zip(AFHQv2.classes, AFHQv2.declared, strict=True):
                for number in range(int(count * share)):
                    image = pixels(1, 32, seed=number)[0]
                    archive.writestr(f"{part}/{animal}/{part}_{animal}_{number:06d}.png", encoded(image))
    said = cli(f"data prepare afhqv2 --from {path} --resolution 16")
    assert said.code == 0, said.err
    folder = prepared_folder()
    labels = np.load(folder / "labels.npy")
    with np.load(folder / "attributes.npz") as file:
        tables = dict(file)
    assert np.bincount(labels).tolist() == [20, 12, 16]
    assert tables["partition"].sum() == 12, "a quarter is test"
    assert cli(f"run ablation-table3 {SMALL} --dataset afhqv2 --resolution 16 --only variant=patchd").code == 0
    assert "holds no pictures in train/cat" in cli(f"data prepare afhqv2 --from {lone(tmp_path)} --store s").err


def lone(folder: Path) -> Path:
    (folder / "lone").mkdir()
    (folder / "lone" / "a.png").write_bytes(encoded(pixels(1, 8)[0]))
    return folder / "lone"


# --- ImageNet-100 ---------------------------------------------------------------------------------------------------


def test_imagenet100_from_the_downsampled_batches(cli: Cli, tmp_path: Path) -> None:
    others = tuple(f"n{99000000 + number}" for number in range(20))
    # Not the order of the ids: the map alone says which label is which class.
    order = np.random.default_rng(1).permutation(np.array([*USUAL, *others]))
    folder = tmp_path / "Imagenet64"
    folder.mkdir()
    (folder / CLASS_MAP).write_text("".join(f"{name} {at} a_name\n" for at, name in enumerate(order, start=1)))
    rng, kept, names = np.random.default_rng(2), [], []
    for number, name in enumerate(BATCHES):
        labels = [*range(1, 121), *rng.integers(1, 121, 5)] if number == 0 else rng.integers(1, 121, 12).tolist()
        images = pixels(len(labels), 64, seed=number)
        (folder / name).write_bytes(batch(images, [int(label) for label in labels]))
        for image, label in zip(images, labels, strict=True):
            if order[label - 1] in USUAL:
                kept.append(image)
                names.append(str(order[label - 1]))
    said = cli(f"data prepare imagenet100 --from {folder}")
    assert said.code == 0, said.err
    (stage,) = (STORE / "stages" / "dataset").iterdir()
    assert np.array_equal(np.load(stage / "images.npy"), np.stack(kept))
    classes = json.loads((stage / "classes.json").read_text())
    assert [classes[label] for label in np.load(stage / "labels.npy")] == names
    (folder / CLASS_MAP).unlink()
    assert f"{CLASS_MAP} is missing" in cli(f"data prepare imagenet100 --from {folder} --store s").err


def test_imagenet100_from_class_folders_with_grey_and_cmyk_pictures(cli: Cli, tmp_path: Path) -> None:
    chosen = [f"n{10000000 + number}" for number in range(100)]
    (tmp_path / "classes.txt").write_text("\n".join(reversed(chosen)))
    folder = tmp_path / "train"
    for at, name in enumerate([*chosen, "n99999999"]):
        (folder / name).mkdir(parents=True)
        for number, mode in enumerate(("RGB", "L" if at % 2 else "CMYK")):
            data = encoded(pixels(1, 24, seed=at)[0], "JPEG", mode)
            (folder / name / f"{name}_{number}.JPEG").write_bytes(data)
    assert "holds no image of 100 of the 100 classes" in cli(f"data prepare imagenet100 --from {folder}").err
    said = cli(f"data prepare imagenet100 --from {folder} --classes {tmp_path / 'classes.txt'} --resolution 16")
    assert said.code == 0, said.err
    (stage,) = (STORE / "stages" / "dataset").iterdir()
    images, labels = np.load(stage / "images.npy"), np.load(stage / "labels.npy")
    assert np.bincount(labels).tolist() == [2] * 100
    assert np.array_equal(images[3], from_bytes((folder / chosen[1] / f"{chosen[1]}_1.JPEG").read_bytes(), 16))
    assert np.array_equal(images[3, 0], images[3, 1]), "grey is replicated"
    line = f"run ablation-table3 {SMALL} --dataset imagenet100 --resolution 16 --only variant=patchd"
    assert cli(line).code == 0, "the classes that were prepared are the ones that are used"


@pytest.mark.parametrize(
    ("ids", "words"),
    [(USUAL[:99], "99 different classes"), ((*USUAL[:99], "cat"), "'cat' is not a WordNet id")],
)
def test_a_class_list_names_a_hundred_classes(ids: tuple[str, ...], words: str) -> None:
    assert len(set(USUAL)) == 100
    with pytest.raises(InputError, match=words):
        ImageNet100(class_list=ids)
