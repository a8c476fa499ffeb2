"""The error rates of the reports' rules: as they should be, and as docs/statistics.md has them."""

import importlib.util
import math
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[1]
SETS = 600


@pytest.fixture(scope="module")
def benchmark() -> Iterator[ModuleType]:
    """It lies in the repository, beside the installed package."""
    spec = importlib.util.spec_from_file_location("error_rates", ROOT / "benchmarks" / "error_rates.py")
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    yield module
    del sys.modules[spec.name]


@pytest.fixture(scope="module")
def simulated(benchmark: ModuleType) -> dict[tuple[str, str], tuple[float | None, ...]]:
    return {(one.what, one.by): one.shares for one in benchmark.rates(SETS)}


def off(share: float, sets: float = SETS) -> float:
    """Four standard errors of a share."""
    return 4 * math.sqrt(max(share * (1 - share), 1 / sets) / sets)


def test_intervals_cover_as_often_as_they_say_but_for_the_bootstrap(
    benchmark: ModuleType, simulated: dict[tuple[str, str], tuple[float | None, ...]]
) -> None:
    what = benchmark.RULES[0].what
    for by in ("t", "pooled"):
        assert simulated[what, by] == pytest.approx((0.95,) * 4, abs=off(0.95)), by
    two, three, *_ = simulated[what, "bootstrap"]
    assert two == pytest.approx(0.5, abs=off(0.5, SETS / 4))
    assert three == pytest.approx(0.76, abs=off(0.76, SETS / 4))
    assert simulated[benchmark.BEST.what, "bootstrap"][:2] == (None, None), "refused"


def test_nothing_is_decided_falsely_more_often_than_in_five_percent(
    benchmark: ModuleType, simulated: dict[tuple[str, str], tuple[float | None, ...]]
) -> None:
    false = [key for key in simulated if "equal rows" in key[0] and key[1] != "bootstrap"]
    assert len(false) == 16
    for key in false:
        for share in simulated[key]:
            assert share is not None
            assert share <= 0.05 + off(0.05), key


def test_the_page_has_what_the_benchmark_finds(
    benchmark: ModuleType, simulated: dict[tuple[str, str], tuple[float | None, ...]]
) -> None:
    """Each number of docs/statistics.md, within the errors of both."""
    text = benchmark.PAGE.read_text(encoding="utf-8").partition(benchmark.BEGIN)[2].partition(benchmark.END)[0]
    lines = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if "%" in line]
    page = {(what, by): cells for what, by, *cells in (line for line in lines if len(line) == 6)}
    assert page.keys() == simulated.keys()
    for key, cells in page.items():
        for cell, share in zip(cells, simulated[key], strict=True):
            assert (cell == "refused") == (share is None)
            if share is not None:
                told = float(cell.removesuffix("%")) / 100
                assert share == pytest.approx(told, abs=1.3 * off(told, SETS / 4 if key[1] == "bootstrap" else SETS)), (
                    key
                )
