"""Records to statistics, tables, files and pictures.

The expected files in golden/analysis were read by eye. To renew them: `write_report` with that folder as plan, store
and out, `table_text(table, 120)` for the .txt; then read the difference.
"""

import csv
import io
import json
import math
import random
import re
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from handmade import BARE, build, results
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.cells import cell_len
from scipy import stats

from prism_bench.analysis import formatting
from prism_bench.analysis.errors import AnalysisError
from prism_bench.analysis.figures.plots import Curve, interval_plot, training_curves
from prism_bench.analysis.formats.console import table_text
from prism_bench.analysis.formats.latex import table_tex
from prism_bench.analysis.formats.markdown import code, escape, table_markdown
from prism_bench.analysis.report.write_report import FORMATS, frame_csv, write_report
from prism_bench.analysis.schema.records import Plan, Record, load_plan, load_record, load_records
from prism_bench.analysis.stats import statistics
from prism_bench.analysis.table.table_model import Hole, Measured, Quoted, Table, TableCell, Text

ROOT = Path(__file__).parents[1]
GOLDEN = Path(__file__).parent / "golden" / "analysis"
Json = dict[str, Any]


# ---- statistics ----


def test_mean_interval_is_the_textbook_one() -> None:
    """n = 3, values 1 2 3: mean 2, s = 1, t(0.975, 2) = 4.302653 (tables), half-width t / sqrt 3."""
    interval = statistics.mean_interval([1.0, 2.0, 3.0])
    assert interval.mean == 2.0
    assert interval.half_width == pytest.approx(4.302652729911275 / math.sqrt(3), rel=1e-9)
    assert interval.low == pytest.approx(2 - 4.302652729911275 / math.sqrt(3), rel=1e-9)
    assert interval.n == 3
    assert "95% t interval, n = 3, ddof = 1" in interval.estimator


@given(
    st.lists(st.floats(-100, 100), min_size=2, max_size=12).filter(lambda v: np.std(v) > 1e-3), st.floats(0.5, 0.999)
)
@settings(deadline=None, max_examples=50)
def test_mean_interval_agrees_with_scipy(values: list[float], level: float) -> None:
    expected = stats.t.interval(level, len(values) - 1, loc=np.mean(values), scale=stats.sem(values))
    interval = statistics.mean_interval(values, level)
    assert (interval.low, interval.high) == pytest.approx(expected, rel=1e-9, abs=1e-9)


def test_the_interval_covers_as_often_as_it_says() -> None:
    """2,000 samples of 3 from a unit Gaussian: coverage 0.95 within four standard errors, 4 sqrt(.95 .05 / 2000)."""
    samples = np.random.default_rng(0).standard_normal((2000, 3))
    covered = [not statistics.mean_interval(list(sample)).excludes_zero() for sample in samples]
    assert np.mean(covered) == pytest.approx(0.95, abs=4 * math.sqrt(0.95 * 0.05 / 2000))


def test_one_value_has_no_interval_and_says_so() -> None:
    interval = statistics.mean_interval([4.0])
    assert (interval.mean, interval.low, interval.high, interval.half_width, interval.n) == (4.0, None, None, None, 1)
    assert interval.estimator == "single value, no interval"
    assert not interval.excludes_zero()


@pytest.mark.parametrize(
    ("values", "level", "message"),
    [([], 0.95, "at least one value"), ([1.0, math.nan], 0.95, "finite values, found nan"), ([1.0], 1.0, "level")],
)
def test_mean_interval_refuses(values: list[float], level: float, message: str) -> None:
    with pytest.raises(AnalysisError, match=message):
        statistics.mean_interval(values, level)


def test_differences_are_of_shared_seeds_only() -> None:
    a, b = {0: 1.0, 1: 5.0, 2: 9.0, 7: 100.0}, {2: 6.0, 1: 3.0, 0: 0.0, 8: -50.0}
    assert statistics.differences(a, b) == [1.0, 2.0, 3.0]
    with pytest.raises(AnalysisError, match=r"no seed in common: \[0\] and \[1\]"):
        statistics.differences({0: 1.0}, {1: 1.0})


