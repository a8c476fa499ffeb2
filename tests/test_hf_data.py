"""Data sets as `datasets` and the Hugging Face Hub write them: the pixels and labels that a folder of them gives."""

import csv
import io
import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from conftest import Cli
from PIL import Image
from test_files import Files, encoded, folder_of, noise, noise_png, zip_of

from prism_bench.prism.data.colour import BadImageError
from prism_bench.prism.data.decode import CROPPED
from prism_bench.prism.data.user_images.image_files import Ingested, ingest, listing_digest
from prism_bench.prism.data.user_images.open_source import open_source
from prism_bench.prism.data.user_images.table_files import ParquetFile
from prism_bench.prism.errors import InputError

IMAGE = pa.struct({"bytes": pa.binary(), "path": pa.string()})
NAMES = ("dog", "cat", "never")
FEATURES: dict[str, Any] = {"image": {"_type": "Image"}, "label": {"names": list(NAMES), "_type": "ClassLabel"}}


def deep_png() -> bytes:
    """A picture of 16 bits, in colours of which a reader of its own would cut the lower byte."""
    return encoded(Image.fromarray(np.random.default_rng(9).integers(0, 65536, (8, 8), dtype=np.uint16)))


PICTURES: Files = {
    "cat/0.png": noise_png(1),
    "cat/1.png": deep_png(),
    "cat/2.png": encoded(Image.fromarray(noise(3, channels=4))),
    "dog/0.png": noise_png(4),
    "dog/1.png": encoded(Image.fromarray(noise(5)), "JPEG"),
}
LABELS = [NAMES.index(name.split("/")[0]) for name in PICTURES]


def table_of(
    pictures: Sequence[bytes | None] = tuple(PICTURES.values()),
    labels: Sequence[Any] | None = tuple(LABELS),
    features: dict[str, Any] | None = FEATURES,
    **others: Sequence[Any],
) -> pa.Table:
    """Rows with the schema and the note in it that `datasets` writes."""
    cells = [{"bytes": data, "path": f"{index}.png"} for index, data in enumerate(pictures)]
    columns: dict[str, Any] = {"image": pa.array(cells, IMAGE)}
    if labels is not None:
        columns["label"] = pa.array(labels)
    table = pa.table(columns | others)
    noted = {b"huggingface": json.dumps({"info": {"features": features}}).encode()}
    return table if features is None else table.replace_schema_metadata(noted)


def hub(path: Path, **splits: pa.Table) -> Path:
    """A copy of a repository of the Hub: a shard for each two rows of each split."""
    (path / "data").mkdir(parents=True)
    for split, table in splits.items():
        starts = range(0, len(table), 2)
        for shard, start in enumerate(starts):
            name = f"{split}-{shard:05}-of-{len(starts):05}.parquet"
            pq.write_table(table.slice(start, 2), path / "data" / name)
    (path / "README.md").write_text("---\n---\n")
    (path / ".gitattributes").write_text("")
    return path


def saved(path: Path, table: pa.Table, **state: Any) -> Path:
    """What `Dataset.save_to_disk` leaves, in two files."""
    path.mkdir(parents=True)
    names = [f"data-{shard:05}-of-00002.arrow" for shard in range(2)]
    half = len(table) // 2
    for name, part in zip(names, (table.slice(0, half), table.slice(half)), strict=True):
        with pa.OSFile(str(path / name), "wb") as file, pa.ipc.new_stream(file, table.schema) as stream:
            stream.write_table(part, max_chunksize=2)
    noted = {"_data_files": [{"filename": name} for name in names], "_fingerprint": "0", "_split": None}
    (path / "state.json").write_text(json.dumps(noted | state))
    (path / "dataset_info.json").write_text(json.dumps({"features": FEATURES}))
    return path


def saved_splits(path: Path, **splits: pa.Table) -> Path:
    """What `DatasetDict.save_to_disk` leaves."""
    for split, table in splits.items():
        saved(path / split, table)
    (path / "dataset_dict.json").write_text(json.dumps({"splits": list(splits)}))
    return path


def one_file(path: Path, table: pa.Table, **options: Any) -> Path:
    pq.write_table(table, path, **options)
    return path


def classes_of(found: Ingested) -> list[str]:
    return [found.images.classes[label] for label in found.images.labels]


