"""`prism-bench sample`: any number of images from a trained variant."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from prism_bench.experiments.options.trained import SampleOptions
from prism_bench.experiments.screen import Screen
from prism_bench.experiments.tools.complete import complete
from prism_bench.experiments.tools.find import Trained, find_trained
from prism_bench.experiments.tools.write_images import check_out, write_samples
from prism_bench.prism.component import load
from prism_bench.prism.conditioning.neighbour_search import ExactSearch, check_k
from prism_bench.prism.conditioning.retrieval import FaissIndex, Nearest
from prism_bench.prism.data.colour import BadImageError
from prism_bench.prism.data.decode import from_bytes
from prism_bench.prism.data.split import Ids
from prism_bench.prism.encoders.base import Vectors
from prism_bench.prism.engine.runtime import Runtime, usable_cores
from prism_bench.prism.engine.store import Store
from prism_bench.prism.errors import ComputeError, InputError
from prism_bench.prism.executors.devices import device_called
from prism_bench.prism.executors.local_pool import LocalPool
from prism_bench.prism.images import Pixels
from prism_bench.prism.methods.method import Gallery, SampleRequest
from prism_bench.prism.methods.sampling import Sampler
from prism_bench.prism.stages.data import NeighboursStage, SplitStage, open_images, open_parts
from prism_bench.prism.stages.model import SamplesStage


@dataclass(frozen=True)
class Drawn:
    """Samples uint8 [n, 3, R, R], and the pictures that guided them (the same shape; None without conditioning)."""

    images: Pixels
    queries: Pixels | None
    query_ids: Ids | None


def run_sample(options: SampleOptions, screen: Screen) -> Path:
    """Find, sample and write; where the samples are."""
    load(options.plugins)
    store = Store(options.store.absolute())
    trained = find_trained(store, options.run, options.train_seed)
    out = options.out or Path(f"samples-{trained.stage.address.key[:8]}-seed{options.seed}.png")
    check_out(out, force=options.force)
    sampler, k_sample = sampler_of(options.sampler, options.steps, trained), _k_sample(options, trained)
    runtime = runtime_of(options.device)
    way = f"{sampler.name} with {sampler.steps} steps"
    way += ", without conditioning" if trained.stage.neighbours is None else f", {k_sample} neighbours"
    screen.say(f"{trained.label}: {options.n:,} samples, seed {options.seed}, {way}")
    if options.pseudo_queries or options.prompts:
        drawn = _guided(options, trained, sampler, k_sample, store, runtime, screen)
    else:
        stage = held(samples_stage(trained, sampler, k_sample, options.n, options.seed, store), store)
        targets = (stage, stage.training.data)
        complete(targets, store, LocalPool.one(store, runtime, options.plugins, here=not options.workers), screen)
        drawn = _taken(stage, options.n, store)
    facts: dict[str, Any] = {"seed": options.seed, "k_sample": k_sample, "training": trained.stage.address.key}
    return write_samples(drawn.images, drawn.queries, drawn.query_ids, facts, out)


def sampler_of(name: str | None, steps: int | None, trained: Trained) -> Sampler:
    """The run's own sampler, or another by name, with so many steps; InputError where there is none of the name."""
    sampler = trained.sampler if name is None else Sampler.called(name)
    found = sampler if steps is None else sampler.replace(steps=steps)
    trained.stage.method.check_sampler(found)
    return found


def runtime_of(device: str) -> Runtime:
    """The device, and every core for the one piece of work."""
    return Runtime(device=device_called(device), threads=usable_cores())


def _k_sample(options: SampleOptions, trained: Trained) -> int:
    if options.k_sample is None:
        return trained.k_sample
    if trained.stage.neighbours is None:
        raise InputError(f"--k-sample {options.k_sample}: {trained.label} looks at no neighbours; leave the option out")
    return options.k_sample


def samples_stage(trained: Trained, sampler: Sampler, k_sample: int, n: int, seed: int, store: Store) -> SamplesStage:
    """The stage of a training's samples.

    Raises:
        InputError: more neighbours than D holds.
    """
    training = trained.stage
    if training.neighbours is not None:
        size = _known_size(training.split, store)
        if size is not None:
            check_k(max(k_sample, 1), size, exclude_self=training.neighbours.retrieval.exclude_self)
        if k_sample > training.neighbours.width:
            # A wider table of neighbours changes no training: top-k lists are nested.
            training = replace(training, neighbours=replace(training.neighbours, width=k_sample))
    label = f"{trained.label}, sample seed {seed}"
    return SamplesStage(training=training, sampler=sampler, k_sample=k_sample, samples=n, seed=seed, label=label)


def _known_size(split: SplitStage, store: Store) -> int | None:
    """How many images D holds; None where its file is not there or damaged: then it is made before it is used."""
    try:
        path = store.file(split.address, "retrieval.npy")
    except ComputeError:
        return None
    return None if path is None else len(np.load(path, mmap_mode="r"))