def test_holm() -> None:
    """Holm's own rule by hand: sorted p times (m, m-1, ...), kept rising, at most 1, back in the order given."""
    assert statistics.holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx((0.03, 0.06, 0.06, 0.02))
    assert statistics.holm([0.5, 0.9]) == (1.0, 1.0)
    assert statistics.holm([]) == ()
    with pytest.raises(AnalysisError, match=r"in \[0, 1\], found 1.5"):
        statistics.holm([1.5])


def test_kendall_tau() -> None:
    """One swapped neighbour among 4: (5 - 1) / 6."""
    assert statistics.kendall_tau([1, 2, 3, 4], [10, 20, 40, 30]) == pytest.approx(4 / 6)
    assert statistics.kendall_tau([1, 2, 3], [3, 2, 1]) == pytest.approx(-1)
    assert statistics.kendall_tau([1, 1], [1, 2]) is None
    with pytest.raises(AnalysisError, match="3 and 2"):
        statistics.kendall_tau([1, 2, 3], [1, 2])


# ---- numbers as text ----


def test_numbers() -> None:
    assert [formatting.decimals([x]) for x in (0.0, 0.04, 0.958, 1.0, 12.3, 143.0, 99999.0, 1e-12)] == [
        2, 4, 3, 3, 2, 1, 0, 6,
    ]  # fmt: skip
    assert formatting.published_decimals([25.62, 26.0, 24.7]) == 2
    assert formatting.fixed(-0.0001, 2) == "0.00"
    assert [formatting.parameters(n) for n in (999, 1000, 754_595, 999_900, 13_213_000, 62_070_000, 1_500_000_000)] == [
        "999", "1.00K", "755K", "1.00M", "13.2M", "62.1M", "1.50B",
    ]  # fmt: skip
    assert [formatting.duration(s) for s in (31.4, 200.1, 18000)] == ["31 s", "3.3 min", "5.0 h"]
    assert [formatting.significant(x) for x in (0.0123, 9.96, 99.4, 99.7, 1234.5)] == [
        "0.012",
        "10",
        "99",
        "100",
        "1,234",
    ]
    assert [formatting.operations(x) for x in (3.21e12, 999.4e12, 999.9e12)] == ["3.21 TFLOP", "999 TFLOP", "1 PFLOP"]
    assert [formatting.p_value(p) for p in (0.0004, 0.0123, 0.0497, 0.04999, 0.05, 0.0251, 0.02497)] == [
        "p < 0.001", "p = 0.012", "p = 0.0497", "p = 0.04999", "p = 0.05", "p = 0.025", "p = 0.02497",
    ]  # fmt: skip
    assert [formatting.letter(i) for i in (0, 25, 26, 51, 52)] == ["a", "z", "aa", "az", "ba"]


# ---- a small world: two rows, two metrics, three seeds ----


def _value(value: float, **changes: object) -> Json:
    return {
        "name": "fd", "label": "FD", "value": value, "floor": 1.2, "floor_n": 1000, "n": 1000, "reference_n": 6000,
        "better": "lower", "unit": "", "fingerprint": "aa11", "scale": "laptop",
    } | changes  # fmt: skip


def _record(name: str, *values: Json, **changes: object) -> Record:
    data: Json = {
        **BARE, "record": name, "status": "done", "reason": None, "values": list(values), "declined": [],
        "parameters": 754595, "cost": {"train_seconds": 200.0},
    }  # fmt: skip
    return load_record(data | changes)


def _plan(rows: Mapping[str, Sequence[str]], **changes: object) -> Plan:
    """A plan with a row for each label and a seed for each record name."""
    data = json.loads((GOLDEN / "plan.json").read_text(encoding="utf-8"))
    data["rows"] = [
        {"id": label, "label": label, "trained_on": "X", "changes": {}, "quoted": [], "control": False,
         "cells": [{"seed": seed, "record": name, "k_sample": 1} for seed, name in enumerate(names)]}
        for label, names in rows.items()
    ]  # fmt: skip
    data["seeds"] = list(range(max(len(names) for names in rows.values())))
    return load_plan(data | changes)


def _column(table: Table, key: str) -> dict[str, TableCell]:
    index = [column.key for column in table.columns].index(key)
    return {row.label: row.cells[index] for row in table.rows}


def _measured(cell: TableCell) -> Measured:
    assert isinstance(cell, Measured)
    return cell


