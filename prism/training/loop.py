"""The training loop: batch, loss, optimiser step, EMA, log. Batches and losses are an objective's."""

import copy
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import ClassVar, Literal, Protocol, Self, TypeVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn

from prism_bench.prism.component import Component
from prism_bench.prism.data.split import Ids
from prism_bench.prism.engine.runtime import Report, Runtime, StopRequestedError
from prism_bench.prism.errors import ComputeError, InputError
from prism_bench.prism.rng import numpy_rng, seed_for
from prism_bench.prism.sources import OF_ITSELF, Sources, differs, given, left_open
from prism_bench.prism.training.checkpoint import Checkpoints, Position
from prism_bench.prism.training.ran_on import as_before
from prism_bench.prism.training.training_log import TrainingLog

ROWS = 200
"""Lines of the training log, evenly spaced over the images seen."""


@dataclass(frozen=True, kw_only=True)
class Training(Component, family="training", name="adam"):
    """Adam with a linear ramp-up, an optional cosine decay, and an average of the weights (paper, Table 6).

    images: total images (patches) seen. batch: images a step at full size; patches enlarge it.
    learning_rate: after the ramp-up over `rampup_images`, falling to `final_fraction` of itself (1: constant, the
    paper's). ema_halflife: images, at most `ema_rampup` of those seen so far. precision of the forward pass.
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

    def __post_init__(self) -> None:
        self.check_least("training", images=1, batch=1, ema_halflife=1)
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


class Batch(Protocol):
    """One step's input."""

    @property
    def n(self) -> int:
        """Images (patches) in it."""

    @property
    def facts(self) -> Mapping[str, float]:
        """What the training log says of the step beside its loss, plain numbers by name (PRISM: k_train)."""

    def to(self, device: torch.device) -> Self:
        """The same batch on another device."""


N = TypeVar("N", bound=nn.Module)
N_contra = TypeVar("N_contra", bound=nn.Module, contravariant=True)
B = TypeVar("B", bound=Batch)


class Objective(Protocol[N_contra, B]):
    """What is learnt: the batch of each step and the loss of the network on it."""

    def parameter_groups(self, network: N_contra) -> list[list[nn.Parameter]]:
        """The weights that each loss moves: one group, or two for a generator and its discriminator."""

    def batch(self, step: int, seen: int) -> B:
        """The batch of `step`, when `seen` images have gone before: a function of these and of the seed."""

    def losses(self, network: N_contra, batch: B) -> Iterator[Tensor | None]:
        """The loss of each group in turn, None where it sits out the step; the first is logged and never None."""


