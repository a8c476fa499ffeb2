"""The training loop: batch, loss, optimiser step, EMA, log. Batches and losses are an objective's."""

import copy
from collections.abc import Generator
from contextlib import ExitStack, closing
from functools import lru_cache
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch

from prism_bench.prism.data.split import Ids
from prism_bench.prism.engine.runtime import Report, Runtime, StopRequestedError
from prism_bench.prism.errors import ComputeError
from prism_bench.prism.rng import numpy_rng
from prism_bench.prism.training.adam import Training
from prism_bench.prism.training.ahead import one_ahead
from prism_bench.prism.training.checkpoint import Checkpoints, Position
from prism_bench.prism.training.objective import B, D, N, Objective
from prism_bench.prism.training.ran_on import as_before
from prism_bench.prism.training.ranks import joined
from prism_bench.prism.training.state import State
from prism_bench.prism.training.steps import AnySteps, Weighted, steps_of
from prism_bench.prism.training.training_log import TrainingLog
from prism_bench.prism.training.unseen import Taken, Unseen

ROWS = 200
"""Lines of the training log, evenly spaced over the images seen."""


class DivergedError(ComputeError):
    """The loss or a weight stopped being finite."""


class Epochs:
    """Which of `size` training images come next: every epoch is one permutation, batches run across its end."""

    def __init__(self, size: int, seed: int) -> None:
        self.size, self.seed = size, seed
        self.order = lru_cache(maxsize=2)(self._permutation)

    def _permutation(self, epoch: int) -> Ids:
        return numpy_rng(self.seed, "epoch", epoch).permutation(self.size)

    def rows(self, seen: int, n: int) -> Ids:
        """The n after the first `seen`."""
        ends = range(self.size * (seen // self.size + 1), seen + n, self.size)
        spans = pairwise([seen, *ends, seen + n])
        return np.concatenate([self.order(a // self.size)[a % self.size : a % self.size + b - a] for a, b in spans])


def train(
    network: N,
    objective: Objective[N, D, B],
    training: Training,
    *,
    seed: int,
    folder: Path,
    runtime: Runtime,
    report: Report,
) -> N:
    """Train `network` in place from the last checkpoint in `folder`, and return its average (EMA).

    Every random number is named by (seed, step), so the result is bit-identical whether or not it was interrupted.
    Several processes that have `joined` do the same; what the first of them writes and returns counts.

    Raises:
        DivergedError: a loss is not finite, or a weight when a checkpoint is due or at the end.
        StopRequestedError: asked to stop, checkpoint written.
    """
    device, (ahead, look_every) = torch.device(runtime.device), runtime.pace
    average = copy.deepcopy(network).eval().requires_grad_(requires_grad=False)
    state = State(network, average, objective.parameter_groups(network), training.learning_rate)
    checkpoints = Checkpoints(folder, runtime.checkpoint_seconds)
    step, seen, known = checkpoints.restore(state)
    log = TrainingLog(folder / "metrics.jsonl", every=max(1, training.images // ROWS), seen=seen, known=known)
    unseen = Unseen(log, look_every)
    report.earlier_seconds += log.seconds
    network.train()
    if runtime.compiles:
        network.compile(dynamic=False)

    with (
        as_before(checkpoints.ran_on, runtime, report) as checkpoints.ran_on,
        joined(runtime) as ranks,
        ExitStack() as last,
    ):
        autocast = training.autocast(runtime.device)
        steps = steps_of(network, objective, state.groups, autocast, seed=seed, pieces=training.pieces, ranks=ranks)
        inputs = _inputs(objective, steps, step, seen, training.images)
        for draw, batches in last.enter_context(closing(one_ahead(inputs, device) if ahead else inputs)):
            rate = training.rate(seen)
            losses = steps.take(step, batches, rate)
            unseen.add(Taken(step, seen, draw.n, losses, {**draw.facts, "learning_rate": rate}))
            step, seen = step + 1, seen + draw.n
            state.average_weights(training.ema_decay(seen, draw.n))
            if unseen.due:
                _look(unseen, training, checkpoints)
            report(min(seen, training.images), training.images, "images", loss=log.recent, **draw.facts)
            stop, due = ranks.agreed(report.should_stop(), checkpoints.due())
            if due or stop or seen >= training.images:
                _look(unseen, training, checkpoints)
                _look_at_weights(state, seen, step, training, checkpoints)
            if ranks.leads and (due or stop):
                checkpoints.save(state, Position(step, seen, log.known()))
            if stop:
                raise StopRequestedError
    log.close(seen)
    return average


def _inputs(
    objective: Objective[N, D, B], steps: AnySteps[N, D, B], step: int, seen: int, images: int
) -> Generator[tuple[D, list[Weighted[B]]], None, None]:
    """Draw and batches of each step from `step` on, when `seen` images have gone before, until `images` have."""
    while seen < images:
        draw = objective.draw(step, seen)
        step, seen = step + 1, seen + draw.n
        yield draw, steps.gather(draw)


def _look(unseen: Unseen, training: Training, checkpoints: Checkpoints) -> None:
    """Log the losses that wait; DivergedError where one is not finite."""
    if bad := unseen.look():
        (step, seen, *_), loss = bad
        raise _diverged(f"the loss became {loss}", seen, step, training, checkpoints)


def _look_at_weights(state: State, seen: int, step: int, training: Training, checkpoints: Checkpoints) -> None:
    """DivergedError where one is not finite: a gradient that is not makes its weight so in the same step."""
    if broken := state.broken():
        raise _diverged(f"{broken} stopped being finite", seen, step, training, checkpoints)


def _diverged(what: str, seen: int, step: int, training: Training, checkpoints: Checkpoints) -> DivergedError:
    last = checkpoints.last_seen
    kept = f"the last good checkpoint, at image {last:,}, is kept" if last else "no checkpoint had been due yet"
    return DivergedError(
        f"{what} at image {seen:,} (step {step}); {kept}; lower --set training.learning_rate "
        f"(now {training.learning_rate:g}) or raise --set training.rampup_images (now {training.rampup_images:,})"
    )
