"""Laws of datasets, training sets and encoders."""

from functools import lru_cache

import numpy as np
import pytest

from prism_bench.prism.data.base import Dataset
from prism_bench.prism.data.split import Parts
from prism_bench.prism.data.toyfaces import ToyFaces
from prism_bench.prism.encoders.base import Embed, Encoder
from prism_bench.prism.errors import InputError
from prism_bench.prism.images import Pixels
from prism_bench.prism.methods.method import TrainingSet
from prism_bench.testing.component import ComponentContract


class DatasetContract(ComponentContract):
    """A dataset draws its images, or says how a user prepares them."""

    def test_it_is_called_something(self, member: Dataset) -> None:
        """In captions."""
        assert member.label

    def test_it_draws_the_same_images_each_time_or_says_how_they_are_prepared(self, member: Dataset) -> None:
        """uint8 [N, 3, R, R]; labels int64 into `classes`; attributes one for each image, float32."""
        if type(member).build is Dataset.build:
            assert member.preparation
            with pytest.raises(InputError) as refused:
                member.build()
            assert str(refused.value) == member.preparation
            return
        one, other = member.build(), member.build()
        n, side = len(one.images), member.resolution
        assert one.images.dtype == np.uint8
        assert one.images.shape == (n, 3, side, side)
        assert one.labels.dtype == np.int64
        assert one.labels.shape == (n,)
        assert set(one.labels.tolist()) <= set(range(len(one.classes)))
        assert one.images.tobytes() == other.images.tobytes(), "two builds differ"
        assert (one.labels == other.labels).all()
        for name, values in one.attributes.items():
            assert values.dtype == np.float32, name
            assert len(values) == n, name

    def test_held_out_images_are_other_data_of_the_same_kind(self, member: Dataset) -> None:
        """Where there are any."""
        held_out = member.held_out
        if held_out is not None:
            assert held_out.resolution == member.resolution
            assert held_out.digest() != member.digest()

    def test_regions_that_must_agree_are_apart_and_inside(self, member: Dataset) -> None:
        """Where any are stated; names are unique."""
        assert len({regions.name for regions in member.agreeing}) == len(member.agreeing)
        for regions in member.agreeing:
            for box in (regions.one, regions.other):
                assert 0 <= box.left < box.right <= 1
                assert 0 <= box.top < box.bottom <= 1


class TrainingSetContract(ComponentContract):
    """Distinct images of X, a function of the split alone."""

    parts = Parts(retrieval=np.arange(100, 150), train=np.random.default_rng(0).permutation(100))

    def test_it_names_distinct_images_of_x(self, member: TrainingSet) -> None:
        """At least one; the same each time."""
        ids = member.ids(self.parts)
        assert np.issubdtype(ids.dtype, np.integer)
        assert 0 < len(ids) == len(set(ids.tolist()))
        assert set(ids.tolist()) <= set(range(150))
        assert (ids == member.ids(self.parts)).all()

    def test_tables_can_name_it(self, member: TrainingSet) -> None:
        """In the column of what a row was trained on."""
        assert member.words


@lru_cache(maxsize=8)
def _loaded(encoder: Encoder) -> Embed:
    encoder.check()
    return encoder.load(_faces() if encoder.fitted else None, "cpu")


@lru_cache(maxsize=1)
def _faces() -> Pixels:
    return ToyFaces(size=300).build().images


class EncoderContract(ComponentContract):
    """Images to finite float32 vectors, each image for itself. A member whose weights are not at hand is skipped."""

    def embed(self, member: Encoder) -> Embed:
        """The member, loaded once."""
        if not member.at_hand():
            pytest.skip(f"the weights of {member.name} are not on this machine and tests fetch nothing")
        return _loaded(member)

    def test_vectors_are_finite_float32_and_do_not_depend_on_the_batch(self, member: Encoder) -> None:
        """Up to float32 rounding through some 50 layers, relative to their size; images stay as they are."""
        embed, images = self.embed(member), _faces()[:4].copy()
        vectors = embed(images)
        assert vectors.dtype == np.float32
        assert (vectors.ndim, len(vectors)) == (2, 4)
        assert member.features in {None, vectors.shape[1]}
        assert np.isfinite(vectors).all()
        assert (images == _faces()[:4]).all()
        apart = np.concatenate([embed(images[:1]), embed(images[1:])])
        np.testing.assert_allclose(apart, vectors, rtol=1e-4, atol=1e-5 * np.abs(vectors).max())

    def test_equal_images_have_equal_vectors_and_others_do_not(self, member: Encoder) -> None:
        """Bit by bit."""
        embed = self.embed(member)
        vectors = embed(_faces()[[0, 1]])
        assert (embed(_faces()[[0, 1]]) == vectors).all()
        assert np.abs(vectors[0] - vectors[1]).max() > 1e-2 * np.abs(vectors).max()

    def test_its_slug_fits_names_of_metrics(self, member: Encoder) -> None:
        """Letters, digits and underscores."""
        assert member.slug.replace("_", "").isalnum()
