"""Where pictures lie: the classes, sheets, names and left-out files of folders and archives as people have them."""

import json
import os
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from test_files import PAIR, Files, folder_of, noise_png, zip_of

from prism_bench.prism.data.user_images.image_files import Ingested, ingest, listing_digest

Put = Callable[[Path, Files], Path]
PUT: list[Put] = [
    lambda path, files: folder_of(path / "set", files),
    lambda path, files: zip_of(path / "set.zip", files),
]
both = pytest.mark.parametrize("put", PUT)


def named(*names: str) -> Files:
    return {name: noise_png(seed) for seed, name in enumerate(names)}


def classes_of(found: Ingested) -> list[str]:
    return [found.images.classes[label] for label in found.images.labels]


def shards(count: int = 40, size: int = 10) -> list[str]:
    return [f"{index // size:05}/img{index:08}.png" for index in range(count)]


# StyleGAN's archives.


@both
@pytest.mark.parametrize("top", ["", "cifar/"])
def test_the_labels_of_dataset_json_are_the_classes(tmp_path: Path, put: Put, top: str) -> None:
    labels = [[name, index % 3] for index, name in enumerate(shards())]
    sheet = {f"{top}dataset.json": json.dumps({"labels": labels[::-1]}).encode()}
    found = ingest(put(tmp_path, named(*(top + name for name in shards())) | sheet), resolution=8)
    assert classes_of(found) == [str(index % 3) for index in range(40)]
    assert found.remarks == (f"classes from {top}dataset.json",)


@both
@pytest.mark.parametrize(
    ("sheet", "why"),
    [
        (None, ""),
        ({"labels": None}, "it has none"),
        ({"labels": [[name, [0.5, 1.0]] for name in shards()]}, "has [0.5, 1.0], which names no class"),
        ({"labels": [[name, 1] for name in shards()[1:]]}, "it has none for 1 of 40 pictures (00000/img00000000.png"),
        ({"classes": 3}, "it cannot be read ('labels')"),
        ([], "it cannot be read"),
    ],
)
def test_numbered_shards_are_no_classes(tmp_path: Path, put: Put, sheet: object, why: str) -> None:
    files = named(*shards()) | ({} if sheet is None else {"dataset.json": json.dumps(sheet).encode()})
    found = ingest(put(tmp_path, files), resolution=8)
    assert found.images.classes == ("all",)
    *before, last = found.remarks
    assert last == "00000, 00001, 00002, ... are numbered shards, no classes"
    assert len(before) == (sheet is not None)
    assert all(why in text and text.startswith("the labels of dataset.json are not used: ") for text in before)


@pytest.mark.parametrize(
    "names",
    [
        [f"{label:05}/{label:05}_{index:05}.png" for label in range(3) for index in range(4)],
        [f"{digit}/{index}.png" for digit in range(3) for index in range(10 * digit, 10 * digit + 4)],
        [f"{label:03}/{name}.png" for label in range(3) for name in "ab"],
    ],
)
def test_numbered_folders_whose_pictures_start_anew_are_classes(tmp_path: Path, names: list[str]) -> None:
    found = ingest(folder_of(tmp_path / "f", named(*names)), resolution=8)
    assert classes_of(found) == [name.split("/")[0] for name in names]
    assert found.remarks == ()


# Class folders.


@both
def test_parts_of_a_split_are_no_classes(tmp_path: Path, put: Put) -> None:
    names = ["Train/images/cat/1.png", "Train/images/dog/1.png", "val/images/cat/2.png", "val/images/dog/2.png"]
    found = ingest(put(tmp_path, named(*(f"pets/{name}" for name in names))), resolution=8)
    assert classes_of(found) == ["cat", "dog", "cat", "dog"]
    assert found.remarks == ("Train, val are parts of a split, no classes",)


@both
@pytest.mark.parametrize("names", [("train/1.png", "test/1.png"), ("train/1.png", "train/2.png")])
def test_parts_of_a_split_without_classes_are_one_class(tmp_path: Path, put: Put, names: tuple[str, str]) -> None:
    assert ingest(put(tmp_path, named(*names)), resolution=8).images.classes == ("all",)


def test_a_train_among_other_vehicles_is_a_class(tmp_path: Path) -> None:
    found = ingest(folder_of(tmp_path / "f", named("bus/1.png", "car/1.png", "train/1.png")), resolution=8)
    assert (found.images.classes, found.remarks) == (("bus", "car", "train"), ())


def test_pictures_beside_class_folders_are_named(tmp_path: Path) -> None:
    found = ingest(folder_of(tmp_path / "f", named("cat/1.png", "dog/1.png", "stray.png")), resolution=8)
    assert found.images.classes == ("all",)
    assert found.remarks == ("1 picture lies beside the folders of the others (stray.png): all are one class",)


# Sheets.

