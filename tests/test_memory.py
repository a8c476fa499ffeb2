"""The most memory a piece of work took, as manifests and cost tables state it."""

import sys

import numpy as np
import pytest

from prism_bench.prism.engine.peak_memory import CLEAR, peak_bytes, restart_peak

SIZE = 200_000_000


@pytest.mark.skipif(
    not (sys.platform.startswith("linux") and CLEAR.exists()), reason="only Linux can forget the peak of earlier work"
)
def test_the_peak_is_that_of_this_work_and_not_of_earlier_work() -> None:
    restart_peak("cpu")
    quiet = peak_bytes("cpu")
    assert quiet is not None
    block = np.ones(SIZE, np.uint8)
    assert block.sum() == SIZE
    high = peak_bytes("cpu")
    assert high is not None
    assert high - quiet == pytest.approx(SIZE, rel=0.2)
    del block
    restart_peak("cpu")
    low = peak_bytes("cpu")
    assert low is not None
    assert high - low > 0.8 * SIZE
