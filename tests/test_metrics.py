"""Closed forms of the metrics; each against a slow twin."""

import tracemalloc
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import scipy

from prism_bench.prism.data.base import AgreeingRegions, Box, Dataset, Images
from prism_bench.prism.data.toyfaces import ToyFaces
from prism_bench.prism.encoders.efficientnet import EfficientNetLite2
from prism_bench.prism.encoders.pca import PixelsPCA
from prism_bench.prism.errors import ComputeError, InputError
from prism_bench.prism.images import Pixels
from prism_bench.prism.metrics.base import Metric, MetricInputs, own_order
from prism_bench.prism.metrics.coherence import Coherence, correlation, mean_colour
from prism_bench.prism.metrics.far_dependence import FarDependence
from prism_bench.prism.metrics.frechet import FrechetDistance, frechet_between, frechet_distance, frechet_of, moments_of
from prism_bench.prism.metrics.kid import KernelDistance, kernel_distance
from prism_bench.prism.metrics.memorisation import Memorisation
from prism_bench.prism.metrics.prdc import PrecisionRecall
from prism_bench.testing.metrics import correlated_normal as normal
from prism_bench.testing.metrics import metric_inputs as inputs

Matrix = npt.NDArray[np.float64]
SCIPY = tuple(int(part) for part in scipy.__version__.split(".")[:2])


@dataclass(frozen=True, kw_only=True)
class Unknown(Dataset):
    """Data of which nothing is known; not a member, so that it joins no list."""

    resolution: int = 16

    def build(self) -> Images:
        raise NotImplementedError


@pytest.fixture(scope="module")
def faces() -> Pixels:
    return ToyFaces(size=1500).build().images


def moments(features: Matrix) -> tuple[Matrix, Matrix]:
    return features.mean(axis=0), np.atleast_2d(np.cov(features, rowvar=False))


def test_fingerprints_depend_on_encoder_weights_code_and_the_fitting_set(monkeypatch: pytest.MonkeyPatch) -> None:
    base = FrechetDistance().fingerprint(10, 10)
    assert FrechetDistance(encoder=EfficientNetLite2()).fingerprint(10, 10) != base
    assert FrechetDistance().fingerprint(10, 10, fitted_on="ignored: not fitted") == base
    fitted = FrechetDistance(encoder=PixelsPCA())
    assert fitted.fingerprint(10, 10, fitted_on="a") != fitted.fingerprint(10, 10, fitted_on="b")
    with monkeypatch.context() as patch:
        patch.setattr(FrechetDistance, "version", FrechetDistance.version + 1)
        assert FrechetDistance().fingerprint(10, 10) != base
    weights = FrechetDistance().encoder.weights._replace(sha256="0" * 64)  # type: ignore[attr-defined]
    with monkeypatch.context() as patch:
        patch.setattr(type(FrechetDistance().encoder), "weights", weights)
        assert FrechetDistance().fingerprint(10, 10) != base


def test_value_names_carry_the_encoder(faces: Pixels) -> None:
    given = inputs(faces)
    assert FrechetDistance().compute(given)[0].name == "fd_efficientnet_lite0"
    assert KernelDistance().compute(given)[0].name == "kid_efficientnet_lite0"
    assert FrechetDistance(encoder=PixelsPCA()).compute(given)[0].name == "fd_pixels_pca"


def test_broken_features_fail_while_computing(faces: Pixels) -> None:
    given = inputs(faces)
    assert given.reference_features is not None
    broken = given.reference_features.copy()
    broken[7, 2] = np.nan
    with pytest.raises(ComputeError, match="features of reference image 7 by efficientnet-lite0 are not finite"):
        FrechetDistance().compute(replace(given, reference_features=broken))
    with pytest.raises(ComputeError, match="each of the 40 generated images, not none"):
        KernelDistance().compute(replace(given, generated_features=None))
    with pytest.raises(ComputeError, match=r"each of the 50 reference images, not \[49, 6\]"):
        FrechetDistance().compute(replace(given, reference_features=given.reference_features[1:]))


# --- Fréchet distance -----------------------------------------------------------------------------------------------