TWO = {"one": ["a0", "a1", "a2"], "two": ["b0", "b1", "b2"]}


def _two(one: Sequence[float], two: Sequence[float], **changes: object) -> list[Record]:
    values = {"a": one, "b": two}
    return [_record(f"{k}{i}", _value(v, **changes)) for k, vs in values.items() for i, v in enumerate(vs)]


def test_means_intervals_floor_and_costs() -> None:
    table = build(_plan(TWO), _two([10.0, 11.0, 12.0], [20.0, 20.5, 21.5]))
    one = _measured(_column(table, "fd")["one"])
    assert one.mean == 11.0
    assert one.half_width == pytest.approx(4.302652729911275 / math.sqrt(3))
    assert one.values == ((0, 10.0), (1, 11.0), (2, 12.0))
    assert one.n_seeds == 3
    assert _measured(_column(table, "fd")["Real images (baseline)"]).mean == 1.2
    assert _column(table, "parameters")["one"] == Text(text="755K")
    assert _column(table, "train_seconds")["two"] == Text(text="3.3 min")
    assert [row.kind for row in table.rows] == ["variant", "variant", "floor"]


@pytest.mark.parametrize(
    ("one", "two", "better", "best"),
    [
        ([10.0, 30.0, 50.0], [11.0, 31.1, 51.0], "lower", ["one"]),
        ([10.0, 30.0, 50.0], [11.0, 31.1, 51.0], "higher", ["two"]),
        ([10.0, 30.0, 50.0], [11.0, 20.0, 65.0], "lower", []),
        ([10.0, 30.0], [11.0, 31.1], "lower", ["one"]),
        ([10.0], [50.0], "lower", []),
        ([10.0, 11.0, 12.0], [10.0, 11.0, 12.0], "lower", []),
    ],
)
def test_best_is_marked_only_where_separable(one: list[float], two: list[float], better: str, best: list[str]) -> None:
    table = build(_plan(TWO), _two(one, two, better=better))
    marked = [label for label, cell in _column(table, "fd").items() if isinstance(cell, Measured) and cell.best]
    assert marked == best
    page = table_markdown(results(_plan(TWO), _two(one, two, better=better))).partition("##")[0]
    assert ("**" in page) == bool(best)
    assert (r"\textbf" in table_tex(table)) == bool(best)
    assert ("*" in table_text(table).split("\n\n")[0]) == bool(best)


def test_a_row_that_has_learnt_nothing_does_not_compete() -> None:
    """It is better than the others at every seed, and the best of the others is marked."""
    values = {"one": [20.0, 21.0, 22.0], "two": [30.0, 31.5, 32.0], "real": [1.0, 1.2, 1.1]}
    names = {label: [f"{label}{seed}" for seed in range(3)] for label in values}
    records = [
        _record(name, _value(value), parameters=0 if label == "real" else 755_000)
        for label in values
        for name, value in zip(names[label], values[label], strict=True)
    ]
    cells = {
        label: cell for label, cell in _column(build(_plan(names), records), "fd").items() if isinstance(cell, Measured)
    }
    assert [label for label, cell in cells.items() if cell.best] == ["one"]
    assert not any(cell.second for cell in cells.values()), "of two that compete there is no second"


def test_the_floor_is_never_the_best_nor_the_next_best() -> None:
    table = build(_plan({"one": ["a0", "a1"]}), _two([10.0, 11.0], [], floor=0.0))
    assert not any(cell.best for cell in _column(table, "fd").values() if isinstance(cell, Measured))


def test_the_spread_of_the_floor_and_the_standard_error_of_a_value_are_told() -> None:
    errors = {"a0": 0.25, "a1": 0.3216, "a2": None}
    records = [_record(name, _value(9.0, floor_spread=0.4, standard_error=error)) for name, error in errors.items()]
    table = build(_plan({"one": list(errors)}), records)
    floor = _measured(_column(table, "fd")["Real images (baseline)"])
    assert (floor.mean, floor.half_width) == (1.2, 0.4)
    caption = " ".join(table.caption)
    assert "against the other real ones; mean ± standard deviation over random splits of them." in caption
    assert "Standard error of one value over its images, at most: FD 0.32." in caption
    without = " ".join(build(_plan({"one": ["a0"]}), [_record("a0", _value(9.0))]).caption)
    assert "Standard error" not in without
    assert "random splits" not in without


