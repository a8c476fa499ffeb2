"""Plans of one experiment that may share a table are one, whatever was asked for last; others say how they differ."""

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from conftest import TINY, Cli
from handmade import DATASET, claim, document, record, row
from hypothesis import given
from hypothesis import strategies as st
from tiny import STORE

import prism_bench as pb
from prism_bench.analysis.schema.join_plans import JoinedPlan, join_plans
from prism_bench.analysis.schema.join_rows import in_order
from prism_bench.analysis.schema.records import Plan, Record, load_plan
from prism_bench.analysis.schema.stored_plans import load_tables
from prism_bench.sealed import sealed

Json = dict[str, Any]


def asked(name: str, rows: Sequence[Json], seeds: Sequence[int], kin: str | None = "kin", **changes: Any) -> Plan:
    """A plan whose rows have one cell for each of these seeds, all of one kin."""
    for one in rows:
        one["cells"] = [
            {"seed": seed, "record": f"{one['id']}s{seed}", **({} if kin is None else {"kin": f"{kin}{one['id']}"})}
            for seed in seeds
        ]
    return load_plan({**document(list(rows), [], 1), "plan": name, "seeds": list(seeds), **changes})


def done(*plans: Plan, **changes: Any) -> dict[str, Record]:
    """A finished record for each of their cells."""
    return {name: record(name, 1.0, **changes) for plan in plans for name in plan.records}


def joined(plans: Sequence[Plan], records: dict[str, Record], wanted: Sequence[str] | None = None) -> list[JoinedPlan]:
    def known(plan: Plan) -> dict[str, Record]:
        return {name: records[name] for name in plan.records if name in records}

    return join_plans(plans, [plans[0].plan] if wanted is None else wanted, known)


def seeds_of(table: Plan) -> dict[str, list[int]]:
    return {row.id: [cell.seed for cell in row.cells] for row in table.rows}


def test_rows_and_seeds_of_all_plans_stand_in_one_table() -> None:
    last = asked("p2", [row("a", 0), row("c", 0)], [0])
    first = asked("p1", [row("a", 0), row("b", 0)], [0, 1, 2])
    (table,) = joined([last, first], done(last, first))
    assert seeds_of(table) == {"a": [0, 1, 2], "c": [0], "b": [0, 1, 2]}
    assert table.seeds == (0, 1, 2)
    assert [plan.plan for plan in table.sources] == ["p2", "p1"]
    assert table.plan not in {"p1", "p2"}
    # The order in which they were asked for names the same table.
    assert joined([first, last], done(last, first))[0].plan == table.plan


def test_a_plan_whose_cells_another_has_too_adds_nothing() -> None:
    last, first = asked("p2", [row("a", 0)], [0]), asked("p1", [row("a", 0), row("b", 0)], [0, 1])
    (table,) = joined([last, first], done(last, first))
    assert (table.plan, table.command, table.sources) == ("p1", first.command, (first,))
    assert table.shows("p2")
    twice = first.model_copy(update={"plan": "p0"})
    assert joined([first, twice], done(first))[0].plan == "p1"


def test_a_plan_alone_is_itself() -> None:
    plan = asked("p1", [row("a", 0)], [0, 1])
    (table,) = joined([plan], {})
    assert (table.plan, table.name, table.apart, seeds_of(table)) == ("p1", "t", "", {"a": [0, 1]})


def test_claims_are_over_the_seeds_of_all_plans() -> None:
    claims = [claim(("b", "a"), seeds=0)]

    def with_claim(name: str, seeds: Sequence[int]) -> Plan:
        plan = asked(name, [row("a", 0), row("b", 0)], seeds)
        cells = {one.id: [cell.model_dump() for cell in one.cells] for one in plan.rows}
        for pair in claims[0]["pairs"]:
            for side in (pair["better"], pair["worse"]):
                side["cells"] = cells[side["row"]]
        return plan.model_copy(update={"claims": load_plan({**plan.model_dump(), "claims": claims}).claims})

    last, first = with_claim("p2", [3]), with_claim("p1", [0, 1])
    (table,) = joined([last, first], done(last, first))
    assert [[cell.record for cell in side.cells] for side in table.claims[0].sides] == [
        ["bs0", "bs1", "bs3"],
        ["as0", "as1", "as3"],
    ]
    # What an earlier plan asked for and nobody computed is no part of it.
    (table,) = joined([last, first], {**done(last), "as1": record("as1", 1.0)})
    assert [[cell.seed for cell in side.cells] for side in table.claims[0].sides] == [[3], [1, 3]]
    assert seeds_of(table) == {"a": [1, 3], "b": [3]}


