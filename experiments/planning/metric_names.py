"""Metrics by their names on the command line."""

from collections.abc import Sequence

from prism_bench.prism.encoders.base import Encoder
from prism_bench.prism.errors import InputError
from prism_bench.prism.metrics.base import EncodedMetric, Metric
from prism_bench.prism.metrics.frechet import FrechetDistance

ELSEWHERE = {"fid": "frechet:inception", "fd": "frechet"}
"""What metrics are called elsewhere, whose nearest names here are others'."""
USUAL = FrechetDistance().encoder
"""What a metric looks through that is not defined with an encoder of its own."""


def metric_called(text: str, beside: Sequence[Metric]) -> Metric:
    """NAME or NAME:ENCODER.

    A metric of `beside` stands for itself. Another looks through the encoder that those look through, so that features
    are computed once; but one that is defined with an encoder of its own (cmmd) keeps it.

    Raises:
        InputError: no such metric or encoder, or an encoder for a metric of the images themselves.
    """
    name, colon, through = text.partition(":")
    if colon and not through:
        raise InputError(f"--metrics {text} names no encoder after the colon; write {name}, or {name}:inception")
    if name in ELSEWHERE:
        raise InputError(f"unknown metric {name!r}; here it is called {ELSEWHERE[name]}")
    for known in beside:
        if name == known.name and not through:
            return known
    metric = Metric.called(name)
    if not isinstance(metric, EncodedMetric):
        if through:
            raise InputError(f"metric {text}: {name} looks at the images themselves, not through an encoder")
        return metric
    encoders = [one.encoder for one in beside if one.encoder is not None]
    if through:
        return metric.replace(encoder=_encoder_called(through, encoders))
    return metric.replace(encoder=encoders[0]) if encoders and metric.encoder == USUAL else metric


def with_metrics(metrics: tuple[Metric, ...], names: Sequence[str], samples: int) -> tuple[Metric, ...]:
    """The metrics, and after them those of the command line that are not among them.

    Raises:
        InputError: no such metric or encoder, or one that needs more samples than there will be.
    """
    for name in names:
        metric = metric_called(name, metrics)
        if samples < metric.fewest:
            raise InputError(
                f"--metrics {name} needs at least {metric.fewest:,} samples, not {samples:,}; "
                f"--set samples={metric.fewest}, or leave it out"
            )
        metrics = tuple(dict.fromkeys((*metrics, metric)))
    return metrics


def _encoder_called(name: str, beside: Sequence[Encoder]) -> Encoder:
    """The encoder of that name among those in use, with their settings, or a new one."""
    for known in beside:
        if known.name == name:
            return known
    return Encoder.called(name)