def test_the_floor_over_seeds_and_at_another_n() -> None:
    records = [_record(f"a{i}", _value(9.0, floor=floor, floor_n=500)) for i, floor in enumerate([1.0, 2.0, 3.0])]
    floor = _measured(_column(build(_plan(TWO), records), "fd")["Real images (baseline)"])
    assert floor.mean == 2.0
    assert floor.half_width == pytest.approx(4.302652729911275 / math.sqrt(3))
    assert ("a", "the real-data baseline was measured at n = 500") in [
        (mark, text) for mark, text in build(_plan({"one": ["a0", "a1", "a2"]}), records).notes
    ]
    absent = build(_plan({"one": ["a0"]}), [_record("a0", _value(9.0, floor=None, floor_n=None))])
    cell = _column(absent, "fd")["Real images (baseline)"]
    assert isinstance(cell, Hole)
    assert cell.reason == "no real-data baseline was measured"


def test_two_fingerprints_never_share_a_column() -> None:
    records = [_record("a0", _value(1.0)), _record("b2", _value(2.0, fingerprint="bb22"))]
    with pytest.raises(AnalysisError, match=r"fd: .*aa11 \(one, seed 0\) and bb22 \(two, seed 2\)"):
        build(_plan(TWO), records)


def test_one_fingerprint_with_two_n_is_refused() -> None:
    with pytest.raises(AnalysisError, match=r"fd: n is 1000 \(one, seed 0\) and 500 \(one, seed 1\) under one finger"):
        build(_plan(TWO), [_record("a0", _value(1.0)), _record("a1", _value(2.0, n=500))])


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        (None, "not run yet"),
        (_record("b0", status="failed", reason="loss became nan at image 12800"), "failed: loss became nan at image"),
        (_record("b0", status="blocked", reason="the data are missing"), "blocked: the data are missing"),
        (_record("b0", status="running"), "still running"),
        (_record("b0", declined=[{"metric": "fd", "reason": "too few"}]), "not measured: too few"),
        (_record("b0"), "not measured: the record holds no such metric"),
    ],
)
def test_a_hole_says_why(record: Record | None, reason: str) -> None:
    plan = _plan({"one": ["a0"], "two": ["b0"]})
    records = [_record("a0", _value(1.0)), *([record] if record else [])]
    table = build(plan, records)
    cell = _column(table, "fd")["two"]
    assert isinstance(cell, Hole)
    assert cell.reason.startswith(reason)
    assert (cell.note, cell.reason) in table.notes
    assert f"({cell.note}) {cell.reason}" in table_markdown(results(plan, records))
    assert "-- (a)" in table_text(table)
    assert r"--\rlap{$^{\mathrm{a}}$}" in table_tex(table)


def test_a_failed_record_lends_no_values() -> None:
    broken = _record("a0", _value(1.0), status="failed", reason="out of memory")
    assert [column.key for column in build(_plan({"one": ["a0"]}), [broken]).columns] == ["trained_on", "measured"]


def test_seeds_that_are_missing_are_noted() -> None:
    records = [_record("a0", _value(1.0)), _record("a2", status="failed", reason="nan")]
    table = build(_plan({"one": ["a0", "a1", "a2", "a3"]}), records)
    assert _measured(_column(table, "fd")["one"]).note == "a"
    assert table.notes == (("a", "1 of 4 seeds; seeds 1, 3: not run yet; seed 2: failed: nan"),)


def test_nothing_run_yet_is_a_table_too() -> None:
    table = build(_plan(TWO), [])
    assert [column.label for column in table.columns] == ["Trained on", "Measured"]
    assert table.notes == (("a", "not run yet"),)
    assert "No cell has been measured yet." in table.caption
    assert table_text(table).count("-- (a)") == 2


def test_a_metric_every_record_declined_is_remarked() -> None:
    declined = [{"metric": "coherence", "reason": "no regions are known to agree"}]
    table = build(_plan({"one": ["a0"]}), [_record("a0", _value(1.0), declined=declined)])
    assert table.remarks == ("coherence was not measured: no regions are known to agree.",)


