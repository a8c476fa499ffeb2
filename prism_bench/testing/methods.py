"""Laws of methods and of variants."""

from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from prism_bench.experiments.paper.scales import SMOKE
from prism_bench.prism.component import Component
from prism_bench.prism.conditioning.retrieval import Retrieval
from prism_bench.prism.data.split import Parts, Split
from prism_bench.prism.data.toyfaces import ToyFaces
from prism_bench.prism.encoders.pca import PixelsPCA
from prism_bench.prism.engine.runtime import Report, Runtime
from prism_bench.prism.images import Pixels
from prism_bench.prism.methods.method import (
    Fitted,
    Gallery,
    Method,
    SampleRequest,
    TrainingData,
    pseudo_queries,
)
from prism_bench.prism.methods.sampling import Sampler
from prism_bench.prism.variants.variant import Variant
from prism_bench.testing.component import ComponentContract

DATA = ToyFaces(size=48)
DIM, STEPS, K_SAMPLE = 8, 3, 2


@lru_cache(maxsize=1)
def _images() -> tuple[Pixels, Parts]:
    drawn = DATA.build()
    return drawn.images, Split().parts(drawn.labels)


@lru_cache(maxsize=4)
def _gallery(retrieval: Retrieval, k: int) -> Gallery:
    images, parts = _images()
    embed = PixelsPCA(components=DIM).load(images[parts.retrieval], "cpu")
    vectors = retrieval.prepare(embed(images))
    return Gallery(vectors, retrieval.search(vectors, parts.retrieval, k)(np.arange(len(vectors))))


class Trained(NamedTuple):
    """A method that `train` has trained: its folder, itself ready to sample, and what its neighbours come from."""

    folder: Path
    fitted: Fitted
    gallery: Gallery | None


def train(method: Method, folder: Path) -> Trained:
    """Train on 48 toyfaces, in `folder`, what the method rests on first."""
    images, parts = _images()
    first = None if method.first is None else train(method.first, folder / "first").folder
    folder.mkdir(parents=True, exist_ok=True)
    retrieval, k = method.conditioning, max(method.largest_k, K_SAMPLE)
    gallery = None if retrieval is None else _gallery(retrieval, k)
    held_out = DATA.held_out.build().images if method.sees_held_out else None
    data = TrainingData(images, method.training_set.ids(parts), parts.retrieval, gallery, first, held_out)
    runtime = Runtime()
    method.fit(data, seed=0, folder=folder, runtime=runtime, report=Report(folder / "progress.json"))
    dim = 0 if gallery is None else DIM
    fitted = method.load(folder, resolution=DATA.resolution, embedding_dim=dim, runtime=runtime)
    return Trained(folder, fitted, gallery)


def _fitting_sampler(method: Method) -> Sampler:
    kinds = [kind for _, kind in sorted(Component.members["sampler"].items()) if issubclass(kind, method.sampled_by)]
    assert kinds, f"no sampler fits {method.name}: sampled_by is {method.sampled_by.__name__}"
    sampler = kinds[0]()
    assert isinstance(sampler, Sampler)
    return sampler.replace(steps=STEPS)


class MethodContract(ComponentContract):
    """Trains on 48 images of 16x16 and samples; give it a `member` so small that this takes a few seconds."""

    @pytest.fixture
    def trained(self, member: Method, tmp_path: Path) -> Trained:
        """The member, trained."""
        return train(member, tmp_path / "trained")

    def sample(self, member: Method, trained: Trained, indices: range, seed: int = 5) -> Pixels:
        """Samples of the trained member."""
        queries = pseudo_queries(indices, seed, _images()[1].retrieval)
        request = SampleRequest(indices, seed, _fitting_sampler(member), K_SAMPLE, queries, trained.gallery)
        return trained.fitted.sample(request)

    def test_it_passes_its_own_checks_and_some_sampler_fits(self, member: Method) -> None:
        """At 16x16; tables can say what it was trained on."""
        member.check(DATA.resolution)
        member.check_parts(_images()[1])
        member.check_sampler(_fitting_sampler(member))
        assert member.trained_on

    def test_one_seed_trains_the_same_bytes(self, member: Method, trained: Trained, tmp_path: Path) -> None:
        """In `model.safetensors`."""
        again = train(member, tmp_path / "again")
        one, other = ((each.folder / "model.safetensors").read_bytes() for each in (trained, again))
        assert one == other, "two trainings with one seed differ"

    def test_samples_are_images_and_one_request_gives_the_same_bytes(self, member: Method, trained: Trained) -> None:
        """uint8 [n, 3, R, R]."""
        made = self.sample(member, trained, range(4))
        assert made.dtype == np.uint8
        assert made.shape == (4, 3, DATA.resolution, DATA.resolution)
        assert made.tobytes() == self.sample(member, trained, range(4)).tobytes()

    def test_sample_i_does_not_depend_on_the_batch(self, member: Method, trained: Trained) -> None:
        """At most one grey level, by rounding, in a few pixels of a hundred."""
        together = self.sample(member, trained, range(6))
        apart = np.concatenate([self.sample(member, trained, range(i, i + 1)) for i in range(6)])
        gap = np.abs(together.astype(int) - apart.astype(int))
        assert gap.max() <= 1, "a sample depends on those made beside it"
        assert (gap > 0).mean() < 0.03

    def test_another_seed_makes_other_samples(self, member: Method, trained: Trained) -> None:
        """The seed of sampling, with the same weights."""
        assert (self.sample(member, trained, range(6)) != self.sample(member, trained, range(6), seed=6)).any()

    def test_costs_are_positive_where_they_are_counted(self, member: Method) -> None:
        """Operations and weights, for estimates and tables."""
        sampler, side = _fitting_sampler(member), DATA.resolution
        training, sampling = member.training_flops(side, DIM), member.sampling_flops(sampler, side, DIM, K_SAMPLE)
        assert training is None or training >= 0
        assert sampling is None or sampling >= 0
        assert member.trainable(side, DIM) >= 0


class VariantContract(ComponentContract):
    """A row of a table: a method that fits its scale, or the reason why there is none. At scale `smoke`."""

    def row(self, member: Variant) -> Method:
        """Its method; skips a row that declines."""
        reason = member.applies(SMOKE, SMOKE.dataset)
        if reason is not None:
            assert reason.strip(), "a row that declines says why"
            pytest.skip(f"{member.name} declines: {reason}")
        return member.method(SMOKE)

    def test_its_method_fits_scale_and_sampler(self, member: Variant) -> None:
        """As a plan checks it."""
        method = self.row(member)
        method.check(SMOKE.dataset.resolution)
        method.check_sampler(member.sampler(SMOKE))
        assert member.k_sample(SMOKE) >= (0 if method.conditioning is None else 1)

    def test_its_method_is_the_same_each_time(self, member: Variant) -> None:
        """Stages are found by digest."""
        assert self.row(member).digest() == member.method(SMOKE).digest()

    def test_it_is_called_something(self, member: Variant) -> None:
        """In the first column."""
        assert member.label
