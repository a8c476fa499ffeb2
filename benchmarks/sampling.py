"""What fewer evaluations of the network cost: distance to the ODE's solution and FD, over trained networks of a store.

    OMP_NUM_THREADS=1 python -m benchmarks.sampling --store STORE [--rows patchd,prism] [--seeds 0] [--samples 250]
        [--compared 64] [--solvers dpm++2m,unipc] [--evaluations 8,10,12,15,18,25,40] [--found sampling.jsonl] [--write]

Every solver begins from the same noise and pseudo-queries. RMS: root mean square over the first samples (--compared),
in 8-bit levels and before rounding, of the difference from Heun's method with 99 evaluations on EDM's levels. FD: the
store's own Fréchet distances, of --samples images. What --found holds is not measured again; --write puts a table of
all of it between the marks of docs/performance.md. The store itself is only read.
"""

import argparse
import json
import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from benchmarks.pages import put
from prism_bench.analysis.schema.records import Record
from prism_bench.analysis.stats.paired import Paired
from prism_bench.experiments.store.inventory import lineage_of
from prism_bench.experiments.tools.find import Trained, find_trained
from prism_bench.prism.component import from_json
from prism_bench.prism.encoders.base import Embed
from prism_bench.prism.engine.runtime import Runtime
from prism_bench.prism.engine.store import Address, Store
from prism_bench.prism.images import to_uint8
from prism_bench.prism.methods.integration import Denoise
from prism_bench.prism.methods.method import Fitted, Gallery, SampleRequest, pseudo_queries
from prism_bench.prism.methods.sampling import DPMSolverPP2M, Heun, ODESampler, UniPC
from prism_bench.prism.metrics.frechet import FrechetDistance, Moments, frechet_of, moments_of
from prism_bench.prism.stages.data import open_images, open_parts

REFERENCE = Heun(steps=50)
FEWEST = 100
"""Samples that FD is taken of."""
BATCH = 50
SOLVERS: Mapping[str, ODESampler] = {
    "dpm++2m": DPMSolverPP2M(),
    "unipc": UniPC(),
    "dpm++2m on unipc's levels": DPMSolverPP2M(sigma_min=UniPC().sigma_min, rho=UniPC().rho),
    "unipc on EDM's levels": UniPC(sigma_min=DPMSolverPP2M().sigma_min, rho=DPMSolverPP2M().rho),
}
BASELINE = ("dpm++2m", 18)
"""What FD is compared with."""


@dataclass(frozen=True, kw_only=True)
class Kept(ODESampler):
    """A sampler that keeps its images as they are before they are rounded, in `images`."""

    inner: ODESampler
    images: list[Tensor]

    def integrate(self, denoise: Denoise, x: Tensor, sigmas: Tensor) -> Tensor:
        return self.inner.integrate(denoise, x, sigmas)

    def sample(self, denoise: Denoise, noise: Tensor) -> Tensor:
        self.images.append(self.inner.sample(denoise, noise))
        return self.images[-1]


class Measure(NamedTuple):
    """One of the store's Fréchet distances: its encoder, ready, and the real images' moments."""

    name: str
    embed: Embed
    real: Moments


