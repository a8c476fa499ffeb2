"""Samplers: what their contract does not say."""

from itertools import pairwise

import pytest
from torch import Tensor

from prism_bench.prism.errors import InputError
from prism_bench.prism.methods.sampling import DPMSolverPP2M, Heun
from prism_bench.testing.sampling import ideal, order_between


def test_the_instrument_tells_orders_apart() -> None:
    """DPM-Solver++ without its history is the first-order method."""

    class Euler:
        def replace(self, **changes: float) -> "Euler":
            self.heun = Heun(**changes)  # type: ignore[arg-type]
            return self

        def sigmas(self) -> Tensor:
            return self.heun.sigmas()

        def integrate(self, denoise: object, x: Tensor, sigmas: Tensor) -> Tensor:
            for now, after in pairwise(sigmas):
                x = x + (after - now) * (x - ideal(x, now)) / now
            return x

    assert order_between(Euler(), 128, 256) == pytest.approx(1.0, abs=0.15)  # type: ignore[arg-type]


def test_eighteen_heun_steps_are_35_evaluations() -> None:
    assert Heun().evaluations == 35
    assert DPMSolverPP2M().evaluations == 18


def test_bad_grids_are_refused() -> None:
    with pytest.raises(InputError, match=r"steps must be at least 2, not 1"):
        Heun(steps=1)
    with pytest.raises(InputError, match="0 < sigma_min < sigma_max"):
        Heun(sigma_min=100.0)
