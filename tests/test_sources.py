"""The list of open choices: every field of the paper's methods says whether the paper gives it, and reports tell."""

from collections.abc import Iterator
from dataclasses import dataclass, fields
from pathlib import Path
from typing import ClassVar

import pytest
from conftest import Cli
from handmade import plan_of, results, row
from test_catalog import planned

from prism_bench.analysis.formats.html.page import page_html
from prism_bench.analysis.formats.markdown import table_markdown
from prism_bench.experiments.planning.ledger import of_cell, of_plan
from prism_bench.experiments.planning.plan import Plan
from prism_bench.prism.component import Component
from prism_bench.prism.sources import OF_ITSELF, WHOLE, Choice, Sources, choices, given, left_open, sources_of


@pytest.fixture(scope="module")
def paper(tmp_path_factory: pytest.TempPathFactory) -> list[Plan]:
    return planned(tmp_path_factory.mktemp("paper"), "all", scale="paper")


def of_rows(plans: list[Plan]) -> Iterator[Choice]:
    """Every choice of the paper's rows, given ones too."""
    for plan in plans:
        yield from of_plan(plan.request)
        for cell in plan.cells:
            yield from of_cell(cell)


def test_every_field_of_the_papers_methods_says_what_the_paper_says_of_it(paper: list[Plan]) -> None:
    every = list(of_rows(paper))
    assert {"aggregator.heads", "training.ema_rampup", "sampler.steps", "split.by_class"} <= {it.path for it in every}
    forgotten = {
        f"{kind.__module__}: {kind.__name__}.sources has no {field!r} ({path})"
        for path, _, status, _, (kind, field) in every
        if status == "not described"
    }
    assert not forgotten, "say `given` with its place in the paper, `left_open` or `differs`: " + "; ".join(forgotten)


def test_a_new_field_is_noticed() -> None:
    @dataclass(frozen=True, kw_only=True)
    class Part(Component, family="part", name="part"):
        sources: ClassVar[Sources] = {"old": given("section 4"), OF_ITSELF: left_open("which part")}
        old: int = 1
        new: int = 2

    assert [(it.path, it.status, it.owner) for it in choices(Part(), "part")] == [
        ("part", "open", (Part, OF_ITSELF)),
        ("part.old", "given", (Part, "old")),
        ("part.new", "not described", (Part, "new")),
    ]


def test_a_component_without_notes_is_listed_as_not_described() -> None:
    @dataclass(frozen=True, kw_only=True)
    class Mine(Component, family="mine", name="mine"):
        one: int = 1

    assert [it[:4] for it in choices(Mine(), "aggregator")] == [("aggregator", "mine", "not described", "")]


def test_notes_speak_of_fields_that_are_there() -> None:
    kinds = {kind for members in Component.members.values() for kind in members.values()}
    described = [kind for kind in kinds if sources_of(kind)]
    assert len(described) > 20
    for kind in described:
        assert set(sources_of(kind)) - {OF_ITSELF, WHOLE} <= {field.name for field in fields(kind)}, kind


def test_what_is_open_or_differs_stands_in_the_plan(paper: list[Plan]) -> None:
    by_name = {(plan.request.experiment.name, plan.request.panel): plan.document for plan in paper}
    ledger = {choice.path: choice for choice in by_name["ablation-table3", "CelebA 64x64"].ledger}
    for path, value, words in (
        ("patches.enlarge", True, "8 pixels"),
        ("training.ema_rampup", 0.05, "5%"),
        ("training.precision", "bfloat16", "FP16"),
        ("aggregator.heads", 4, "attention heads"),
        ("aggregator.inducing", 32, "inducing points"),
        ("schedule.k_train", 16, "k_max / 2"),
        ("sampler", "heun", "not named"),
        ("dataset", "celeba", "202,599 + 30,000"),
    ):
        assert ledger[path].value == value
        assert words in ledger[path].words
    assert {choice.status for choice in ledger.values()} == {"open", "differs"}
    assert ledger["schedule.k_train"].rows == ("RAG + PatchD", "ST + RAG + PatchD")
    assert ledger["training.ema_rampup"].rows == (), "all of them"
    assert (ledger["aggregator.plain"].value, ledger["aggregator.plain"].rows) == (False, ("RAG + PatchD",))
    assert "diffusion.loss" not in ledger, "the sum is the paper's"
    assert "section 5.3" in ledger["aggregator.projection"].words
    (other,) = [choice for choice in by_name["table1", "CIFAR-10 32x32"].ledger if choice.value == "rissole"]
    assert other.rows == ("RISSOLE",)


def test_a_value_that_is_not_the_papers_differs(tmp_path: Path) -> None:
    for settings, said in (((), []), (("denoiser.norm_tiles=true",), [True])):
        (plan,) = planned(tmp_path, "table3", scale="smoke", settings=settings)
        assert [choice.value for choice in plan.document.ledger if choice.path == "denoiser.norm_tiles"] == said


def test_reports_print_the_list_and_plans_keep_their_digest(cli: Cli, made: Path) -> None:
    choice = {"path": "training.x", "value": 0.5, "status": "differs", "words": "a | b", "rows": ["A"]}
    plan = plan_of([row("a", 1)], [], 1, ledger=[choice], choices={"k": 1})
    assert r"| `training.x` | 0.5 | otherwise | a \| b | A |" in table_markdown(results(plan, []))
    assert "<td>a | b</td>" in page_html([results(plan, [])])
    assert "Setting" not in table_markdown(results(plan_of([row("a", 1)], [], 1, choices={"k": 1}), []))
    said = cli(f"report all --store {made} --out tables --format html,markdown")
    assert said.code == 0, said.err
    for path in (Path("tables/index.html"), *Path("tables").glob("**/ablation-table3.md")):
        assert "no ramp-up of the EMA is named" in path.read_text()