class Network:
    """One trained network of the store."""

    def __init__(self, store: Store, experiment: str, row: str, seed: int) -> None:
        self.store, self.label = store, f"{row}, seed {seed}"
        self.trained: Trained = find_trained(store, f"{experiment}/{row}", seed)
        self.retrieval = open_parts(store.folder(self.trained.stage.split.address)).retrieval
        self.solution = torch.empty(0)

    @cached_property
    def gallery(self) -> Gallery | None:
        stage = self.trained.stage.neighbours
        if stage is None:
            return None
        folder = self.store.folder(stage.address)
        return Gallery(np.load(folder / "vectors.npy"), np.load(folder / "neighbours.npy"))

    @cached_property
    def fitted(self) -> Fitted:
        stage = self.trained.stage
        dim = 0 if self.gallery is None else self.gallery.vectors.shape[1]
        folder, resolution = self.store.folder(stage.address), stage.data.dataset.resolution
        return stage.method.load(folder, resolution=resolution, embedding_dim=dim, runtime=Runtime(threads=1))

    @property
    def record(self) -> Record:
        record = self.trained.record
        assert record is not None
        return record

    def values(self, sampler: ODESampler, n: int) -> dict[str, float]:
        """The Fréchet distances of the store's own cell, where it was sampled just so."""
        if sampler != self.trained.sampler or n != self.record.config.sampling.samples:
            return {}
        return {one.label: one.value for one in self.record.values if one.name.startswith("fd_") and not one.group}

    def images(self, sampler: ODESampler, n: int) -> Tensor:
        """float32 [n, 3, R, R], the images of the store's own sample seed before rounding."""
        seed, kept = self.record.config.sampling.sample_seed, Kept(inner=sampler, images=[])
        for start in range(0, n, BATCH):
            rows = range(start, min(start + BATCH, n))
            queries = pseudo_queries(rows, seed, self.retrieval)
            self.fitted.sample(SampleRequest(rows, seed, kept, self.trained.k_sample, queries, self.gallery))
        return torch.cat(kept.images) if kept.images else torch.empty(0)

    def apart(self, images: Tensor, n: int) -> float | None:
        """The root mean square distance of the first n from the ODE's solution; None of none."""
        if n == 0:
            return None
        if len(self.solution) < n:
            self.solution = self.images(REFERENCE, n)
        return float((levels(images[:n]) - levels(self.solution[:n])).square().mean().sqrt())


def measures(network: Network) -> list[Measure]:
    """The Fréchet distances of the network's cell, set up once for all networks: they have the same real images."""
    store = network.store
    real = open_images(store.folder(network.trained.stage.data.address))
    found = []
    for name, key in network.record.stages.items():
        manifest = store.manifest(Address("metric", key)) if name.startswith("metric:") else None
        metric = None if manifest is None else from_json(manifest.identity["parameters"]["metric"])
        if manifest is None or not isinstance(metric, FrechetDistance):
            continue
        lineage = manifest.identity["inputs"]["reference"]
        embeddings = next(m for m in store.manifests("embeddings") if lineage_of(m.identity) == lineage)
        features = np.load(store.folder(Address("embeddings", embeddings.key)) / "embeddings.npy")
        encoder = metric.encoder
        embed = encoder.load(real[encoder.fitted_on(network.retrieval)] if encoder.fitted else None, "cpu")
        found.append(Measure(encoder.frechet_name[1], embed, moments_of(features)))
    return found


def levels(images: Tensor) -> Tensor:
    """In 8-bit levels, not rounded."""
    return (images.double().clamp(-1, 1) + 1) * 127.5


def measured(
    network: Network, solver: str, evaluations: int, n: int, compared: int, fd: Sequence[Measure]
) -> dict[str, Any]:
    """One line of what is found, of n samples. fd: the distances that are asked for."""
    sampler = SOLVERS[solver].replace(steps=evaluations)
    values = network.values(sampler, n)
    images = network.images(sampler, compared if values else n)
    if not values and fd:
        pixels = to_uint8(images)
        values = {one.name: frechet_of(moments_of(one.embed(pixels)), one.real) for one in fd}
    return {
        "network": network.label,
        "solver": solver,
        "evaluations": evaluations,
        "samples": n,
        "rms": network.apart(images, compared),
        "fd": values,
    }


Found = list[dict[str, Any]]


def tables(found: Found) -> str:
    """A table for each number of samples."""
    return "\n\n".join(
        "\n".join(table([line for line in found if line["samples"] == n], n))
        for n in sorted({line["samples"] for line in found})
    )