def test_values_of_another_scale_are_remarked() -> None:
    table = build(_plan({"one": ["a0"]}), [_record("a0", _value(1.0, scale="gpu"))])
    assert table.remarks == ("Some values were recorded at scale gpu, not laptop.",)


def test_several_k_sample_give_lines_and_a_column() -> None:
    data = json.loads((GOLDEN / "plan.json").read_text(encoding="utf-8"))
    cells = [{"seed": 0, "record": name, "k_sample": k} for name, k in (("a0", 1), ("b0", 8))]
    numbers = [{"column": "CelebA", "value": 43.45, "k_sample": 1}, {"column": "CIFAR", "value": 24.68}]
    data["rows"] = [data["rows"][1] | {"cells": cells, "quoted": numbers}]
    table = build(load_plan(data), _two([1.0], [2.0]))
    assert [cell for cell in _cells_of(table, "k_sample")] == [Text(text="1"), Text(text="8"), Text(text="")]
    assert _cells_of(table, "quoted: CelebA FID")[0] == Quoted(value=43.45)
    reasons = [cell.reason for cell in _cells_of(table, "quoted: CIFAR FID") if isinstance(cell, Hole)]
    assert reasons == ["the published number does not name a k_sample"] * 2


def _cells_of(table: Table, key: str) -> list[TableCell]:
    index = [column.key for column in table.columns].index(key)
    return [row.cells[index] for row in table.rows]


def test_quoted_columns_are_marked_and_stand_last(golden: tuple[Plan, list[Record]]) -> None:
    plan, records = golden
    table = build(plan, records)
    kinds = [column.kind for column in table.columns]
    assert kinds == ["words", "measured", "measured", "count", "count", "quoted", "quoted"]
    assert table.columns[-2].heading == "quoted: CelebA 64x64 FID ↓ ‡"
    assert {column.mark for column in table.columns if column.kind == "measured"} == {"†"}
    assert any(sentence.startswith("‡") and "not comparable" in sentence for sentence in table.caption)
    paper = build(plan.model_copy(update={"scale": "paper"}), records)
    assert {column.mark for column in paper.columns if column.kind == "measured"} == {""}
    assert any(sentence.startswith("‡") and "not measured here" in sentence for sentence in paper.caption)


def test_the_caption_states_what_a_reader_needs(golden: tuple[Plan, list[Record]]) -> None:
    caption = " ".join(build(*golden).caption)
    parts = (
        "Scale laptop; 16x16; n = 1,000 generated images against 6,000; split seed 0; seeds 0, 1; ddof = 1; "
        "95% t interval; EfficientNet-Lite0; 1a2b3c4d; Real-data baseline; Table 3; (control)"
    )
    for part in parts.split("; "):
        assert part in caption
    single = " ".join(build(golden[0].model_copy(update={"seeds": (4,)}), golden[1]).caption)
    assert "One seed (4): single values without an interval, so nothing is bold." in single


# ---- files ----


@pytest.fixture(scope="module")
def golden() -> tuple[Plan, list[Record]]:
    plan = load_plan(GOLDEN / "plan.json")
    return plan, list(load_records(GOLDEN, plan).values())


def test_files_are_the_expected_ones(golden: tuple[Plan, list[Record]], tmp_path: Path) -> None:
    written = write_report(load_plan(GOLDEN / "plan.json"), GOLDEN, tmp_path)
    assert [path.name for path in written] == [
        "special-chars.tex",
        "special-chars-appendix.tex",
        "special-chars.md",
        "special-chars.csv",
    ]
    for path in written:
        assert path.read_bytes() == (GOLDEN / path.name).read_bytes()
    assert table_text(build(*golden), 120) == (GOLDEN / "special-chars.txt").read_text(encoding="utf-8")
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(path.name for path in written)


def test_the_order_of_records_does_not_matter(golden: tuple[Plan, list[Record]]) -> None:
    plan, records = golden
    writers: list[Callable[[list[Record]], str]] = [
        lambda found: table_tex(build(plan, found)),
        lambda found: table_markdown(results(plan, found)),
        lambda found: frame_csv(results(plan, found).frame).decode(),
        lambda found: table_text(build(plan, found)),
    ]
    expected = [writer(records) for writer in writers]
    for seed in range(10):
        shuffled = random.Random(seed).sample(records, len(records))
        assert shuffled != records or seed
        assert [writer(shuffled) for writer in writers] == expected