MADE: dict[str, Callable[[Path], Path]] = {
    "one file": lambda at: one_file(at / "set.parquet", table_of()),
    "the Hub's shards": lambda at: hub(at / "set", train=table_of()),
    "the Hub's splits": lambda at: hub(at / "set", train=table_of().slice(2), test=table_of().slice(0, 2)),
    "saved": lambda at: saved(at / "set", table_of()),
    "saved splits": lambda at: saved_splits(at / "set", train=table_of().slice(2), test=table_of().slice(0, 2)),
    "without a note": lambda at: one_file(
        at / "set.parquet", table_of(labels=[NAMES[label] for label in LABELS], features=None)
    ),
    "of pandas": lambda at: one_file(
        at / "set.parquet",
        pa.table(
            {
                "picture": pa.array(list(PICTURES.values())),
                "Class": pa.array([NAMES[label] for label in LABELS]).dictionary_encode(),
            }
        ),
    ),
}


@pytest.mark.parametrize("kind", MADE)
def test_tables_hold_the_pixels_and_labels_that_a_folder_holds(tmp_path: Path, kind: str) -> None:
    folder = ingest(folder_of(tmp_path / "folder", PICTURES), resolution=8)
    found = ingest(MADE[kind](tmp_path), resolution=8)
    assert (found.images.images == folder.images.images).all()
    assert classes_of(found) == classes_of(folder) == [NAMES[label] for label in LABELS]
    assert found.dataset == folder.dataset, "equal pixels, labels and class names are one data set"
    assert found.done == folder.done, "decoded by the same code"


@pytest.mark.parametrize(
    ("make", "remarks"),
    [
        (
            lambda at: hub(at / "set", train=table_of(), test=table_of(), validation=table_of(caption=["x"] * 5)),
            (
                "pictures from the column 'image', classes from 'label'",
                "read as one set: data/test (5), data/train (5), data/validation (5)",
                "left out beside the tables: 1 x .md",
            ),
        ),
        (
            lambda at: saved_splits(at / "set", train=table_of(), fold=table_of()),
            ("pictures from the column 'image', classes from 'label'", "read as one set: fold (5), train (5)"),
        ),
        (
            lambda at: one_file(at / "a.parquet", table_of(caption=["x"] * 5, id=range(5))),
            ("pictures from the column 'image', classes from 'label'", "columns left out: caption, id"),
        ),
        (
            lambda at: one_file(at / "a.parquet", table_of(labels=None, features={"image": {"_type": "Image"}})),
            ("pictures from the column 'image'; no classes: no column is called label, class, class_name or category",),
        ),
    ],
)
def test_the_plan_hears_what_was_taken_and_what_was_left_out(
    tmp_path: Path, make: Callable[[Path], Path], remarks: tuple[str, ...]
) -> None:
    assert ingest(make(tmp_path), resolution=8).remarks == remarks


def class_label(*names: str) -> dict[str, Any]:
    return {"names": list(names), "_type": "ClassLabel"}


@pytest.mark.parametrize(
    ("columns", "features", "expected", "why"),
    [
        ({"label": [0, 1, 1, 0, -1]}, FEATURES, None, "it has none for 1 of 5 pictures (set.parquet[4], ...)"),
        ({"label": [0, 1, 1, 0, None]}, FEATURES, None, "it has none for 1 of 5 pictures"),
        ({"label": [0, 1, 1, 0, 7]}, FEATURES, None, "7 is none of its 3 classes"),
        ({"label": [0, 1, 2, 3, 4]}, None, None, "each picture has another one"),
        ({"label": [0.5, 1, 1, 1, 1]}, None, None, "'label' holds double, which names no class"),
        ({"label": [[1]] * 5}, None, None, "holds list<"),
        ({"label": [3, -1, -1, 3, 3]}, None, ["3", "-1", "-1", "3", "3"], "classes from 'label'"),
        (
            {"fine": [0, 1, 1, 0, 0], "coarse": [0] * 5},
            {"image": {"_type": "Image"}, "fine": class_label("a", "b"), "coarse": class_label("c")},
            None,
            "'fine', 'coarse' are all class labels, and none is called 'label'",
        ),
        (
            {"breed": [0, 1, 1, 0, 0], "label": ["x"] * 5},
            {"image": {"_type": "Image"}, "breed": class_label("a", "b"), "label": {"_type": "Value"}},
            ["a", "b", "b", "a", "a"],
            "classes from 'breed'",
        ),
    ],
)
def test_labels_that_are_not_clear_are_not_used(
    tmp_path: Path, columns: dict[str, Any], features: Any, expected: list[str] | None, why: str
) -> None:
    path = one_file(tmp_path / "set.parquet", table_of(labels=None, features=features, **columns))
    found = ingest(path, resolution=8)
    assert classes_of(found) == (expected or ["all"] * 5)
    assert why in found.remarks[0]


