"""Training and sampling speed on this machine's device: as shipped, and with every switch the other way.

    python -m benchmarks.gpu [--panel cifar10] [--device cuda] [--steps 60] [--compile]

PRISM at the paper's sizes on random images and embeddings; the same steps on the same patches in every row. Rows with
`float32` or `TF32` compute something else; the others differ in nothing but time. Prints a Markdown table with the
device's name. Without a GPU it runs on the CPU, where little of it matters; `--tiny` then takes a small network.
"""

import argparse
import platform
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import torch

from benchmarks.drawing import pretended
from prism_bench.experiments.paper.scales import PAPER_DATASETS, SMOKE, paper_method
from prism_bench.prism.conditioning.schedules import Fixed
from prism_bench.prism.engine.peak_memory import peak_bytes, restart_peak
from prism_bench.prism.engine.pool import prepare_process
from prism_bench.prism.engine.runtime import Report, Runtime
from prism_bench.prism.methods.method import SampleRequest, TrainingData
from prism_bench.prism.methods.sampling import Heun
from prism_bench.prism.patch_diffusion.fitted import FittedPatchMethod
from prism_bench.prism.patch_diffusion.patch_method import PatchMethod
from prism_bench.prism.patch_diffusion.patch_objective import PatchObjective
from prism_bench.prism.patch_diffusion.recipe import Recipe, step_rng
from prism_bench.prism.training.loop import train


class Row(NamedTuple):
    """A row of the table: what differs from what is shipped."""

    words: str
    runtime: Mapping[str, Any] = MappingProxyType({})
    precision: str | None = None
    backends: tuple[tuple[Any, str], ...] = ()


TF32 = ((torch.backends.cuda.matmul, "allow_tf32"), (torch.backends.cudnn, "allow_tf32"))
FED = {"data_share": 0.0, "draws_ahead": False, "look_every": 1}
ROWS = (
    Row("as shipped"),
    Row("data on the host", {"data_share": 0.0}),
    Row("drawn when needed, not ahead", {"draws_ahead": False}),
    Row("every loss looked at", {"look_every": 1}),
    Row("all three", FED),
    Row("float32", precision="float32"),
    Row("float32, TF32", precision="float32", backends=TF32),
    Row("cuDNN tries algorithms out", backends=((torch.backends.cudnn, "benchmark"),)),
)
COMPILED = Row("compiled", {"compiles": True})


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="Speed of training and sampling, each switch off in turn.")
    parser.add_argument("--panel", choices=PAPER_DATASETS, default="cifar10")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--images", type=int, default=50_000)
    parser.add_argument("--steps", type=int, default=60, help="that are timed, in each row")
    parser.add_argument("--warm-up", type=int, default=12, help="steps before them")
    parser.add_argument("--samples", type=int, default=250)
    parser.add_argument("--compile", action="store_true", help="a row with the network compiled")
    parser.add_argument("--tiny", action="store_true", help="the smoke scale's network in place of the paper's")
    options = parser.parse_args(arguments)
    if options.warm_up < 1:
        parser.error("--warm-up must be at least 1: the first step waits for the device to begin")
    method, resolution = paper_method(options.panel), PAPER_DATASETS[options.panel].resolution
    if options.tiny:
        precise = SMOKE.method.training.replace(precision="bfloat16")
        method, resolution = SMOKE.method.replace(training=precise), SMOKE.dataset.resolution
    # k as at the start of PRISM's schedule, all the time.
    method = method.replace(schedule=Fixed(k_train=method.largest_k))
    data = pretended(options.images, resolution, method.largest_k)
    runtime = Runtime(device=options.device, threads=torch.get_num_threads())
    put_back = prepare_process(runtime)
    print(f"\n{device_name(options.device)}, torch {torch.__version__}, {options.panel}{', tiny' * options.tiny}:\n")
    print("| training | patches/s | of shipped | peak GiB |\n|---|---:|---:|---:|")
    shipped = None
    for row in (*ROWS, *([COMPILED] if options.compile else [])):
        with switched_on(row.backends):
            speed, peak = trained(data, changed(method, row), replace(runtime, **row.runtime), options)
        shipped = shipped or speed
        print(f"| {row.words} | {speed:,.0f} | {speed / shipped:.2f} | {peak / 2**30:.2f} |", flush=True)
    print("\n| sampling | images/s |\n|---|---:|")
    for row in (Row("as shipped"), Row("float32", precision="float32")):
        print(f"| {row.words} | {sampled(data, changed(method, row), runtime, options.samples):.1f} |", flush=True)
    put_back()


