"""What a stage costs beside others, for the order of the work and the time that is left of it."""

from functools import cache
from typing import NamedTuple

from prism_bench.experiments.planning.survey import weights
from prism_bench.prism.engine.stage import Stage
from prism_bench.prism.methods.method import Method
from prism_bench.prism.stages.model import SamplesStage, TrainingStage

SHARES = {"training": 100.0, "samples": 20.0, "embeddings": 10.0, "features": 8.0}
"""Roughly, by kind; other kinds count 1, and so do trainings and samples of methods that have no weights."""


class Work(NamedTuple):
    """name: stages of one name take about the same time. share: the first guess of it, beside that of others."""

    name: str
    share: float


def usual_share(kind: str) -> float:
    """The share of a kind of stages, whatever is trained: known without a look at networks."""
    return SHARES.get(kind, 1.0)


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
    name = " ".join(filter(None, (kind, method.digest(), str(resolution), how)))
    return Work(name, share if weights(method, resolution) else 1.0)
