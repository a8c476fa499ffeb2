"""Precision, recall, density, coverage, the Gaussian MMD and FD at infinity: closed forms, laws and slow twins."""

import csv
import json
import shutil
from dataclasses import replace
from math import prod
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from conftest import TINY, Cli

from prism_bench.experiments.paper.scales import SCALES
from prism_bench.experiments.planning.metric_names import with_metrics
from prism_bench.prism.data.toyfaces import ToyFaces
from prism_bench.prism.encoders.efficientnet import EfficientNetLite2
from prism_bench.prism.encoders.pca import PixelsPCA
from prism_bench.prism.engine.store import Store
from prism_bench.prism.errors import ComputeError, InputError
from prism_bench.prism.metrics.base import MetricInputs
from prism_bench.prism.metrics.cmmd import CMMD, gaussian_mmd2
from prism_bench.prism.metrics.fd_infinity import FrechetInfinity, at_infinity, straight_line
from prism_bench.prism.metrics.frechet import frechet_between
from prism_bench.prism.metrics.prdc import PrecisionRecall, precision_recall

Matrix = npt.NDArray[np.float64]


def normal(n: int, d: int, seed: int, shift: float = 0.0) -> Matrix:
    return np.random.default_rng(seed).standard_normal((n, d)) + shift


def inputs(generated: Matrix, reference: Matrix) -> MetricInputs:
    images = ToyFaces(size=max(len(generated), len(reference))).build().images
    return MetricInputs(
        generated=images[: len(generated)],
        reference=images[: len(reference)],
        dataset=ToyFaces(),
        generated_features=generated.astype(np.float32),
        reference_features=reference.astype(np.float32),
    )


# --- precision, recall, density, coverage ---------------------------------------------------------------------------


def slow_prdc(generated: Matrix, reference: Matrix, k: int) -> tuple[float, float, float, float]:
    def apart(a: Matrix, b: Matrix) -> float:
        return float(np.linalg.norm(a - b))

    def radius(i: int, rows: Matrix) -> float:
        return sorted(apart(rows[i], row) for j, row in enumerate(rows) if j != i)[k - 1]

    real = [radius(i, reference) for i in range(len(reference))]
    own = [radius(j, generated) for j in range(len(generated))]
    inside = [[apart(g, r) <= real[i] for i, r in enumerate(reference)] for g in generated]
    recalled = [any(apart(g, r) <= own[j] for j, g in enumerate(generated)) for r in reference]
    return (
        float(np.mean([any(row) for row in inside])),
        float(np.mean(recalled)),
        float(np.sum(inside)) / (k * len(generated)),
        float(np.mean([any(column) for column in zip(*inside, strict=True)])),
    )


@pytest.mark.parametrize(("n", "m", "k", "shift"), [(40, 60, 5, 0.0), (60, 40, 3, 0.5), (30, 30, 1, 1.5)])
def test_the_four_numbers_are_the_double_loops(n: int, m: int, k: int, shift: float) -> None:
    generated, reference = normal(n, 5, 1, shift), normal(m, 5, 2)
    assert precision_recall(generated, reference, k=k) == pytest.approx(slow_prdc(generated, reference, k), abs=1e-12)


def test_blocks_of_rows_do_not_show(monkeypatch: pytest.MonkeyPatch) -> None:
    generated, reference = normal(50, 4, 3), normal(70, 4, 4)
    whole = precision_recall(generated, reference, k=4)
    monkeypatch.setattr("prism_bench.prism.metrics.prdc.ROWS", 7)
    assert precision_recall(generated, reference, k=4) == whole


def test_a_set_against_itself_is_perfect_and_against_a_far_one_nothing() -> None:
    x = normal(100, 8, 5)
    same = precision_recall(x, x, k=5)
    assert (same.precision, same.recall, same.coverage) == (1.0, 1.0, 1.0)
    assert precision_recall(x + 1e3, x, k=5) == (0.0, 0.0, 0.0, 0.0)


def test_they_tell_dropped_modes_from_invented_ones() -> None:
    centres = np.array([[0.0, 0.0], [50.0, 0.0]])
    real = np.concatenate([normal(200, 2, seed) + centre for seed, centre in enumerate(centres)])
    dropped = precision_recall(normal(400, 2, 7), real, k=5)
    assert dropped.precision > 0.9
    assert dropped.recall == pytest.approx(0.5, abs=0.05)
    assert dropped.coverage == pytest.approx(0.5, abs=0.05)
    invented = precision_recall(np.concatenate([real, normal(400, 2, 8, shift=-90.0)]), real, k=5)
    assert invented.precision == pytest.approx(0.5, abs=0.01)
    assert invented.recall == 1.0


