"""The method family: what a row of a table trains and samples."""

from abc import abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, NamedTuple, Protocol

import numpy as np
from typing_extensions import override

from prism_bench.prism.component import Component, load_members
from prism_bench.prism.conditioning.retrieval import Retrieval
from prism_bench.prism.data.split import Ids, Parts
from prism_bench.prism.encoders.base import Vectors
from prism_bench.prism.engine.runtime import Report, Runtime
from prism_bench.prism.errors import InputError
from prism_bench.prism.images import Pixels
from prism_bench.prism.methods.sampling import Sampler
from prism_bench.prism.rng import numpy_rng
from prism_bench.prism.sources import OF_ITSELF, Sources, differs, given


@dataclass(frozen=True, kw_only=True)
class TrainingSet(Component, family="training_set"):
    """Which images a method trains on."""

    @property
    def words(self) -> str:
        """What tables call it."""
        return self.name

    @abstractmethod
    def ids(self, parts: Parts) -> Ids:
        """Image ids into X."""


@dataclass(frozen=True, kw_only=True)
class AllImages(TrainingSet, name="X"):
    """The whole dataset X, retrieval set included."""

    sources: ClassVar[Sources] = {OF_ITSELF: given("section 5.3, Table 1")}

    def ids(self, parts: Parts) -> Ids:
        """D and X_train together, X_train first."""
        return np.concatenate([parts.train, parts.retrieval])


@dataclass(frozen=True, kw_only=True)
class TrainSplit(TrainingSet, name="X_train"):
    """X_train, that is X without D, or its first `size` images (nested and stratified, as Table 2 needs)."""

    sources: ClassVar[Sources] = {"size": given("sections 4.1 and 5.4, Table 2")}

    size: int | None = None

    def __post_init__(self) -> None:
        if self.size is not None and self.size < 1:
            raise InputError(f"training_set.size must be at least 1, not {self.size}")

    @property
    def words(self) -> str:
        """X_train, or how many images of it."""
        return self.name if self.size is None else f"{self.size:,} images of X_train"

    def ids(self, parts: Parts) -> Ids:
        """InputError where X_train is smaller than `size`."""
        if self.size is not None and self.size > len(parts.train):
            raise InputError(
                f"training_set.size = {self.size} but X_train holds {len(parts.train)} images; ask for fewer, or lower "
                "--retrieval-fraction"
            )
        return parts.train[: self.size]


@dataclass(frozen=True, kw_only=True)
class TrainShare(TrainingSet, name="X_train-share"):
    """The first share of X_train, nested and stratified: Table 2's smaller sets on data of any size.

    The paper's 5K and 1K of CIFAR-10's 10K are shares of 0.5 and 0.1; |share * X_train| is rounded, at least one image.
    """

    sources: ClassVar[Sources] = {"share": differs("shares of X_train in place of the sizes of Table 2")}

    share: float = 1.0

    def __post_init__(self) -> None:
        if not 0 < self.share <= 1:
            raise InputError(f"a share of X_train lies in (0, 1], not {self.share}")

    @property
    def words(self) -> str:
        """Which part of X_train."""
        return f"{100 * self.share:g}% of X_train"

    @override
    def ids(self, parts: Parts) -> Ids:
        return parts.train[: max(1, round(self.share * len(parts.train)))]


class Gallery(NamedTuple):
    """What conditions a network. Rows are images of X.

    vectors: float32 [N, d], as searched. neighbours: int64 [N, K] ids into X, nearest first, all in D.
    """

    vectors: Vectors
    neighbours: Ids


class TrainingData(NamedTuple):
    """What a training sees.

    images: uint8 [N, 3, R, R], all of X. ids: those to train on. retrieval: those of D, from which pseudo-queries are
    drawn. gallery: None for a method without conditioning. first: the folder of the method trained before this one.
    held_out: uint8 [m, 3, R, R], images that are no part of X, for a method that asks for them (`sees_held_out`).
    """

    images: Pixels
    ids: Ids
    retrieval: Ids
    gallery: Gallery | None = None
    first: Path | None = None
    held_out: Pixels | None = None


def pseudo_queries(indices: range, seed: int, retrieval: Ids) -> Ids:
    """The image of D that guides each sample (paper section 4.5): a function of (seed, i), not of the method."""
    return retrieval[[int(numpy_rng(seed, "pseudo-query", i).integers(len(retrieval))) for i in indices]]


