"""One step of a training: gradients, and what they do to the weights; a whole batch at once, or in pieces."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, NamedTuple

import torch
from torch import Tensor

from prism_bench.prism.errors import InputError
from prism_bench.prism.rng import seed_for
from prism_bench.prism.training.flat import Weights
from prism_bench.prism.training.objective import B, D, Divisible, N, Objective
from prism_bench.prism.training.ranks import Ranks, tree_sum


class Weighted(NamedTuple, Generic[B]):
    """A batch, and its share of the images of its step."""

    share: float
    batch: B


@dataclass(frozen=True, kw_only=True)
class WholeSteps(Generic[N, D, B]):
    """Steps of one process on whole batches, of each group of weights on its loss in turn."""

    network: N
    objective: Objective[N, D, B]
    groups: Sequence[Weights]
    autocast: torch.autocast
    seed: int

    def gather(self, draw: D) -> list[Weighted[B]]:
        """The one batch of a draw."""
        return [Weighted(1.0, self.objective.gather(draw))]

    def take(self, step: int, batches: Sequence[Weighted[B]], rate: float) -> list[Tensor]:
        """Move the weights; the losses, which stay on the device."""
        torch.manual_seed(seed_for(self.seed, "dropout", step))
        losses, values = self.objective.losses(self.network, batches[0].batch), []
        for group in self.groups:
            with self.autocast:
                loss = next(losses)
            if loss is None:
                continue
            group.gradient.zero_()
            loss.backward()  # type: ignore[no-untyped-call]
            values.append(loss.detach())
            group.move(rate)
        return values


@dataclass(frozen=True, kw_only=True)
class StepsOfPieces(Generic[N, D, B]):
    """Steps on batches in named pieces, whose gradients are added up in one fixed tree.

    Dropout and noise are named by the piece, so that a step has the same bits however many processes share its pieces.
    """

    network: N
    objective: Divisible[N, D, B]
    weights: Weights
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
        parts = []
        for index, (share, batch) in zip(self.ranks.share(self.pieces), batches, strict=True):
            torch.manual_seed(seed_for(self.seed, "dropout", step, index))
            self.weights.gradient.zero_()
            with self.autocast:
                loss = next(self.objective.losses(self.network, batch))
            if loss is None:
                raise InputError(f"{type(self.objective).__name__} sits out step {step}; it cannot train in pieces")
            # A loss is a mean over the images of its batch.
            loss = loss * share
            loss.backward()  # type: ignore[no-untyped-call]
            parts.append(torch.cat([self.weights.gradient, loss.detach().to(self.weights.gradient.dtype)[None]]))
        total = self.ranks.summed(tree_sum(parts))
        self.weights.gradient.copy_(total[:-1])
        self.weights.move(rate)
        return [total[-1]]


AnySteps = WholeSteps[N, D, B] | StepsOfPieces[N, D, B]


def steps_of(
    network: N,
    objective: Objective[N, D, B],
    groups: Sequence[Weights],
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
        return WholeSteps(network=network, objective=objective, groups=groups, autocast=autocast, seed=seed)
    if not isinstance(objective, Divisible) or len(groups) > 1:
        raise InputError(f"training.pieces = {pieces}: {type(objective).__name__} trains on whole batches only; use 1")
    return StepsOfPieces(
        network=network,
        objective=objective,
        weights=groups[0],
        autocast=autocast,
        seed=seed,
        pieces=pieces,
        ranks=ranks,
    )