def test_gaussians_with_diagonal_covariances_have_the_closed_form() -> None:
    rng = np.random.default_rng(0)
    mu1, mu2 = rng.standard_normal((2, 30))
    var1, var2 = rng.uniform(0.01, 3, (2, 30))
    expected = np.square(mu1 - mu2).sum() + np.square(np.sqrt(var1) - np.sqrt(var2)).sum()
    assert frechet_distance(mu1, np.diag(var1), mu2, np.diag(var2)) == pytest.approx(expected, rel=1e-9)
    # A rotation of both changes nothing, and leaves no covariance diagonal.
    turn = np.linalg.qr(rng.standard_normal((30, 30)))[0]
    turned = frechet_distance(turn @ mu1, turn @ np.diag(var1) @ turn.T, turn @ mu2, turn @ np.diag(var2) @ turn.T)
    assert turned == pytest.approx(expected, rel=1e-9)


def test_singular_covariances_have_the_closed_form() -> None:
    """Here Cholesky's factor does not exist, and the eigenpairs serve."""
    var1, var2 = np.array([4.0, 1, 0, 0]), np.array([1.0, 0, 9, 0])
    expected = 1.0 + 1 + 9
    zero = np.zeros(4)
    assert frechet_distance(zero, np.diag(var1), zero, np.diag(var2)) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("n", [20, 400], ids=["fewer samples than dimensions", "more"])
def test_identical_sets_are_at_distance_nought_and_a_shift_adds_its_square(n: int) -> None:
    features = normal(n, 60, 3)
    total = np.square(features).mean(axis=0).sum()
    assert frechet_between(features, features) == pytest.approx(0, abs=1e-11 * total)
    shift = np.linspace(-1, 2, 60)
    assert frechet_between(features, features + shift) == pytest.approx(shift @ shift, rel=1e-9)
    assert frechet_between(features, 3 * features) == pytest.approx(
        4 * np.square(features.mean(axis=0)).sum() + 4 * np.trace(moments(features)[1]), rel=1e-9
    )


@pytest.mark.parametrize(("n1", "n2"), [(20, 30), (20, 400), (400, 25), (400, 500), (60, 61)])
def test_both_routes_agree_and_are_symmetric(n1: int, n2: int) -> None:
    """Samples against moments, full rank or not.

    The moments' route takes roots of eigenvalues: where the true value is 0, rounding of 1e-16 times the largest
    becomes 1e-8 times its root, for each of the 60 dimensions.
    """
    one, two = normal(n1, 60, 4), normal(n2, 60, 5, scale=1.3, shift=0.2)
    value = frechet_between(one, two)
    singular = min(n1, n2) <= 60
    assert frechet_distance(*moments(one), *moments(two)) == pytest.approx(value, rel=1e-5 if singular else 1e-9)
    assert frechet_between(two, one) == pytest.approx(value, rel=1e-9)
    assert frechet_distance(*moments(two), *moments(one)) == pytest.approx(value, rel=1e-5 if singular else 1e-9)


def test_features_that_are_the_same_for_all_are_a_point() -> None:
    """As of one repeated picture; of more rows than twice the features, and of fewer."""
    rng = np.random.default_rng(0)
    for n in (100, 12):
        point, spread = np.full((n, 8), 0.5), rng.standard_normal((n, 8))
        expected = np.square(spread.mean(axis=0) - 0.5).sum() + spread.var(axis=0, ddof=1).sum()
        for one, other in ((point, spread), (spread, point)):
            assert frechet_of(moments_of(one), moments_of(other)) == pytest.approx(expected)
        assert frechet_of(moments_of(point), moments_of(point)) == 0


def test_float32_features_are_computed_in_float64() -> None:
    """A large common offset, as features have, must not eat the digits."""
    one, two = normal(200, 10, 6).astype(np.float32), normal(200, 10, 7).astype(np.float32)
    offset = np.float64(1000)
    exact = frechet_between(one.astype(np.float64), two.astype(np.float64))
    assert frechet_between(one, two) == exact
    assert frechet_between(one + offset, two + offset) == pytest.approx(exact, rel=1e-9)