def test_of_several_columns_of_pictures_the_one_called_image_is_meant(tmp_path: Path) -> None:
    mask = pa.array([{"bytes": noise_png(9), "path": None}] * 5, IMAGE)
    sound = pa.array([{"bytes": b"RIFF", "path": None}] * 5, IMAGE)
    noted = {**FEATURES, "mask": {"_type": "Image"}, "sound": {"_type": "Audio"}}
    path = one_file(tmp_path / "a.parquet", table_of(mask=mask, sound=sound, features=noted))
    found = ingest(path, resolution=8)
    assert found.images.classes == ("cat", "dog")
    assert "columns left out: mask, sound" in found.remarks
    renamed = table_of(mask=mask, features=None).rename_columns(["photo", "label", "mask"])
    with pytest.raises(InputError, match=r"2 columns of pictures \(photo, mask\); name the one that is meant 'image'"):
        ingest(one_file(tmp_path / "b.parquet", renamed), resolution=8)


def only_paths(at: Path) -> Path:
    cells = pa.array([{"bytes": None, "path": "/far/a.png"}] * 3, IMAGE)
    return one_file(at / "set.parquet", pa.table({"image": cells}))


def differing(at: Path) -> Path:
    other = table_of(features={**FEATURES, "label": class_label("x", "y")})
    return hub(at / "set", train=table_of(), test=other)


def beside_pictures(at: Path) -> Path:
    hub(at / "set", train=table_of())
    return folder_of(at / "set", {"assets/teaser.png": noise_png(1)})


def with_state(at: Path, **state: Any) -> Path:
    return saved(at / "set", table_of(), **state)


def cut(path: Path) -> Path:
    path.write_bytes(path.read_bytes()[:200])
    return path


def incomplete(at: Path) -> Path:
    next(saved(at / "set", table_of()).glob("*00000*")).unlink()
    return at / "set"


def pointer(path: Path) -> Path:
    path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n")
    return path


REFUSED: list[tuple[Callable[[Path], Path], str]] = [
    (only_paths, r"set.parquet\[0\] says where its picture lies .* does not hold it .*; give the folder"),
    (
        lambda at: one_file(at / "set.parquet", table_of(features=None, image=["a.png"] * 5)),
        r"no column of pictures in it \(columns: image \(string\), label \(int64\)\)",
    ),
    (
        lambda at: one_file(at / "set.parquet", table_of(image=["a.png"] * 5)),
        "the column 'image' holds string: where pictures lie, and not the pictures; give their folder",
    ),
    (lambda at: one_file(at / "set.parquet", table_of([], [])), r"the tables hold no rows \(set.parquet\)"),
    (differing, "data/test-.* 2 classes with names, and data/train-.* 3 classes with names; give the folder, or the"),
    (beside_pictures, r"holds 1 pictures \(assets/teaser.png, ...\) and 3 parquet files with pictures \(data/train"),
    (lambda at: cut(one_file(at / "set.parquet", table_of())), "damaged, or of another kind than its name says"),
    (lambda at: pointer(at / "set.parquet"), "a pointer of Git LFS, not the file; fetch it with git lfs pull"),
    (lambda at: cut(next(saved(at / "set", table_of()).glob("*00001*"))).parent, "00001.*damaged, or of another kind"),
    (incomplete, "data-00000-of-00002.arrow, which its state.json names, is not there; copy the whole folder"),
    (lambda at: with_state(at, _data_files=[{"filename": "../x.arrow"}]), "state.json does not say what its files are"),
    (lambda at: with_state(at, _data_files=None), "state.json does not say what its files are"),
    (lambda at: with_state(at, _data_files=[]), "state.json names no files; save it again"),
    (lambda at: with_state(at, _indices_data_files=[{"filename": "i.arrow"}]), r"save flatten_indices\(\) of it"),
    (lambda at: folder_of(at / "set", {"dataset_dict.json": b"{"}), "dataset_dict.json: damaged"),
    (lambda at: folder_of(at / "set", {"dataset_dict.json": b'{"splits": ["../x"]}'}), "does not say which splits"),
    (lambda at: folder_of(at / "set", {"dataset_dict.json": b'{"splits": ["x"]}'}), "state.json is not there; copy"),
    (
        lambda at: folder_of(at / "set", {"a-train.arrow": b"", "dataset_info.json": b"{}"}),
        "save_to_disk of .data",
    ),
    (lambda at: folder_of(at / "set", {"train-0000.tar": b""}), r"seen: 1 x .tar\); .*unpack them \(tar -xf\)"),
    (lambda at: folder_of(at, {"train-0000.tar": b"x"}) / "train-0000.tar", r"\.tar is not read; .*tar -xf"),
    (
        lambda at: zip_of(at / "set.zip", {"a.parquet": b""}),
        "not from within an archive: unpack it and give",
    ),
]


