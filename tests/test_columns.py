"""What a table shows at first: labels that hold what differs, and the columns that answer the question."""

from dataclasses import replace
from pathlib import Path

import pytest
from conftest import Cli
from handmade import claim, document, plan_of, record, record_json, results, row

from prism_bench.analysis.frame.frame import frame_of, joined
from prism_bench.analysis.frame.table_lines import table_lines
from prism_bench.analysis.schema.records import Plan, Record, load_plan, load_record
from prism_bench.analysis.table.spread import SPREADS
from prism_bench.analysis.table.table_model import Measured, Table

SET = ("training.images=128", "sampler.steps=3")
SUFFIX = f" [{', '.join(SET)}]"


def labelled(*labels: str, **changes: object) -> dict[str, object]:
    """A plan's file of rows a, b, ... with these labels."""
    rows = [{**row(name, 1), "label": label} for name, label in zip("abc", labels, strict=False)]
    return document(rows, [], 1, **changes)


def test_settings_of_all_rows_stand_in_the_caption_and_not_in_labels() -> None:
    plan = load_plan(labelled(f"PRISM{SUFFIX}", f"[RAG] [x]{SUFFIX}", settings=list(SET)))
    found = results(plan, [record("as0", 1.0), record("bs0", 2.0)])
    assert [line.label for line in found.table.rows[:2]] == ["PRISM", "[RAG] [x]"]
    assert "Settings of all rows: training.images=128, sampler.steps=3." in found.table.caption
    assert set(found.frame["label"]) == {"PRISM", "[RAG] [x]"}
    assert set(found.frame["settings"]) == {"training.images=128, sampler.steps=3"}


def test_what_only_some_labels_end_in_stays() -> None:
    plan = load_plan(labelled(f"PRISM{SUFFIX}", "RAG [training.images=9]", settings=list(SET)))
    assert [one.label for one in results(plan, []).table.rows] == [f"PRISM{SUFFIX}", "RAG [training.images=9]"]
    assert [one.label for one in results(plan_of([row("a", 1, label="A [b]")], [], 1), []).plan.rows] == ["A [b]"]


def test_plans_of_other_settings_are_told_apart_by_what_differs() -> None:
    one = load_plan(labelled(f"PRISM{SUFFIX}", settings=list(SET), plan="p1"))
    other = load_plan(labelled("PRISM [sampler.steps=3]", settings=["sampler.steps=3"], plan="p2"))
    lines = table_lines(joined([frame_of(plan, [record("as0", 1.0)]) for plan in (one, other)]))
    assert lines.lines["label"].tolist() == ["PRISM [training.images=128]", "PRISM"]
    lists = [["x.betas=[0.9, 0.99]", "batch=8"], ["x.betas=[0.9, 0.999]", "batch=8"]]
    plans = [load_plan(labelled("PRISM", settings=own, plan=f"p{i}")) for i, own in enumerate(lists)]
    lines = table_lines(joined([frame_of(plan, [record("as0", 1.0)]) for plan in plans]))
    assert lines.lines["label"].tolist() == ["PRISM [x.betas=[0.9, 0.99]]", "PRISM [x.betas=[0.9, 0.999]]"]


def outcomes() -> Plan:
    """A plan whose claim names its outcomes, the second of them not the second metric."""
    judged = {**claim(("b", "a"), seeds=2), "outcomes": [{"of": "appearance", "metric": "fd"}]}
    judged["outcomes"].append({"of": "global coherence", "metric": "far"})
    return plan_of([row("a", 2, 21.99), row("b", 2, 16.46)], [judged], 2)


def measured() -> list[Record]:
    """Two seeds of both rows in four metrics of the main table and one of a further one."""
    records = []
    for name, fd in (("a", 30.0), ("b", 20.0)):
        for seed in (0, 1):
            data = record_json(f"{name}s{seed}", fd + seed, 0.5 + 0.1 * seed)
            far = data["values"].pop()
            for more, group in (("fd_pixels", ""), ("kid_x", ""), ("copies", "Memorisation")):
                value = {**far, "name": more, "label": f"{more[:2].upper()} (encoder-x)", "group": group}
                data["values"].append({**value, "better": "lower"})
            data["values"].append(far)
            records.append(load_record(data))
    return records


def keys(table: Table | None) -> list[str]:
    return [] if table is None else [column.key for column in table.columns]


def test_the_usual_columns_are_outcomes_kid_and_cost_and_the_others_follow() -> None:
    found = results(outcomes(), measured())
    assert keys(found.shown) == ["fd", "far", "kid_x", "train_seconds"]
    assert keys(found.others) == ["fd_pixels", "quoted: CelebA FID"]
    assert [len(row.cells) for row in found.shown.rows] == [4, 4, 4]
    assert len(found.shown.caption) == 2
    assert "over features of encoder-x" in found.shown.caption[1]
    assert [column.label for column in found.shown.columns][2] == "KI"
    assert "The same in all rows: Trained on X, Parameters 1.00K." in found.shown.details
    assert {column.mark for column in found.shown.columns} == {""}, "nothing published stands beside them"


def test_columns_are_chosen_by_name_or_its_beginning() -> None:
    found = replace(results(outcomes(), measured()), columns=("kid", "copies", "trained", "quoted", "no_such"))
    assert keys(found.shown) == ["kid_x", "copies", "trained_on", "quoted: CelebA FID"]
    assert keys(found.others) == ["fd", "fd_pixels", "far"]
    assert found.missing_columns == ["no_such"]
    assert "no_such was not measured here." in found.shown.details
    assert [column.mark for column in found.shown.columns] == ["†", "", "", "‡"]
    assert [sentence[0] for sentence in found.shown.caption[2:]] == ["†", "‡"]
    whole = replace(found, columns=("all",))
    assert (keys(whole.shown), keys(whole.others)) == (keys(whole.table), [])


def test_what_stands_behind_a_mean_is_chosen_and_said() -> None:
    found = results(outcomes(), measured())
    sizes = {}
    for spread in SPREADS:
        shown = replace(found, spread=spread).shown
        cell = shown.rows[0].cells[0]
        assert isinstance(cell, Measured)
        sizes[spread] = cell.half_width
        said = {"ci": "± half-width of the 95% t interval", "sd": "± standard deviation", "none": "Means over 2 seeds"}
        assert said[spread] in shown.caption[1]
        assert (cell.best, cell.mean) == (False, 30.5)
    assert sizes == {"ci": pytest.approx(6.3531, rel=1e-4), "sd": pytest.approx(0.7071, rel=1e-3), "none": None}


def test_the_command_chooses_columns_and_spread(cli: Cli, store: Path) -> None:
    line = f"report ablation-table3 --store {store} --format latex,markdown"
    said = cli(f"{line} --out out --columns far_corr,parameters,quoted --spread none")
    assert said.code == 0, said.err
    text = Path("out/ablation-table3/ablation-table3.tex").read_text()
    assert "random splits of them" not in Path("out/ablation-table3/ablation-table3.md").read_text(), "no ± to explain"
    assert (r"correlation" in text, "Parameters" in text, r"\textit{" in text, "KID" in text) == (True,) * 3 + (False,)
    for options, message in (
        ("--columns no_such", "--columns: no metric is called 'no_such'"),
        ("--columns fd", "'fd' begins fd_"),
        ("--columns ,", "--columns"),
        ("--spread sem", "--spread sem: known are ci, sd, none"),
    ):
        said = cli(f"{line} --out none {options}")
        assert (said.code, message in said.err, Path("none").exists()) == (2, True, False), said.err
