"""`prism-bench sample`: from a row of a store, or from a folder that `prism-bench export` wrote."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load_file

from prism_bench.experiments.options.trained import SampleOptions
from prism_bench.experiments.screen import Screen
from prism_bench.experiments.tools import sample
from prism_bench.experiments.tools.guided import (
    draw_guided,
    guides_of,
    looks_at_none,
    option_in,
    pictures_of,
    retrieval_for,
)
from prism_bench.experiments.tools.write_images import check_out, write_samples
from prism_bench.prism.component import load
from prism_bench.prism.data.split import Ids
from prism_bench.prism.encoders.base import Vectors
from prism_bench.prism.engine.pool import prepare_process
from prism_bench.prism.engine.runtime import Runtime
from prism_bench.prism.errors import InputError
from prism_bench.prism.images import Pixels
from prism_bench.prism.methods.method import Fitted, Gallery, Method, SampleRequest, pseudo_queries
from prism_bench.prism.methods.sampling import Sampler
from prism_bench.prism.weights.export_folder import RETRIEVAL, ExportConfig, ExportFolder


@dataclass(frozen=True)
class Kept:
    """What an export has of D, rows as in its list of images.

    ids: int64 [|D|], into X. vectors: float32 [|D|, d], and neighbours: int64 [|D|, K], ids into X; None where nothing
    but the drawing of pseudo-queries needs D.
    """

    ids: Ids
    vectors: Vectors | None
    neighbours: Ids | None

    @classmethod
    def read(cls, folder: ExportFolder) -> "Kept | None":
        """None for a method that no image guides."""
        if RETRIEVAL not in folder.config.files:
            return None
        held = load_file(folder.path / RETRIEVAL)
        return cls(held["ids"], held.get("vectors"), held.get("neighbours"))

    @property
    def gallery(self) -> Gallery | None:
        """By the ids of X, as methods know it. Rows of images outside D, at which no sampling looks, are 0."""
        if self.vectors is None or self.neighbours is None:
            return None
        rows = int(self.ids.max()) + 1
        vectors = np.zeros((rows, self.vectors.shape[1]), np.float32)
        table = np.zeros((rows, self.neighbours.shape[1]), np.int64)
        vectors[self.ids], table[self.ids] = self.vectors, self.neighbours
        return Gallery(vectors, table)


def run_sample(options: SampleOptions, screen: Screen) -> Path:
    """Sample and write; where the samples are.

    Raises:
        InputError: what `run` names is no trained row, and no whole export; or options that do not fit it.
    """
    path = Path(options.run).expanduser()
    return _from_folder(options, path, screen) if path.is_dir() else sample.run_sample(options, screen)


def _from_folder(options: SampleOptions, path: Path, screen: Screen) -> Path:
    """The samples of `run_sample` for the row that was exported, on the same kind of device with as many threads."""
    load(options.plugins)
    folder = ExportFolder.open(path)
    config, method = folder.config, folder.component(folder.config.method)
    out = options.out or Path(f"samples-{config.training[:8]}-seed{options.seed}.png")
    check_out(out, force=options.force)
    sampler = sample.sampler_of(options.sampler, options.steps, folder.component(config.sampler), method)
    k_sample = _k_sample(options, config)
    guided = bool(options.pseudo_queries or options.prompts)
    if guided:
        _check_guides(options, config, method)
    folder.check()
    runtime = sample.runtime_of(options.device)
    screen.say(sample.way_of(options, sampler, k_sample, config.label, looks=config.width > 0))
    put_back = prepare_process(runtime)
    try:
        fitted = method.load(path, resolution=config.resolution, embedding_dim=config.embedding_dim, runtime=runtime)
        draw = _guided if guided else _unguided
        images, queries, ids = draw(options, folder, fitted, sampler, k_sample, runtime, screen)
    finally:
        put_back()
    facts: dict[str, Any] = {"seed": options.seed, "k_sample": k_sample, "training": config.training}
    return write_samples(images, queries, ids, facts, out)


def _k_sample(options: SampleOptions, config: ExportConfig) -> int:
    k_sample = sample.k_sample_of(options.k_sample, config.k_sample, config.label, looks=config.width > 0)
    if config.width and k_sample > config.width and not (options.pseudo_queries or options.prompts):
        raise InputError(
            f"--k-sample {k_sample}: {config.width} neighbours of each image were exported; use as many or fewer, or "
            f"draw one sample with --k-sample {k_sample} where the store is and export again"
        )
    return k_sample


def _check_guides(options: SampleOptions, config: ExportConfig, method: Method) -> None:
    """Raise InputError where no picture or word of the user's can guide samples here."""
    if method.conditioning is None:
        raise looks_at_none(options, config.label)
    encoder = retrieval_for(options, method.conditioning, config.label).encoder
    if encoder.fitted:
        raise InputError(
            f"{option_in(options)}: {config.label} retrieves by {encoder.name}, which is fitted on the images of D, "
            "and no images are in an export; sample from the store, or leave the option out"
        )
    encoder.check()


Found = tuple[Pixels, Pixels | None, Ids | None]
"""Samples, pictures that guided them, and the ids of images of X that did."""


def _unguided(
    options: SampleOptions,
    folder: ExportFolder,
    fitted: Fitted,
    sampler: Sampler,
    k_sample: int,
    runtime: Runtime,
    screen: Screen,
) -> Found:
    """In the batches in which a store's samples are drawn."""
    kept = Kept.read(folder)
    gallery = None if kept is None else kept.gallery
    made, drawn = [], []
    for start in range(0, options.n, runtime.sample_batch):
        rows = range(start, min(start + runtime.sample_batch, options.n))
        # A method that no image guides does not look at its queries.
        ids = np.zeros(len(rows), np.int64) if kept is None else pseudo_queries(rows, options.seed, kept.ids)
        made.append(fitted.sample(SampleRequest(rows, options.seed, sampler, k_sample, ids, gallery)))
        drawn.append(ids)
        screen.say(f"  {rows.stop:,}/{options.n:,} samples")
    return np.concatenate(made), None, None if kept is None else np.concatenate(drawn)


def _guided(
    options: SampleOptions,
    folder: ExportFolder,
    fitted: Fitted,
    sampler: Sampler,
    k_sample: int,
    runtime: Runtime,
    screen: Screen,
) -> Found:
    """By pictures or words of the user's, whose neighbours are searched among the vectors of D."""
    config, kept = folder.config, Kept.read(folder)
    retrieval = folder.component(config.method).conditioning
    if kept is None or kept.vectors is None:
        raise looks_at_none(options, config.label)
    pictures = None
    if options.prompts:
        embedded = retrieval.encoder.load_texts(runtime.device)(options.prompts)
    else:
        pictures = pictures_of(options.pseudo_queries, config.resolution)
        embedded = retrieval.encoder.load(None, runtime.device)(pictures)
    among = np.arange(len(kept.ids))
    guides = guides_of(embedded, kept.vectors, among, retrieval, max(k_sample, 1), runtime.threads)
    drawn = np.empty((options.n, 3, config.resolution, config.resolution), np.uint8)
    made = draw_guided(fitted, guides, options, sampler, k_sample, batch=runtime.sample_batch, say=screen.say)
    for rows, samples in made:
        drawn[rows.start : rows.stop : rows.step] = samples
    shown = None if pictures is None else pictures[np.arange(options.n) % len(pictures)]
    return drawn, shown, None
