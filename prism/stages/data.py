"""From a source of images to neighbour tables."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
from prism_bench.prism.component import Json
from prism_bench.prism.conditioning.retrieval import Retrieval
from prism_bench.prism.data.base import Dataset, Images
from prism_bench.prism.data.split import Parts, Split
from prism_bench.prism.encoders.base import Encoder
from prism_bench.prism.engine.resumable_array import fill_rows
from prism_bench.prism.engine.runtime import Runtime, write_json
from prism_bench.prism.engine.stage import Bench, Stage
from prism_bench.prism.engine.store import Store
from prism_bench.prism.images import Pixels


def save_images(folder: Path, images: Images) -> None:
    """Write a dataset as .npy files that can be memory-mapped."""
    np.save(folder / "images.npy", images.images)
    np.save(folder / "labels.npy", images.labels)
    np.savez(folder / "attributes.npz", **images.attributes)  # type: ignore[arg-type]
    write_json(folder / "classes.json", list(images.classes))


def publish_images(stage: "DatasetStage", images: Images, store: Store) -> None:
    """Finish a dataset stage whose images were read before, unless it is there already."""
    with store.lock(stage.address):
        if store.manifest(stage.address) is None:
            work = store.work(stage.address)
            save_images(work, images)
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

    def parameters(self) -> dict[str, Json]:
        """The dataset's fields; for files, the digest of their decoded bytes."""
        return {"dataset": self.dataset.to_json()}

    def inputs(self) -> dict[str, Stage]:
        """None."""
        return {}

    def run(self, bench: Bench) -> None:
        """Draw or decode."""
        save_images(bench.folder, self.dataset.build())


@dataclass(frozen=True, kw_only=True)
class SplitStage(Stage):
    """retrieval.npy and train.npy: int64 ids."""

    kind: ClassVar[str] = "split"
    data: DatasetStage
    split: Split

    def parameters(self) -> dict[str, Json]:
        """The split's fields."""
        return {"split": self.split.to_json()}

    def inputs(self) -> dict[str, Stage]:
        """The dataset."""
        return {"data": self.data}

    def run(self, bench: Bench) -> None:
        """Partition."""
        labels = np.load(bench.inputs["data"] / "labels.npy")
        classes = tuple(json.loads((bench.inputs["data"] / "classes.json").read_text()))
        parts = self.split.parts(labels, classes)
        np.save(bench.folder / "retrieval.npy", parts.retrieval)
        np.save(bench.folder / "train.npy", parts.train)


@dataclass(frozen=True, kw_only=True)
class EmbeddingsStage(Stage):
    """embeddings.npy: float32 [N, d], one row per image of X."""

    kind: ClassVar[str] = "embeddings"
    data: DatasetStage
    split: SplitStage
    encoder: Encoder

    def parameters(self) -> dict[str, Json]:
        """The encoder's fields."""
        return {"encoder": self.encoder.to_json()}

    def inputs(self) -> dict[str, Stage]:
        """The dataset, and the split where the encoder is fitted on D."""
        return {"data": self.data, "split": self.split} if self.encoder.fitted else {"data": self.data}

    def run(self, bench: Bench) -> None:
        """Embed in batches."""
        images = open_images(bench.inputs["data"])
        embed_rows(self.encoder, images, bench, "embeddings.npy")


def embed_rows(encoder: Encoder, images: Pixels, bench: Bench, name: str) -> None:
    """Write the encoder's vectors of `images` to a .npy file; a fitted encoder is fitted on D of bench.inputs."""
    gallery = None
    if encoder.fitted:
        gallery = open_images(bench.inputs["data"])[open_parts(bench.inputs["split"]).retrieval]
    embed = encoder.load(gallery, bench.runtime.device)
    width = embed(np.asarray(images[:1])).shape[1]
    fill_rows(
        bench.folder / name,
        (len(images), width),
        np.float32,
        batch=encoder.batch,
        make=lambda rows: embed(np.asarray(images[rows.start : rows.stop])),
        report=bench.report,
        unit="images",
    )


@dataclass(frozen=True, kw_only=True)
class NeighboursStage(Stage):
    """vectors.npy (as searched, float32 [N, d]) and neighbours.npy (int64 [N, width], ids into X, nearest first)."""

    kind: ClassVar[str] = "neighbours"
    embeddings: EmbeddingsStage
    split: SplitStage
    retrieval: Retrieval
    width: int

    def parameters(self) -> dict[str, Json]:
        """The retrieval's fields and how many neighbours are kept."""
        return {"retrieval": self.retrieval.to_json(), "width": self.width}

    def inputs(self) -> dict[str, Stage]:
        """Embeddings and split."""
        return {"embeddings": self.embeddings, "split": self.split}

    @property
    def lineage(self) -> Json:
        """Without the width: top-k lists are nested, so a wider table changes no training."""
        inputs: Json = {"embeddings": self.embeddings.lineage, "split": self.split.lineage}
        return {"kind": self.kind, "version": self.version, "retrieval": self.retrieval.to_json(), "inputs": inputs}

    def run(self, bench: Bench) -> None:
        """Search once, with the largest k that any cell needs."""
        vectors = self.retrieval.prepare(np.load(bench.inputs["embeddings"] / "embeddings.npy"))
        gallery = open_parts(bench.inputs["split"]).retrieval
        table = np.empty((len(vectors), self.width), np.int64)
        for start, block in self.retrieval.blocks(vectors, gallery, self.width, bench.runtime.threads):
            table[start : start + len(block)] = block
            bench.report(start + len(block), len(vectors), "queries")
        np.save(bench.folder / "vectors.npy", vectors)
        np.save(bench.folder / "neighbours.npy", table)
