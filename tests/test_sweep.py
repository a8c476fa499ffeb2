"""The schedule sweep in the paper's form, and its pictures."""

from pathlib import Path

import pytest
from handmade import Json, cells, plan_of, record, row
from handmade import results as results_of
from PIL import Image

from prism_bench.analysis.figures.sweep_figures import sweep_figures
from prism_bench.analysis.schema.records import Plan, Record
from prism_bench.analysis.table.table_model import Hole, Measured, Quoted

K = (1, 4)
FD = {"decreasing": {1: 10.0, 4: 14.0}, "fixed": {1: 20.0, 4: 13.9}}
PUBLISHED = {"decreasing": {1: 43.5, 4: 45.0}, "fixed": {1: 55.0, 4: 54.7}}


def swept(seeds: int = 3) -> Plan:
    def of(name: str) -> Json:
        quoted = [{"column": "CelebA", "value": PUBLISHED[name][k], "k_sample": k} for k in K]
        every = [cell for k in K for cell in cells(name, seeds, k)]
        return {**row(name, 0), "cells": every, "quoted": quoted, "factors": {"schedule": name}}

    return plan_of([of("decreasing"), of("fixed")], [], seeds)


def results(seeds: int = 3) -> list[Record]:
    """Seeds spread by one; fixed is better at k_sample 4 by too little to tell."""
    wobble = {"decreasing": (0.0, 1.0, 2.0), "fixed": (0.3, 0.7, 2.2)}
    return [
        record(f"{name}{k}s{seed}", FD[name][k] + wobble[name][seed]) for name in FD for k in K for seed in range(seeds)
    ]


def test_rows_are_k_sample_and_columns_schedules_measured_then_quoted() -> None:
    table = results_of(swept(), results()).paper_form
    assert table is not None
    assert (table.stub, [line.label for line in table.rows]) == ("k_sample", ["1", "4"])
    assert [column.label for column in table.columns] == [
        "DECREASING", "FIXED", "quoted: DECREASING", "quoted: FIXED",
    ]  # fmt: skip
    means = [[cell.mean for cell in line.cells[:2] if isinstance(cell, Measured)] for line in table.rows]
    assert means == [[pytest.approx(11.0), pytest.approx(21.0666667)], [pytest.approx(15.0), pytest.approx(14.9666667)]]
    assert table.caption[1].startswith(
        "Cells: FD ↓, quoted: FID ↓. Mean ± half-width of the 95% t interval over 3 seeds"
    )
    assert "Bold and underlined are decided within a row." in table.details
    quoted = [[cell.value for cell in line.cells[2:] if isinstance(cell, Quoted)] for line in table.rows]
    assert quoted == [[43.5, 55.0], [45.0, 54.7]]


def test_the_best_schedule_of_a_row_is_bold_only_where_it_can_be_told() -> None:
    table = results_of(swept(), results()).paper_form
    assert table is not None
    best = [[isinstance(cell, Measured) and cell.best for cell in line.cells[:2]] for line in table.rows]
    assert best == [[True, False], [False, False]]


def test_missing_cells_are_holes_with_their_reason() -> None:
    some = [one for one in results() if not one.record.startswith("fixed4")]
    table = results_of(swept(), some).paper_form
    assert table is not None
    hole = table.rows[1].cells[1]
    assert isinstance(hole, Hole)
    assert hole.reason == "not run yet"
    assert (hole.note, "not run yet") in table.notes


def test_what_is_no_sweep_has_no_such_form() -> None:
    plain = plan_of([row("a", 1), row("b", 1)], [], 1)
    assert results_of(plain, [record("as0", 1.0)]).sweep is None
    assert results_of(swept(), []).sweep is None


def test_pictures_are_the_same_bytes_and_are_drawn_of_partial_results(tmp_path: Path) -> None:
    sweep, part = results_of(swept(), results()).sweep, results_of(swept(), results()[:2]).sweep
    assert sweep is not None
    assert part is not None
    one, other = sweep_figures(sweep, tmp_path / "one"), sweep_figures(sweep, tmp_path / "other")
    assert [path.read_bytes() for path in one] == [path.read_bytes() for path in other]
    fewer = sweep_figures(part, tmp_path / "fewer")
    assert [path.read_bytes() for path in fewer] != [path.read_bytes() for path in one]
    for path in (*one, *fewer):
        with Image.open(path) as picture:
            assert min(picture.size) > 150
