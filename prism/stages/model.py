"""From data to trained weights, and from weights to samples."""

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from prism_bench.prism.component import Json
from prism_bench.prism.data.split import Ids
from prism_bench.prism.engine.resumable_array import fill_rows
from prism_bench.prism.engine.runtime import Runtime
from prism_bench.prism.engine.stage import Stage, StageContext
from prism_bench.prism.methods.method import Gallery, Method, SampleRequest, TrainingData, pseudo_queries
from prism_bench.prism.methods.sampling import Sampler
from prism_bench.prism.stages.data import DatasetStage, NeighboursStage, SplitStage, open_images, open_parts


def open_gallery(context: StageContext) -> Gallery | None:
    """What conditions the network, memory-mapped; None for an unconditional method."""
    if "neighbours" not in context.inputs:
        return None
    folder = context.inputs["neighbours"]
    return Gallery(np.load(folder / "vectors.npy", mmap_mode="r"), np.load(folder / "neighbours.npy", mmap_mode="r"))


@dataclass(frozen=True, kw_only=True)
class TrainingStage(Stage):
    """model.safetensors (averaged weights) and metrics.jsonl."""

    kind: ClassVar[str] = "training"
    # 2: order of sums (flat weights, aggregator, attention by matrix products), and what a single key's gradient is.
    version: ClassVar[int] = 2
    uses_device: ClassVar[bool] = True
    data: DatasetStage
    split: SplitStage
    neighbours: NeighboursStage | None
    method: Method
    seed: int
    first: "TrainingStage | None" = None
    held_out: DatasetStage | None = None

    def parameters(self) -> dict[str, Json]:
        """The method's fields and the train seed."""
        return {"method": self.method.to_json(), "train_seed": self.seed}

    @property
    def chain(self) -> tuple["TrainingStage", ...]:
        """All trainings that this one takes, itself last."""
        return (self,) if self.first is None else (*self.first.chain, self)

    def run(self, context: StageContext) -> None:
        """Train, from the last checkpoint."""
        parts = open_parts(context.inputs["split"])
        ids = self.method.training_set.ids(parts)
        images, first = open_images(context.inputs["data"]), context.inputs.get("first")
        held_out = None if self.held_out is None else open_images(context.inputs["held_out"])
        data = TrainingData(images, ids, parts.retrieval, open_gallery(context), first, held_out)
        together: AbstractContextManager[Runtime] = nullcontext(context.runtime)
        if context.runtime.beside and not context.runtime.rank and self.method.pieces > 1:
            from prism_bench.prism.stages.beside import taken_along  # of torch, which a plan does not need

            together = taken_along(self, context)
        with together as runtime:
            self.method.fit(data, seed=self.seed, folder=context.folder, runtime=runtime, report=context.report)


@dataclass(frozen=True, kw_only=True)
class SamplesStage(Stage):
    """images.npy: uint8 [n, 3, R, R]; pseudo_queries.npy: int64 [n], ids into X (the same for every method)."""

    kind: ClassVar[str] = "samples"
    uses_device: ClassVar[bool] = True
    training: TrainingStage
    sampler: Sampler
    k_sample: int
    samples: int
    seed: int

    def parameters(self) -> dict[str, Json]:
        """Sampler, number of neighbours (0 without conditioning), number of samples, sample seed, precision."""
        precision = self.training.method.sampled_in
        # Up to 0.4.0 everything was sampled in float32: such samples keep their keys.
        lowered: dict[str, Json] = {} if precision == "float32" else {"precision": precision}
        return {
            **lowered,
            "sampler": self.sampler.to_json(),
            "k_sample": self.k_sample if self.training.neighbours is not None else 0,
            "samples": self.samples,
            "sample_seed": self.seed,
        }

    def inputs(self) -> dict[str, Stage]:
        """The training and all that it rests on."""
        return {**self.training.inputs(), "training": self.training}

    def run(self, context: StageContext) -> None:
        """Sample in batches; those that are there already are kept."""
        gallery = open_gallery(context)
        resolution = self.training.data.dataset.resolution
        dim = 0 if gallery is None else gallery.vectors.shape[1]
        fitted = self.training.method.load(
            context.inputs["training"], resolution=resolution, embedding_dim=dim, runtime=context.runtime
        )
        retrieval = open_parts(context.inputs["split"]).retrieval

        def queries(rows: range) -> Ids:
            return pseudo_queries(rows, self.seed, retrieval)

        fill_rows(
            context.folder / "images.npy",
            (self.samples, 3, resolution, resolution),
            np.uint8,
            batch=context.runtime.sample_batch,
            make=lambda rows: fitted.sample(
                SampleRequest(rows, self.seed, self.sampler, self.k_sample, queries(rows), gallery)
            ),
            report=context.report,
            unit="samples",
        )
        # Last, as drawing those of very many samples takes a while in which nothing would be said.
        np.save(context.folder / "pseudo_queries.npy", queries(range(self.samples)))