def test_any_subset_of_records_makes_a_table(golden: tuple[Plan, list[Record]]) -> None:
    plan, records = golden
    for mask in range(2 ** len(records)):
        table = build(plan, [record for i, record in enumerate(records) if mask >> i & 1])
        assert len(table.rows) == len(plan.rows) + any(column.fingerprint for column in table.columns)
        for row in table.rows:
            assert len(row.cells) == len(table.columns)


def test_markdown_keeps_its_columns_and_says_text_literally(golden: tuple[Plan, list[Record]]) -> None:
    page = table_markdown(results(*golden))
    rows = [line for line in page.splitlines() if line.startswith("| ")][:7]
    bars = {line.replace(r"\|", "").count("|") for line in rows}
    assert bars == {5}
    assert escape("a_b _c_ *d* |e| <f> & g") == r"a_b \_c\_ \*d\* \|e\| \<f\> &amp; g"
    assert code("plain") == "`plain`"
    assert code("a`b|c") == r"`` a`b\|c ``"


def test_csv_reads_back(golden: tuple[Plan, list[Record]]) -> None:
    rows = list(csv.DictReader(io.StringIO(frame_csv(results(*golden).frame).decode())))
    done = [row for row in rows if row["status"] == "done"]
    assert {row["experiment"] for row in rows} == {"special-chars"}
    assert sorted(float(row["value"]) for row in done if row["metric"] == "fd") == [26.4, 30.5, 31.1, 44.9, 45.2]
    assert [row["reason"] for row in rows if row["status"] == "failed"] == ["loss became nan at image 12800 {100%}"]
    assert [row["reason"] for row in rows if row["status"] == "pending"] == ["not run yet"] * 2
    assert len([row for row in rows if row["kind"] == "quoted"]) == 6
    assert all(row["k_sample"] == "" for row in rows if row["record"] in {"a0", "a1"})


@pytest.mark.parametrize(("width", "blocks"), [(60, 4), (80, 3), (120, 2), (200, 1)])
def test_every_column_is_shown_in_tables_below_each_other(
    golden: tuple[Plan, list[Record]], width: int, blocks: int
) -> None:
    text = table_text(build(*golden), width, every=True)
    assert text.count("PRISM #1") == blocks
    assert "Not shown" not in text
    for words in ("Trained on", "755K", "3.3 min", "24.68", "16.46", "0.490 ± 0.127"):
        assert text.count(words) >= 1, words


@pytest.mark.parametrize("every", [False, True])
def test_text_fits_any_terminal_and_nothing_is_cut(golden: tuple[Plan, list[Record]], every: bool) -> None:
    table = build(*golden)
    for width in range(60, 160, 9):
        text = table_text(table, width, every=every)
        assert max(cell_len(line) for line in text.splitlines()) <= width
        assert "…" not in text


def test_columns_without_room_are_named_and_those_that_matter_stay(golden: tuple[Plan, list[Record]]) -> None:
    table = build(*golden)
    measured = [column.key for column in table.columns if column.kind == "measured"]
    for width in range(60, 140, 13):
        text = " ".join(table_text(table, width, first=measured[1:]).split())
        shown, _, named = text.partition("Not shown for want of room: ")
        assert "0.490 ± 0.127" in shown, "the column that was asked for first"
        for heading, cell in (("Trained on", " X "), ("Training time", "3.3 min"), ("quoted: CelebA", "21.99")):
            assert (cell in shown.partition("Ablation:")[0]) != (heading in named), (width, heading)
    assert "Not shown" not in table_text(table, 140)


def test_text_has_no_control_characters(golden: tuple[Plan, list[Record]]) -> None:
    row = golden[0].rows[0].model_copy(update={"label": "red \x1b[31m\nnext"})
    plan = golden[0].model_copy(update={"rows": (row,)})
    text = table_text(build(plan, golden[1]))
    assert "\x1b" not in text
    assert "red ?[31m next" in text


def test_cell_len() -> None:
    assert [cell_len(text) for text in ("abc", "±↓‡", "中x", "e\u0301")] == [3, 3, 3, 1]


