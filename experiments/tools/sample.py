"""`prism-bench sample`: any number of images from a trained variant."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from prism_bench.experiments.options.trained import SampleOptions
from prism_bench.experiments.screen import Screen
from prism_bench.experiments.tools.complete import complete
from prism_bench.experiments.tools.find import Trained, find_trained
from prism_bench.experiments.tools.guided import draw_guided, guides_of, looks_at_none, pictures_of, retrieval_for
from prism_bench.experiments.tools.write_images import check_out, write_samples
from prism_bench.prism.component import load
from prism_bench.prism.conditioning.neighbour_search import check_k
from prism_bench.prism.data.split import Ids
from prism_bench.prism.engine.runtime import Runtime, usable_cores
from prism_bench.prism.engine.store import Store
from prism_bench.prism.errors import ComputeError, InputError
from prism_bench.prism.executors.devices import device_called
from prism_bench.prism.executors.local_pool import LocalPool
from prism_bench.prism.images import Pixels
from prism_bench.prism.methods.method import Method
from prism_bench.prism.methods.sampling import Sampler
from prism_bench.prism.stages.data import SplitStage, open_images, open_parts
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
    sampler = sampler_of(options.sampler, options.steps, trained.sampler, trained.stage.method)
    looks = trained.stage.neighbours is not None
    k_sample = k_sample_of(options.k_sample, trained.k_sample, trained.label, looks=looks)
    runtime = runtime_of(options.device)
    screen.say(way_of(options, sampler, k_sample, trained.label, looks=looks))
    if options.pseudo_queries or options.prompts:
        drawn = _guided(options, trained, sampler, k_sample, store, runtime, screen)
    else:
        stage = held(samples_stage(trained, sampler, k_sample, options.n, options.seed, store), store)
        targets = (stage, stage.training.data)
        complete(targets, store, LocalPool.one(store, runtime, options.plugins, here=not options.workers), screen)
        drawn = _taken(stage, options.n, store)
    facts: dict[str, Any] = {"seed": options.seed, "k_sample": k_sample, "training": trained.stage.address.key}
    return write_samples(drawn.images, drawn.queries, drawn.query_ids, facts, out)


def sampler_of(name: str | None, steps: int | None, own: Sampler, method: Method) -> Sampler:
    """The run's own sampler, or another by name, with so many steps; InputError where there is none of the name."""
    sampler = own if name is None else Sampler.called(name)
    found = sampler if steps is None else sampler.replace(steps=steps)
    method.check_sampler(found)
    return found


def way_of(options: SampleOptions, sampler: Sampler, k_sample: int, label: str, *, looks: bool) -> str:
    """What is drawn, and how, in a line. looks: whether neighbours guide it."""
    way = f"{sampler.name} with {sampler.steps} steps"
    way += f", {k_sample} neighbours" if looks else ", without conditioning"
    return f"{label}: {options.n:,} samples, seed {options.seed}, {way}"


def runtime_of(device: str) -> Runtime:
    """The device, and every core for the one piece of work."""
    return Runtime(device=device_called(device), threads=usable_cores())


def k_sample_of(asked: int | None, own: int, label: str, *, looks: bool) -> int:
    """The neighbours asked for, or the run's own; InputError where it looks at none (`looks`)."""
    if asked is None:
        return own
    if not looks:
        raise InputError(f"--k-sample {asked}: {label} looks at no neighbours; leave the option out")
    return asked


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
    """Samples guided by the user's own pictures or words. A prompt shows the image of D that lies nearest to it."""
    training = trained.stage
    neighbours = training.neighbours
    if neighbours is None:
        raise looks_at_none(options, trained.label)
    retrieval = retrieval_for(options, neighbours.retrieval, trained.label)
    encoder = retrieval.encoder
    # What is wrong with words or pictures is told before anything is computed.
    texts = encoder.load_texts(runtime.device)(options.prompts) if options.prompts else None
    pictures = pictures_of(options.pseudo_queries, training.data.dataset.resolution)
    targets = (neighbours, training)
    complete(targets, store, LocalPool.one(store, runtime, options.plugins, here=not options.workers), screen)
    images = open_images(store.folder(training.data.address))
    among = open_parts(store.folder(training.split.address)).retrieval
    if texts is None:
        fitted_on = images[encoder.fitted_on(among)] if encoder.fitted else None
        vectors = encoder.load(fitted_on, runtime.device)(pictures)
    else:
        vectors = texts
    known = np.load(store.folder(neighbours.address) / "vectors.npy")
    guides = guides_of(vectors, known, among, retrieval, max(k_sample, 1), runtime.threads)
    queries = pictures if texts is None else images[guides.nearest]
    fitted = training.method.load(
        store.folder(training.address),
        resolution=training.data.dataset.resolution,
        embedding_dim=known.shape[1],
        runtime=runtime,
    )
    drawn = np.empty((options.n, *queries.shape[1:]), np.uint8)
    made = draw_guided(fitted, guides, options, sampler, k_sample, batch=runtime.sample_batch, say=screen.say)
    for rows, samples in made:
        drawn[rows.start : rows.stop : rows.step] = samples
    return Drawn(drawn, queries[np.arange(options.n) % len(queries)], None)