def slow_frechet(one: Matrix, two: Matrix) -> float:
    """Without a covariance and without a square: singular values of the product of two factors by QR."""
    factors = [np.linalg.qr(x - x.mean(axis=0), mode="r") / np.sqrt(len(x) - 1) for x in (one, two)]
    overlap = np.linalg.svd(factors[0] @ factors[1].T, compute_uv=False).sum()
    shift = one.mean(axis=0) - two.mean(axis=0)
    return float(shift @ shift + sum(np.square(f).sum() for f in factors) - 2 * overlap)


def spectra(n: int, d: int, seed: int, *, decay: float, live: int) -> Matrix:
    """Normal features whose variances fall as i^-decay, mixed; `live` of them vary."""
    rng = np.random.default_rng(seed)
    mix = (np.eye(d) + 0.3 * rng.standard_normal((d, d)) / np.sqrt(d)) * np.arange(1, d + 1)[:, None] ** (-decay / 2)
    found: Matrix = rng.standard_normal((n, d)) @ mix + 0.5
    found[:, live:] = 0.25
    return found


@pytest.mark.parametrize(
    ("decay", "live", "by_covariance"),
    [(0, 280, True), (2, 280, True), (2, 270, True), (8, 280, False)],
    ids=["even", "graded", "some that do not vary", "near to singular"],
)
def test_covariances_and_squares_give_what_neither_gives(decay: float, live: int, by_covariance: bool) -> None:
    """To 1e-9, a thousandth of what is asked: both shortcuts are taken only where they keep the digits."""
    sets = [spectra(700, 280, seed, decay=decay, live=live) * scale for seed, scale in ((1, 1.0), (2, 1.03))]
    assert frechet_between(*sets) == pytest.approx(slow_frechet(*sets), rel=1e-9)
    shapes = {moments_of(features).factor.shape for features in sets}
    assert shapes == {(live if by_covariance else 280, 280)}
    assert frechet_between(sets[0], 3 * sets[0]) == pytest.approx(
        4 * np.square(sets[0].mean(axis=0)).sum() + 4 * sets[0].var(axis=0, ddof=1).sum(), rel=1e-9
    )


def test_features_that_repeat_others_are_at_the_distance_of_the_slow_twin() -> None:
    """Covariances of half the rank, in all directions: the roots of their rounding would show."""
    turn = np.linalg.qr(normal(280, 280, 5))[0]
    one, two = (np.concatenate([normal(700, 140, seed), np.zeros((700, 140))], axis=1) @ turn for seed in (6, 7))
    assert frechet_between(one, two) == pytest.approx(slow_frechet(one, two), rel=1e-9)
    assert frechet_between(one, normal(700, 280, 8)) == pytest.approx(slow_frechet(one, normal(700, 280, 8)), rel=1e-9)
    nearly = one + 1e-5 * two
    assert frechet_between(one, nearly) == pytest.approx(slow_frechet(one, nearly), rel=1e-6, abs=1e-13 * 700)


def test_moments_that_are_no_moments_are_refused() -> None:
    sigma = np.eye(3)
    with pytest.raises(ComputeError, match="not finite"):
        frechet_distance(np.full(3, np.nan), sigma, np.zeros(3), sigma)
    with pytest.raises(ComputeError, match="not symmetric"):
        frechet_distance(np.zeros(3), sigma + np.triu(np.ones((3, 3)), 1), np.zeros(3), sigma)


@pytest.mark.skipif(
    SCIPY >= (1, 18), reason="clean-fid calls scipy.linalg.sqrtm(disp=False), an argument that scipy 1.18 removed"
)
@pytest.mark.filterwarnings("ignore:The `disp` argument is deprecated:DeprecationWarning")
def test_the_value_is_clean_fids() -> None:
    fid = pytest.importorskip("cleanfid.fid")
    one, two = moments(normal(700, 256, 8)), moments(normal(900, 256, 9, scale=0.8, shift=0.1))
    assert frechet_distance(*one, *two) == pytest.approx(float(fid.frechet_distance(*one, *two)), rel=1e-6)


# --- kernel distance ------------------------------------------------------------------------------------------------


