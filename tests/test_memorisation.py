"""Memorisation, reference sets and far dependence: laws, slow twins, and what the report makes of them."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from handmade import BARE, document, results

from prism_bench.analysis.schema.records import Cell, Claim, Limit, Plan, Record, Side, load_plan, load_record
from prism_bench.prism.data.split import Parts
from prism_bench.prism.data.toyfaces import ToyFaces
from prism_bench.prism.errors import ComputeError, InputError
from prism_bench.prism.images import Pixels
from prism_bench.prism.metrics.base import MetricInputs
from prism_bench.prism.metrics.coherence import Coherence
from prism_bench.prism.metrics.far_dependence import CELLS, FAR, FarDependence, far_dependence
from prism_bench.prism.metrics.frechet import frechet_between
from prism_bench.prism.metrics.frechet_parts import FrechetParts, drawn
from prism_bench.prism.metrics.memorisation import Memorisation, resemblance

N, M, D = 60, 400, 12
PARTS = Parts(np.arange(0, 280), np.arange(280, M))


def normal(n: int, seed: int, scale: float = 1.0) -> np.ndarray[Any, np.dtype[np.float32]]:
    return (scale * np.random.default_rng(seed).standard_normal((n, D))).astype(np.float32)


def given(made: Any, real: Any, queries: Any = None, held_out: Any = None) -> MetricInputs:
    return MetricInputs(
        generated=np.zeros((len(made), 3, 4, 4), np.uint8),
        reference=np.zeros((len(real), 3, 4, 4), np.uint8),
        dataset=ToyFaces(),
        generated_features=made,
        reference_features=real,
        parts=PARTS,
        pseudo_queries=np.arange(len(made)) if queries is None else queries,
        held_out_features=held_out,
    )


def shares(inputs: MetricInputs, **fields: Any) -> dict[str, float]:
    values = Memorisation(**fields).compute(inputs)
    return {value.name.removesuffix("_efficientnet_lite0"): value.value for value in values}


# --- memorisation ---------------------------------------------------------------------------------------------------


def test_distances_are_those_of_a_slow_twin() -> None:
    made, real = normal(N, 1), normal(M, 2)
    queries = np.random.default_rng(0).integers(0, 280, N)
    found = resemblance(made, real, PARTS, queries)
    apart = np.linalg.norm(made[:, None].astype(float) - real[None].astype(float), axis=2)
    between = np.linalg.norm(real[:, None].astype(float) - real[None].astype(float), axis=2)
    np.fill_diagonal(between, np.inf)
    for part, name in (("retrieval", "retrieval"), ("train", "train")):
        ids = getattr(PARTS, part)
        np.testing.assert_allclose(getattr(found, f"to_{name}"), apart[:, ids].min(axis=1), rtol=1e-4)
        assert np.array_equal(getattr(found, f"nearest_{name}"), ids[apart[:, ids].argmin(axis=1)])
    np.testing.assert_allclose(found.to_query, apart[np.arange(N), queries], rtol=1e-4)
    np.testing.assert_allclose(
        found.real_to_retrieval, between[np.ix_(PARTS.train, PARTS.retrieval)].min(axis=1), rtol=1e-4
    )
    nearest = apart.argmin(axis=1)
    assert np.array_equal(found.authentic, apart.min(axis=1) > between[nearest].min(axis=1))


def test_new_draws_of_the_same_distribution_count_as_often_as_real_images_do() -> None:
    """By definition of the thresholds: 10% at the 10% quantile, within three standard errors of both samples."""
    real, made = normal(M, 2), normal(4000, 3)
    found = shares(given(made, real, np.zeros(4000, np.int64)), quantile=0.1)
    assert found["copied_d"] == pytest.approx(10, abs=3 * 100 * np.sqrt(0.09 / 120))
    assert found["copied_train"] == pytest.approx(10, abs=3 * 100 * np.sqrt(0.09 / 280))
    assert found["copied_query"] < 2, "the pseudo-query is one image, not the nearest of many"
    assert found["near_d"] == pytest.approx(50, abs=3 * 100 * np.sqrt(0.25 / 120))


def test_copies_are_found_where_they_are_made() -> None:
    real = normal(M, 2)
    made = normal(N, 1, scale=20.0)
    made[:30] = real[PARTS.train[:30]] + 1e-3
    made[30:45] = real[PARTS.retrieval[30:45]]
    found = shares(given(made, real, PARTS.retrieval[np.arange(N)]))
    assert found["copied_train"] == pytest.approx(50)
    assert found["copied_d"] == pytest.approx(25)
    assert found["copied_query"] == pytest.approx(25), "rows 30 to 45 copy the images that guided them"
    assert found["authpct"] == pytest.approx(25), "what copies nothing is authentic"


def test_an_unlike_sample_is_no_copy_and_not_near() -> None:
    found = shares(given(normal(N, 1, scale=50.0), normal(M, 2)))
    assert (found["copied_d"], found["near_d"], found["authpct"]) == (0, 0, 100)


def test_near_duplicates_of_the_data_raise_no_alarm() -> None:
    """Where real images resemble each other across the split, resembling them as closely is no copy."""
    real = normal(M, 2)
    real[PARTS.train] = real[PARTS.retrieval[: len(PARTS.train)]] + 0.01 * normal(len(PARTS.train), 5)
    made = real[PARTS.retrieval[:N]] + 0.01 * normal(N, 6)
    # The 1% quantile of 120 distances lies between the two smallest.
    assert shares(given(made, real))["copied_d"] <= 100 * 6 / N


def test_what_it_needs_is_said() -> None:
    inputs = given(normal(N, 1), normal(M, 2))
    with pytest.raises(InputError, match="retrieval set D and at X_train apart"):
        Memorisation().compute(replace(inputs, parts=None))
    with pytest.raises(ComputeError, match="pseudo-query of each"):
        Memorisation().compute(replace(inputs, pseudo_queries=None))
    with pytest.raises(InputError, match="strictly between 0 and 1, not 1"):
        Memorisation(quantile=1)


def test_the_distances_are_kept() -> None:
    details = Memorisation().measure(given(normal(N, 1), normal(M, 2))).details
    assert details["to_query"].shape == (N,)
    assert details["threshold_retrieval"] == pytest.approx(np.quantile(details["real_to_retrieval"], 0.01))


# --- reference sets -------------------------------------------------------------------------------------------------


def test_each_part_is_taken_at_the_same_size() -> None:
    made, real, unseen = normal(N, 1), normal(M, 2), normal(90, 4)
    values = FrechetParts().compute(given(made, real, held_out=unseen))
    assert [value.reference_n for value in values] == [90] * 3
    sets = (real[PARTS.retrieval], real[PARTS.train], unseen)
    for value, features in zip(values, sets, strict=True):
        assert value.value == pytest.approx(frechet_between(made, drawn(features, 90)), rel=1e-12)
    assert values[2].value == pytest.approx(frechet_between(made, unseen), rel=1e-12)
    assert [value.label for value in FrechetParts().compute(given(made, real))] == [
        "FD (efficientnet-lite0) to D",
        "FD (efficientnet-lite0) to X_train",
    ]


def test_samples_of_one_part_are_nearer_to_it() -> None:
    real = normal(M, 2)
    real[PARTS.retrieval] += 1
    made = normal(N, 1) + 1
    to_d, to_train = FrechetParts().compute(given(made, real))
    assert to_d.value + 5 < to_train.value


# --- far dependence -------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def faces() -> Pixels:
    return ToyFaces(size=3000).build().images


@pytest.fixture(scope="module")
def fresh() -> Pixels:
    return ToyFaces(size=800, seed=7).build().images


def test_no_training_patch_shows_a_far_pair() -> None:
    """Every window of half the side, at any position, misses one of the two cells."""
    side, half = 8, 16
    for one, other in FAR:
        rows = sorted((one // CELLS, other // CELLS))
        columns = sorted((one % CELLS, other % CELLS))
        spans = [(last - first + 1) * side for first, last in (rows, columns)]
        assert max(spans) > half
    assert len(FAR) == 30


def test_real_images_keep_all_of_it(faces: Pixels, fresh: Pixels) -> None:
    assert far_dependence(fresh, faces, components=8) == pytest.approx(1, abs=0.01)


def test_cells_of_different_images_keep_nothing(faces: Pixels, fresh: Pixels) -> None:
    mixed = fresh.copy()
    side = fresh.shape[-1] // CELLS
    rng = np.random.default_rng(0)
    for cell in range(CELLS * CELLS):
        rows, columns = (slice(at * side, at * side + side) for at in divmod(cell, CELLS))
        mixed[:, :, rows, columns] = fresh[rng.permutation(len(fresh))][:, :, rows, columns]
    assert far_dependence(mixed, faces, components=8) == pytest.approx(0, abs=0.03)


def test_it_falls_with_the_exact_coherence(faces: Pixels, fresh: Pixels) -> None:
    """Where a growing share of images gets its right half from another image, both fall, and in the same order."""
    exact, estimated = [], []
    for share in (0.0, 0.25, 0.5, 0.75, 1.0):
        mixed = fresh.copy()
        chosen = np.arange(int(share * len(fresh)))
        mixed[chosen, :, :, 8:] = fresh[np.roll(chosen, 1)][:, :, :, 8:]
        inputs = MetricInputs(generated=mixed, reference=faces, dataset=ToyFaces())
        exact.append(Coherence().compute(inputs)[0].value)
        estimated.append(FarDependence().compute(inputs)[0].value)
    assert exact == sorted(exact, reverse=True)
    assert estimated == sorted(estimated, reverse=True)
    assert estimated[0] - estimated[-1] > 0.1


@pytest.mark.parametrize(("real", "made"), [(0.5, 0.5), (0.5, 0.2), (0.3, 0.9), (0.6, 0.0)])
def test_cells_of_known_correlation_give_the_closed_form(real: float, made: float) -> None:
    """Grey cells, every pair correlated by rho: 2 r s / (r^2 + s^2), within the sampling of 30 shared correlations."""

    def images(rho: float, n: int, seed: int) -> Pixels:
        rng = np.random.default_rng(seed)
        levels = np.sqrt(rho) * rng.standard_normal((n, 1, 1)) + np.sqrt(1 - rho) * rng.standard_normal((n, 4, 4))
        grey = np.clip(128 + 25 * levels, 0, 255).round().astype(np.uint8)
        return np.repeat(np.repeat(np.repeat(grey[:, None], 3, axis=1), 4, axis=2), 4, axis=3)

    found = far_dependence(images(made, 6000, 1), images(real, 12000, 2), components=8)
    assert found == pytest.approx(2 * real * made / (real**2 + made**2), abs=0.03)


def test_too_much_dependence_is_as_wrong_as_too_little(faces: Pixels, fresh: Pixels) -> None:
    flat = np.broadcast_to(fresh.mean(axis=(2, 3), keepdims=True), fresh.shape).astype(np.uint8)
    assert far_dependence(flat, faces, components=8) < 0.45


def test_one_brightness_over_parts_of_different_images_is_no_coherence(faces: Pixels, fresh: Pixels) -> None:
    """Quarters of four images each, and all four made brighter or darker together: it cannot be gamed by that."""
    rng = np.random.default_rng(0)
    mixed = fresh.astype(np.int16)
    mixed[:, :, :, 8:] = mixed[rng.permutation(len(mixed))][:, :, :, 8:]
    mixed[:, :, 8:] = mixed[rng.permutation(len(mixed))][:, :, 8:]
    shifted = np.clip(mixed + rng.normal(0, 60, (len(mixed), 1, 1, 1)), 0, 255).astype(np.uint8)
    assert abs(far_dependence(mixed.astype(np.uint8), faces, components=8)) < 0.1
    assert far_dependence(shifted, faces, components=8) < 0.45


def test_the_order_of_images_does_not_enter(faces: Pixels, fresh: Pixels) -> None:
    some, rng = faces[:1000], np.random.default_rng(0)
    found = far_dependence(fresh, some, components=8)
    assert far_dependence(rng.permutation(fresh), rng.permutation(some), components=8) == found


def test_contrast_and_brightness_of_samples_do_not_enter(faces: Pixels, fresh: Pixels) -> None:
    pale = (fresh // 2 + 60).astype(np.uint8)
    assert far_dependence(pale, faces, components=8) == pytest.approx(1, abs=0.02)


def test_independent_pixels_have_nothing_to_keep(fresh: Pixels) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (600, 3, 16, 16), np.uint8)
    assert far_dependence(fresh, noise, components=8) == 0


def test_small_samples_are_not_favoured(faces: Pixels) -> None:
    few = [far_dependence(ToyFaces(size=60, seed=at).build().images, faces, components=8) for at in range(3, 9)]
    assert np.mean(few) == pytest.approx(1, abs=0.03)


def test_large_cells_are_averaged_first(faces: Pixels, fresh: Pixels) -> None:
    """Enlarged images without new detail give the same number, but for the halves, which other bytes draw otherwise."""
    large, larger = (np.repeat(np.repeat(images, 4, axis=2), 4, axis=3) for images in (fresh, faces[:1500]))
    small = far_dependence(fresh, faces[:1500], components=4)
    assert far_dependence(large, larger, components=4) == pytest.approx(small, abs=0.01)


# --- the claim of section 5.4 ---------------------------------------------------------------------------------------


def record(seed: int, copied: float, near: float) -> Record:
    """A finished cell with the two numbers of the limit."""

    def value(name: str, number: float) -> dict[str, Any]:
        facts = {"name": f"{name}_enc", "label": name, "value": number, "n": 10, "reference_n": 20, "unit": "%"}
        return {**facts, "better": "lower", "fingerprint": "f", "scale": "smoke", "floor": 0.5, "group": "Memorisation"}

    values = [value("copied", copied), value("nearest", 0), value("near", near)]
    data = {**BARE, "record": f"r{seed}", "status": "done", "values": values}
    return load_record(data)


def verdict(*numbers: tuple[float, float]) -> tuple[str, str]:
    records = [record(seed, *pair) for seed, pair in enumerate(numbers)]
    cells = tuple(Cell(seed=seed, record=f"r{seed}", k_sample=None) for seed in range(len(numbers)))
    side = Side(label="PRISM", row="prism", k_sample=1, cells=cells)
    limit = Limit(sides=(side,), metric="copied", most=2.0, condition="near", least=50.0)
    claim = Claim(id="c", text="t", source="s", pairs=(), limit=limit)
    (result,) = results(plan_with(claim), records).claims
    return result.judged[0].verdict, result.judged[0].sentence


def plan_with(claim: Claim) -> Plan:
    return load_plan(document([], [claim.model_dump(mode="json")], 3))


@pytest.mark.parametrize(
    ("numbers", "expected", "words"),
    [
        (((0.1, 90), (0.2, 91), (0.3, 92)), "reproduced", "0.20 [-0.05, 0.45] % copied, real images 0.50 %"),
        (((9.0, 90), (9.5, 91), (9.2, 92)), "not reproduced", "the limit is 2 %"),
        (((0.0, 90), (4.0, 91), (1.0, 92)), "undecided", "the interval holds the limit"),
        (((0.0, 1), (0.0, 2), (0.0, 3)), "not tested", "PRISM has 2 % near, too few to tell"),
        (((9.0, 1), (9.5, 2), (9.2, 3)), "not reproduced", "9.23"),
        (((0.1, 90),), "undecided", "run at least three"),
        # Equal shares are one of 30 images, though their standard deviation is not exactly 0.
        (((1.9, 90),) * 3, "undecided", "1.90 [0.08, 17.22] % copied"),
    ],
)
def test_the_limit_is_judged_by_its_interval_and_only_where_it_can_be(
    numbers: tuple[tuple[float, float], ...], expected: str, words: str
) -> None:
    found, sentence = verdict(*numbers)
    assert found == expected
    assert words in sentence


def test_a_missing_measurement_is_not_tested() -> None:
    bare = record(0, 1, 1).model_copy(update={"values": ()})
    side = Side(label="PRISM", row="prism", k_sample=1, cells=(Cell(seed=0, record="r0", k_sample=None),))
    limit = Limit(sides=(side,), metric="copied", most=2.0, condition="near", least=50.0)
    (result,) = results(plan_with(Claim(id="c", text="t", source="s", pairs=(), limit=limit)), [bare]).claims
    assert result.judged[0].sentence == "not tested: PRISM has no such measurement for seed 0"
