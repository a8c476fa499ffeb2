"""The real-data baseline: what a metric gives for real images in place of generated ones."""

from dataclasses import replace
from typing import NamedTuple

import numpy as np

from prism_bench.prism.data.split import Ids, Parts
from prism_bench.prism.encoders.base import Vectors
from prism_bench.prism.images import content_order
from prism_bench.prism.metrics.base import Measurement, Metric, MetricInputs, Value
from prism_bench.prism.rng import numpy_rng

SPLITS = 5
"""Random splits of the real images that the baseline is the mean over."""


class BaselineValue(NamedTuple):
    """The mean over the splits, and the standard deviation between them (ddof 1; None with one split)."""

    value: Value
    spread: float | None


class Baseline(NamedTuple):
    """The values by name, and what the metric tells beside them of the first split."""

    values: dict[str, BaselineValue]
    first: Measurement


def real_baseline(metric: Metric, real: MetricInputs, n: int, *, splits: int = SPLITS) -> Baseline:
    """n of the real images, drawn at random, take the place of generated ones; the reference are all the others.

    real: the real images as its reference; its `generated` are not looked at. Where they are fewer than 2n, half of
    them are drawn, and the values say their own n. The draw follows the content of the images, not their order. Each
    image drawn stands for a sample that was guided by an image of D drawn at random, where a split is known.

    Raises:
        InputError, ComputeError: as `Metric.measure`.
    """
    images = real.reference
    order = content_order(images)
    n = min(n, len(images) // 2)
    found = []
    for split in range(splits):
        drawn = numpy_rng(0, "floor", split).permutation(len(images))
        one, other = order[np.sort(drawn[:n])], order[np.sort(drawn[n:])]
        parts = None if real.parts is None else Parts(*(np.flatnonzero(np.isin(other, ids)) for ids in real.parts))
        guides = None
        if parts is not None and len(parts.retrieval):
            guides = numpy_rng(0, "floor's pseudo-queries", split).choice(parts.retrieval, n)
        inputs = replace(
            real,
            generated=images[one],
            reference=images[other],
            generated_features=_rows(real.reference_features, one),
            reference_features=_rows(real.reference_features, other),
            parts=parts,
            pseudo_queries=guides,
        )
        found.append(metric.measure(inputs))
    columns = zip(*(measurement.values for measurement in found), strict=True)
    return Baseline({column[0].name: _over_splits(column) for column in columns}, found[0])


def _over_splits(values: tuple[Value, ...]) -> BaselineValue:
    numbers = [value.value for value in values]
    spread = float(np.std(numbers, ddof=1)) if len(numbers) > 1 else None
    return BaselineValue(values[0]._replace(value=float(np.mean(numbers)), standard_error=None), spread)


def _rows(features: Vectors | None, ids: Ids) -> Vectors | None:
    return None if features is None else features[ids]
