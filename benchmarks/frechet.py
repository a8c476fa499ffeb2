"""Our Fréchet distance beside clean-fid's on the same 2048-d statistics: value and time, alternating.

    OMP_NUM_THREADS=1 python -m benchmarks.frechet [--dimensions 2048] [--rounds 1]

Needs scipy < 1.18 for clean-fid's side.
"""

import argparse
import time
import warnings
from collections.abc import Callable

import numpy as np

from prism_bench.prism.metrics.frechet import frechet_between, frechet_distance


def main() -> None:
    parser = argparse.ArgumentParser(description="Fréchet distance: ours and clean-fid's, value and seconds.")
    parser.add_argument("--dimensions", type=int, default=2048)
    parser.add_argument("--rounds", type=int, default=1)
    options = parser.parse_args()
    from cleanfid import fid

    # clean-fid calls sqrtm(disp=False), which scipy 1.17 announces to remove.
    warnings.filterwarnings("ignore", category=DeprecationWarning)
    d = options.dimensions
    rng = np.random.default_rng(0)
    mixture = np.eye(d) + 0.3 * rng.standard_normal((d, d)) / np.sqrt(d)
    samples = [rng.standard_normal((d + d // 2, d)) @ mixture + shift for shift in (0.0, 0.02)]
    moments = [part for sample in samples for part in (sample.mean(axis=0), np.cov(sample, rowvar=False))]

    ours, theirs = [], []
    for _ in range(options.rounds):
        value, seconds = timed(lambda: frechet_distance(*moments))
        ours.append(seconds)
        reference, seconds = timed(lambda: float(fid.frechet_distance(*moments)))
        theirs.append(seconds)
        print(
            f"ours {ours[-1]:.2f} s, clean-fid {theirs[-1]:.2f} s, values {value:.8f} and {reference:.8f}", flush=True
        )
        assert abs(value - reference) <= 1e-6 * abs(reference)
    print(f"d = {d}: ratio of medians {np.median(theirs) / np.median(ours):.1f}")

    few = [sample[: d // 4] for sample in samples]
    value, seconds = timed(lambda: frechet_between(*few))
    print(f"from {d // 4} samples of each (singular covariances, never formed): {value:.8f} in {seconds:.2f} s")
    value, seconds = timed(lambda: frechet_between(*samples))
    print(f"from {len(samples[0])} samples of each: {value:.8f} in {seconds:.2f} s")


def timed(compute: Callable[[], float]) -> tuple[float, float]:
    start = time.perf_counter()
    value = compute()
    return value, time.perf_counter() - start


if __name__ == "__main__":
    main()
