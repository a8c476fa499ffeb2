"""The training loop: batch, loss, optimiser step, EMA, log. Batches and losses are an objective's."""

import copy
import math
from collections.abc import Generator
from contextlib import ExitStack, closing
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import ClassVar, Literal, Self

import numpy as np
import torch

from prism_bench.prism.component import Component, added
from prism_bench.prism.data.split import Ids
from prism_bench.prism.engine.runtime import Report, Runtime, StopRequestedError
from prism_bench.prism.errors import ComputeError, InputError
from prism_bench.prism.rng import numpy_rng
from prism_bench.prism.sources import OF_ITSELF, Sources, differs, given, left_open
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


@dataclass(frozen=True, kw_only=True)
class Training(Component, family="training", name="adam"):
    """Adam with a linear ramp-up, an optional cosine decay, and an average of the weights (paper, Table 6).

    images: total images (patches) seen. batch: images a step at full size; patches enlarge it.
    learning_rate: after the ramp-up over `rampup_images`, falling to `final_fraction` of itself (1: constant, the
    paper's). ema_halflife: images, at most `ema_rampup` of those seen so far. precision of the forward pass.
    pieces: into how many a batch is cut, a power of two: as many processes as divide it give the same bits.
    """

    sources: ClassVar[Sources] = {
        OF_ITSELF: left_open("the optimiser is not named; Adam (0.9, 0.999, eps 1e-8) is EDM's"),
        "images": given("appendix A, Table 6"),
        "batch": given("appendix A, Table 6"),
        "learning_rate": given("appendix A, Table 6"),
        "rampup_images": given("appendix A, Table 6"),
        "final_fraction": left_open("no decay of the learning rate is named; 1 is none"),
        "ema_halflife": given("appendix A, Table 6"),
        "ema_rampup": left_open("no ramp-up of the EMA is named; EDM's half-life is at most 5% of the images seen"),
        "pieces": left_open("in how many pieces a gradient is computed, which decides its rounding; 1 is whole"),
        "precision": differs("FP16 in the paper; bfloat16 needs no scaling of the loss, float32 rounds less"),
    }

    images: int = 32_000_000
    batch: int = 512
    learning_rate: float = 1e-3
    rampup_images: int = 10_000_000
    final_fraction: float = 1.0
    ema_halflife: int = 500_000
    ema_rampup: float = 0.05
    precision: Literal["float32", "bfloat16"] = "float32"
    pieces: int = added(1, before=1)

    def __post_init__(self) -> None:
        self.check_least("training", images=1, batch=1, rampup_images=0, ema_halflife=1, ema_rampup=0)
        if self.pieces < 1 or self.pieces & (self.pieces - 1) or self.pieces > self.batch:
            raise InputError(
                f"training.pieces must be a power of two from 1 to the {self.batch} images of training.batch, "
                f"not {self.pieces}"
            )
        if not self.learning_rate > 0:
            raise InputError(f"training.learning_rate must be positive, not {self.learning_rate}")
        if not 0 <= self.final_fraction <= 1:
            raise InputError(f"training.final_fraction must lie in [0, 1], not {self.final_fraction}")

    def lasting(self, images: int) -> Self:
        """The same over another number of images, its ramp-up the same share of them."""
        return self.replace(images=images, rampup_images=round(self.rampup_images * images / self.images))

    def rate(self, seen: int) -> float:
        """Learning rate after `seen` images."""
        ramp = min(1.0, seen / self.rampup_images) if self.rampup_images else 1.0
        cosine = (1 + math.cos(math.pi * min(1.0, seen / self.images))) / 2
        return self.learning_rate * ramp * (self.final_fraction + (1 - self.final_fraction) * cosine)

    def check_learns(self, first: int) -> None:
        """Raise InputError where no step has a learning rate above 0; `first`: images that the first step takes.

        A step's rate is that of the images seen before it: with a ramp-up the first step's is 0.
        """
        if self.rampup_images and self.images <= first:
            raise InputError(
                f"training.images = {self.images:,}: the first step alone takes {first:,}, at learning rate 0, where "
                f"the ramp-up of training.rampup_images = {self.rampup_images:,} begins, so that nothing would be "
                f"learnt; raise training.images above {first:,}, or set training.rampup_images=0"
            )

    def check_rampup(self, path: str) -> None:
        """Raise InputError where the training ends before its ramp-up does; `path`: its name for `--set`."""
        if self.rampup_images and self.images <= self.rampup_images:
            raise InputError(
                f"{path}.images = {self.images:,} is at or below the ramp-up of {path}.rampup_images = "
                f"{self.rampup_images:,}, which begins at learning rate 0: {path}.learning_rate = "
                f"{self.learning_rate:g} would never be reached; use --set {path}.images={self.rampup_images + 1} or "
                f"more, or a shorter --set {path}.rampup_images (0: none)"
            )

    def autocast(self, device: str) -> torch.autocast:
        """In which a network computes, in training and in sampling: matrix products and convolutions in `precision`."""
        return torch.autocast(torch.device(device).type, torch.bfloat16, enabled=self.precision == "bfloat16")

    def ema_decay(self, seen: int, batch: int) -> float:
        """Weight of the old average in a step of `batch` images (Karras et al. 2022, appendix F)."""
        halflife = min(self.ema_halflife, seen * self.ema_rampup) if self.ema_rampup else self.ema_halflife
        return float(0.5 ** (batch / max(halflife, 1e-8)))


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
                # A gradient that is not finite makes its weight so in the same step.
                if broken := state.broken():
                    raise _diverged(f"{broken} stopped being finite", seen, step, training, checkpoints)
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


def _diverged(what: str, seen: int, step: int, training: Training, checkpoints: Checkpoints) -> DivergedError:
    last = checkpoints.last_seen
    kept = f"the last good checkpoint, at image {last:,}, is kept" if last else "no checkpoint had been due yet"
    return DivergedError(
        f"{what} at image {seen:,} (step {step}); {kept}; lower --set training.learning_rate "
        f"(now {training.learning_rate:g}) or raise --set training.rampup_images (now {training.rampup_images:,})"
    )