def test_formats_and_pictures(tmp_path: Path) -> None:
    with pytest.raises(AnalysisError, match="unknown format 'html5'; known: latex, markdown, csv, parquet, html"):
        write_report(load_plan(GOLDEN / "plan.json"), GOLDEN, tmp_path, ["html5"])
    assert FORMATS == ("latex", "markdown", "csv", "parquet", "html")
    for name in ("grid-zz.png", "grid-rag.png", "grid-patchd.png", "overview.png", "other.png"):
        (tmp_path / name).write_bytes(b"")
    (page,) = write_report(load_plan(GOLDEN / "plan.json"), GOLDEN, tmp_path, ["markdown", "markdown"])
    text = page.read_text(encoding="utf-8")
    places = [text.index(f"({name})") for name in ("overview.png", "grid-patchd.png", "grid-rag.png", "grid-zz.png")]
    assert places == sorted(places)
    assert "other.png" not in text
    assert "*Samples of PatchD_0 \N{EN DASH} 100% of \\$x^2\\$.*" in text


# ---- malformed files ----


def _without(*path: str | int) -> Callable[[Json], None]:
    def change(data: Any) -> None:
        for key in path[:-1]:
            data = data[key]
        del data[path[-1]]

    return change


def _with(value: object, *path: str | int) -> Callable[[Json], None]:
    def change(data: Any) -> None:
        for key in path[:-1]:
            data = data[key]
        data[path[-1]] = value

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_without("title"), "plan: 'title' is missing"),
        (_with("../x", "experiment"), "for it names files"),
        (_with([0, "1"], "seeds"), r"seeds\[1\] must be a whole number, found '1'"),
        (_with(None, "dataset"), "'dataset' must be an object"),
        (_with(16.0, "dataset", "resolution"), "dataset: 'resolution' must be a whole number, found 16.0"),
        (_with({}, "rows"), "'rows' must be a list"),
        (_with(3, "rows", 0), r"rows\[0\] must be an object, found 3"),
        (_with("rag", "rows", 0, "id"), "2 rows have the id 'rag'"),
        (_with("../../etc", "rows", 0, "cells", 0, "record"), "letters and digits"),
        (_with(1, "rows", 0, "cells", 0, "seed"), "seed 1, k_sample None has more than one record"),
        (_with({"a": 1}, "rows", 0, "changes"), "changes: 'a' must be a list, found 1"),
        (_with("yes", "rows", 0, "control"), "true or false"),
        (_with("21.99", "rows", 0, "quoted", 0, "value"), "finite number, found '21.99'"),
    ],
)
def test_a_malformed_plan_is_refused(change: Callable[[Json], None], message: str) -> None:
    data = deepcopy(json.loads((GOLDEN / "plan.json").read_text(encoding="utf-8")))
    change(data)
    with pytest.raises(AnalysisError, match=message):
        load_plan(data)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            _with("done?", "status"),
            r"a0.json: 'status' must be 'done', .* or 'running', found 'done\?'; delete the file and run",
        ),
        (_with(math.nan, "values", 0, "value"), r"values\[0\]: 'value' must be a finite number, found nan"),
        (_with(True, "values", 0, "n"), "'n' must be a whole number, found True"),
        (_with("up", "values", 0, "better"), "must be 'lower' or 'higher', found 'up'"),
        (_with("far_pair", "values", 0, "name"), "the metric 'far_pair' is there 2 times"),
        (_with("b0", "record"), "a0.json: holds the record b0"),
        (_with([], "cost"), "'cost' must be an object"),
    ],
)
def test_a_malformed_record_is_refused(change: Callable[[Json], None], message: str, tmp_path: Path) -> None:
    data = json.loads((GOLDEN / "records" / "a0.json").read_text(encoding="utf-8"))
    change(data)
    (tmp_path / "records").mkdir()
    (tmp_path / "records" / "a0.json").write_text(json.dumps(data), encoding="utf-8")
    (stands_for_it,) = load_records(tmp_path, load_plan(GOLDEN / "plan.json")).values()
    assert (stands_for_it.record, stands_for_it.status, stands_for_it.values) == ("a0", "failed", ())
    assert re.search(message, str(stands_for_it.reason))