def train(
    network: N,
    objective: Objective[N, B],
    training: Training,
    *,
    seed: int,
    folder: Path,
    runtime: Runtime,
    report: Report,
) -> N:
    """Train `network` in place from the last checkpoint in `folder`, and return its average (EMA).

    Every random number is named by (seed, step), so the result is bit-identical whether or not it was interrupted.

    Raises:
        DivergedError: a loss is not finite, or a weight when a checkpoint is due or at the end.
        StopRequestedError: asked to stop, checkpoint written.
    """
    device = torch.device(runtime.device)
    average = copy.deepcopy(network).eval().requires_grad_(requires_grad=False)
    groups = objective.parameter_groups(network)
    optimisers = [torch.optim.Adam(weights, lr=training.learning_rate, fused=True) for weights in groups]
    state = State(network, average, optimisers)
    checkpoints = Checkpoints(folder, runtime.checkpoint_seconds)
    step, seen, pending = checkpoints.restore(state)
    log = TrainingLog(folder / "metrics.jsonl", every=max(1, training.images // ROWS), seen=seen, pending=pending)
    network.train()

    with as_before(checkpoints.ran_on, runtime, report) as checkpoints.ran_on:
        while seen < training.images:
            batch = objective.batch(step, seen).to(device)
            rate = training.rate(seen)
            torch.manual_seed(seed_for(seed, "dropout", step))
            values = _step(objective.losses(network, batch), optimisers, rate, device, training.precision)
            if not math.isfinite(values[-1]):
                raise _diverged(f"the loss became {values[-1]}", seen, step, training, checkpoints)

            step, seen = step + 1, seen + batch.n
            state.average_weights(training.ema_decay(seen, batch.n))
            log.add(seen, batch.n, values[0], **batch.facts, learning_rate=rate)
            report(min(seen, training.images), training.images, "images", loss=log.recent, **batch.facts)
            stop = report.should_stop()
            # A gradient that is not finite makes its weight so in the same step.
            if (checkpoints.due() or stop or seen >= training.images) and (broken := state.broken()):
                raise _diverged(f"{broken} stopped being finite", seen, step, training, checkpoints)
            if checkpoints.due() or stop:
                checkpoints.save(state, Position(step, seen, log.pending()))
            if stop:
                raise StopRequestedError
    log.close(seen)
    return average


def _step(
    losses: Iterator[Tensor | None],
    optimisers: list[torch.optim.Adam],
    rate: float,
    device: torch.device,
    precision: Literal["float32", "bfloat16"],
) -> list[float]:
    """A step of each optimiser on its loss, in turn; the losses, of which one that is not finite is the last."""
    values: list[float] = []
    for optimiser in optimisers:
        with torch.autocast(device.type, torch.bfloat16, enabled=precision == "bfloat16"):
            loss = next(losses)
        if loss is None:
            continue
        optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        values.append(float(loss.detach()))
        if not math.isfinite(values[-1]):
            break
        for group in optimiser.param_groups:
            group["lr"] = rate
        optimiser.step()
    return values


def _diverged(what: str, seen: int, step: int, training: Training, checkpoints: Checkpoints) -> DivergedError:
    last = checkpoints.last_seen
    kept = f"the last good checkpoint, at image {last:,}, is kept" if last else "no checkpoint had been due yet"
    return DivergedError(
        f"{what} at image {seen:,} (step {step}); {kept}; lower --set training.learning_rate "
        f"(now {training.learning_rate:g}) or raise --set training.rampup_images (now {training.rampup_images:,})"
    )


class State:
    """Everything a checkpoint holds: weights, their average, and Adam's moments, as one flat dict of tensors."""

    def __init__(self, network: nn.Module, average: nn.Module, optimisers: list[torch.optim.Adam]) -> None:
        self.network, self.average, self.optimisers = network, average, optimisers
        self._pairs = list(zip(average.parameters(), network.parameters(), strict=True))

    def average_weights(self, decay: float) -> None:
        """average <- decay * average + (1 - decay) * weights."""
        with torch.no_grad():
            old: list[Tensor] = [a for a, _ in self._pairs]
            new: list[Tensor] = [w.detach() for _, w in self._pairs]
            get_ema_multi_avg_fn(decay)(old, new, 0)  # type: ignore[no-untyped-call]
            for kept, buffer in zip(self.average.buffers(), self.network.buffers(), strict=True):
                kept.copy_(buffer)

    def broken(self) -> str | None:
        """The name of a tensor that is not finite; None where all are."""
        numbers = {name: value for name, value in self.tensors().items() if value.is_floating_point()}
        # Added up before it is looked at, so that a device is waited for once.
        wrong = sum((~value.isfinite()).sum() for value in numbers.values())
        if not wrong:
            return None
        return next(name for name, value in numbers.items() if not value.isfinite().all())

    def tensors(self) -> dict[str, Tensor]:
        """A flat view, name -> tensor, for safetensors."""
        named = {f"network.{name}": value for name, value in self.network.state_dict().items()}
        named |= {f"average.{name}": value for name, value in self.average.state_dict().items()}
        for number, optimiser in enumerate(self.optimisers):
            for index, moments in optimiser.state_dict()["state"].items():
                named |= {f"adam.{number}.{index}.{name}": value for name, value in moments.items()}
        return named

    def restore(self, named: dict[str, Tensor]) -> None:
        """Put the tensors of a checkpoint back."""
        self.network.load_state_dict(_under(named, "network."))
        self.average.load_state_dict(_under(named, "average."))
        for number, optimiser in enumerate(self.optimisers):
            _restore_moments(optimiser, _under(named, f"adam.{number}."))


def _restore_moments(optimiser: torch.optim.Adam, named: dict[str, Tensor]) -> None:
    weights = [weight for group in optimiser.param_groups for weight in group["params"]]
    moments: dict[int, dict[str, Tensor]] = {}
    for name, value in named.items():
        index, _, key = name.partition(".")
        weight = weights[int(index)]
        # A moment must lie in memory as its weight does, or the optimiser rounds in another order.
        restored = torch.empty_like(weight).copy_(value) if value.shape == weight.shape else value
        moments.setdefault(int(index), {})[key] = restored
    optimiser.load_state_dict({**optimiser.state_dict(), "state": moments})


def _under(named: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): value for name, value in named.items() if name.startswith(prefix)}