def held(stage: SamplesStage, store: Store) -> SamplesStage:
    """The stage of more of the same samples where the store holds them: sample i is the same in both."""
    counts = {int(manifest.identity["parameters"]["samples"]) for manifest in store.manifests("samples")}
    enough = (replace(stage, samples=count) for count in sorted(counts) if count >= stage.samples)
    return next((more for more in enough if store.manifest(more.address) is not None), stage)


def _taken(stage: SamplesStage, n: int, store: Store) -> Drawn:
    folder = store.folder(stage.address)
    images: Pixels = np.load(folder / "images.npy", mmap_mode="r")[:n]
    if not stage.training.method.guided:
        return Drawn(images, None, None)
    ids: Ids = np.load(folder / "pseudo_queries.npy")[:n]
    return Drawn(images, open_images(store.folder(stage.training.data.address))[ids], ids)


def _guided(
    options: SampleOptions,
    trained: Trained,
    sampler: Sampler,
    k_sample: int,
    store: Store,
    runtime: Runtime,
    screen: Screen,
) -> Drawn:
    """Samples guided by the user's own pictures or words: sample i by the i-th of them, modulo their number.

    A prompt shows the image of D that lies nearest to it.
    """
    training = trained.stage
    if options.pseudo_queries and options.prompts:
        raise InputError("--pseudo-query and --prompt exclude each other; sample twice")
    if training.neighbours is None or not isinstance(training.neighbours.retrieval, Nearest | FaissIndex):
        option = "--prompt" if options.prompts else "--pseudo-query"
        raise InputError(f"{option}: {trained.label} does not look at nearest neighbours; leave the option out")
    encoder = training.neighbours.retrieval.encoder
    # What is wrong with words or pictures is told before anything is computed.
    texts = encoder.load_texts(runtime.device)(options.prompts) if options.prompts else None
    pictures = _pictures(options.pseudo_queries, training.data.dataset.resolution)
    targets = (training.neighbours, training)
    complete(targets, store, LocalPool.one(store, runtime, options.plugins, here=not options.workers), screen)
    images = open_images(store.folder(training.data.address))
    if texts is None:
        retrieval = open_parts(store.folder(training.split.address)).retrieval
        fitted_on = images[encoder.fitted_on(retrieval)] if encoder.fitted else None
        vectors = encoder.load(fitted_on, runtime.device)(pictures)
    else:
        vectors = texts
    gallery = _gallery(training.neighbours, vectors, max(k_sample, 1), store, runtime)
    known = len(gallery.vectors) - len(vectors)
    queries = pictures if texts is None else images[gallery.neighbours[known:, 0]]
    fitted = training.method.load(
        store.folder(training.address),
        resolution=training.data.dataset.resolution,
        embedding_dim=gallery.vectors.shape[1],
        runtime=runtime,
    )
    drawn = np.empty((options.n, *queries.shape[1:]), np.uint8)
    for rows, which in _batches(options.n, len(queries), runtime.sample_batch):
        own = np.full(len(rows), known + which)
        request = SampleRequest(rows, options.seed, sampler, k_sample, own, gallery)
        drawn[rows.start : rows.stop : rows.step] = fitted.sample(request)
        screen.say(f"  {rows[-1] + 1:,}/{options.n:,} samples")
    order = np.arange(options.n) % len(queries)
    return Drawn(drawn, queries[order], None)


def _batches(n: int, files: int, size: int) -> Iterator[tuple[range, int]]:
    """Ranges of samples that share a file, and which."""
    for which in range(min(files, n)):
        own = range(which, n, files)
        for start in range(0, len(own), size):
            yield own[start : start + size], which


def _pictures(files: tuple[Path, ...], resolution: int) -> Pixels:
    found = []
    for path in files:
        try:
            found.append(from_bytes(path.read_bytes(), resolution))
        except OSError as error:
            raise InputError(f"--pseudo-query {path}: cannot be read ({error.strerror}); check the path") from None
        except BadImageError as error:
            raise InputError(f"--pseudo-query {path}: {error}") from None
    return np.stack(found) if found else np.empty((0, 3, resolution, resolution), np.uint8)


def _gallery(stage: NeighboursStage, queries: Vectors, k: int, store: Store, runtime: Runtime) -> Gallery:
    """The run's gallery with embeddings as further rows, which have neighbours in D but are in nobody's list."""
    vectors = np.load(store.folder(stage.address) / "vectors.npy")
    retrieval = open_parts(store.folder(stage.split.address)).retrieval
    check_k(k, len(retrieval))
    together = np.concatenate([vectors, stage.retrieval.prepare(queries)])
    table = np.zeros((len(together), k), np.int64)
    table[len(vectors) :] = ExactSearch(together, retrieval, k, threads=runtime.threads)(
        np.arange(len(vectors), len(together))
    )
    return Gallery(together, table)
