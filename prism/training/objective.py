"""What a method gives to the training loop: batches and losses."""

from collections.abc import Iterator, Mapping
from typing import Protocol, TypeVar, runtime_checkable

from torch import Tensor, nn


class Draw(Protocol):
    """What a step is to see, in numbers so few that sending them to a device costs nothing."""

    @property
    def n(self) -> int:
        """Images (patches) in it."""

    @property
    def facts(self) -> Mapping[str, float]:
        """What the training log says of the step beside its loss, plain numbers by name (PRISM: k_train)."""


N = TypeVar("N", bound=nn.Module)
N_contra = TypeVar("N_contra", bound=nn.Module, contravariant=True)
D = TypeVar("D", bound=Draw)
B = TypeVar("B")


class Objective(Protocol[N_contra, D, B]):
    """What is learnt: the batch of each step and the loss of the network on it."""

    def parameter_groups(self, network: N_contra) -> list[list[nn.Parameter]]:
        """The weights that each loss moves: one group, or two for a generator and its discriminator."""

    def draw(self, step: int, seen: int) -> D:
        """What `step` sees when `seen` images have gone before: a function of these and of the seed."""

    def gather(self, draw: D) -> B:
        """The tensors of a draw, on the device of the training; called in the order of the steps, a thread may."""

    def losses(self, network: N_contra, batch: B) -> Iterator[Tensor | None]:
        """The loss of each group in turn, None where it sits out the step; the first is logged and never None."""


@runtime_checkable
class Divisible(Objective[N_contra, D, B], Protocol[N_contra, D, B]):
    """An objective of one loss, a mean over the images of a batch, that can be computed piece by piece."""

    def piece(self, draw: D, index: int, count: int) -> D:
        """The draw of the piece `index` of `count`: about as many images each, its random numbers named by it."""
