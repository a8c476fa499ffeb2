"""Exact neighbours: against a slow twin, against torch, and the ways retrieval goes wrong in silence."""

import numpy as np
import pytest
import reference
import torch

from prism_bench.prism.conditioning import neighbour_search
from prism_bench.prism.conditioning.neighbour_search import QUERY_BATCH, ExactSearch, IndexSearch, recall
from prism_bench.prism.conditioning.retrieval import FaissIndex, Nearest
from prism_bench.prism.encoders.base import Vectors
from prism_bench.prism.encoders.pca import PixelsPCA
from prism_bench.prism.errors import ComputeError, InputError

RNG = np.random.default_rng(0)
VECTORS: Vectors = RNG.standard_normal((60, 5)).astype(np.float32)
GALLERY = np.sort(RNG.permutation(60)[:40]).astype(np.int64)


def table(vectors: Vectors, gallery: np.ndarray, k: int, *, exclude_self: bool = False) -> np.ndarray:
    return ExactSearch(vectors, gallery, k, exclude_self=exclude_self)(np.arange(len(vectors)))


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


@pytest.mark.parametrize("offset", [0.0, 1e2, 1e4])
@pytest.mark.parametrize("scale", [1e-6, 1e-3, 1.0, 1e3, 1e6])
@pytest.mark.parametrize("exclude_self", [False, True])
def test_agrees_with_brute_force_in_float64_at_any_scale_and_offset(
    scale: float, offset: float, exclude_self: bool
) -> None:
    rng = np.random.default_rng(3)
    vectors = (rng.standard_normal((300, 16)) * scale + offset).astype(np.float32)
    gallery = np.sort(rng.permutation(300)[:200])
    expected = reference.neighbours(vectors.astype(np.float64), gallery.tolist(), 9, exclude_self=exclude_self)
    assert table(vectors, gallery, 9, exclude_self=exclude_self).tolist() == expected


def test_many_near_equal_neighbours_are_told_apart_and_many_equal_ones_go_by_id() -> None:
    rng = np.random.default_rng(4)
    near = np.ones((120, 64)) + 3e-6 * rng.standard_normal((120, 64))
    vectors = np.concatenate([near, np.ones((60, 64)), 50 * rng.standard_normal((20, 64))]).astype(np.float32)
    gallery = np.arange(200)[::-1].copy()
    expected = reference.neighbours(vectors.astype(np.float64), gallery.tolist(), 5)
    assert table(vectors, gallery, 5).tolist() == expected
    assert table(vectors, gallery, 5)[130].tolist() == [120, 121, 122, 123, 124]


def test_a_gallery_searched_in_parts_gives_the_same_table(monkeypatch: pytest.MonkeyPatch) -> None:
    vectors = RNG.standard_normal((400, 8)).astype(np.float32)
    gallery = np.sort(RNG.permutation(400)[:333])
    whole = table(vectors, gallery, 12)
    monkeypatch.setattr(neighbour_search, "GALLERY_BYTES", 4 * 8 * 50)
    monkeypatch.setattr(neighbour_search, "PAIRS", 640)
    assert (table(vectors, gallery, 12) == whole).all()


def test_an_index_of_all_cells_is_exact_and_one_of_few_misses_some() -> None:
    vectors = RNG.standard_normal((600, 8)).astype(np.float32)
    gallery, rows = np.arange(100, 600), np.arange(600)
    exact = table(vectors, gallery, 6)

    def found(parameters: str) -> np.ndarray:
        return IndexSearch(vectors, gallery, 6, factory="IVF8,Flat", parameters=parameters)(rows)

    assert (found("nprobe=8") == exact).all()
    assert recall(found("nprobe=8"), exact) == 1
    assert 0.3 < recall(found("nprobe=2"), exact) < 0.999


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"factory": "IVFX"}, r"retrieval.factory='IVFX' is no index that faiss can make \(could not parse"),
        ({"factory": "PQ19"}, r"PQ19.*should be a multiple of the number of subquantizers"),
        ({"parameters": "nprobe=3"}, r"retrieval.parameters='nprobe=3' does not go with HNSW32 \(.*could not set"),
    ],
)
def test_a_wrong_factory_string_is_refused_in_plain_words(values: dict[str, str], words: str) -> None:
    with pytest.raises(InputError, match=words) as refused:
        FaissIndex(**values)
    assert "/project" not in str(refused.value)


def test_an_index_that_does_not_suit_the_data_says_so() -> None:
    with pytest.raises(InputError, match="asks for 64 cells, and the retrieval set D holds 40 images"):
        FaissIndex(factory="IVF64,Flat").search(VECTORS, GALLERY, 3)
    with pytest.raises(InputError, match=r"the index PQ1 cannot be built over the 40 images.*of training points"):
        FaissIndex(factory="PQ1").search(VECTORS, GALLERY, 3)
    with pytest.raises(ComputeError, match=r"IVF8,Flat finds only \d+ of 30 neighbours of image \d+; .*nprobe"):
        FaissIndex(factory="IVF8,Flat").search(VECTORS, GALLERY, 30)(np.arange(60))


def test_only_what_float32_cannot_tell_apart_is_compared_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Far-apart vectors need no second look; clusters of near-equal ones do, and come out as from float64 alone."""
    rng = np.random.default_rng(5)
    centres = rng.standard_normal((100, 12))
    apart = centres.astype(np.float32)
    clusters = np.repeat(centres[:40], 5, axis=0) + 1e-7 * rng.standard_normal((200, 12))
    compared: list[int] = []
    squared = ExactSearch.squared
    monkeypatch.setattr(
        ExactSearch, "squared", lambda self, rows, ids: compared.append(len(rows)) or squared(self, rows, ids)
    )
    for exclude_self in (False, True):
        for vectors, close in ((apart, False), (clusters.astype(np.float32), True)):
            gallery = np.arange(len(vectors))
            expected = reference.neighbours(vectors.astype(np.float64), gallery.tolist(), 6, exclude_self=exclude_self)
            compared.clear()
            assert table(vectors, gallery, 6, exclude_self=exclude_self).tolist() == expected
            asked = len(vectors) * 6
            assert sum(compared) > 0.6 * asked if close else sum(compared) < 0.05 * asked


def test_a_query_far_from_all_is_answered_as_by_float64() -> None:
    """The rounding that a query's own length brings is larger than what lies between its neighbours."""
    vectors = np.concatenate([RNG.standard_normal((150, 16)), 1e4 * np.ones((2, 16))]).astype(np.float32)
    expected = reference.neighbours(vectors.astype(np.float64), list(range(150)), 5)
    assert table(vectors, np.arange(150), 5).tolist() == expected