@pytest.mark.parametrize(("make", "words"), REFUSED)
def test_what_cannot_be_used_is_refused_with_what_to_do(
    tmp_path: Path, make: Callable[[Path], Path], words: str
) -> None:
    with pytest.raises(InputError, match=words):
        ingest(make(tmp_path), resolution=8, skip_bad=True)


def test_rows_without_a_picture_and_damaged_ones_are_bad_pictures(tmp_path: Path) -> None:
    table = table_of([noise_png(1), b"broken", noise_png(2), b"", noise_png(3)])
    holes = pa.array([*table["image"].to_pylist()[:4], None], IMAGE)
    path = one_file(tmp_path / "set.parquet", table.set_column(0, "image", holes))
    with pytest.raises(InputError, match=r"3 of 5 images cannot be used: set.parquet\[1\] \(not a picture"):
        ingest(path, resolution=8)
    found = ingest(path, resolution=8, skip_bad=True)
    assert dict(found.skipped) == {
        "set.parquet[1]": "not a picture of a format that is read",
        "set.parquet[3]": "empty file",
        "set.parquet[4]": "the row holds no picture",
    }
    assert (found.images.images[1] == ingest(folder_of(tmp_path / "f", PICTURES), resolution=8).images.images[1]).any()


def test_other_bytes_are_another_listing_and_equal_ones_the_same(tmp_path: Path) -> None:
    made = [
        one_file(tmp_path / name, table)
        for name, table in (
            ("a.parquet", table_of()),
            ("b.parquet", table_of()),
            ("c.parquet", table_of([noise_png(7), *list(PICTURES.values())[1:]])),
            ("d.parquet", table_of(labels=LABELS[::-1])),
        )
    ]
    digests = []
    for path in made:  # at one place, one after the other
        (tmp_path / "set.parquet").write_bytes(path.read_bytes())
        digests.append(listing_digest(tmp_path / "set.parquet", resolution=8))
    assert digests[0] == digests[1]
    assert len(set(digests)) == 3


def test_a_selection_reads_the_rows_that_it_names(tmp_path: Path) -> None:
    source = open_source(hub(tmp_path / "set", train=table_of()))
    assert source.names[:3] == (
        "data/train-00000-of-00003.parquet[0]",
        "data/train-00000-of-00003.parquet[1]",
        "data/train-00001-of-00003.parquet[0]",
    )
    chosen = source.select(lambda name: name == source.names[3])
    with chosen.jobs(CROPPED) as jobs:
        (picture,) = [job(8) for job in jobs]
    assert (picture == ingest(source.path, resolution=8).images.images[3]).all()
    assert source.sizes() == {(8, 8): 5}