def table(found: Found, n: int) -> Iterator[str]:
    """A line for each number of evaluations and solver: means over the networks, and FD beside that of BASELINE."""
    names = sorted({name for line in found for name in line["fd"]})
    networks = len({line["network"] for line in found})
    yield f"{networks} network{'s' * (networks > 1)}, {n:,} samples of each:\n"
    columns = [text for name in names for text in (name, f"its difference from {BASELINE[0]} with {BASELINE[1]}")]
    yield "| evaluations | solver | networks | RMS |" + "".join(f" {text} |" for text in columns)
    yield "|---:|---|---:|---:|" + "---:|" * len(columns)
    base = {line["network"]: line for line in found if (line["solver"], line["evaluations"]) == BASELINE}
    for evaluations in sorted({line["evaluations"] for line in found}):
        for solver in SOLVERS:
            lines = [line for line in found if (line["solver"], line["evaluations"]) == (solver, evaluations)]
            if not lines:
                continue
            apart = [one["rms"] for one in lines if one["rms"] is not None]
            cells = [str(evaluations), solver, str(len(lines)), f"{statistics.mean(apart):.2f}" if apart else ""]
            for name in names:
                cells.append(f"{statistics.mean(one['fd'][name] for one in lines):.4g}")
                pairs = [one["fd"][name] - base[one["network"]]["fd"][name] for one in lines if one["network"] in base]
                cells.append("" if (solver, evaluations) == BASELINE else difference(pairs))
            yield "| " + " | ".join(cells) + " |"


def difference(pairs: Sequence[float]) -> str:
    """Mean and 95% interval over the networks."""
    if len(pairs) < 2:
        return ""
    interval = Paired.of(pairs).interval()
    if interval.low is None or interval.high is None:
        return f"{interval.mean:+.3g}"
    return f"{interval.mean:+.3g} [{interval.low:+.3g}, {interval.high:+.3g}]"


def held(path: Path) -> Found:
    """What was measured before."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.exists() else []


def measure_missing(options: argparse.Namespace) -> None:
    """Append a line to --found for each thing that it lacks."""
    store, fd = Store(options.store.absolute()), []
    known = {(o["network"], o["solver"], o["evaluations"], o["samples"]) for o in held(options.found)}
    for seed in options.seeds:
        for row in options.rows:
            network = Network(store, options.experiment, row, int(seed))
            for solver in options.solvers:
                for evaluations in map(int, options.evaluations):
                    if (network.label, solver, evaluations, options.samples) in known:
                        continue
                    own = network.values(SOLVERS[solver].replace(steps=evaluations), options.samples)
                    if options.samples >= FEWEST and not own:
                        fd = fd or measures(network)
                    line = measured(network, solver, evaluations, options.samples, options.compared, fd)
                    with options.found.open("a", encoding="utf-8") as file:
                        file.write(json.dumps(line) + "\n")
                    print(line, flush=True)


def main(arguments: Sequence[str] | None = None) -> None:
    def listed(text: str) -> list[str]:
        return text.split(",")

    parser = argparse.ArgumentParser(description="Evaluations of the network against RMS and FD, solver by solver.")
    parser.add_argument("--store", type=Path, required=True)
    parser.add_argument("--experiment", default="ablation-table3")
    parser.add_argument("--rows", type=listed, default=["patchd", "rag", "st-rag", "prism"])
    parser.add_argument("--seeds", type=listed, default=["0"])
    parser.add_argument("--solvers", type=listed, default=["dpm++2m", "unipc"])
    parser.add_argument("--evaluations", type=listed, default=["8", "10", "12", "15", "18", "25", "40"])
    parser.add_argument("--samples", type=int, default=250, help=f"of each; FD is of at least {FEWEST}")
    parser.add_argument("--compared", type=int, default=64, help="of these, compared with the ODE's solution; 0: none")
    parser.add_argument("--found", type=Path, default=Path("sampling.jsonl"), help="what was measured, a line each")
    parser.add_argument("--write", action="store_true", help="put the table into docs/performance.md")
    options = parser.parse_args(arguments)
    measure_missing(options)
    text = tables(held(options.found))
    print(text)
    if options.write:
        put("performance.md", "sampling.py", text)


if __name__ == "__main__":
    main()
