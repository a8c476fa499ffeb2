"""The paper's 22 trainings and their samples on several numbers of GPUs: hours and money, from counted operations.

    OMP_NUM_THREADS=1 python -m benchmarks.paper_plan [--utilisation 0.15] [--peak 989e12] [--price 3]

Operations are those that `efficiency` counts, for the methods of scale `paper`. Assumed: the share of the GPU's peak
that training and sampling reach (peak: an H100's in bfloat16, dense), and the price of a GPU for an hour. The order is
that of the product, by the real scheduler on simulated workers. RISSOLE's trainings, encoders and metrics are not in
it.
"""

import argparse
import tempfile
from collections.abc import Iterator
from pathlib import Path

from benchmarks.simulation import Simulated, lower_bound, simulate
from prism_bench.experiments.paper.scales import paper_scale
from prism_bench.prism.patch_diffusion.patches import PatchSizes

EMBEDDING = 512
ROWS = (
    ("Table 1", "cifar10", 2, 1, 0.0), ("Table 1", "celeba", 2, 1, 0.0), ("Table 1", "imagenet100", 2, 1, 0.0),
    ("Table 1", "afhqv2", 2, 1, 0.0), ("Table 2", "cifar10", 2, 1, 0.0), ("Table 3", "celeba", 2, 1, 0.0),
    ("Table 3", "cifar10", 2, 1, 0.0), ("Table 4", "celeba", 4, 6, 0.0), ("Table 5", "celeba", 3, 1, 0.5),
)  # fmt: skip
"""Trainings that an earlier table does not have; sets of samples of each; share of full-resolution steps."""


def operations(panel: str, full: float) -> tuple[float, float]:
    """Of one training, and of one set of samples."""
    scale = paper_scale(panel)
    method, resolution = scale.method.replace(patches=PatchSizes(full=full)), scale.dataset.resolution
    sampling = method.sampling_flops(scale.sampler, resolution, EMBEDDING, 1) * scale.samples
    return method.training_flops(resolution, EMBEDDING), sampling


def plan(speed: float) -> Iterator[Simulated]:
    """Every training, then every set of samples; speed: operations per second that are reached."""
    later = []
    for table, panel, trainings, sets, full in ROWS:
        training, sampling = operations(panel, full)
        hours = training / speed / 3600
        print(f"| {table} | {panel} | {trainings} | {training / 1e18:.2f} | {hours:.2f} | {sets * trainings} | "
              f"{sampling / speed / 3600:.2f} |", flush=True)  # fmt: skip
        for index in range(trainings):
            name = f"{table} {panel} {index}"
            trained = Simulated(name=name, seconds=training / speed, on_device=True)
            yield trained
            for number in range(sets):
                seconds, needs = sampling / speed, (trained,)
                later.append(Simulated(name=f"{name} {number}", seconds=seconds, on_device=True, needs=needs))
    yield from later


def main() -> None:
    parser = argparse.ArgumentParser(description="The paper's plan on several numbers of GPUs.")
    parser.add_argument("--utilisation", type=float, default=0.15)
    parser.add_argument("--peak", type=float, default=989e12)
    parser.add_argument("--price", type=float, default=3.0, help="of a GPU for an hour")
    parser.add_argument("--gpus", type=int, nargs="+", default=[1, 8, 64])
    options = parser.parse_args()
    print(
        "| table | dataset | trainings | 1e18 operations | hours | sets of samples | hours |\n|---|---|" + "---:|" * 5
    )
    stages = list(plan(options.utilisation * options.peak))
    print("\n| GPUs | hours | at least | GPUs idle | money, all kept to the end | money, each until it is idle |")
    print("|" + "---:|" * 6)
    work = sum(stage.seconds for stage in stages) / 3600
    for gpus in options.gpus:
        with tempfile.TemporaryDirectory() as folder:
            outcome, _ = simulate(stages, gpus, Path(folder), charge=False)
        hours, least = outcome.makespan / 3600, lower_bound(stages, gpus) / 3600
        kept, used = hours * gpus * options.price, work * options.price
        print(f"| {gpus} | {hours:.1f} | {least:.1f} | {outcome.idle:.0%} | {kept:,.0f} | {used:,.0f} |")


if __name__ == "__main__":
    main()