def test_cells_that_were_never_computed_count_where_they_were_asked_for_last() -> None:
    last, first = asked("p2", [row("a", 0)], [0, 1]), asked("p1", [row("a", 0)], [1, 2, 3])
    (table,) = joined([last, first], {"as3": record("as3", 1.0)})
    assert seeds_of(table) == {"a": [0, 1, 3]}
    (table,) = joined([last, first], {})
    assert [plan.plan for plan in table.sources] == ["p2"]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"settings": ["training.images=9"]}, ("no setting changed", "training.images=9")),
        ({"scale": "smoke"}, ("scale laptop", "scale smoke")),
        ({"dataset": {**DATASET, "label": "cats"}}, ("toyfaces 16x16", "cats 16x16")),
        ({"dataset": {**DATASET, "digest": "d1"}}, ("images d0", "images d1")),
        ({"split_seed": 3}, ("split seed 0", "split seed 3")),
        ({"choices": {"precision": "tf32"}}, ("precision: float32", "precision: tf32")),
    ],
)
def test_what_differs_is_a_table_of_its_own_and_names_it(changes: Json, words: tuple[str, str]) -> None:
    last = asked("p2", [row("a", 0)], [0], choices={"precision": "float32"})
    other = asked("p1", [row("a", 0)], [1], **{"choices": {"precision": "float32"}, **changes})
    tables = joined([last, other], done(last, other))
    assert tuple(table.apart for table in tables) == words
    assert [table.name for table in tables] == [f"t {one}" for one in words]


def test_only_the_settings_that_differ_are_named() -> None:
    plans = [
        asked(f"p{number}", [row("a", 0)], [0], settings=["samples=16", *more])
        for number, more in enumerate(([], ["k_max=2"], ["k_max=2", "fixed_k=3"]))
    ]
    tables = joined(plans, done(*plans))
    assert [table.apart for table in tables] == ["no other setting", "k_max=2, no other setting", "fixed_k=3"]


def test_settings_in_another_order_or_given_twice_are_the_same() -> None:
    last = asked("p2", [row("a", 0, label="A [x.y=1, z=2]")], [0], settings=["x.y=1", "z=2"])
    first = asked("p1", [row("a", 0, label="A [z=2, x.y=3, x.y=1]")], [1], settings=["z=2", "x.y=3", "x.y=1"])
    (table,) = joined([last, first], done(last, first))
    assert [one.label for one in table.rows] == ["A"]


@pytest.mark.parametrize(
    ("kins", "tables"), [(("k", "k"), 1), (("k", "other"), 2), ((None, None), 2), (("k", None), 2)]
)
def test_other_seeds_join_only_where_nothing_else_differs(kins: tuple[str | None, str | None], tables: int) -> None:
    """Code that changed between two runs changes the kin: a mean over both would be of nothing."""
    last, first = asked("p2", [row("a", 0)], [1], kins[0]), asked("p1", [row("a", 0)], [0], kins[1])
    found = joined([last, first], done(last, first))
    assert len(found) == tables
    assert all(table.apart == ("" if tables == 1 else f"plan {table.plan}") for table in found)


def test_one_cell_in_common_proves_the_others_of_plans_that_name_no_kin() -> None:
    last, first = asked("p2", [row("a", 0)], [0], None), asked("p1", [row("a", 0)], [0, 1], None)
    assert len(joined([last, first], done(last, first))) == 1
    changed = first.model_dump()
    changed["rows"][0]["cells"][0]["record"] = "another"
    other = load_plan(changed)
    assert len(joined([last, other], done(last, other))) == 2


def test_rows_of_one_name_that_are_two_things_share_no_table() -> None:
    last = asked("p2", [row("a", 0), row("b", 0)], [0])
    other = asked("p1", [row("a", 0, changes={"k_max": [1, 2]}), row("c", 0)], [1])
    assert len(joined([last, other], done(last, other))) == 2


def test_a_metric_measured_in_two_ways_shares_no_table() -> None:
    last, other = asked("p2", [row("a", 0)], [0]), asked("p1", [row("b", 0)], [0])
    records = done(last, other)
    assert len(joined([last, other], records)) == 1
    again = records["bs0"].model_dump()
    again["values"][0]["fingerprint"] = "e" * 16
    assert len(joined([last, other], records | {"bs0": Record.model_validate_json(json.dumps(again))})) == 2


def test_one_row_and_seed_of_two_trainings_shares_no_table() -> None:
    """k_sample tells the cells apart, so that nothing else would show it."""

    def at(k: int, name: str) -> Plan:
        plan = asked(name, [row("a", 0)], [0])
        cells = tuple(
            it.model_copy(update={"k_sample": k, "record": f"a{k}", "kin": f"a{k}"}) for it in plan.rows[0].cells
        )
        return plan.model_copy(update={"rows": (plan.rows[0].model_copy(update={"cells": cells}),)})

    last, other = at(4, "p2"), at(1, "p1")
    (table,) = joined([last, other], done(last, other))
    assert [cell.k_sample for cell in table.rows[0].cells] == [1, 4]
    records = done(last, other) | {"a1": record("a1", 1.0, stages={"training": "another"})}
    assert len(joined([last, other], records)) == 2


