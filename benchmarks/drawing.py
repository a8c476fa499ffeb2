"""What drawing a step's input costs the host at the paper's sizes, beside 0.4.0's way, in turns in one process.

    OMP_NUM_THREADS=1 python -m benchmarks.drawing [--panel cifar10] [--images 50000] [--rounds 20]

No GPU is needed: 0.4.0 made the whole batch on the host and sent it; now the host draws ids and corners, and what it
sends is counted. Crops, embeddings and noise are the device's; where that is the CPU, they are timed with the draw.
Every step is on quarter patches, which take the largest batch.
"""

import argparse
import time
from collections.abc import Callable, Sequence
from statistics import median
from typing import Any, NamedTuple

import numpy as np
import torch

from prism_bench.experiments.paper.scales import PAPER_DATASETS, paper_method
from prism_bench.prism.engine.runtime import Runtime
from prism_bench.prism.images import to_signed
from prism_bench.prism.methods.method import Gallery, TrainingData
from prism_bench.prism.patch_diffusion.cropping import coordinate_grid
from prism_bench.prism.patch_diffusion.patch_method import PatchMethod
from prism_bench.prism.patch_diffusion.patch_objective import PatchBatch, PatchObjective
from prism_bench.prism.patch_diffusion.patches import PatchSizes
from prism_bench.prism.patch_diffusion.recipe import Recipe, step_rng
from prism_bench.prism.rng import torch_rng

CLIP_WIDTH = 512
MIB = 2**20


class Costs(NamedTuple):
    """CPU-milliseconds, median: 0.4.0's batch; the draw alone, and with the gathering. MiB to the device."""

    before: float
    draw: float
    batch: float
    sent_before: float
    sent: float


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="CPU time of drawing a step's input, and what is sent to the device.")
    parser.add_argument("--panel", choices=PAPER_DATASETS, default="cifar10")
    parser.add_argument("--images", type=int, default=50_000)
    parser.add_argument("--rounds", type=int, default=20)
    options = parser.parse_args(arguments)
    method = paper_method(options.panel)
    method = method.replace(patches=PatchSizes(half=0.0))
    data = pretended(options.images, PAPER_DATASETS[options.panel].resolution, method.largest_k)
    costs = measured(data, method, options.rounds)
    print(f"\n{options.panel}, quarter patches, k = {method.largest_k}, batch {method.training.batch} x 4:\n")
    print("| a step | 0.4.0 | now | ratio |\n|---|---:|---:|---:|")
    for words, before, now in (
        ("CPU-ms of the host", costs.before, costs.draw),
        ("CPU-ms where the CPU is the device", costs.before, costs.batch),
        ("MiB to the device", costs.sent_before, costs.sent),
    ):
        print(f"| {words} | {before:.1f} | {now:.2f} | {before / now:.1f} |")
    assert costs.draw <= costs.before / 5
    assert costs.sent <= 1


def pretended(images: int, resolution: int, k: int, *, width: int = CLIP_WIDTH) -> TrainingData:
    """Random images and embeddings of this number and size, two thirds of which are D."""
    rng = np.random.default_rng(0)
    held = images * 2 // 3
    gallery = Gallery(rng.standard_normal((images, width), np.float32), rng.integers(0, held, (images, k)))
    pixels = rng.integers(0, 256, (images, 3, resolution, resolution), np.uint8)
    return TrainingData(pixels, np.arange(held, images), np.arange(held), gallery)


def measured(data: TrainingData, method: PatchMethod, rounds: int) -> Costs:
    """Both ways in turns, step by step; they give the same bits."""
    recipe = Recipe(method.training, method.patches, method.schedule, method.diffusion)
    objective = PatchObjective(data, recipe, 0, Runtime())
    chosen = torch.from_numpy(data.images[data.ids])
    times: list[tuple[float, float, float]] = []
    for step in range(rounds + 1):
        old, before = timed(as_in_0_4_0, objective, data, chosen, step)
        draw, drawing = timed(objective.draw, step, 0)
        new, gathering = timed(objective.gather, draw)
        assert all(torch.equal(one, other) for one, other in zip(old, new, strict=True))
        times.append((before, drawing, drawing + gathering))
    # The first round also shuffles the epoch and warms up.
    before, drawing, batch = (1000 * median(column) for column in zip(*times[1:], strict=True))
    sent_before = sum(part.nbytes for part in old if part is not None)
    return Costs(before, drawing, batch, sent_before / MIB, draw.nbytes / MIB)


def as_in_0_4_0(objective: PatchObjective, data: TrainingData, chosen: torch.Tensor, step: int) -> PatchBatch:
    """The batch of a step as 0.4.0 made it on the host. chosen: the images to train on."""
    recipe, resolution = objective.recipe, data.images.shape[-1]
    rng = step_rng(objective.seed, step)
    side, n = recipe.step(resolution, rng, 0)
    rows = objective.epochs.rows(0, n)
    corners = torch.from_numpy(rng.integers(0, resolution - side + 1, (n, 2)))
    clean = _window(chosen[torch.from_numpy(rows)], corners, side)
    noise_rng = torch_rng(objective.seed, "training noise", step)
    assert data.gallery is not None
    k = recipe.schedule.k(min(1.0, n / recipe.training.images))
    nearest = data.gallery.neighbours[data.ids[rows], :k]
    grid = coordinate_grid(resolution)
    return PatchBatch(
        clean=to_signed(clean),
        noise=torch.randn(clean.shape, generator=noise_rng),
        sigma=recipe.diffusion.draw_sigma(n, noise_rng),
        coordinates=_window(grid.expand(len(corners), *grid.shape), corners, side),
        neighbours=torch.from_numpy(data.gallery.vectors[nearest]),
    )


def _window(values: torch.Tensor, corners: torch.Tensor, side: int) -> torch.Tensor:
    span = torch.arange(side)
    rows, columns = corners[:, 0, None] + span, corners[:, 1, None] + span
    batch = torch.arange(len(corners))[:, None, None]
    return values[batch, :, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)


def timed(compute: Callable[..., Any], *arguments: Any) -> tuple[Any, float]:
    start = time.process_time()
    value = compute(*arguments)
    return value, time.process_time() - start


if __name__ == "__main__":
    main()