def test_files_that_are_no_json(tmp_path: Path) -> None:
    (tmp_path / "plan.json").write_text('{"experiment": ', encoding="utf-8")
    with pytest.raises(AnalysisError, match=r"plan.json: is not valid JSON"):
        load_plan(tmp_path / "plan.json")
    (tmp_path / "plan.json").write_text("[]", encoding="utf-8")
    with pytest.raises(AnalysisError, match=r"must hold a JSON object, found list"):
        load_plan(tmp_path / "plan.json")
    with pytest.raises(AnalysisError, match=r"none.json: cannot be read \(No such file"):
        load_plan(tmp_path / "none.json")


def test_one_record_given_twice(golden: tuple[Plan, list[Record]]) -> None:
    plan, records = golden
    assert build(plan, [*records, *records]) == build(plan, records)
    with pytest.raises(AnalysisError, match=f"record {records[0].record} was given twice"):
        build(plan, [*records, records[0].model_copy(update={"parameters": 1})])


# ---- pictures ----


def test_pictures_are_deterministic(golden: tuple[Plan, list[Record]], tmp_path: Path) -> None:
    rows = [{"images": 100.0 * i, "loss": 1 / (i + 1), "k_train": 8.0 - i // 2} for i in range(10)]
    losses = [{"images": r["images"], "loss": r["loss"]} for r in rows]
    curves = [Curve("patchd", r"PatchD $\frac$", [losses, losses[1:]]), Curve("prism", "PRISM", [rows])]
    plain = build(_plan({r"one $\frac$": ["a0", "a1"]}), _two([1.0, 2.0], []))
    first = [*training_curves(curves, tmp_path / "a.png"), *interval_plot(plain, tmp_path / "b.png")]
    second = [*training_curves(curves, tmp_path / "c.png"), *interval_plot(plain, tmp_path / "d.png")]
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in second]
    assert all(path.read_bytes().startswith(b"\x89PNG") and b"Software" not in path.read_bytes() for path in first)
    assert training_curves(curves[:1], tmp_path / "e.png")[0].read_bytes() != first[0].read_bytes()
    with pytest.raises(AnalysisError, match="found none"):
        training_curves([Curve("x", "x", [[{"images": 1.0}]])], tmp_path / "f.png")
    with pytest.raises(AnalysisError, match="no cell has been measured yet"):
        interval_plot(build(golden[0], []), tmp_path / "f.png")


# ---- imports ----


def test_analysis_imports_nothing_heavy() -> None:
    """Neither torch nor another package of ours, ever; scipy and matplotlib only inside functions."""
    script = (
        "import importlib, pkgutil, sys, prism_bench.analysis as analysis\n"
        "names = [info.name for info in pkgutil.walk_packages(analysis.__path__, 'prism_bench.analysis.')]\n"
        "for name in names: importlib.import_module(name)\n"
        "banned = {'torch', 'scipy', 'matplotlib', 'mlflow'}\n"
        "ours = {f'prism_bench.{name}' for name in ('prism', 'experiments', 'baselines')}\n"
        "loaded = {name.partition('.')[0] for name in sys.modules}\n"
        "print(len(names), sorted(banned & loaded | ours & set(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=ROOT)
    count, found = done.stdout.split(maxsplit=1)
    assert int(count) >= 30
    assert found.strip() == "[]"


def test_a_report_needs_neither_torch_nor_the_rest_of_the_project(tmp_path: Path) -> None:
    script = (
        "import sys\n"
        "class Refuse:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        name = name.removeprefix('prism_bench.')\n"
        "        if name.partition('.')[0] in {'torch', 'prism', 'experiments', 'baselines', 'mlflow'}:\n"
        "            raise ModuleNotFoundError(name)\n"
        "sys.meta_path.insert(0, Refuse())\n"
        "from pathlib import Path\n"
        "from prism_bench.analysis.report.write_report import write_report\n"
        "from prism_bench.analysis.schema.records import load_plan\n"
        "golden, out = map(Path, sys.argv[1:])\n"
        "print(len(write_report(load_plan(golden / 'plan.json'), golden, out)))\n"
    )
    arguments = [sys.executable, "-c", script, str(GOLDEN), str(tmp_path)]
    done = subprocess.run(arguments, capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.strip() == "4"