def slow_mmd2(x: Matrix, y: Matrix) -> float:
    """Binkowski et al. 2018, equation 4, as it is written."""

    def kernel(a: Matrix, b: Matrix) -> float:
        return float((a @ b / len(a) + 1) ** 3)

    n, m = len(x), len(y)
    xx = sum(kernel(x[i], x[j]) for i in range(n) for j in range(n) if i != j) / (n * (n - 1))
    yy = sum(kernel(y[i], y[j]) for i in range(m) for j in range(m) if i != j) / (m * (m - 1))
    return xx + yy - 2 * sum(kernel(a, b) for a in x for b in y) / (n * m)


def kid(x: Matrix, y: Matrix, *, subsets: int = 100, subset_size: int = 1000) -> float:
    return kernel_distance(x, y, subsets=subsets, subset_size=subset_size).distance


def test_all_pairs_give_the_double_loop() -> None:
    x, y = normal(30, 5, 1), normal(25, 5, 2, shift=0.3)
    assert kid(x, y) == pytest.approx(slow_mmd2(x, y), rel=1e-9)


@pytest.mark.parametrize(("n", "m"), [(30, 25), (6, 40)], ids=["both are cut", "all of the smaller set each time"])
def test_more_pairs_than_the_subsets_hold_give_the_mean_of_double_loops(n: int, m: int) -> None:
    from prism_bench.prism.rng import numpy_rng

    x, y = normal(n, 5, 1), normal(m, 5, 2, shift=0.3)
    first, second = sorted((rows[own_order(rows, "kid")] for rows in (x, y)), key=len)
    loops = []
    for subset in range(3):
        rng = numpy_rng(0, "kid", subset)
        i, j = (rng.choice(len(s), min(9, len(s)), replace=False, shuffle=False) for s in (first, second))
        loops.append(slow_mmd2(first[i], second[j]))
    assert kid(x, y, subsets=3, subset_size=9) == pytest.approx(np.mean(loops), rel=1e-9)


@pytest.mark.parametrize("size", [1000, 9], ids=["all pairs", "subsets"])
def test_order_of_images_and_of_sets_does_not_show(size: int) -> None:
    x, y = normal(60, 8, 1), normal(70, 8, 2, shift=0.1)
    once = kernel_distance(x, y, subsets=4, subset_size=size)
    shuffled = np.random.default_rng(3).permutation(60)
    assert once == kernel_distance(x[shuffled], y[::-1], subsets=4, subset_size=size)
    assert once == kernel_distance(y, x, subsets=4, subset_size=size)


def test_blocks_of_rows_do_not_show(monkeypatch: pytest.MonkeyPatch) -> None:
    x, y = normal(30, 5, 1), normal(25, 5, 2)
    whole = kernel_distance(x, y, subsets=40, subset_size=12)
    monkeypatch.setattr("prism_bench.prism.metrics.kid.ROWS", 7)
    assert kernel_distance(x, y, subsets=40, subset_size=12) == pytest.approx(whole, rel=1e-9)


def test_the_estimate_is_unbiased() -> None:
    """Two samples of one distribution: expectation 0. Over r independent draws the mean has the standard error
    s / sqrt(r), s the spread of one draw; 4 of these are passed by chance once in 16,000. The biased estimate (with
    the diagonal) is off by about (E k(x, x) - E k(x, y)) 2 / n, many times that.
    """
    draws = [kid(normal(20, 4, 2 * r), normal(20, 4, 2 * r + 1)) for r in range(400)]
    assert abs(np.mean(draws)) < 4 * np.std(draws, ddof=1) / np.sqrt(len(draws))
    assert min(draws) < 0 < max(draws)


@pytest.mark.parametrize("size", [1000, 50], ids=["all pairs", "subsets"])
def test_the_standard_error_is_the_spread_between_draws(size: int) -> None:
    """Of sets that differ, over 300 draws: the spread of the values has a relative standard error of 1 / sqrt(600),
    so that 4 of these are 16%; the projections' own noise adds up to 10% more at these sizes.
    """
    draws = [
        kernel_distance(normal(100, 4, 2 * r), normal(80, 4, 2 * r + 1, shift=0.7), subsets=8, subset_size=size)
        for r in range(300)
    ]
    spread = np.std([draw.distance for draw in draws], ddof=1)
    told = np.sqrt(np.mean([draw.standard_error**2 for draw in draws]))
    assert 0.84 * spread < told < 1.26 * spread