def test_equal_distributions_have_the_published_expectations() -> None:
    """Naeem et al., section 3.3: density is 1. A ball stays empty where the k nearest of the n - 1 real and m generated
    images around it are all real: coverage is 1 - prod_{i < k} (n - 1 - i) / (n + m - 1 - i).
    """
    n, m, k, rounds = 60, 40, 5, 60
    found = [precision_recall(normal(m, 3, 2 * s), normal(n, 3, 2 * s + 1), k=k) for s in range(rounds)]
    densities, coverages = np.array([one.density for one in found]), np.array([one.coverage for one in found])
    expected = 1 - prod((n - 1 - i) / (n + m - 1 - i) for i in range(k))
    # Four standard errors of the mean over the rounds.
    assert abs(densities.mean() - 1) < 4 * densities.std(ddof=1) / np.sqrt(rounds)
    assert abs(coverages.mean() - expected) < 4 * coverages.std(ddof=1) / np.sqrt(rounds)


def test_distances_far_from_the_origin_keep_their_digits() -> None:
    generated, reference = normal(40, 5, 1), normal(60, 5, 2)
    near = precision_recall(generated, reference, k=5)
    assert precision_recall(generated + 1e6, reference + 1e6, k=5) == near


def test_prdc_refuses_senseless_neighbours() -> None:
    with pytest.raises(InputError, match="at least 1, not 0"):
        PrecisionRecall(neighbours=0)
    with pytest.raises(InputError, match="looks at 20 neighbours; 10 images are too few"):
        PrecisionRecall(neighbours=20).compute(inputs(normal(10, 4, 0), normal(30, 4, 1)))


# --- Gaussian MMD ---------------------------------------------------------------------------------------------------


def test_the_estimate_is_the_papers_sum(monkeypatch: pytest.MonkeyPatch) -> None:
    x, y, sigma = normal(12, 3, 1), normal(9, 3, 2, shift=0.5), 1.3

    def k(a: Matrix, b: Matrix) -> float:
        return float(np.exp(-np.sum((a - b) ** 2) / (2 * sigma**2)))

    def off_diagonal(rows: Matrix) -> float:
        size = len(rows)
        return sum(k(rows[i], rows[j]) for i in range(size) for j in range(size) if i != j) / (size * (size - 1))

    slow = off_diagonal(x) + off_diagonal(y) - 2 * np.mean([[k(a, b) for b in y] for a in x])
    assert gaussian_mmd2(x, y, sigma) == pytest.approx(slow, rel=1e-9)
    monkeypatch.setattr("prism_bench.prism.metrics.cmmd.ROWS", 5)
    assert gaussian_mmd2(x, y, sigma) == pytest.approx(slow, rel=1e-9)


def test_two_gaussians_have_the_closed_form() -> None:
    """For N(a, I) and N(b, I) in d dimensions E k = (s^2 / (s^2 + 2))^(d/2) exp(-|a - b|^2 / (2 (s^2 + 2))).

    So MMD^2 = 2 (s^2 / (s^2 + 2))^(d/2) (1 - exp(-|a - b|^2 / (2 (s^2 + 2)))).
    """
    d, sigma, shift, rounds = 3, 2.0, 0.7, 40
    found = [gaussian_mmd2(normal(80, d, 2 * s), normal(60, d, 2 * s + 1, shift), sigma) for s in range(rounds)]
    wide = sigma**2 + 2
    expected = 2 * (sigma**2 / wide) ** (d / 2) * (1 - np.exp(-d * shift**2 / (2 * wide)))
    assert abs(np.mean(found) - expected) < 4 * np.std(found, ddof=1) / np.sqrt(rounds)
    null = [gaussian_mmd2(normal(80, d, 2 * s), normal(60, d, 2 * s + 1), sigma) for s in range(rounds)]
    assert abs(np.mean(null)) < 4 * np.std(null, ddof=1) / np.sqrt(rounds), "unbiased: no distance, no value"
    assert min(null) < 0


def test_the_length_of_features_is_irrelevant_and_the_name_is_clips_alone() -> None:
    generated, reference = normal(20, 4, 1), normal(30, 4, 2)
    metric = CMMD()
    (value,) = metric.compute(inputs(generated, reference))
    scaled = metric.compute(inputs(3 * generated, reference))[0]
    assert scaled.value == pytest.approx(value.value, rel=1e-4)
    assert (value.name, value.label) == ("cmmd", "CMMD")
    (other,) = replace(metric, encoder=EfficientNetLite2()).compute(inputs(generated, reference))
    assert (other.name, other.label) == ("mmd_efficientnet_lite2", "Gaussian MMD (efficientnet-lite2)")
    with pytest.raises(ComputeError, match="image 3 are all zero"):
        metric.compute(inputs(np.where(np.arange(20)[:, None] == 3, 0, generated), reference))
    with pytest.raises(InputError, match="must be positive"):
        CMMD(bandwidth=0)


