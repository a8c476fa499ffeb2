"""Data larger than memory: what a process holds does not grow with the set."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from rich.console import Console

from prism_bench.experiments.data.open_data import open_files
from prism_bench.prism.data.toyfaces import ToyFaces
from prism_bench.prism.data.user_images.image_files import listing_digest
from prism_bench.prism.encoders.pca import PixelsPCA
from prism_bench.prism.engine.peak_memory import STATUS
from prism_bench.prism.engine.rows_file import RowsFile, read_parts, read_rows
from prism_bench.prism.engine.store import Address, Store
from prism_bench.prism.errors import InputError

SIDE, FEW, MANY = 64, 2000, 10_000
MORE = (MANY - FEW) * 3 * SIDE**2
"""Bytes by which the larger set exceeds the smaller."""

WORK = {
    "decoding": "ingest(folder / 'images.npz', resolution=64, file=folder / 'out.npy')",
    "decoding a table": "ingest(folder / 'images.parquet', resolution=64, file=folder / 'out.npy')",
    "drawing": "ToyFaces(resolution=64, size=count).write(folder / 'out.npy')",
    "embedding": """
images = np.load(folder / "images.npy", mmap_mode="r")
fill_rows(folder / "e.npy", (count, 4), np.float32, batch=256, make=lambda rows: read_rows(images, slice(rows.start,
    rows.stop)).reshape(len(rows), -1)[:, :4], report=Report(folder / "p.json"), unit="images")
""",
}


@pytest.fixture(scope="module")
def sets(tmp_path_factory: pytest.TempPathFactory) -> dict[int, Path]:
    """A folder for each size, with images as .npy, as .npz, and as .parquet of one row group."""
    folders = {}
    for count in (FEW, MANY):
        folder = folders[count] = tmp_path_factory.mktemp(str(count))
        images = np.random.default_rng(0).integers(0, 256, (count, 3, SIDE, SIDE), np.uint8)
        np.save(folder / "images.npy", images)
        np.savez(folder / "images.npz", images=images)
        header = f"P6 {SIDE} {SIDE} 255\n".encode()
        table = pa.table({"image": pa.array([header + image.tobytes() for image in images], pa.binary())})
        pq.write_table(table, folder / "images.parquet", use_dictionary=False, row_group_size=count)
    return folders


def peak(code: str, folder: Path, count: int) -> int:
    """The most memory in bytes, mapped files included, of a process that runs `code`."""
    script = f"""
from pathlib import Path
import numpy as np
from prism_bench.prism.data.toyfaces import ToyFaces
from prism_bench.prism.data.user_images.image_files import ingest
from prism_bench.prism.engine.resumable_array import fill_rows
from prism_bench.prism.engine.rows_file import read_rows
from prism_bench.prism.engine.runtime import Report
folder, count = Path({str(folder)!r}), {count}
{code}
print([line.split()[1] for line in open('{STATUS}') if line.startswith("VmHWM:")][0])
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return int(done.stdout.split()[-1]) * 1024


@pytest.mark.skipif(not STATUS.exists(), reason="only Linux tells the peak of a process")
@pytest.mark.parametrize("kind", WORK)
def test_memory_does_not_grow_with_the_set(sets: dict[int, Path], kind: str) -> None:
    few, many = (peak(WORK[kind], sets[count], count) for count in (FEW, MANY))
    assert many - few < 0.2 * MORE, f"{kind}: {few / 1e6:.0f} MB, then {many / 1e6:.0f} MB"


def test_a_dataset_writes_what_it_builds(tmp_path: Path) -> None:
    faces = ToyFaces(size=300)
    built, written = faces.build(), faces.write(tmp_path / "images.npy")
    assert isinstance(written.images, np.memmap)
    np.save(tmp_path / "plain.npy", built.images)
    assert (tmp_path / "images.npy").read_bytes() == (tmp_path / "plain.npy").read_bytes()
    assert (written.labels == built.labels).all()


def test_a_file_of_rows_is_what_numpy_saves(tmp_path: Path) -> None:
    values = np.random.default_rng(0).standard_normal((11, 2, 3)).astype(np.float32)
    with RowsFile.create(tmp_path / "a.npy", (1_000_000, 2, 3), np.float32) as rows:
        rows.write(5, values[5:])
        rows.write(0, values[:5])
        rows.shorten(11)
        with pytest.raises(ValueError, match=r"rows of shape \(2, 2, 3\) do not fit at 10 of \(11, 2, 3\)"):
            rows.write(10, values[:2])
    np.save(tmp_path / "b.npy", values)
    assert (tmp_path / "a.npy").read_bytes() == (tmp_path / "b.npy").read_bytes()


@pytest.mark.parametrize("order", ["C", "F"])
def test_rows_of_a_map_are_read_from_its_file(tmp_path: Path, order: str, monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.asarray(np.arange(60.0).reshape(10, 2, 3), order=order)  # type: ignore[call-overload]
    np.save(tmp_path / "a.npy", values)
    mapped = np.load(tmp_path / "a.npy", mmap_mode="r")
    assert (read_rows(mapped, slice(3, 7)) == values[3:7]).all()
    # A view begins elsewhere than its file says.
    assert (read_rows(mapped[2:9], slice(3, 7)) == values[5:9]).all()
    assert (read_rows(mapped[::2], slice(1, 4)) == values[2:8:2]).all()
    monkeypatch.setattr("prism_bench.prism.engine.rows_file.READ_BYTES", 100)
    parts = list(read_parts(mapped))
    assert [len(part) for part in parts] == [2, 2, 2, 2, 2]
    assert (np.concatenate(parts) == values).all()


def test_files_are_decoded_in_the_store_and_nothing_else_is_left(tmp_path: Path) -> None:
    store, console = Store.create(tmp_path / "store"), Console(quiet=True)
    path = tmp_path / "pictures.npz"
    images = np.random.default_rng(0).integers(0, 256, (40, 8, 8, 3), np.uint8)
    np.savez(path, images=images)
    # What a process left that was killed while it decoded.
    left = store.work(Address("import", listing_digest(path, resolution=8)[:20])) / "images.npy"
    left.write_bytes(b"half")
    source = open_files(path, resolution=8, skip_bad=False, fit="crop", store=store, console=console)
    held = store.folder(source.stage.address) / "images.npy"
    np.save(tmp_path / "plain.npy", images.transpose(0, 3, 1, 2))
    assert held.read_bytes() == (tmp_path / "plain.npy").read_bytes()
    assert store.fault(source.stage.address) is None
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "a.png").write_bytes(b"broken")
    with pytest.raises(InputError, match="1 of 1 images cannot be used"):
        open_files(tmp_path / "bad", resolution=8, skip_bad=False, fit="crop", store=store, console=console)
    assert list((store.root / "work").iterdir()) == []


def test_a_fitted_encoder_is_given_what_it_looks_at(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("prism_bench.prism.encoders.pca.FIT_ON", 30)
    encoder, images = PixelsPCA(components=6), ToyFaces(size=100).build().images
    ids = encoder.fitted_on(np.arange(100))
    assert ids.tolist() == list(range(0, 100, 4))
    few, all_of_them = encoder.load(images[ids], "cpu"), encoder.load(images, "cpu")
    assert (few(images) == all_of_them(images)).all()
