"""The efficiency table and picture: ratios, means over seeds, and what is left out where nothing is known."""

from pathlib import Path
from typing import Any

from handmade import BARE, DATASET, results
from PIL import Image

from prism_bench.analysis.figures.quality_compute import quality_plot
from prism_bench.analysis.schema.records import Plan, Record, load_plan, load_record
from prism_bench.analysis.table.table_model import Table, Text

COST = {
    "train_seconds": 60.0,
    "sample_seconds": 20.0,
    "images": 1000,
    "train_flops": 5e12,
    "sample_flops": 4e10,
    "peak_bytes": 2_000_000_000,
    "samples": 50,
    "model_bytes": 41_000,
}


def record(name: str, cost: dict[str, Any], *, value: float = 1.0, parameters: int | None = 1_200_000) -> Record:
    values = [
        {
            "name": "fd",
            "label": "FD",
            "value": value,
            "n": 50,
            "reference_n": 60,
            "better": "lower",
            "fingerprint": "f",
            "scale": "smoke",
        }
    ]
    data = {**BARE, "record": name, "status": "done", "values": values, "parameters": parameters, "cost": cost}
    return load_record(data)


def plan(rows: int = 2) -> Plan:
    cells = [[{"seed": seed, "record": f"r{row}s{seed}", "k_sample": 1} for seed in (0, 1)] for row in range(rows)]
    return load_plan(
        {
            "plan": "p0",
            "experiment": "e",
            "title": "T",
            "scale": "smoke",
            "dataset": DATASET,
            "reference": "X",
            "seeds": [0, 1],
            "split_seed": 0,
            "command": "c",
            "rows": [
                {"id": f"row{at}", "label": f"Row {at}", "trained_on": "X", "cells": own, "control": at == 1}
                for at, own in enumerate(cells)
            ],
        }
    )


def costs_of(asked: Plan, records: list[Record]) -> Table | None:
    return next((table for table in results(asked, records).further if table.group == "Efficiency"), None)


def quality_of(asked: Plan, records: list[Record], path: Path) -> Path | None:
    known = results(asked, records)
    return next(iter(quality_plot(known.table, known.lines, path)), None)


def shown(table: Any, row: int) -> dict[str, str]:
    cells = table.rows[row].cells
    assert all(isinstance(cell, Text) for cell in cells)
    return {column.label: cell.text for column, cell in zip(table.columns, cells, strict=True)}


def test_ratios_and_means_over_the_finished_seeds() -> None:
    records = [record("r0s0", COST), record("r0s1", {**COST, "train_seconds": 120.0, "sample_seconds": 10.0})]
    table = costs_of(plan(), records)
    assert table is not None
    assert [row.label for row in table.rows] == ["Row 0"], "a row without a finished cell is left out"
    assert shown(table, 0) == {
        "Parameters": "1.20M",
        "Model file": "41 kB",
        "Training images seen": "1,000",
        "Operations per image seen": "5 GFLOP",
        "Operations of the training": "5 TFLOP",
        "Operations per sample": "800 MFLOP",
        "Training time": "1.5 min",
        "Samples per second": "3.75",
        "Peak memory": "2.0 GB",
    }


def test_what_nobody_knows_has_no_column() -> None:
    bare = {"train_seconds": 60.0, "sample_flops": 4e10, "peak_bytes": 3_000_000_000}
    table = costs_of(plan(), [record("r0s0", bare, parameters=None)])
    assert table is not None
    assert [column.label for column in table.columns] == ["Training time", "Peak memory"]
    few = {"train_seconds": 60.0}
    assert costs_of(plan(), [record("r0s0", few)]) is None, "the main table shows these"
    assert costs_of(plan(), []) is None


def test_it_stands_behind_the_other_tables_and_marks_controls() -> None:
    records = [record(f"r{row}s{seed}", COST) for row in (0, 1) for seed in (0, 1)]
    (table,) = results(plan(), records).further
    assert table.group == "Efficiency"
    assert [row.label for row in table.rows] == ["Row 0", "Row 1 (control)"]


def test_long_labels_do_not_squeeze_the_picture(tmp_path: Path) -> None:
    asked = plan()
    settings = ", ".join(f"training.setting{at}=12345" for at in range(12))
    rows = tuple(row.model_copy(update={"label": f"{row.label} [{settings}]"}) for row in asked.rows)
    records = [record(f"r{row}s{seed}", COST) for row in (0, 1) for seed in (0, 1)]
    long = asked.model_copy(update={"rows": rows})
    # Matplotlib's warning of a squeezed picture would be an error here.
    path = quality_of(long, records, tmp_path / "long.png")
    assert path is not None
    with Image.open(path) as picture:
        assert 300 < picture.size[1] < 1200


def test_the_picture_needs_two_rows_with_both(tmp_path: Path) -> None:
    records = [record(f"r0s{seed}", COST, value=seed) for seed in (0, 1)]
    assert quality_of(plan(), records, tmp_path / "no.png") is None
    records += [record(f"r1s{seed}", {**COST, "train_flops": 9e12}, value=3 + seed) for seed in (0, 1)]
    path = quality_of(plan(), records, tmp_path / "yes.png")
    assert path is not None
    with Image.open(path) as picture:
        assert 600 < picture.size[0] < 700, "a column of a paper at 200 dots per inch"


def test_active_parameters_and_the_database_stand_apart_from_the_model() -> None:
    cost = {**COST, "active_parameters": 900_000, "database_bytes": 3_000_000}
    found = costs_of(plan(), [record("r0s0", cost), record("r1s0", COST)])
    assert found is not None
    keys = [column.key for column in found.columns]
    shown = {key: cell.text for key, cell in zip(keys, found.rows[0].cells, strict=True) if isinstance(cell, Text)}
    assert (shown["parameters"], shown["active"]) == ("1.20M", "900K")
    assert (shown["model"], shown["database"]) == ("41 kB", "3.0 MB")
    blank = dict(zip(keys, found.rows[1].cells, strict=True))["active"]
    assert isinstance(blank, Text)
    assert blank.text == "", "not known is not none"