def test_open_choices_name_the_rows_that_have_them() -> None:
    choice: Json = {"path": "heads", "value": 4, "status": "open", "words": "", "rows": []}
    last = asked("p2", [row("a", 0)], [0], ledger=[choice])
    first = asked("p1", [row("a", 0), row("b", 0)], [0], ledger=[{**choice, "rows": ["A"]}, {**choice, "path": "m"}])
    (table,) = joined([last, first], done(last, first))
    assert [(it.path, it.rows) for it in table.ledger] == [("heads", ("A",)), ("m", ())]


@given(st.lists(st.lists(st.sampled_from("abcdef"), unique=True), max_size=4))
def test_all_names_stand_once_and_the_longest_list_keeps_its_order(lists: list[list[str]]) -> None:
    found = in_order(lists)
    assert sorted(found) == sorted({name for names in lists for name in names})
    longest = max(lists, key=len, default=[])
    assert [name for name in found if name in longest] == longest


def test_a_baseline_that_only_an_earlier_plan_has_stays_first() -> None:
    assert in_order([["rag", "prism", "real"], ["patchd", "rag", "st", "prism"]]) == [
        "patchd", "rag", "st", "prism", "real",
    ]  # fmt: skip


SMALL = f"{TINY} --set training.images=32 --set sampler.steps=2 --set samples=8"


def test_a_quick_second_run_takes_nothing_out_of_the_report(cli: Cli) -> None:
    """Two seeds of two rows; then one seed with a control; then one with another setting."""

    def report(options: str = "") -> tuple[list[Json], list[str]]:
        said = cli(f"report ablation-table3 --json {options}")
        assert said.code == 0, said.err
        return json.loads(said.out)["tables"], said.err.splitlines()

    def cells() -> dict[str, list[int]]:
        measured = pb.results(STORE).query("kind == 'measured'")
        return {row: sorted(own) for row, own in measured.groupby("row")["seed"].unique().items()}

    assert cli(f"run ablation-table3 {SMALL} --seeds 0-1 --only variant=patchd|rag").code == 0
    (first,), _ = report()
    second = cli(f"run ablation-table3 {SMALL} --seeds 0 --with real-images --only variant=rag|real-images")
    assert second.code == 0
    # The run prints the table that the report has, and says so.
    assert "PatchD" in second.out
    assert "Real images" in second.out
    assert "ablation-table3: one table of 2 plans" in second.err + second.out
    assert cells() == {"patchd": [0, 1], "rag": [0, 1], "real-images": [0]}
    (whole,), said = report()
    assert whole["plan"] not in {"", first["plan"]}
    assert any(line.startswith("ablation-table3: one table of 2 plans") for line in said)
    folder = Path(STORE, "reports", "ablation-table3")
    pages = sorted(folder.glob("*/ablation-table3.md"))
    assert len(pages) == 1
    page = pages[0].read_text()
    commands = page.partition("## How to compute it again")[2]
    assert commands.count("prism-bench run ablation-table3") == 2
    assert "Rows of other seeds: Real images of X_train (control) (seed 0)." in page
    # Pictures show all rows too: those of an earlier run are drawn from its records.
    assert {path.stem for path in pages[0].parent.glob("grid-*.png")} == {"grid-patchd", "grid-rag", "grid-real-images"}

    assert cli(f"run ablation-table3 {SMALL} --seeds 0 --only variant=patchd --set training.images=16").code == 0
    both, _ = report()
    assert len(both) == 2
    assert len({path.parent for path in folder.glob("*/ablation-table3.tex")}) == 2
    text = Path(STORE, "reports", "all.tex").read_text()
    labels = re.findall(r"\\label\{(.*?)\}", text)
    assert len(labels) == len(set(labels)) >= 2
    assert "training.images=16" in " ".join(table["name"] for table in both)

    (alone,), _ = report(f"--plan {first['plan'][:6]}")
    assert alone["plan"] == first["plan"]
    refused = cli("report ablation-table3 --plan zz")
    assert refused.code == 2
    assert "--plan zz: no plan of ablation-table3 begins so; ablation-table3 has " in refused.err


def test_what_no_table_shows_is_said(cli: Cli) -> None:
    assert cli(f"run ablation-table3 {SMALL} --only variant=patchd").code == 0
    folder = Path(STORE, "experiments", "ablation-table3")
    (path,) = folder.glob("*.json")
    never = json.loads(path.read_text())
    never["plan"], never["rows"][0]["cells"][0]["record"] = "a" * 32, "b" * 32
    (folder / f"{'a' * 32}.json").write_text(json.dumps(sealed(never)))
    (folder / f"{'c' * 32}.json").write_text("{")
    said = cli("report all")
    assert said.code == 0, said.err
    assert f"ablation-table3: plan {'a' * 8} is left out: nothing of it was computed (prism-bench run" in said.out
    assert re.search(rf"{'c' * 32}.json.*\(left out: an earlier plan of ablation-table3\)", said.out + said.err)
    assert len(load_tables("ablation-table3", Path(STORE))) == 1
