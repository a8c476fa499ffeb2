"""Images per second through CLIP: our embedder against a plain open_clip loop, alternating in one run.

The network has CLIP's architecture and random weights: speed does not depend on them. Nothing else here ever runs a
random CLIP.

    python benchmarks/clip_throughput.py [--model ViT-B-32-quickgelu] [--images 256] [--side 64] [--repeats 5]
"""

import argparse
import statistics
import time
from collections.abc import Callable

import numpy as np
import open_clip
import torch
from PIL import Image

from prism_bench.prism.data.toyfaces import ToyFaces
from prism_bench.prism.encoders.clip import CLIP, image_embedder


def main() -> None:
    """Time both and print their ratio."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default=CLIP().model)
    parser.add_argument("--images", type=int, default=256)
    parser.add_argument("--side", type=int, default=64)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--batch", type=int, default=64, help="of both")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    options = parser.parse_args()
    network, _, preprocess = open_clip.create_model_and_transforms(options.model, device=options.device)
    network.eval()
    images = ToyFaces(resolution=options.side, size=options.images).build().images
    ours = image_embedder(network, preprocess, batch=options.batch, device=options.device)

    def plain(images: np.ndarray) -> np.ndarray:
        found = []
        with torch.inference_mode():
            for start in range(0, len(images), options.batch):
                rows = images[start : start + options.batch]
                pictures = torch.stack([preprocess(Image.fromarray(image.transpose(1, 2, 0))) for image in rows])
                found.append(network.encode_image(pictures.to(options.device)).cpu().numpy())
        return np.concatenate(found)

    ways: dict[str, Callable[[np.ndarray], np.ndarray]] = {"plain open_clip loop": plain, "prism-bench": ours}
    results = {name: way(images) for name, way in ways.items()}
    first, second = results.values()
    np.testing.assert_allclose(first, second, rtol=1e-4, atol=1e-4 * float(np.abs(first).max()))
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(options.repeats):
        for name, way in ways.items():
            started = time.perf_counter()
            way(images)
            seconds[name].append(time.perf_counter() - started)
    print(
        f"{options.model}, {options.images} images of {options.side}x{options.side}, {options.device}, "
        f"{torch.get_num_threads()} threads, median of {options.repeats}"
    )
    for name, times in seconds.items():
        print(f"  {name}: {options.images / statistics.median(times):.1f} images/s")
    ratios = [plain / own for plain, own in zip(*seconds.values(), strict=True)]
    print(f"  ratio {statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})")


if __name__ == "__main__":
    main()
