"""The harness of the speed benchmarks: turns, medians, ratios; every module of it has its table in the docs."""

import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture
def speed(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """benchmarks/speed, which lies beside the installed package."""
    monkeypatch.syspath_prepend(str(ROOT))
    for name in [name for name in sys.modules if name.partition(".")[0] == "benchmarks"]:
        monkeypatch.delitem(sys.modules, name)
    from benchmarks.speed import __main__ as program
    from benchmarks.speed import pairs

    return SimpleNamespace(pairs=pairs, program=program)


def takes(clock: list[float], log: list[str], name: str, *seconds: float) -> Callable[[], str]:
    """Something that takes so long, one time after the other, by a clock of its own."""
    left = iter(seconds)

    def run() -> str:
        clock[0] += next(left)
        log.append(name)
        return name

    return run


def test_ways_take_turns_and_the_ratio_is_of_neighbours(speed: SimpleNamespace) -> None:
    clock, log, compared = [0.0], [], []
    ours = speed.pairs.Way(label="ours", run=takes(clock, log, "a", 9, 1, 2, 4))
    other = speed.pairs.Way(label="other", run=takes(clock, log, "b", 9, 3, 3, 40))
    row = speed.pairs.Row(
        work="work",
        ours=ours,
        others=(other,),
        rounds=3,
        clock=lambda: clock[0],
        same=lambda *both: compared.append(both),
    )
    (line,) = speed.pairs.measured(row)
    assert log == [*"ab", *"ab", *"ba", *"ab"], "once before, then in turns, the first of a round changing"
    assert compared == [("a", "b")]
    assert (line.ours_seconds, line.other_seconds, line.ratios) == (2, 3, (3, 1.5, 10))
    assert line.cells() == ["work", "ours", "other", "2 s", "3 s", "3.00 (1.50 to 10.00)", ""]


def test_a_way_may_take_its_own_time_and_one_that_is_missing_is_named(speed: SimpleNamespace) -> None:
    ours = speed.pairs.Way(label="ours", run=lambda: 0.002, seconds=float)
    other = speed.pairs.Way(label="other", run=lambda: 0.0004, seconds=float)
    gone = speed.pairs.Missing(label="a peer", why="no package of that name")
    row = speed.pairs.Row(work="work", ours=ours, others=(other, gone), rounds=2, goal="0.3 s")
    measured, missing = speed.pairs.measured(row)
    assert measured.cells()[3:] == ["2 ms", "400 µs", "0.20 (0.20 to 0.20)", "0.3 s"]
    assert missing.cells() == ["work", "ours", "a peer: no package of that name", "", "", "", "0.3 s"]
    assert speed.pairs.table([measured, missing]).splitlines()[1:] == [
        speed.pairs.HEADER.splitlines()[1],
        "| work | ours | other | 2 ms | 400 µs | 0.20 (0.20 to 0.20) | 0.3 s |",
        "| work | ours | a peer: no package of that name |  |  |  | 0.3 s |",
    ]


def test_results_that_are_not_the_same_are_not_compared(speed: SimpleNamespace) -> None:
    def same(a: object, b: object) -> None:
        raise AssertionError(f"{a} is not {b}")

    ways = [speed.pairs.Way(label=name, run=lambda name=name: name) for name in "ab"]
    row = speed.pairs.Row(work="work", ours=ways[0], others=(ways[1],), same=same)
    with pytest.raises(AssertionError, match="a is not b"):
        list(speed.pairs.measured(row))


def test_every_module_has_its_table_in_the_documentation(speed: SimpleNamespace) -> None:
    page = (ROOT / "docs" / "performance.md").read_text(encoding="utf-8")
    for name in [*(f"speed/{name}.py" for name in speed.program.NAMES), "growth.py", "sampling.py"]:
        made = page.partition(f"<!-- made by benchmarks/{name}: begin -->")[2].partition("<!-- end -->")[0]
        assert made.count("\n|") >= 3, f"benchmarks/{name} has not been run with --write"