# --- FD at infinity -------------------------------------------------------------------------------------------------


def test_a_straight_line_is_found_with_its_error() -> None:
    x = np.linspace(1, 2, 12)
    assert straight_line(x, 3 + 4 * x) == pytest.approx((3, 0), abs=1e-9)
    # Over many draws of noise the error is that of the intercepts.
    rng = np.random.default_rng(0)
    fits = [straight_line(x, 3 + 4 * x + 0.1 * rng.standard_normal(12)) for _ in range(2000)]
    assert np.mean([fit.error for fit in fits]) == pytest.approx(np.std([fit.intercept for fit in fits]), rel=0.1)


def test_the_bias_of_small_samples_is_taken_away() -> None:
    """Samples of the same Gaussian are at distance 0; the plain estimate is clearly above it."""
    reference = normal(20_000, 10, 0)
    plain, extrapolated = [], []
    for seed in range(1, 9):
        generated = normal(400, 10, seed)
        plain.append(frechet_between(generated, reference))
        extrapolated.append(at_infinity(generated, reference, smallest=40, points=15).intercept)
    assert np.mean(plain) > 0.04
    assert abs(np.mean(extrapolated)) < 0.25 * np.mean(plain)


def test_too_few_images_for_the_length_of_the_features_are_refused() -> None:
    with pytest.raises(InputError, match="needs at least 62 generated images for 30 features, not 61"):
        FrechetInfinity().compute(inputs(normal(61, 30, 0), normal(61, 30, 1)))
    with pytest.raises(InputError, match="at least 3, not 2"):
        FrechetInfinity(points=2)


# --- by name on the command line ------------------------------------------------------------------------------------


def test_metrics_are_called_by_name_and_look_through_the_encoder_in_use() -> None:
    scale = SCALES["smoke"].on("")
    metrics = with_metrics(scale.metrics, ("prdc", "kid", "kid:pixels-pca", "cmmd"), 64)
    assert metrics[: len(scale.metrics)] == scale.metrics
    prdc, by_pca, cmmd = metrics[len(scale.metrics) :]
    assert prdc.encoder == scale.metrics[0].encoder, "so that features are computed once"
    assert (by_pca.name, by_pca.encoder) == ("kid", PixelsPCA())
    assert cmmd == CMMD(), "it is defined with an encoder of its own"
    for name, words in (
        ("prrdc", "did you mean prdc"),
        ("frechet:clap", "did you mean clip"),
        ("coherence:clip", "not through an encoder"),
        ("fd-infinity", "needs at least 2,562 samples, not 64"),
    ):
        with pytest.raises(InputError, match=words):
            with_metrics(scale.metrics, (name,), 64)


def test_a_table_has_the_columns_that_were_asked_for(cli: Cli) -> None:
    line = f"run ablation-table3 {TINY} --only variant=prism"
    assert cli(f"{line} --metrics prdc,kid:pixels-pca").code == 0
    (table,) = Path("prism-bench-store").rglob("ablation-table3.csv")
    names = {row["metric"] for row in csv.DictReader(table.read_text().splitlines())}
    assert {f"{word}_efficientnet_lite0" for word in ("precision", "recall", "density", "coverage")} <= names
    assert {"kid_pixels_pca", "fd_efficientnet_lite0"} <= names
    (record,) = (json.loads(path.read_text()) for path in Path("prism-bench-store/records").iterdir())
    assert {"metric:kid:pixels-pca", "metric:frechet:efficientnet-lite0"} <= set(record["stages"])


def test_what_depends_on_the_reference_alone_is_computed_once_and_is_no_part_of_a_key(cli: Cli) -> None:
    line = f"run ablation-table3 {TINY} --only variant=patchd|rag --metrics prdc"
    assert cli(line).code == 0
    store = Store(Path("prism-bench-store").absolute())
    facts = store.manifests("reference")
    named = sorted(manifest.identity["parameters"]["metric"]["component"] for manifest in facts)
    known = ["far-dependence", "frechet", "frechet", "kid", "memorisation", "prdc"]
    assert named == [f"metric/{name}" for name in known], "two encoders, two rows"
    measured = store.manifests("metric")
    assert len(measured) > 10
    assert not any("facts" in manifest.identity["inputs"] for manifest in measured)
    values = store.root / "stages" / "metric"
    before = {manifest.key: (values / manifest.key / "values.json").read_text() for manifest in measured}
    shutil.rmtree(store.root / "stages" / "reference")
    assert ", 0 to do" in cli(line).out, "who has the values does not miss it"
    shutil.rmtree(values)
    assert cli(line).code == 0
    assert {key: (values / key / "values.json").read_text() for key in before} == before
