"""What a stage costs beside others, for the order of the work and the time that is left of it."""

from functools import cache
from typing import NamedTuple

from prism_bench.experiments.planning.survey import weights
from prism_bench.prism.engine.stage import Stage
from prism_bench.prism.methods.method import Method
from prism_bench.prism.stages.model import SamplesStage, TrainingStage

SHARES = {"training": 100.0, "samples": 12.0, "embeddings": 6.0, "features": 1.5, "floor": 0.5}
"""What kinds take beside a training, roughly, as stages of the laptop scale do."""
LEAST = 0.1
"""The share of other kinds, and of trainings and samples of methods that have no weights."""


class Work(NamedTuple):
    """Stages of one work take about the same time.

    Attributes:
        kind: the stages' own.
        share: the first guess of the time, beside that of others.
        what: of a training or of samples, what is trained and how it is sampled.
    """

    kind: str
    share: float
    what: str = ""


def usual_share(kind: str) -> float:
    """The share of a kind of stages, whatever is trained: known without a look at networks."""
    return SHARES.get(kind, LEAST)


def work_of(stage: Stage) -> Work:
    """Of a training and of samples by what is trained and how, of others by their kind."""
    share = usual_share(stage.kind)
    match stage:
        case TrainingStage():
            return _of_method(stage.kind, stage.method, stage.data.dataset.resolution, "", share)
        case SamplesStage():
            how = f"{stage.sampler.digest()} {stage.samples}"
            return _of_method(stage.kind, stage.training.method, stage.training.data.dataset.resolution, how, share)
    return Work(stage.kind, share)


@cache
def _of_method(kind: str, method: Method, resolution: int, how: str, share: float) -> Work:
    what = " ".join(filter(None, (method.digest(), str(resolution), how)))
    return Work(kind, share if weights(method, resolution) else LEAST, what)
