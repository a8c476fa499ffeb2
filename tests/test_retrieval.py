"""Exact neighbours: against a slow twin, against torch, and the ways retrieval goes wrong in silence."""

import numpy as np
import pytest
import reference
import torch

from prism_bench.prism.conditioning.retrieval import QUERY_BATCH, Nearest, nearest
from prism_bench.prism.encoders.base import Vectors
from prism_bench.prism.encoders.pca import PixelsPCA
from prism_bench.prism.errors import ComputeError, InputError

RNG = np.random.default_rng(0)
VECTORS: Vectors = RNG.standard_normal((60, 5)).astype(np.float32)
GALLERY = np.sort(RNG.permutation(60)[:40]).astype(np.int64)


def table(vectors: Vectors, gallery: np.ndarray, k: int, *, exclude_self: bool = False) -> np.ndarray:
    return np.concatenate([block for _, block in nearest(vectors, gallery, k, exclude_self=exclude_self)])


@pytest.mark.parametrize("exclude_self", [False, True])
def test_equals_the_slow_twin(exclude_self: bool) -> None:
    expected = reference.neighbours(VECTORS.astype(np.float64), GALLERY.tolist(), 7, exclude_self=exclude_self)
    assert table(VECTORS, GALLERY, 7, exclude_self=exclude_self).tolist() == expected


def test_equals_torch() -> None:
    distances = torch.cdist(torch.from_numpy(VECTORS).double(), torch.from_numpy(VECTORS[GALLERY]).double())
    expected = GALLERY[distances.topk(5, largest=False).indices.numpy()]
    assert (table(VECTORS, GALLERY, 5) == expected).all()


def test_a_member_of_the_gallery_finds_itself_first_unless_excluded() -> None:
    assert (table(VECTORS, GALLERY, 3)[GALLERY, 0] == GALLERY).all()
    assert not (table(VECTORS, GALLERY, 39, exclude_self=True)[GALLERY] == GALLERY[:, None]).any()


def test_duplicates_are_ordered_by_id_and_self_is_excluded_by_id() -> None:
    vectors = VECTORS.copy()
    vectors[GALLERY[:6]] = vectors[GALLERY[0]]
    found = table(vectors, GALLERY, 6)[GALLERY[3]]
    assert found.tolist() == GALLERY[:6].tolist()
    without = table(vectors, GALLERY, 5, exclude_self=True)[GALLERY[3]]
    assert without.tolist() == [i for i in GALLERY[:6] if i != GALLERY[3]]


def test_the_order_of_the_gallery_does_not_matter() -> None:
    assert (table(VECTORS, GALLERY, 9) == table(VECTORS, GALLERY[::-1].copy(), 9)).all()


def test_more_queries_than_one_batch_are_all_answered() -> None:
    many = RNG.standard_normal((QUERY_BATCH + 3, 4)).astype(np.float32)
    starts = [start for start, _ in nearest(many, GALLERY, 2)]
    assert starts == [0, QUERY_BATCH]
    assert len(table(many, GALLERY, 2)) == QUERY_BATCH + 3


def test_k_beyond_the_gallery_is_refused_with_the_largest_k() -> None:
    with pytest.raises(InputError, match=r"41 neighbours are asked for but the retrieval set D holds 40.*k <= 40"):
        table(VECTORS, GALLERY, 41)
    with pytest.raises(InputError, match=r"excludes the query itself.*k <= 39"):
        table(VECTORS, GALLERY, 40, exclude_self=True)


def test_embeddings_must_be_finite() -> None:
    broken = VECTORS.copy()
    broken[17, 2] = np.nan
    with pytest.raises(ComputeError, match="embedding of image 17 by pixels-pca is not finite"):
        Nearest(encoder=PixelsPCA()).prepare(broken)


def test_normalised_l2_order_is_cosine_order() -> None:
    unit = Nearest().prepare(VECTORS)
    assert np.linalg.norm(unit, axis=1) == pytest.approx(np.ones(60), abs=1e-6)
    cosine = unit.astype(np.float64) @ unit[GALLERY].astype(np.float64).T
    assert (table(unit, GALLERY, 4) == GALLERY[np.argsort(-cosine, axis=1)[:, :4]]).all()
    assert (Nearest(normalise=False).prepare(VECTORS) == VECTORS).all()
