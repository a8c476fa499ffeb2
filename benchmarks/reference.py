"""What it saves to know what depends on the real images alone, and the memory of a Fréchet distance to many of them.

    OMP_NUM_THREADS=1 python -m benchmarks.reference [--images 202599 --features 2048]

The table is Markdown; times are CPU seconds of random features. With --images, features of so many images lie in a
file that is mapped, and the peak of the memory is printed beside what of it is pages of that file.
"""

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np

from prism_bench.prism.metrics.base import ReferenceMetric
from prism_bench.prism.metrics.frechet import FrechetDistance, frechet_between
from prism_bench.prism.metrics.kid import KernelDistance
from prism_bench.prism.metrics.prdc import PrecisionRecall

METRICS: tuple[ReferenceMetric, ...] = (FrechetDistance(), KernelDistance(), PrecisionRecall())
BLOCK = 8192


def main() -> None:
    parser = argparse.ArgumentParser(description="Metrics that know their reference.")
    parser.add_argument("--images", type=int, help="images of a large reference, for the memory alone")
    parser.add_argument("--features", type=int, default=2048, help="features of each")
    options = parser.parse_args()
    if options.images is not None:
        memory(options.images, options.features)
        return
    rng = np.random.default_rng(0)
    generated, real = (rng.standard_normal((n, 1280), np.float32) for n in (1000, 6000))
    print("| metric | what is of the reference alone | a cell, knowing it | a cell before |\n|---|---:|---:|---:|")
    for metric in METRICS:
        started = time.process_time()
        facts = metric.of_reference(real)
        known = time.process_time()
        metric.against(generated, real, facts)
        once, cell = known - started, time.process_time() - known
        print(f"| {metric.name} | {once:.2f} s | {cell:.2f} s | {once + cell:.2f} s |")


def memory(n: int, d: int) -> None:
    rng = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "features.npy"
        features = np.lib.format.open_memmap(path, "w+", np.float32, (n, d))
        for start in range(0, n, BLOCK):
            features[start : start + BLOCK] = rng.standard_normal((min(BLOCK, n - start), d), np.float32)
        del features
        few, mapped = rng.standard_normal((1000, d), np.float32), np.load(path, mmap_mode="r")
        started = time.monotonic()
        frechet_between(few, mapped)
        seconds = time.monotonic() - started
        facts = dict(line.split(":") for line in Path("/proc/self/status").read_text().splitlines())
    peak, pages = (int(facts[name].split()[0]) / 1e3 for name in ("VmHWM", "RssFile"))
    print(f"{n:,} x {d:,}: {seconds:.0f} s; at most {peak:,.0f} MB, {pages:,.0f} MB of it pages of the file")


if __name__ == "__main__":
    main()