def changed(method: PatchMethod, row: Row) -> PatchMethod:
    """The method in a row's precision."""
    training = method.training
    return method.replace(training=training.replace(precision=row.precision or training.precision))


@contextmanager
def switched_on(switches: Sequence[tuple[Any, str]]) -> Iterator[None]:
    """Backends' switches, on for a while."""
    for backend, name in switches:
        setattr(backend, name, True)
    try:
        yield
    finally:
        for backend, name in switches:
            setattr(backend, name, False)


@dataclass
class Clock(Report):
    """A report that knows when the warm-up ended, on the device."""

    device: str = "cpu"
    warm_up: int = 0
    images: list[int] = field(default_factory=list)
    started: float = 0.0

    def __call__(self, done: int, total: int, unit: str, **facts: Any) -> None:
        self.images.append(done)
        if len(self.images) == self.warm_up:
            synchronise(self.device)
            self.started = time.perf_counter()


def trained(
    data: TrainingData, method: PatchMethod, runtime: Runtime, options: argparse.Namespace
) -> tuple[float, float]:
    """Patches a second after the warm-up, and the peak of memory in bytes."""
    resolution, steps = data.images.shape[-1], options.warm_up + options.steps
    recipe = Recipe(method.training, method.patches, method.schedule, method.diffusion)
    images = sum(recipe.step(resolution, step_rng(0, step), 0)[1] for step in range(steps))
    training = method.training.replace(images=images)
    assert data.gallery is not None
    restart_peak(runtime.device)
    network = method.network(resolution, data.gallery.vectors.shape[1], 0).to(runtime.device)
    objective = PatchObjective(data, recipe._replace(training=training), 0, runtime)
    with tempfile.TemporaryDirectory() as folder:
        clock = Clock(Path(folder) / "progress.json", device=runtime.device, warm_up=options.warm_up)
        runtime = replace(runtime, checkpoint_seconds=1e9)
        train(network, objective, training, seed=0, folder=Path(folder), runtime=runtime, report=clock)
    synchronise(runtime.device)
    seconds = time.perf_counter() - clock.started
    assert len(clock.images) == steps
    return (images - clock.images[options.warm_up - 1]) / seconds, peak_bytes(runtime.device) or 0


def sampled(data: TrainingData, method: PatchMethod, runtime: Runtime, samples: int) -> float:
    """Images a second with EDM's 18 steps of Heun, in one batch."""
    assert data.gallery is not None
    resolution, width = data.images.shape[-1], data.gallery.vectors.shape[1]
    network = method.network(resolution, width, 0).to(runtime.device).eval()
    fitted = FittedPatchMethod(network, resolution, runtime, method.training)
    request = SampleRequest(range(samples), 0, Heun(steps=2), 1, data.retrieval[:samples], data.gallery)
    fitted.sample(request)  # warm-up
    start = time.perf_counter()
    fitted.sample(request._replace(sampler=Heun(steps=18)))
    return samples / (time.perf_counter() - start)


def synchronise(device: str) -> None:
    """Wait for everything that a device was asked to do."""
    waits: dict[str, Callable[[], None]] = {"cuda": torch.cuda.synchronize, "mps": torch.mps.synchronize}
    waits.get(torch.device(device).type, lambda: None)()


def device_name(device: str) -> str:
    """The card's name, or the processor's architecture."""
    if torch.device(device).type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"{device} ({platform.machine()}, {torch.get_num_threads()} threads; no GPU)"


if __name__ == "__main__":
    main()
