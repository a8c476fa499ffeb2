"""What far dependence makes of real images that were altered, and of images that would game it.

    OMP_NUM_THREADS=1 python -m benchmarks.far_dependence [--data FOLDER_OR_ZIP] [--resolution 16]

1,000 images are altered and measured against all the others: toyfaces, or images of your own. The table is Markdown.
"""

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from prism_bench.baselines.altered import blurred, flat, levels, repaired
from prism_bench.prism.data.toyfaces import ToyFaces
from prism_bench.prism.data.user_images.image_files import ingest
from prism_bench.prism.images import Pixels
from prism_bench.prism.metrics.far_dependence import far_dependence

CHANGED = 1000


def main() -> None:
    parser = argparse.ArgumentParser(description="Far dependence of real images that were altered.")
    parser.add_argument("--data", type=Path, help="a folder or .zip of pictures (default: toyfaces)")
    parser.add_argument("--resolution", type=int, default=16)
    options = parser.parse_args()
    if options.data is None:
        images = ToyFaces(resolution=options.resolution, size=6000).build().images
    else:
        images = ingest(options.data, resolution=options.resolution).images.images
    images = np.random.default_rng(0).permutation(images)
    if len(images) < 2 * CHANGED:
        parser.error(f"{len(images)} images are too few; {2 * CHANGED} are needed")
    print("| images | far dependence |\n|---|---:|")
    for name, altered in alterations(images[:CHANGED]):
        print(f"| {name} | {far_dependence(altered, images[CHANGED:], components=8):.2f} |", flush=True)


def alterations(real: Pixels) -> Iterator[tuple[str, Pixels]]:
    """Each with its name; `real` is uint8 [n, 3, R, R]."""
    rng = np.random.default_rng(1)
    half, n = real.shape[-1] // 2, len(real)
    yield "untouched", real
    for share in (0.25, 0.5, 0.75, 1.0):
        mixed, chosen = real.copy(), np.arange(int(share * n))
        mixed[chosen] = repaired(real[chosen], real[np.roll(chosen, 1)])
        yield f"right halves of {share:.0%} from other images", mixed
    quarters = mixed.copy()
    quarters[:, :, half:] = mixed[rng.permutation(n)][:, :, half:]
    yield "all four quarters from different images", quarters
    yield "the same, one shift of brightness each, SD 60", levels(quarters + rng.normal(0, 60, (n, 1, 1, 1)))
    yield "the same, one colour cast each, SD 60", levels(quarters + rng.normal(0, 60, (n, 3, 1, 1)))
    everywhere = np.ones_like(real, dtype=np.float64)
    yield "flat, one random colour each", levels(everywhere * rng.integers(0, 256, (n, 3, 1, 1)))
    yield "flat, the mean colour of a real image", flat(real)
    yield "left half mirrored into the right one", np.concatenate([real[..., :half], real[..., half - 1 :: -1]], -1)
    yield "mirrored", real[..., ::-1].copy()
    yield "blurred, 3 x 3", blurred(real)
    yield "noise of SD 10", levels(real + rng.normal(0, 10, real.shape))
    yield "half the contrast", levels(real / 2 + 64)


if __name__ == "__main__":
    main()