def test_a_table_is_read_a_few_rows_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As many rows are drawn as jobs are: one row group of 200 is not held."""
    path = one_file(tmp_path / "set.parquet", table_of([noise_png(1)] * 200, [0, 1] * 100))
    assert pq.ParquetFile(path).num_row_groups == 1
    drawn: list[int] = []
    column = ParquetFile.column

    def counted(file: ParquetFile, name: str, rows: int) -> Iterator[pa.Array]:
        for values in column(file, name, rows):
            drawn.append(len(values))
            yield values

    monkeypatch.setattr(ParquetFile, "column", counted)
    source = open_source(path)
    drawn.clear()
    with source.jobs(CROPPED) as jobs:
        next(jobs)
        assert drawn == [32]
        assert sum(1 for _ in jobs) == 199
    assert drawn == [32] * 6 + [8]


def test_a_null_row_is_said_by_its_job(tmp_path: Path) -> None:
    cells = pa.array([None, {"bytes": noise_png(1), "path": None}], IMAGE)
    with open_source(one_file(tmp_path / "a.parquet", pa.table({"image": cells}))).jobs(CROPPED) as jobs:
        first, second = jobs
        with pytest.raises(BadImageError, match="the row holds no picture"):
            first(8)
        assert second(8).shape == (3, 8, 8)


# ImageFolder.


def sheet_of(kind: str, rows: list[dict[str, Any]]) -> bytes:
    if kind == "parquet":
        buffer = io.BytesIO()
        pq.write_table(pa.Table.from_pylist(rows), buffer)
        return buffer.getvalue()
    if kind == "jsonl":
        return "\n".join(map(json.dumps, rows)).encode()
    text = io.StringIO()
    writer = csv.DictWriter(text, rows[0])
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()


@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet"])
@pytest.mark.parametrize("put", [folder_of, lambda path, files: zip_of(path.with_suffix(".zip"), files)])
def test_an_image_folder_has_its_labels_in_a_sheet_for_each_split(
    tmp_path: Path, kind: str, put: Callable[[Path, Files], Path]
) -> None:
    files: Files = {}
    for split in ("train", "test"):
        rows = [{"file_name": f"{index}.png", "label": "ab"[index % 2], "note": index} for index in range(3)]
        files |= {f"{split}/{index}.png": noise_png(index) for index in range(3)}
        files |= {f"{split}/metadata.{kind}": sheet_of(kind, rows)}
    found = ingest(put(tmp_path / "set", files), resolution=8)
    assert classes_of(found) == ["a", "b", "a"] * 2
    assert found.remarks == (f"classes from metadata.{kind}",)


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"PAR1", "it cannot be read ("),
        (sheet_of("parquet", [{"file_name": "a.png", "text": "x"}]), "it has the columns file_name, text, and none of"),
    ],
)
def test_a_sheet_of_parquet_that_cannot_be_used_is_named(tmp_path: Path, data: bytes, why: str) -> None:
    path = folder_of(tmp_path / "set", {"a.png": noise_png(1), "b.png": noise_png(2), "metadata.parquet": data})
    (remark,) = ingest(path, resolution=8).remarks
    assert remark.startswith(f"the labels of metadata.parquet are not used: {why}")


def test_parquet_without_pictures_beside_pictures_is_left_out_as_before(tmp_path: Path) -> None:
    path = folder_of(tmp_path / "set", {"a/1.png": noise_png(1), "b/1.png": noise_png(2)})
    one_file(path / "embeddings.parquet", pa.table({"x": [1.0, 2.0]}))
    (path / "broken.parquet").write_bytes(b"?")
    assert ingest(path, resolution=8).remarks == ("left out as no pictures: 2 x .parquet",)


# The command line.


def test_a_plan_of_a_copy_of_the_hub(cli: Cli, tmp_path: Path) -> None:
    pictures, labels = [noise_png(index, 16) for index in range(40)], [index % 2 for index in range(40)]
    hub(tmp_path / "pets", train=table_of(pictures[:30], labels[:30]), test=table_of(pictures[30:], labels[30:]))
    said = cli("run ablation-table3 --scale smoke --no-mlflow --data pets --dry-run --only variant=patchd")
    assert said.code == 0, said.err
    assert "pets 16x16, 40 images" in said.out
    for words in ("2 classes: cat 20, dog 20", "read as one set: data/test (10), data/train (30)", "1 x .md"):
        assert words in said.out


def test_sets_that_are_compared_may_be_tables(cli: Cli, tmp_path: Path) -> None:
    for name, first in (("made", 0), ("real", 40)):
        hub(tmp_path / name, train=table_of([noise_png(seed) for seed in range(first, first + 40)], [0, 1] * 20))
    said = cli("evaluate made real --metrics kid --encoder pixels-pca")
    assert said.code == 0, said.err
    assert "40 pictures against 40 of real, 8x8" in said.out
    assert "clean-fid would not look at" not in said.out
    only_paths(tmp_path)
    said = cli("evaluate set.parquet real --metrics kid")
    assert said.code == 2
    assert "set.parquet[0] says where its picture lies" in said.err
    assert "--data" not in said.err


def test_a_damaged_table_ends_a_command_with_exit_code_2(cli: Cli, tmp_path: Path) -> None:
    cut(one_file(tmp_path / "set.parquet", table_of()))
    for line in (
        "run ablation-table3 --scale smoke --data set.parquet --dry-run",
        "evaluate set.parquet set.parquet --metrics kid",
        "data embeddings export --out e.npz --data set.parquet",
    ):
        said = cli(line)
        assert said.code == 2
        assert "set.parquet: damaged, or of another kind than its name says" in said.err
        assert "Traceback" not in said.err