def test_the_standard_error_at_equality_is_not_too_small() -> None:
    draws = [
        kernel_distance(normal(60, 4, 2 * r), normal(60, 4, 2 * r + 1), subsets=1, subset_size=99) for r in range(200)
    ]
    told = np.sqrt(np.mean([draw.standard_error**2 for draw in draws]))
    assert told > np.std([draw.distance for draw in draws], ddof=1)


def test_a_shift_is_seen() -> None:
    x, y = normal(60, 8, 1), normal(70, 8, 2)
    assert kid(x, y + 1) > 10 * abs(kid(x, y))


def test_kid_refuses_senseless_subsets() -> None:
    with pytest.raises(InputError, match="subsets must be at least 1, not 0"):
        KernelDistance(subsets=0)
    with pytest.raises(InputError, match="subset_size must be at least 2, not 1"):
        KernelDistance(subset_size=1)


# --- coherence ------------------------------------------------------------------------------------------------------


def coherence(images: Pixels, dataset: Dataset | None = None) -> dict[str, float]:
    given = MetricInputs(generated=images, reference=images[:0], dataset=dataset or ToyFaces())
    return {value.name: value.value for value in Coherence().compute(given)}


def test_real_faces_agree(faces: Pixels) -> None:
    """The curtains are of one colour each and wider than their regions: exact. Near regions see antialiased edges."""
    values = coherence(faces)
    assert values["far_difference"] == 0
    assert values["far_correlation"] == pytest.approx(1, abs=1e-12)
    assert values["near_correlation"] > 0.8
    assert values["near_difference"] < 0.1


def test_shuffled_right_halves_do_not_agree(faces: Pixels) -> None:
    """Independent sides: the correlation of n pairs has the standard error 1/sqrt(n) for one channel, and no more
    where it is pooled over three. A derangement (a roll) leaves no image with its own half.
    """
    shuffled = faces.copy()
    shuffled[..., 8:] = np.roll(faces[..., 8:], 1, axis=0)
    values = coherence(shuffled)
    assert abs(values["far_correlation"]) < 4 / np.sqrt(len(faces))
    assert abs(values["near_correlation"]) < 4 / np.sqrt(len(faces))
    assert values["far_difference"] > 0.2


def test_the_pooled_correlation_is_the_slow_one_and_affine_invariant() -> None:
    rng = np.random.default_rng(0)
    one = rng.random((200, 3))
    other = 0.5 * one + 0.3 * rng.random((200, 3))
    table = [np.cov(one[:, c], other[:, c]) for c in range(3)]
    slow = sum(t[0, 1] for t in table) / np.sqrt(sum(t[0, 0] for t in table) * sum(t[1, 1] for t in table))
    value = correlation(one, other)
    assert value == pytest.approx(slow, rel=1e-9)
    assert correlation(other, one) == pytest.approx(value, rel=1e-9)
    # Any gain, and an offset of its own for each channel.
    assert correlation(3 * one + [0.1, 0.2, 0.9], 0.1 * other - [1, 0, 2]) == pytest.approx(value, rel=1e-9)
    assert correlation(-one, other) == pytest.approx(-value, rel=1e-9)
    assert correlation(one, 2 * one + 1) == pytest.approx(1, abs=1e-12)


def test_a_shift_of_one_side_changes_the_difference_alone(faces: Pixels) -> None:
    dark = faces // 2
    shifted = dark.copy()
    shifted[..., 8:] += 51  # a fifth of full scale
    values = coherence(shifted)
    assert values["far_difference"] == pytest.approx(0.2, abs=1e-12)
    assert values["far_correlation"] == pytest.approx(1, abs=1e-12)


