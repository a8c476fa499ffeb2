"""What a training changes: weights, their average, and the moments of its optimisers."""

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn


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
