"""The page: well-formed, self-contained, complete, the same bytes for the same records; and the commands on it."""

import json
import re
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from conftest import TINY, Cli
from handmade import Json, cells, claim, document, plan_of, record_json, row
from PIL import Image

from prism_bench.analysis.errors import AnalysisError
from prism_bench.analysis.formats.rerun_command import cell_command
from prism_bench.analysis.report.write_report import Source
from prism_bench.analysis.report.write_reports import write_reports
from prism_bench.analysis.schema.records import load_plan
from prism_bench.analysis.stats.statistics import BOOTSTRAP, POOLED

VOID = {"meta", "img", "br", "hr"}
NASTY = "<script>alert('x')</script> & \"quotes\""


class Page(HTMLParser):
    """Checks that elements nest, and collects what a test asks for."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(page)
        assert not self.open, f"never closed: {self.open}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if not self.open or self.open[-1] not in {"style", "script"}:
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


def store_with(folder: Path, numbers: dict[str, list[float]]) -> Path:
    (folder / "records").mkdir(parents=True)
    for name, values in numbers.items():
        for seed, fd in enumerate(values):
            path = folder / "records" / f"{name}s{seed}.json"
            path.write_text(json.dumps(record_json(f"{name}s{seed}", fd)))
    return folder


def table3(seeds: int = 2) -> Json:
    rows = [row("a", seeds, 21.99), {**row("b", seeds, 16.46), "label": NASTY}]
    return document(rows, [claim(("b", "a"), seeds=seeds, factors=("aggregator", "training_set"))], seeds)


def draw(path: Path, width: int = 4, height: int = 4) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.zeros((height, width, 3), np.uint8)).save(path)


def page_of(folder: Path, plans: list[Json], store: Path, **options: object) -> str:
    sources = [Source(plan=load_plan(plan), folder=folder / str(index)) for index, plan in enumerate(plans)]
    *_, path = write_reports(sources, store, folder, ("html",), **options)  # type: ignore[arg-type]
    return path.read_text(encoding="utf-8")


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return store_with(tmp_path / "store", {"a": [30.0, 31.0], "b": [20.0, 20.5]})


def test_the_page_is_well_formed_and_loads_nothing(tmp_path: Path, store: Path) -> None:
    draw(tmp_path / "out" / "0" / "grid-a.png")
    page = page_of(tmp_path / "out", [table3()], store)
    found = Page(page)
    for name, attributes in found.tags:
        for key in ("src", "href", "srcset", "action"):
            value = attributes.get(key) or "#"
            assert value.startswith(("#", "data:image/", "../store/records/")), (name, value)
    assert not {"link", "iframe", "object", "base"} & {name for name, _ in found.tags}
    assert [attributes for name, attributes in found.tags if name == "script"] == [{}], "one, of our own, inline"
    for asks in ("url(", "@import", "http:", "https:", "fetch(", "XMLHttpRequest", "import("):
        assert asks not in page
    images = [attributes for name, attributes in found.tags if name == "img"]
    assert len(images) == 3, "the row's grid, and intervals and quality over compute, drawn from the records"
    assert all(attributes["alt"] for attributes in images)


def test_everything_is_escaped(tmp_path: Path, store: Path) -> None:
    draw(tmp_path / "out" / "0" / "grid-b.png")
    page = page_of(tmp_path / "out", [table3()], store)
    assert page.count("<script") == 1
    assert "<script>alert" not in page
    found = Page(page)
    assert NASTY in found.text
    # In attributes too: what screen readers call a grid, and what its enlarging button says.
    assert any(NASTY in str(value) for name, attributes in found.tags if name == "img" for value in attributes.values())


def test_measured_and_quoted_stand_apart_with_floor_interval_verdict_and_cost(tmp_path: Path, store: Path) -> None:
    found = Page(page_of(tmp_path / "out", [{**table3(), "choices": {"order": "random"}}], store))
    for words in (
        "On toyfaces 16x16, scale laptop, seeds 0, 1; 4 of 4 cells",
        "quoted, not measured here",
        "21.99",
        "Real images (baseline)",
        "30.50",
        "± 6.35",
        "At a glance",
        "undecided",
        "It helps",
        "differ in aggregator and training_set, so their difference has no single cause",
        "--controls",
        "2 TFLOP",
        "Holm",
        "Open choices in force",
        "torch",
    ):
        assert words in found.text, words


def test_every_cell_has_its_record_digests_and_command(tmp_path: Path, store: Path) -> None:
    found = Page(page_of(tmp_path / "out", [table3()], store))
    titles = {attributes.get("title") for name, attributes in found.tags if name == "code"}
    assert {"as0", "as1", "bs0", "bs1", "abc"} <= titles
    for name in "ab":
        for seed in (0, 1):
            assert f"prism-bench run t --only variant={name},seed={seed}" in found.text


def test_headings_are_in_order_and_cells_have_scopes(tmp_path: Path, store: Path) -> None:
    found = Page(page_of(tmp_path / "out", [table3()], store))
    levels = [int(name[1]) for name, _ in found.tags if re.fullmatch(r"h\d", name)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(b - a <= 1 for a, b in pairwise(levels))
    assert all("scope" in attributes for name, attributes in found.tags if name == "th")


def test_anchors_lead_somewhere_and_are_distinct(tmp_path: Path, store: Path) -> None:
    other = {**table3(), "experiment": "u", "panel": "CelebA 64x64"}
    again = {**table3(), "plan": "p1"}
    found = Page(page_of(tmp_path / "out", [table3(), other, again], store))
    ids = [attributes["id"] for _, attributes in found.tags if "id" in attributes]
    links = [str(attributes["href"]) for name, attributes in found.tags if name == "a"]
    assert len(ids) == len(set(ids))
    assert {link[1:] for link in links if link.startswith("#")} <= set(ids)
    records = {link for link in links if not link.startswith("#")}
    assert records == {f"../store/records/{name}s{seed}.json" for name in "ab" for seed in (0, 1)}
    assert all((tmp_path / "out" / link).is_file() for link in records)
    labelled = {attributes["aria-labelledby"] for _, attributes in found.tags if "aria-labelledby" in attributes}
    assert labelled <= set(ids)


def test_the_same_records_give_the_same_bytes(tmp_path: Path, store: Path) -> None:
    one, other = (page_of(tmp_path / name, [table3()], store) for name in ("one", "other"))
    assert one == other
    assert str(tmp_path) not in one


def test_partial_results_and_none_are_shown_as_such(tmp_path: Path) -> None:
    some = store_with(tmp_path / "some", {"a": [30.0]})
    page = Page(page_of(tmp_path / "out", [table3()], some)).text
    assert "not tested" in page
    assert "not run yet" in page
    nothing = store_with(tmp_path / "nothing", {})
    page = Page(page_of(tmp_path / "none", [table3()], nothing)).text
    assert "No cell has been measured yet" in page
    assert "0 of 4" in page


def test_the_estimator_is_the_one_that_was_asked_for(tmp_path: Path) -> None:
    store = store_with(tmp_path / "store", {"a": [30.0, 31.0, 33.0, 30.5, 31.5], "b": [20.0, 20.5, 22.0, 21.0, 20.2]})
    assert "95% t interval" in page_of(tmp_path / "t", [table3(5)], store)
    page = page_of(tmp_path / "b", [table3(5)], store, estimator=BOOTSTRAP)
    assert "95% bootstrap interval" in page
    assert "95% t interval" not in page
    page = page_of(tmp_path / "p", [table3(5)], store, estimator=POOLED)
    assert "95% pooled t interval" in page
    assert "Pooled: the spread of differences is one for all rows" in page


def test_a_bootstrap_of_too_few_seeds_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    """One row has a seed less than the others, which would do."""
    numbers = [30.0, 31.0, 33.0, 30.5, 31.5]
    store = store_with(tmp_path / "store", {"a": numbers, "b": numbers[:4], "c": numbers})
    whole = document([row("a", 5), row("c", 5)], [], 5)
    with pytest.raises(AnalysisError, match=r"needs at least 5 seeds, and .* has 4"):
        page_of(tmp_path / "out", [whole, table3(5)], store, estimator=BOOTSTRAP)
    assert not (tmp_path / "out").exists()


def test_a_phone_scrolls_tables_and_not_the_page(tmp_path: Path, store: Path) -> None:
    page = page_of(tmp_path / "out", [table3()], store)
    assert '<meta name="viewport" content="width=device-width, initial-scale=1">' in page
    assert re.search(r"\.scroll \{[^}]*overflow-x: auto", page)
    assert "prefers-color-scheme: dark" in page
    opened: list[str | None] = []
    for name, attributes in Page(page).tags:
        if name == "table":
            assert opened[-1] in {"scroll", "forest"}
        if name in {"div", "table", "figure"}:
            opened.append(attributes.get("class"))


def test_landmarks_and_headings_say_where_one_is(tmp_path: Path, store: Path) -> None:
    found = Page(page_of(tmp_path / "out", [table3()], store))
    names = [name for name, _ in found.tags]
    assert [names.count(name) for name in ("header", "nav", "main", "h1")] == [1, 1, 1, 1]
    assert all("aria-labelledby" in attributes for name, attributes in found.tags if name == "section")
    assert all("aria-label" in attributes for name, attributes in found.tags if name == "nav")
    assert all("aria-label" in attributes for _, attributes in found.tags if attributes.get("class") == "scroll")


def test_the_first_screen_says_who_wins_by_how_much_and_whether_it_is_real(tmp_path: Path, store: Path) -> None:
    """The sentence, the picture of differences, and the columns that claims are judged by, before anything else."""
    page = page_of(tmp_path / "out", [table3()], store)
    found, (sentence,) = Page(page), re.findall(r"<li><a href=\"#t\">Table 3</a>\s*<div><p>(.*?)</p>", page)
    assert "beats A by 10.25 FD [7.07, 13.43]" in sentence
    marks = [str(attributes["aria-label"]) for name, attributes in found.tags if name == "svg" and attributes]
    alts = [alt for alt in marks if " against A in FD: +10.25 [7.07, 13.43], better, " in alt]
    assert len(alts) == 1
    order = [page.index(it) for it in (sentence, '<figure class="forest"', 'class="data"', ">Samples<", ">Claims<")[:3]]
    assert order == sorted(order)
    folded = [attributes for name, attributes in found.tags if "data-folded" in attributes]
    heads = [
        attributes for name, attributes in found.tags if name == "th" and "measured" in str(attributes.get("class"))
    ]
    assert folded
    assert len(heads) > 1


def test_alt_texts_have_numbers(tmp_path: Path, store: Path) -> None:
    draw(tmp_path / "out" / "0" / "grid-a.png")
    found = Page(page_of(tmp_path / "out", [table3()], store))
    alts = [str(attributes["alt"]) for name, attributes in found.tags if name == "img"]
    assert "Samples of A, seed 0; over all its samples FD 30.50 ± 6.35" in " ".join(alts)
    (intervals,) = (alt for alt in alts if alt.startswith("FD: A 30.50"))
    assert "Real images (baseline) 0.50" in intervals
    (cost,) = (alt for alt in alts if alt.startswith("Operations of the training"))
    assert "A 2 TFLOP, 30.50 ± 6.35" in cost


def test_a_sentence_stands_once_in_a_section(tmp_path: Path, store: Path) -> None:
    page = page_of(tmp_path / "out", [table3()], store)
    for words in ("† Measured here at scale laptop", "‡ Published numbers from PRISM", "over 2 seeds, n = 100 samples"):
        assert page.count(words) == 1, words


def test_hovering_tells_every_seed_and_sorting_knows_the_numbers(tmp_path: Path) -> None:
    store = store_with(tmp_path / "store", {"a": [30.123456789, 31.0], "b": [20.0, 20.5]})
    found = Page(page_of(tmp_path / "out", [table3()], store))
    cells = [attributes for name, attributes in found.tags if name == "td" and "data-order" in attributes]
    assert any("seed 0: 30.12345679, seed 1: 31" in str(it.get("title")) for it in cells)
    assert any(it["data-order"] == "20.25" for it in cells)
    assert any(it.get("title") == "21.99, published, not measured here" for it in cells)
    assert any(it.get("title") == "60 s" and it["data-order"] == "60" for it in cells), "the time behind 1.0 min"


def test_runs_of_mlflow_are_linked_where_the_store_knows_them(tmp_path: Path, store: Path) -> None:
    address = "http://127.0.0.1:5000/#/experiments/1/runs/abc"
    page = page_of(tmp_path / "out", [table3()], store, runs={("a", "as0"): address})
    assert f'<a href="{address}">' in page
    assert page.count("127.0.0.1") == 1
    assert "127.0.0.1" not in page_of(tmp_path / "none", [table3()], store)


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ("prism-bench run all --seeds 0-2 --dry-run", "prism-bench run t --seeds 0-2 --only variant=a,seed=1"),
        (
            "prism-bench run table1 t --skip-bad --only variant=b --data 'my pictures' --no-mlflow",
            "prism-bench run t --skip-bad --data 'my pictures' --no-mlflow --only variant=a,seed=1",
        ),
        (
            "prism-bench run table1 t --only=variant=b --set x=1",
            "prism-bench run table1 t --set x=1 --only variant=a,seed=1",
        ),
        ("prism-bench train --dry-run a --seeds 0-1", "prism-bench train a --seeds 0-1 --seeds 1"),
        ("prism-bench compare t/a t/b --out x --store 'my store'", "prism-bench cache why as1 --store 'my store'"),
        ("", "prism-bench cache why as1"),
        (
            "prism-bench schedule-sweep --k-sample 1,4 --scale=smoke",
            "prism-bench schedule-sweep --k-sample 1,4 --scale=smoke --only variant=a,seed=1",
        ),
    ],
)
def test_the_command_of_a_cell_is_the_tables_own_narrowed(command: str, expected: str) -> None:
    plan = plan_of([row("a", 2), row("b", 2)], [], 2, command=command)
    assert cell_command(plan, plan.rows[0], plan.rows[0].cells[1]) == expected


def test_the_command_of_a_cell_names_its_k_sample_where_there_are_several() -> None:
    plan = plan_of([{**row("a", 0), "cells": [*cells("a", 1, 1), *cells("a", 1, 4)]}], [], 1)
    assert cell_command(plan, plan.rows[0], plan.rows[0].cells[1]).endswith("--only variant=a,seed=0,k_sample=4")


def test_the_command_of_a_cell_computes_that_cell_and_leaves_the_report_whole(cli: Cli, tmp_path: Path) -> None:
    line = TINY.replace("training.images=128", "training.images=32")
    assert cli(f"run ablation-table3 {line} --seeds 0,1").code == 0
    assert cli("report ablation-table3 --out report").code == 0
    page = tmp_path / "report" / "index.html"
    before = page.read_bytes()
    (command,) = re.findall(r"<code>prism-bench (run [^<]*--only variant=rag,seed=1)</code>", before.decode())
    records = {path: json.loads(path.read_text()) for path in (tmp_path / "prism-bench-store" / "records").iterdir()}
    (path,) = [path for path, record in records.items() if (record["row"], record["seed"]) == ("rag", 1)]
    path.unlink()
    said = cli(command)
    assert said.code == 0, said.err
    assert json.loads(path.read_text())["values"] == records[path]["values"]
    assert cli("report ablation-table3 --out again").code == 0
    assert (tmp_path / "again" / "index.html").read_bytes() == before


def test_a_whole_report_through_the_command_line(cli: Cli, tmp_path: Path) -> None:
    line = TINY.replace("training.images=128", "training.images=32")
    assert cli(f"run table2 figure3 schedule-sweep {line} --set k_samples=1,2").code == 0
    said = cli("report all --format latex,markdown,csv,parquet,html --out report --pool")
    assert said.code == 0, said.err
    report = tmp_path / "report"
    assert {path.name for path in report.iterdir()} == {
        "all.tex", "all.csv", "all.parquet", "index.html", "table2", "figure3", "schedule-sweep",
    }  # fmt: skip
    assert {path.name for path in (report / "figure3").iterdir()} == {
        "figure3.md", "grid-prism.png", "grid-prism-unconditioned.png", "overview.png", "training-curves.png",
    }  # fmt: skip
    assert {"sweep-heatmap.png", "sweep-curves.png", "grid-random-k2.png"} <= {
        path.name for path in (report / "schedule-sweep").iterdir()
    }
    # Two tables, one of them in the form of the paper too, the other columns and three further tables of each.
    captions = re.findall(r"\\caption\{.*", (report / "all.tex").read_text())
    assert len([caption for caption in captions if "(Continued.)" not in caption]) == 11
    page = (report / "index.html").read_text()
    addresses = re.findall(r'src="(data:[^"]*)"', page)
    assert len(addresses) == len(set(addresses)) > 10, "no picture stands on it twice"
    assert len(page) < 1_500_000
    assert "In <a href=" in page
    assert Page(page).text.count("At a glance") == 2, "in the table of contents and as a heading"
    for words, code in (
        ("report all --interval nothing", 2),
        ("report all --interval bootstrap", 2),
        ("report all --interval bootstrap --pool", 2),
        ("report all --format pdf", 2),
        ("report all", 0),
    ):
        assert cli(words).code == code
    first = (tmp_path / "prism-bench-store" / "reports" / "index.html").read_bytes()
    assert cli("report all").code == 0
    assert (tmp_path / "prism-bench-store" / "reports" / "index.html").read_bytes() == first
