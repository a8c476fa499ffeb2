"""One step of a training: gradients and the optimisers' step, from the whole batch at once or from pieces of it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Generic, NamedTuple

import torch
from torch import Tensor, nn
from torch.optim import Adam

from prism_bench.prism.errors import InputError
from prism_bench.prism.rng import seed_for
from prism_bench.prism.training.objective import B, D, Divisible, N, Objective
from prism_bench.prism.training.ranks import Ranks, tree_sum


class Weighted(NamedTuple, Generic[B]):
    """A batch, and its share of the images of its step."""

    share: float
    batch: B


@dataclass(frozen=True, kw_only=True)
class WholeSteps(Generic[N, D, B]):
    """Steps of one process on whole batches, of each optimiser on its loss in turn."""

    network: N
    objective: Objective[N, D, B]
    optimisers: Sequence[Adam]
    autocast: torch.autocast
    seed: int

    def gather(self, draw: D) -> list[Weighted[B]]:
        """The one batch of a draw."""
        return [Weighted(1.0, self.objective.gather(draw))]

    def take(self, step: int, batches: Sequence[Weighted[B]], rate: float) -> list[Tensor]:
        """Move the weights; the losses, which stay on the device."""
        torch.manual_seed(seed_for(self.seed, "dropout", step))
        losses, values = self.objective.losses(self.network, batches[0].batch), []
        for optimiser in self.optimisers:
            with self.autocast:
                loss = next(losses)
            if loss is None:
                continue
            optimiser.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            values.append(loss.detach())
            moved(optimiser, rate)
        return values


@dataclass(frozen=True, kw_only=True)
class StepsOfPieces(Generic[N, D, B]):
    """Steps on batches in named pieces, whose gradients are added up in one fixed tree.

    Dropout and noise are named by the piece, so that a step has the same bits however many processes share its pieces.
    """

    network: N
    objective: Divisible[N, D, B]
    optimiser: Adam
    autocast: torch.autocast
    seed: int
    pieces: int
    ranks: Ranks

    def gather(self, draw: D) -> list[Weighted[B]]:
        """The batches of the pieces of this process."""
        own = [self.objective.piece(draw, index, self.pieces) for index in self.ranks.share(self.pieces)]
        return [Weighted(piece.n / draw.n, self.objective.gather(piece)) for piece in own]

    def take(self, step: int, batches: Sequence[Weighted[B]], rate: float) -> list[Tensor]:
        """Move the weights; the loss of the whole batch, which stays on the device."""
        weights = [weight for group in self.optimiser.param_groups for weight in group["params"]]
        parts = []
        for index, (share, batch) in zip(self.ranks.share(self.pieces), batches, strict=True):
            torch.manual_seed(seed_for(self.seed, "dropout", step, index))
            self.optimiser.zero_grad(set_to_none=True)
            with self.autocast:
                loss = next(self.objective.losses(self.network, batch))
            if loss is None:
                raise InputError(f"{type(self.objective).__name__} sits out step {step}; it cannot train in pieces")
            # A loss is a mean over the images of its batch.
            loss = loss * share
            loss.backward()  # type: ignore[no-untyped-call]
            parts.append(_flat(weights, loss.detach()))
        *gradients, value = _split(self.ranks.summed(tree_sum(parts)), weights)
        for weight, gradient in zip(weights, gradients, strict=True):
            weight.grad = gradient
        moved(self.optimiser, rate)
        return [value]


AnySteps = WholeSteps[N, D, B] | StepsOfPieces[N, D, B]


def steps_of(
    network: N,
    objective: Objective[N, D, B],
    optimisers: Sequence[Adam],
    autocast: torch.autocast,
    *,
    seed: int,
    pieces: int,
    ranks: Ranks,
) -> AnySteps[N, D, B]:
    """Whole steps where a batch is one piece.

    Raises:
        InputError: pieces of an objective that cannot be divided, or that plays two losses.
    """
    if pieces == 1:
        return WholeSteps(network=network, objective=objective, optimisers=optimisers, autocast=autocast, seed=seed)
    if not isinstance(objective, Divisible) or len(optimisers) > 1:
        raise InputError(f"training.pieces = {pieces}: {type(objective).__name__} trains on whole batches only; use 1")
    return StepsOfPieces(
        network=network,
        objective=objective,
        optimiser=optimisers[0],
        autocast=autocast,
        seed=seed,
        pieces=pieces,
        ranks=ranks,
    )


def moved(optimiser: Adam, rate: float) -> None:
    """A step of the optimiser at a learning rate."""
    for group in optimiser.param_groups:
        group["lr"] = rate
    optimiser.step()


def _flat(weights: Sequence[nn.Parameter], loss: Tensor) -> Tensor:
    """Gradients and loss as one vector; a weight that the loss does not know has gradient 0."""
    parts = [torch.zeros_like(weight) if weight.grad is None else weight.grad for weight in weights]
    return torch.cat([*(part.reshape(-1) for part in parts), loss.reshape(1).to(weights[0].dtype)])


def _split(flat: Tensor, weights: Sequence[nn.Parameter]) -> Iterator[Tensor]:
    """The inverse of `_flat`: each gradient lies in memory as its weight does, as a fused optimiser wants it."""
    *parts, loss = torch.split(flat, [*(weight.numel() for weight in weights), 1])
    for weight, part in zip(weights, parts, strict=True):
        yield torch.empty_like(weight).copy_(part.view(weight.shape))
    yield loss[0]
