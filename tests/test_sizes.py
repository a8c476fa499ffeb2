"""Table 1 whole: sizes and times measured here, the paper's beside them, and neither taken for the other."""

from typing import Any

import pytest
from handmade import build, cells, plan_of, record, results, row

from prism_bench.analysis.formats.console import table_text
from prism_bench.analysis.formats.html.html_table import table_html
from prism_bench.analysis.formats.latex import document_tex
from prism_bench.analysis.formats.markdown import table_markdown
from prism_bench.analysis.schema.records import Plan
from prism_bench.analysis.table.results import Results
from prism_bench.analysis.table.table_model import Quoted, Table, Text
from prism_bench.experiments.paper.published import TITLES, paper_numbers
from prism_bench.experiments.paper.scales import SCALES
from prism_bench.experiments.paper.table1 import Table1

OURS = {"patchd": 11_394_371, "rissole": 49_110_000, "prism": 13_500_000}
"""Parameters of the rows, as records have them."""


def table_1(*panels: str, scale: str = "paper") -> Results:
    """Table 1 of these datasets, every row finished with one seed."""
    numbers: dict[str, list[dict[str, Any]]] = {}
    labels = {}
    for panel in panels:
        for one in Table1().rows(panel, SCALES["paper"].on("cifar10")):
            labels[one.id] = one.label
            numbers.setdefault(one.id, []).extend(number._asdict() for number in one.quoted)
    rows = [
        {
            "id": name, "label": labels[name], "trained_on": "X", "cells": cells(name, 1), "quoted": quoted,
            "train_images": 3000, "retrieval_images": 2000 if name == "prism" else 0,
        }
        for name, quoted in numbers.items()
    ]  # fmt: skip
    plan: Plan = plan_of(rows, [], 1, scale=scale, quoted_source="PRISM, Table 1: FID")
    return results(plan, [record(f"{name}s0", 9.0, parameters=OURS[name]) for name in numbers])


def column(table: Table, key: str) -> list[object]:
    index = [column.key for column in table.columns].index(key)
    return [row.cells[index] for row in table.rows if row.kind != "floor"]


@pytest.mark.parametrize("panel", TITLES)
def test_at_one_dataset_the_papers_sizes_stand_beside_ours(panel: str) -> None:
    table = table_1(panel).table
    told = [one for one in paper_numbers()["table1"] if one["dataset"] == panel]
    quoted = {
        name: [
            cell.value if isinstance(cell, Quoted) else None
            for cell in column(table, f"quoted: {TITLES[panel]} {name}")
        ]
        for name in ("FID", "model size", "retrieval set", "training set", "training time")
    }
    assert quoted == {
        "FID": [one["fid"] for one in told],
        "model size": [int(one["params"][:-1]) * 1_000_000 for one in told],
        "retrieval set": [one["retrieval"] for one in told],
        "training set": [one["train"] for one in told],
        "training time": [one["hours"] for one in told],
    }
    assert column(table, "train_images") == [Text(text="3,000")] * len(told)
    assert column(table, "retrieval_images")[-1] == Text(text="2,000")
    assert column(table, "retrieval_images")[0] == Text(text="none")
    assert column(table, "parameters")[0] == Text(text="11.4M")
    assert column(table, "train_seconds")[0] == Text(text="1.0 min")
    kinds = [one.kind for one in table.columns]
    assert kinds == sorted(kinds, key=["words", "measured", "count", "quoted"].index), "ours first, then the paper's"


def test_every_format_shows_them_and_marks_them_as_quoted() -> None:
    part = table_1("celeba")
    for shown in (
        table_text(part.table, 250),
        table_markdown(part),
        document_tex([part.first, *part.appendix]),
        str(table_html(part.table)),
    ):
        words = " ".join(shown.replace("\\\\", " ").split())
        assert "Model size" in words
        assert "Retrieval set" in words
        for text in ("35M", "42M", "162,000", "70,000", "232,000", "14 h", "10 h"):
            assert text in shown
        assert "Published numbers from PRISM, Table 1" in words
    lines = part.frame[part.frame["kind"] == "quoted"]
    assert set(lines["unit"].dropna()) == {"parameters", "images", "h"}
    assert lines.loc[lines["unit"].notna(), "better"].isna().all()
    assert lines[["parameters", "train_images", "train_seconds"]].isna().all(axis=None), "a publication's are not ours"


def test_where_rows_have_several_datasets_they_stand_in_a_table_of_their_own() -> None:
    part = table_1(*TITLES, scale="laptop")
    assert [one.key for one in part.table.columns if one.unit] == []
    (table,) = (table for table in part.further if table.group.startswith("Published"))
    assert len(table.rows) == len(paper_numbers()["table1"]) == 9
    assert {one.kind for one in table.columns} == {"quoted"}
    assert [one.label for one in table.columns] == ["Model size", "Retrieval set", "Training set", "Training time"]
    assert table.rows[2].label == "CIFAR-10 32x32: ST + RAG + PatchD + DS (PRISM)"
    assert [cell.value for cell in table.rows[2].cells if isinstance(cell, Quoted)] == [13e6, 40_000, 10_000, 2]
    assert "Published sizes" in table_markdown(part)
    assert part.agreements[0].n == 3, "sizes are no order of quality"


def test_a_network_of_another_size_than_the_papers_is_named() -> None:
    assert another_network(table_1("afhqv2")) == [
        "PatchD has 11.4M parameters here and 27M in the publication (AFHQv2 64x64): another network."
    ]
    assert not another_network(table_1("cifar10")), "11.4M is printed as 11M"
    assert not another_network(table_1("afhqv2", scale="laptop")), "another size is no surprise there"


def another_network(part: Results) -> list[str]:
    return [said for said in part.table.remarks if said.endswith("another network.")]


def test_plans_that_say_no_sizes_keep_their_columns() -> None:
    table = build(plan_of([row("a", 1, 3.5)], [], 1), [record("as0", 9.0)])
    assert [one.label for one in table.columns if one.kind == "count"] == ["Parameters", "Training time"]
