"""Control rows: neighbours that say nothing, a condition that is zero, parameters without attention."""

import numpy as np
import pytest
import torch

from prism_bench.prism.conditioning.aggregators import MeanMLP, SetTransformer, ZeroCondition
from prism_bench.prism.conditioning.retrieval import Nearest, RandomNeighbours, Retrieval, ShuffledNeighbours
from prism_bench.prism.data.split import Split
from prism_bench.prism.errors import InputError
from prism_bench.prism.methods.method import TrainShare

RNG = np.random.default_rng(0)
VECTORS = RNG.standard_normal((60, 5)).astype(np.float32)
GALLERY = np.sort(RNG.permutation(60)[:40])


def table(retrieval: Retrieval, k: int) -> np.ndarray:
    return retrieval.search(VECTORS, GALLERY, k)(np.arange(len(VECTORS)))


def test_random_neighbours_know_nothing_of_the_vectors_and_are_uniform() -> None:
    before = table(RandomNeighbours(), 6)
    again = RandomNeighbours().search(VECTORS[::-1].copy(), GALLERY, 6)(np.arange(len(VECTORS)))
    assert np.array_equal(before, again)
    many = np.zeros((4000, 2), np.float32)
    drawn = RandomNeighbours().search(many, GALLERY, 3)(np.arange(len(many)))
    counts = np.bincount(drawn.ravel(), minlength=60)[GALLERY]
    expected = drawn.size / len(GALLERY)
    # Chi-squared with 39 degrees of freedom exceeds 72 once in a thousand.
    assert ((counts - expected) ** 2 / expected).sum() < 72


def test_random_neighbours_never_include_the_query_where_excluded() -> None:
    rows = table(RandomNeighbours(exclude_self=True), 20)
    assert not (rows == np.arange(60)[:, None]).any()
    assert (table(RandomNeighbours(), 20) == np.arange(60)[:, None]).any()


def test_shuffled_neighbours_are_the_nearest_ones_of_others() -> None:
    nearest, shuffled = table(Nearest(), 5), table(ShuffledNeighbours(), 5)
    assert sorted(map(tuple, nearest.tolist())) == sorted(map(tuple, shuffled.tolist()))
    kept = sum(np.array_equal(a, b) for a, b in zip(nearest, shuffled, strict=True))
    assert kept <= 5


def test_the_zero_condition_is_zero_and_as_wide_as_the_set_transformers() -> None:
    module = ZeroCondition().build(12, 8)
    out = module(torch.randn(3, 4, 12), torch.ones(3, 4, dtype=torch.bool))
    assert out.shape == (3, SetTransformer().output_dim(12, 8))
    assert not out.any()
    assert not list(module.parameters())


@pytest.mark.parametrize(("dim", "channels"), [(64, 32), (512, 128), (16, 8)])
def test_the_mean_of_equal_parameters_has_equal_parameters(dim: int, channels: int) -> None:
    like = SetTransformer(inducing=8, heads=4)
    count = [sum(p.numel() for p in kind.build(dim, channels).parameters()) for kind in (like, MeanMLP(like=like))]
    assert count[1] == pytest.approx(count[0], rel=0.01)


def test_shares_of_x_train_round_and_are_never_empty() -> None:
    parts = Split(retrieval_fraction=0.5, seed=0).parts(np.zeros(41, np.int64), ("one",))
    size = len(parts.train)
    for share, count in ((1.0, size), (0.5, round(size / 2)), (0.1, round(size / 10)), (1e-9, 1)):
        ids = TrainShare(share=share).ids(parts)
        assert np.array_equal(ids, parts.train[:count])
    assert TrainShare(share=0.1).words == "10% of X_train"
    for share in (0.0, -0.5, 1.5):
        with pytest.raises(InputError, match="lies in"):
            TrainShare(share=share)
