"""From a source of images to neighbour tables."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
from typing_extensions import override

from prism_bench.prism.component import Json
from prism_bench.prism.conditioning.neighbour_search import QUERY_BATCH, ExactSearch, recall
from prism_bench.prism.conditioning.retrieval import Retrieval
from prism_bench.prism.data.base import Dataset, Images
from prism_bench.prism.data.split import Ids, Parts, Split
from prism_bench.prism.encoders.base import Encoder, Vectors
from prism_bench.prism.engine.resumable_array import fill_rows
from prism_bench.prism.engine.rows_file import read_rows
from prism_bench.prism.engine.runtime import Runtime, write_json
from prism_bench.prism.engine.stage import Stage, StageContext
from prism_bench.prism.engine.store import Store
from prism_bench.prism.images import Pixels

RECALL_SAMPLE = 1000
"""Queries, evenly spaced over X, by which the recall of an approximate search is measured."""


def _save_beside_images(folder: Path, images: Images) -> None:
    np.save(folder / "labels.npy", images.labels)
    np.savez(folder / "attributes.npz", **images.attributes)  # type: ignore[arg-type]
    write_json(folder / "classes.json", list(images.classes))


def publish_images(stage: "DatasetStage", images: Images, store: Store, file: Path | None = None) -> None:
    """Finish a dataset stage whose images were read before, unless it is there already.

    file: the .npy file, in the store, that holds the pixels already, and is moved.
    """
    with store.making(stage.address):
        if store.manifest(stage.address) is None:
            work = store.clean_work(stage.address)
            if file is None:
                np.save(work / "images.npy", images.images)
            else:
                file.replace(work / "images.npy")
            _save_beside_images(work, images)
            stage.publish(store, work, seconds=0.0, runtime=Runtime())


def open_images(folder: Path) -> Pixels:
    """The images of a dataset, uint8 [N, 3, R, R], memory-mapped."""
    pixels: Pixels = np.load(folder / "images.npy", mmap_mode="r")
    return pixels


def open_parts(folder: Path) -> Parts:
    """The ids of D and X_train."""
    return Parts(np.load(folder / "retrieval.npy"), np.load(folder / "train.npy"))


@dataclass(frozen=True, kw_only=True)
class DatasetStage(Stage):
    """Decoded images: images.npy, labels.npy, attributes.npz, classes.json."""

    kind: ClassVar[str] = "dataset"
    dataset: Dataset

    @override
    def run(self, context: StageContext) -> None:
        _save_beside_images(context.folder, self.dataset.write(context.folder / "images.npy"))


@dataclass(frozen=True, kw_only=True)
class SplitStage(Stage):
    """retrieval.npy and train.npy: int64 ids."""

    kind: ClassVar[str] = "split"
    data: DatasetStage
    split: Split

    @override
    def run(self, context: StageContext) -> None:
        labels = np.load(context.inputs["data"] / "labels.npy")
        classes = tuple(json.loads((context.inputs["data"] / "classes.json").read_text()))
        parts = self.split.parts(labels, classes)
        np.save(context.folder / "retrieval.npy", parts.retrieval)
        np.save(context.folder / "train.npy", parts.train)


@dataclass(frozen=True, kw_only=True)
class EmbeddingsStage(Stage):
    """embeddings.npy: float32 [N, d], one row per image of X."""

    kind: ClassVar[str] = "embeddings"
    uses_device: ClassVar[bool] = True
    data: DatasetStage
    split: SplitStage
    encoder: Encoder

    def inputs(self) -> dict[str, Stage]:
        """The dataset, and the split where the encoder is fitted on D."""
        return {"data": self.data, "split": self.split} if self.encoder.fitted else {"data": self.data}

    @override
    def run(self, context: StageContext) -> None:
        embed_rows(self.encoder, open_images(context.inputs["data"]), context, "embeddings.npy")


def embed_rows(encoder: Encoder, images: Pixels, context: StageContext, name: str) -> None:
    """Write the encoder's vectors of `images` to a .npy file; a fitted encoder is fitted on D of context.inputs."""
    gallery = None
    if encoder.fitted:
        retrieval = open_parts(context.inputs["split"]).retrieval
        gallery = open_images(context.inputs["data"])[encoder.fitted_on(retrieval)]
    embed = encoder.load(gallery, context.runtime.device)
    width = embed(np.asarray(images[:1])).shape[1]
    fill_rows(
        context.folder / name,
        (len(images), width),
        np.float32,
        batch=encoder.batch,
        make=lambda rows: embed(read_rows(images, slice(rows.start, rows.stop))),
        report=context.report,
        unit="images",
    )


@dataclass(frozen=True, kw_only=True)
class NeighboursStage(Stage):
    """vectors.npy (as searched, float32 [N, d]) and neighbours.npy (int64 [N, width], ids into X, nearest first).

    recall.json where the search is approximate.
    """

    kind: ClassVar[str] = "neighbours"
    embeddings: EmbeddingsStage
    split: SplitStage
    retrieval: Retrieval
    width: int

    @property
    def lineage(self) -> Json:
        """Without the width: top-k lists are nested, so a wider table changes no training."""
        inputs: Json = {"embeddings": self.embeddings.lineage, "split": self.split.lineage}
        return {"kind": self.kind, "version": self.version, "retrieval": self.retrieval.to_json(), "inputs": inputs}

    def run(self, context: StageContext) -> None:
        """Search once, with the largest k that any cell needs; rows that are there already are kept."""
        embeddings = np.load(context.inputs["embeddings"] / "embeddings.npy", mmap_mode="r")
        gallery = open_parts(context.inputs["split"]).retrieval
        fill_rows(
            context.folder / "vectors.npy",
            embeddings.shape,
            np.float32,
            batch=8 * QUERY_BATCH,
            make=lambda rows: self.retrieval.prepare(read_rows(embeddings, slice(rows.start, rows.stop)), rows.start),
            report=context.report,
            unit="vectors",
        )
        vectors = np.load(context.folder / "vectors.npy", mmap_mode="r")
        search = self.retrieval.search(vectors, gallery, self.width, context.runtime.threads)
        fill_rows(
            context.folder / "neighbours.npy",
            (len(vectors), self.width),
            np.int64,
            batch=QUERY_BATCH,
            make=lambda rows: search(np.arange(rows.start, rows.stop)),
            report=context.report,
            unit="queries",
        )
        if self.retrieval.approximate:
            self._measure_recall(vectors, gallery, context)

    def _measure_recall(self, vectors: Vectors, gallery: Ids, context: StageContext) -> None:
        """Write recall.json: the share of the exact nearest neighbours that were found, over a sample of queries."""
        rows = np.unique(np.linspace(0, len(vectors) - 1, RECALL_SAMPLE).astype(np.int64))
        table = np.load(context.folder / "neighbours.npy", mmap_mode="r")
        excluded, threads = self.retrieval.exclude_self, context.runtime.threads
        exact = ExactSearch(vectors, gallery, self.width, exclude_self=excluded, threads=threads)(rows)
        shares = {k: recall(table[rows, :k], exact[:, :k]) for k in sorted({1, self.width})}
        words = ", ".join(f"recall@{k} {share:.3f}" for k, share in shares.items())
        context.report.note = f"has {words} of {self.retrieval.name} against exact search, {len(rows):,} queries"
        write_json(context.folder / "recall.json", {"queries": len(rows), **{f"recall@{k}": shares[k] for k in shares}})
