"""Real images in place of generated ones: at the n of the value, over several splits, by what the images hold."""

from dataclasses import replace

import numpy as np
import pytest

from prism_bench.prism.data.split import Parts
from prism_bench.prism.data.toyfaces import ToyFaces
from prism_bench.prism.errors import InputError
from prism_bench.prism.images import content_order
from prism_bench.prism.metrics.base import Metric, MetricInputs
from prism_bench.prism.metrics.far_dependence import FarDependence
from prism_bench.prism.metrics.frechet import FrechetDistance
from prism_bench.prism.metrics.frechet_parts import FrechetParts
from prism_bench.prism.metrics.kid import KernelDistance
from prism_bench.prism.metrics.memorisation import Memorisation
from prism_bench.prism.metrics.real_baseline import real_baseline
from prism_bench.prism.rng import numpy_rng
from prism_bench.testing.metrics import correlated_normal, faces

N = 120


def real(order: np.ndarray | None = None) -> MetricInputs:
    """Toyfaces with features and a split, in another order where one is given; nothing generated."""
    order = np.arange(N) if order is None else order
    place = np.argsort(order)
    return MetricInputs(
        generated=faces()[:0],
        reference=faces()[order],
        dataset=ToyFaces(),
        reference_features=correlated_normal(N, 6, 2).astype(np.float32)[order],
        parts=Parts(np.sort(place[:80]), np.sort(place[80:])),
    )


def test_it_is_the_mean_and_the_spread_of_several_draws_of_n_against_all_the_others() -> None:
    given = real()
    features = given.reference_features
    assert features is not None
    order, by_hand = content_order(given.reference), []
    for split in range(3):
        drawn = order[numpy_rng(0, "floor", split).permutation(N)]
        one, other = features[drawn[:20]], features[drawn[20:]]
        by_hand.append(KernelDistance().between(one, other)[0].value)
    found = real_baseline(KernelDistance(), given, 20, splits=3).values["kid_efficientnet_lite0"]
    assert len(set(by_hand)) == 3
    assert found.value.value == pytest.approx(np.mean(by_hand), rel=1e-9)
    assert found.spread == pytest.approx(np.std(by_hand, ddof=1), rel=1e-9)
    assert (found.value.n, found.value.reference_n) == (20, 100)
    assert found.value.standard_error is None, "that of one split is not that of the mean"


@pytest.mark.parametrize(
    "metric",
    [FrechetDistance(), KernelDistance(), FrechetParts(), Memorisation(), FarDependence()],
    ids=lambda m: m.name,
)
def test_the_order_of_the_images_changes_nothing(metric: Metric) -> None:
    shuffled = np.random.default_rng(1).permutation(N)
    once, again = (real_baseline(metric, given, 40, splits=2).values for given in (real(), real(shuffled)))
    assert once
    for name, found in once.items():
        assert again[name].value.value == pytest.approx(found.value.value, rel=1e-6, abs=1e-9), name
        assert again[name].spread == pytest.approx(found.spread, rel=1e-3, abs=1e-9), name


def test_half_of_the_images_where_there_are_fewer_than_2n() -> None:
    found = real_baseline(KernelDistance(), real(), 100, splits=2).values["kid_efficientnet_lite0"]
    assert (found.value.n, found.value.reference_n) == (60, 60)


def test_a_draw_is_of_different_images_than_its_reference_and_guided_by_what_is_left_of_d(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen: list[MetricInputs] = []
    measure = KernelDistance.measure
    monkeypatch.setattr(KernelDistance, "measure", lambda self, inputs: (seen.append(inputs), measure(self, inputs))[1])
    real_baseline(KernelDistance(), real(), 30)
    assert len(seen) == 5
    everything = {image.tobytes() for image in faces()[:N]}
    for inputs in seen:
        one, other = ({image.tobytes() for image in images} for images in (inputs.generated, inputs.reference))
        assert not one & other
        assert one | other == everything
        assert inputs.parts is not None
        assert sorted(np.concatenate(inputs.parts)) == list(range(90))
        assert set(inputs.pseudo_queries) <= set(inputs.parts.retrieval)
        of_d = {faces()[i].tobytes() for i in range(80)}
        assert {inputs.reference[i].tobytes() for i in inputs.parts.retrieval} == of_d & other
    assert len({inputs.generated.tobytes() for inputs in seen}) == 5


@pytest.mark.parametrize("metric", [FrechetParts(), Memorisation()], ids=lambda m: m.name)
@pytest.mark.parametrize(("d", "few"), [(2, "D"), (N - 2, "X_train")])
def test_a_split_with_a_small_part_is_declined_and_never_measured(metric: Metric, d: int, few: str) -> None:
    """Before, empty halves of it ended in a traceback, and a distance was taken to three images."""
    parts = Parts(np.arange(d), np.arange(d, N))
    assert metric.declines(parts) == f"{few} holds 2 of the images, of which it needs at least 8"
    assert metric.declines(Parts(np.arange(8), np.arange(8, N))) is None
    given = replace(real(), parts=parts)
    with pytest.raises(InputError, match=f"apart: {few} holds [01] of the images, of which it needs at least 2"):
        real_baseline(metric, given, 40)
    assert KernelDistance().declines(parts) is None