class SampleRequest(NamedTuple):
    """Which samples a trained method is to make, and how.

    indices, seed: sample i of a seed. queries: int64 [n], their pseudo-queries, as ids into X (rows of the gallery).
    k_sample, gallery: for methods with conditioning; 0 neighbours leave the signal out.
    """

    indices: range
    seed: int
    sampler: Sampler
    k_sample: int
    queries: Ids
    gallery: Gallery | None


class Fitted(Protocol):
    """A trained method, ready to sample."""

    def sample(self, request: SampleRequest) -> Pixels:
        """uint8 [n, 3, R, R]: sample i is a function of (seed, i) and of its pseudo-query alone, whatever the batch."""


@dataclass(frozen=True, kw_only=True)
class Method(Component, family="method"):
    """A way to learn from images and make new ones. Training and sampling parameters are its fields."""

    sources: ClassVar[Sources] = {"training_set": given("sections 4.1 and 5.3, Table 1")}

    sampled_by: ClassVar[type] = Sampler
    """What it can be sampled by."""
    sees_held_out: ClassVar[bool] = False
    """Whether it is given images that are no part of X; no method that is compared with PRISM may be."""
    keeps: ClassVar[str] = ""
    """What its folder holds of the images themselves beside learnt weights, in words, for who is handed the folder."""
    training_set: TrainingSet = TrainSplit()

    @property
    def conditioning(self) -> Retrieval | None:
        """How neighbours are found; None where the method uses none, or finds them itself."""
        return None

    @property
    def largest_k(self) -> int:
        """The most neighbours of the gallery that training can ask for; 0 where it uses none."""
        return 0

    @property
    def pieces(self) -> int:
        """In how many named pieces a step of its training is computed: the most processes that can share it."""
        return 1

    @property
    def trained_on(self) -> str:
        """What tables say that it has learnt from."""
        return self.training_set.words

    @property
    def first(self) -> "Method | None":
        """A method that is trained before this one, on the same data and seed, and whose result this one builds on."""
        return None

    def retrieved_from(self, parts: Parts) -> int:
        """How many images samples are guided by the neighbours of; 0 where there are none."""
        return len(parts.retrieval) if self.guided else 0

    @property
    def guided(self) -> bool:
        """Whether samples are guided by a pseudo-query."""
        return self.conditioning is not None

    @property
    def sampled_in(self) -> str:
        """The precision of its networks when they sample; part of the key of samples where it is not float32."""
        return "float32"

    def check(self, resolution: int) -> None:
        """Raise InputError where the parts do not fit together or do not fit the resolution."""

    def check_training(self, resolution: int, seed: int) -> None:
        """Raise InputError where the training of this seed would learn nothing, or cannot begin."""

    def check_parts(self, parts: Parts) -> None:
        """Raise InputError where the split leaves too few images."""
        self.training_set.ids(parts)

    def check_sampler(self, sampler: Sampler) -> None:
        """Raise InputError where the sampler cannot sample this method."""
        if not isinstance(sampler, self.sampled_by):
            load_members()
            fit = sorted(
                name for name, kind in Component.members["sampler"].items() if issubclass(kind, self.sampled_by)
            )
            raise InputError(f"sampler {sampler.name} does not fit method {self.name}; use one of {', '.join(fit)}")

    def training_flops(self, resolution: int, embedding_dim: int) -> float | None:
        """Floating-point operations of one training, a multiply and its add counted as two; None where not counted."""
        return None

    def sampling_flops(self, sampler: Sampler, resolution: int, embedding_dim: int, k_sample: int) -> float | None:
        """Floating-point operations of one sampled image; None where not counted."""
        return None

    def trainable(self, resolution: int, embedding_dim: int) -> int:
        """Weights that its training moves, for an estimate of what checkpoints take; 0 where there are none."""
        return 0

    def active(self, weight: str) -> bool:
        """Whether a weight of `model.safetensors`, by its name, takes part in sampling."""
        return True

    @abstractmethod
    def fit(self, data: TrainingData, *, seed: int, folder: Path, runtime: Runtime, report: Report) -> None:
        """Train, resuming from what `folder` holds; leave `model.safetensors` and `metrics.jsonl` there.

        Raises:
            DivergedError: the loss is not finite; the last good checkpoint stays in `folder`.
            StopRequestedError: the process was asked to stop; a checkpoint has been written.
        """

    @abstractmethod
    def load(self, folder: Path, *, resolution: int, embedding_dim: int, runtime: Runtime) -> Fitted:
        """The trained method from the folder that `fit` left."""