CSV = b"\xef\xbb\xbfFile_Name, label\r\nx/a.png,cat\r\nx\\b.png,dog\r\nx/c.png,dog\r\n"
LINES = b'{"file": "x/a.png", "label": 1}\n\n{"file": "x/b.png", "label": 2}\n{"file": "x/c.png", "label": 2}'
BARE = b"image,class\na.png,u\nb.png,v\nc.png,v"
NONE = ["all"] * 3


@both
@pytest.mark.parametrize(
    ("sheets", "expected", "remark"),
    [
        ({"metadata.csv": CSV}, ["cat", "dog", "dog"], "classes from metadata.csv"),
        ({"Labels.csv": CSV}, ["cat", "dog", "dog"], "classes from Labels.csv"),
        ({"metadata.jsonl": LINES}, ["1", "2", "2"], "classes from metadata.jsonl"),
        # Bare names, as most tables have them, and one table for each part.
        ({"labels.csv": BARE}, ["u", "v", "v"], "classes from labels.csv"),
        (
            {"x/metadata.csv": b"file_name,label\na.png,u\nb.png,v\nc.png,v"},
            ["u", "v", "v"],
            "classes from x/metadata.csv",
        ),
        (
            {"labels.csv": b"id,breed\na,cat\n"},
            NONE,
            "labels.csv are not used: it has the columns id, breed",
        ),
        ({"labels.csv": b"image,label\na.png,u"}, NONE, "it has none for 2 of 3 pictures (x/b.png, ...)"),
        ({"labels.csv": b"image,label\na.png,u\nb.png,v\nc.png,w"}, NONE, "each picture has another one"),
        ({"metadata.jsonl": b"{"}, NONE, "the labels of metadata.jsonl are not used: it cannot be read"),
        ({"metadata.csv": b"\xff\xfe"}, NONE, "the labels of metadata.csv are not used: it cannot be read"),
    ],
)
def test_a_sheet_is_read_or_named(tmp_path: Path, put: Put, sheets: Files, expected: list[str], remark: str) -> None:
    path = put(tmp_path, named("x/a.png", "x/b.png", "x/c.png") | sheets)
    found = ingest(path, resolution=8)
    assert classes_of(found) == expected
    assert len(found.remarks) == 1
    assert remark in found.remarks[0]
    changed = {
        name: data.replace(b"dog", b"eel").replace(b"2}", b"3}").replace(b"v", b"z") for name, data in sheets.items()
    }
    if expected != NONE:
        before = listing_digest(path, resolution=8)
        other = listing_digest(put(tmp_path, named("x/a.png", "x/b.png", "x/c.png") | changed), resolution=8)
        assert before != other, "another label is another dataset"


def test_a_sheet_beside_the_folder_is_named(tmp_path: Path) -> None:
    path = folder_of(tmp_path / "train", PAIR)
    (tmp_path / "labels.csv").write_text("image,label\na.png,cat")
    assert ingest(path, resolution=8).remarks == ("labels.csv beside the folder is not looked at: move it into it",)


# Names.


def raw_names(path: Path, files: dict[bytes, bytes]) -> Path:
    """An archive whose names are these bytes, without a word on their encoding."""
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in files.items():
            member = zipfile.ZipInfo("x" * len(name))
            archive.writestr(member, data)
    data = path.read_bytes()
    for name in sorted(files, key=len, reverse=True):
        data = data.replace(b"x" * len(name), name)
    path.write_bytes(data)
    return path


def test_names_without_a_mark_are_utf8_or_else_cp437(tmp_path: Path) -> None:
    files = {"käse/1.png": noise_png(1), "wurst/22.png": noise_png(2)}
    unpacked = ingest(folder_of(tmp_path / "f", files), resolution=8)
    for encoding in ("utf-8", "cp437"):
        path = raw_names(tmp_path / f"{encoding}.zip", {name.encode(encoding): data for name, data in files.items()})
        found = ingest(path, resolution=8)
        assert found.images.classes == ("käse", "wurst")
        assert found.dataset == unpacked.dataset
    assert ingest(zip_of(tmp_path / "marked.zip", files), resolution=8).dataset == unpacked.dataset


@both
def test_what_is_left_out_is_counted_by_suffix(tmp_path: Path, put: Put) -> None:
    clutter = {"README": b"", "a.txt": b"", "b.txt": b"", "x.pdf": b"", ".DS_Store": b"", "photo.jpg_large": b""}
    found = ingest(put(tmp_path, PAIR | {"c.PNG ": noise_png(3)} | clutter), resolution=8)
    assert len(found.images.images) == 3
    assert found.remarks == ("left out as no pictures: 2 x .txt, 1 x .jpg_large, 1 x .pdf, 1 x no suffix",)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs POSIX")
def test_what_is_no_file_is_passed_over(tmp_path: Path) -> None:
    path = folder_of(tmp_path / "f", PAIR)
    os.mkfifo(path / "c.png")
    assert len(ingest(path, resolution=8).images.images) == 2
