"""What a training changes: weights, their average, and the moments of its optimisers."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from prism_bench.prism.training.flat import Weights, laid_flat


class State:
    """Everything a checkpoint holds: weights, their average, and Adam's moments, as one flat dict of tensors.

    parts: the network's weights by the loss that moves them. Others are never moved, and their average is what they
    are.
    """

    def __init__(
        self, network: nn.Module, average: nn.Module, parts: Sequence[Sequence[nn.Parameter]], rate: float
    ) -> None:
        self.network, self.average = network, average
        twins = dict(zip(network.parameters(), average.parameters(), strict=True))
        self.groups = [Weights(part, rate) for part in parts]
        self._averages = [laid_flat([twins[weight] for weight in part]) for part in parts]

    def average_weights(self, decay: float) -> None:
        """average <- decay * average + (1 - decay) * weights."""
        with torch.no_grad():
            for average, group in zip(self._averages, self.groups, strict=True):
                average.lerp_(group.numbers, 1 - decay)
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
        for number, group in enumerate(self.groups):
            for moments in group.adam.state.values():
                named |= {f"adam.{number}.{name}": value for name, value in moments.items()}
        return named

    def restore(self, named: dict[str, Tensor]) -> None:
        """Put the tensors of a checkpoint back."""
        self.network.load_state_dict(_under(named, "network."))
        self.average.load_state_dict(_under(named, "average."))
        for number, group in enumerate(self.groups):
            if moments := _under(named, f"adam.{number}."):
                group.adam.load_state_dict({**group.adam.state_dict(), "state": {0: moments}})


def _under(named: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): value for name, value in named.items() if name.startswith(prefix)}
