"""Memory and time of data larger than memory: decoding, neighbours, and what a training reads; grown step by step.

    OMP_NUM_THREADS=1 nice -n 19 python -m benchmarks.large_data [--sizes 80000,320000,1280000] [--files 40000]

Each figure is of a process of its own. The images, 64x64, come from one compressed .npz whose pixels are noise and
flat (so that the disk holds the decoded ones once: 15.7 GB for 1,280,000, in --folder, removed afterwards); a folder of
PNG files and a .zip of them are decoded too, at --files. Neighbours: 64 numbers an image, D of 70%, 32 neighbours for
the first --queries images. A training: 300 batches of 512 random images with 16 neighbours each, gathered from maps.
"""

import argparse
import io
import json
import subprocess
import sys
import tempfile
import threading
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from prism_bench.prism.conditioning.neighbour_search import QUERY_BATCH, ExactSearch
from prism_bench.prism.data.user_images.image_files import ingest, listing_digest
from prism_bench.prism.engine.peak_memory import STATUS
from prism_bench.prism.engine.resumable_array import fill_rows
from prism_bench.prism.engine.rows_file import RowsFile
from prism_bench.prism.engine.runtime import Report
from prism_bench.prism.engine.store import file_digest

SIDE, DIM, WIDTH, SHARE = 64, 64, 32, 0.7
NOISE = 160
"""Bytes of an image that are noise."""
BLOCK = 1000


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--sizes", default="80000,320000,1280000")
    parser.add_argument("--files", type=int, default=40_000)
    parser.add_argument("--queries", type=int, default=20_000)
    parser.add_argument("--folder", type=Path, default=None)
    parser.add_argument("--step", nargs=2, default=None, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.step is not None:
        measure(STEPS[options.step[0]], options.folder, int(options.step[1]), options.queries)
        return
    print("| images | 64x64 pixels | step | seconds | peak, GB | of it not of files, GB |")
    print("|---:|---:|---|---:|---:|---:|")
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        for kind in ("folder", "zip") if options.files else ():
            write_files(Path(folder) / f"pictures.{kind}", options.files)
            row(kind, Path(folder), options.files, options.queries)
    for size in map(int, options.sizes.split(",")):
        with tempfile.TemporaryDirectory(dir=options.folder) as folder:
            write_array(Path(folder) / "pictures.npz", size)
            for step in ("npz", "neighbours", "training"):
                row(step, Path(folder), size, options.queries)


def row(step: str, folder: Path, size: int, queries: int) -> None:
    """Run one step in a process of its own and print its line."""
    command = [sys.executable, "-m", "benchmarks.large_data", "--folder", str(folder), "--queries", str(queries)]
    done = subprocess.run([*command, "--step", step, str(size)], check=True, capture_output=True, text=True)
    found = json.loads(done.stdout)
    pixels = size * 3 * SIDE**2 / 1e9
    peaks = f"{found['peak'] / 1e9:.2f} | {found['anonymous'] / 1e9:.2f}"
    print(f"| {size:,} | {pixels:.1f} GB | {LABELS[step]} | {found['seconds']:.0f} | {peaks} |", flush=True)


def measure(step: Callable[[Path, int, int], None], folder: Path, size: int, queries: int) -> None:
    """Print seconds, the peak of this process's memory, and that of what is no page of a file, as JSON."""
    highest, over = [0], threading.Event()

    def watch() -> None:
        while not over.wait(0.02):
            highest[0] = max(highest[0], status("RssAnon"))

    watcher = threading.Thread(target=watch)
    watcher.start()
    started = time.perf_counter()
    step(folder, size, queries)
    seconds = time.perf_counter() - started
    over.set()
    watcher.join()
    print(json.dumps({"seconds": seconds, "peak": status("VmHWM"), "anonymous": highest[0]}))


def status(name: str) -> int:
    """A line of this process's status, in bytes."""
    (line,) = (line for line in STATUS.read_text().splitlines() if line.startswith(f"{name}:"))
    return int(line.split()[1]) * 1024


def write_array(path: Path, size: int) -> None:
    """`size` images as one array."""
    block = np.zeros((BLOCK, SIDE * SIDE * 3), np.uint8)
    block[:, :NOISE] = np.random.default_rng(0).integers(0, 256, (BLOCK, NOISE), np.uint8)
    header = io.BytesIO()
    description = {"descr": "|u1", "fortran_order": False, "shape": (size, SIDE, SIDE, 3)}
    np.lib.format.write_array_header_1_0(header, description)
    with (
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive,
        archive.open("images.npy", "w", force_zip64=True) as member,
    ):
        member.write(header.getvalue())
        for start in range(0, size, BLOCK):
            member.write(block[: min(BLOCK, size - start)].tobytes())


def write_files(path: Path, size: int) -> None:
    """`size` PNG files of noise in ten class folders, or in a zip."""
    archive = zipfile.ZipFile(path, "w") if path.suffix == ".zip" else None
    for index in range(size):
        noise = np.random.default_rng(index).integers(0, 256, (SIDE // 4, SIDE // 4, 3), np.uint8)
        buffer, name = io.BytesIO(), f"{index % 10}/{index:07d}.png"
        Image.fromarray(noise).resize((SIDE, SIDE)).save(buffer, "PNG", compress_level=1)
        if archive is not None:
            archive.writestr(name, buffer.getvalue())
        else:
            (path / name).parent.mkdir(parents=True, exist_ok=True)
            (path / name).write_bytes(buffer.getvalue())
    if archive is not None:
        archive.close()


def decode(suffix: str) -> Callable[[Path, int, int], None]:
    """What `--data` does: list, decode, find the content's digest, and the file's checksum."""

    def step(folder: Path, size: int, _: int) -> None:
        path = folder / f"pictures.{suffix}"
        listing_digest(path, resolution=SIDE)
        found = ingest(path, resolution=SIDE, file=folder / "images.npy")
        assert len(found.images.images) == size
        file_digest(folder / "images.npy")

    return step


def neighbours(folder: Path, size: int, queries: int) -> None:
    """Vectors into a file, and the neighbours of some among D."""
    with RowsFile.create(folder / "vectors.npy", (size, DIM), np.float32) as rows:
        for start in range(0, size, BLOCK):
            count = min(BLOCK, size - start)
            rows.write(start, np.random.default_rng(start).standard_normal((count, DIM), np.float32))
    vectors = np.load(folder / "vectors.npy", mmap_mode="r")
    gallery = np.random.default_rng(0).permutation(size)[: int(SHARE * size)]
    search, asked = ExactSearch(vectors, gallery, WIDTH), np.random.default_rng(1).integers(0, size, size)
    fill_rows(
        folder / "neighbours.npy",
        (min(queries, size), WIDTH),
        np.int64,
        batch=QUERY_BATCH,
        make=lambda rows: search(asked[rows.start : rows.stop]),
        report=Report(folder / "progress.json"),
        unit="queries",
    )


def training(folder: Path, size: int, queries: int) -> None:
    """Batches of images and of their neighbours' vectors."""
    images = np.load(folder / "images.npy", mmap_mode="r")
    vectors = np.load(folder / "vectors.npy", mmap_mode="r")
    table = np.load(folder / "neighbours.npy", mmap_mode="r")
    rng = np.random.default_rng(0)
    for _ in range(300):
        ids = rng.integers(0, size, 512)
        assert images[ids].any()
        assert vectors[table[ids % min(queries, size), :16]].any()


STEPS = {"folder": decode("folder"), "zip": decode("zip"), "npz": decode("npz")}
STEPS |= {"neighbours": neighbours, "training": training}
LABELS = {
    "folder": "decoding, a folder of PNG",
    "zip": "decoding, a zip of PNG",
    "npz": "decoding, one array",
    "neighbours": "neighbours",
    "training": "a training's batches",
}

if __name__ == "__main__":
    main()