def test_collapsed_images_have_correlation_nought(faces: Pixels) -> None:
    """One image again and again: no region tells anything of another, and no NaN comes out."""
    values = coherence(np.repeat(faces[3:4], 100, axis=0))
    assert values["far_correlation"] == values["near_correlation"] == 0
    assert values["far_difference"] == 0


def test_regions_are_the_pixels_inside_their_boxes() -> None:
    images = np.zeros((1, 3, 4, 4), np.uint8)
    images[0, 0, :, 0], images[0, 1, 0, 0] = 255, 51
    np.testing.assert_array_equal(mean_colour(images, Box(0.0, 0.0, 0.25, 1.0)), [[1.0, 0.05, 0.0]])
    np.testing.assert_array_equal(mean_colour(images, Box(0.25, 0.0, 1.0, 1.0)), [[0.0, 0.0, 0.0]])


def test_data_without_agreeing_regions_is_declined(faces: Pixels) -> None:
    dataset = Unknown()
    assert Coherence().applies(ToyFaces()) is None
    assert "not known which regions" in (Coherence().applies(dataset) or "")
    with pytest.raises(InputError, match=r"coherence does not apply to .*: it is not known which regions"):
        coherence(faces, dataset)


def test_several_pairs_of_a_kind_are_averaged_and_absent_kinds_left_out(
    faces: Pixels, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = ToyFaces.agreeing[1:3]
    single = []
    for pair in (one, two):
        monkeypatch.setattr(ToyFaces, "agreeing", (pair,))
        single.append(coherence(faces))
    assert set(single[0]) == {"near_correlation", "near_difference"}
    monkeypatch.setattr(ToyFaces, "agreeing", (one, two))
    both = coherence(faces)
    for name, value in both.items():
        assert value == pytest.approx((single[0][name] + single[1][name]) / 2, rel=1e-9)
    far = AgreeingRegions("other", "far", one.one, one.other)
    monkeypatch.setattr(ToyFaces, "agreeing", (far,))
    assert set(coherence(faces)) == {"far_correlation", "far_difference"}


# --- what depends on the reference alone ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "metric",
    [FrechetDistance(), KernelDistance(), PrecisionRecall(), Memorisation(), FarDependence()],
    ids=lambda it: it.name,
)
def test_what_is_known_of_the_reference_changes_no_value(metric: Metric, faces: Pixels, tmp_path: Path) -> None:
    given = inputs(faces)
    assert metric.shares_reference
    assert given.reference_features is not None
    alone = replace(given, generated=faces[:0], generated_features=None, pseudo_queries=None)
    # As they come back from the store.
    np.savez(tmp_path / "facts.npz", **metric.reference_facts(alone))  # type: ignore[arg-type]
    facts = dict(np.load(tmp_path / "facts.npz"))
    assert metric.compute(replace(given, facts=facts)) == metric.compute(given)
    altered = replace(alone, reference=faces[200:250], reference_features=2 * given.reference_features)
    other = metric.reference_facts(altered)
    assert metric.compute(replace(given, facts=other)) != metric.compute(given), "it is used"


def test_moments_of_many_samples_are_those_of_all_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A factor is known but for the signs of its rows: what it gives for the covariance is not."""
    sample = normal(500, 12, 3, shift=2.0)
    monkeypatch.setattr("prism_bench.prism.metrics.frechet.ROWS", 37)
    found = moments_of(sample)
    assert found.factor.shape == (12, 12)
    assert found.mean == pytest.approx(sample.mean(axis=0), rel=1e-12)
    assert found.factor.T @ found.factor == pytest.approx(np.cov(sample, rowvar=False), rel=1e-9, abs=1e-12)


def test_the_memory_of_a_distance_does_not_grow_with_the_images(tmp_path: Path) -> None:
    """Features in a file that is mapped: 60,000 x 256 would be 123 MB in float64, and 61 MB as they are."""
    features = np.lib.format.open_memmap(tmp_path / "features.npy", "w+", np.float32, (60_000, 256))
    features[:] = normal(60_000, 256, 1)
    few = normal(2000, 256, 2)
    mapped = np.load(tmp_path / "features.npy", mmap_mode="r")
    tracemalloc.start()
    frechet_between(few, mapped)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 40e6
