"""The page in a browser: widths, columns, sorting, exact values, enlarging, paper. Skipped where no Chromium is."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from handmade import Json, claim, document, record_json, row
from PIL import Image

from prism_bench.analysis.report.write_report import Source
from prism_bench.analysis.report.write_reports import write_reports
from prism_bench.analysis.schema.records import load_plan

playwright = pytest.importorskip("playwright.sync_api", reason="playwright, which drives the browser, is not installed")
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "chrome"))), None)
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on the PATH")
Page = Any
LONG = "A method with a name that is as long as those that people give to their rows"
NASTY = "<img src=x onerror=document.title='run'> & \"quotes\""
PAPER = {"A4": 718, "Letter": 740}
"""Pixels between margins of 1 cm."""
OUTSIDE = """() => [...document.querySelectorAll('body *')].filter((one) => {
  const box = one.getBoundingClientRect();
  const scrolls = matchMedia('print').matches ? null : one.closest('.scroll');
  return box.width && box.right > document.documentElement.clientWidth + 1 && (!scrolls || scrolls === one);
}).map((one) => `${one.tagName}.${one.className} ${one.textContent.slice(0, 40)}`)"""


def values(fd: float) -> list[Json]:
    """What a record holds, and nine metrics more, as wide as tables get."""
    known: list[Json] = record_json("x", fd)["values"]
    more = [{**known[0], "name": f"more_{at}", "label": f"another distance {at}", "value": fd + at} for at in range(9)]
    return [*known, *more]


def page_of(folder: Path) -> Path:
    """Two tables of four rows, three seeds and published numbers, with the pictures of a run."""
    store = folder / "store"
    (store / "records").mkdir(parents=True)
    fds = {"a": (30.5, 31.0, 32.0), "b": (110.0, 111.0, 113.0), "c": (9.25, 9.5, 10.0), "d": (20.0, 20.5, 21.5)}
    for name, own in fds.items():
        for seed, fd in enumerate(own):
            record = record_json(f"{name}s{seed}", fd, values=values(fd))
            (store / "records" / f"{name}s{seed}.json").write_text(json.dumps(record))
    labels = {"a": "A", "b": LONG, "c": NASTY, "d": "D"}
    rows = [{**row(name, 3, 20.0 + at), "label": label} for at, (name, label) in enumerate(labels.items())]
    claims = [claim(("c", "a"), ("d", "a"), seeds=3)]
    plans = [load_plan(document(rows, claims, 3, experiment=name, choices={"order": "random " * 60})) for name in "tu"]
    rng = np.random.default_rng(0)
    for plan in plans:
        out = folder / "out" / plan.experiment
        out.mkdir(parents=True)
        for name, size in (
            ("grid-c.png", (130, 526)),
            ("overview.png", (300, 1350)),
            ("training-curves.png", (400, 660)),
        ):
            Image.fromarray(rng.integers(0, 256, (*size, 3), np.uint8)).save(out / name)
    sources = [Source(plan=plan, folder=folder / "out" / plan.experiment) for plan in plans]
    return write_reports(sources, store, folder / "out", ("html",))[-1]


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with playwright.sync_playwright() as driver:
        # Root, as in containers, has no sandbox to give.
        opened = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield opened
        opened.close()


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return page_of(tmp_path_factory.mktemp("page"))


@pytest.fixture
def page(browser: Any, file: Path) -> Iterator[Page]:
    """The page at 1280 pixels; whatever its script complains of fails the test."""
    opened, complaints, asked = browser.new_page(viewport={"width": 1280, "height": 800}), [], []
    opened.on("pageerror", lambda error: complaints.append(str(error)))
    opened.on("console", lambda message: complaints.append(message.text))
    opened.on("request", lambda request: asked.append(request.url))
    opened.goto(file.as_uri())
    yield opened
    assert not complaints
    assert [url for url in asked if not url.startswith("data:")] == [file.as_uri()], "nothing is loaded"
    assert opened.title() == "prism-bench report", "what a label says was never run"
    opened.close()


def column(page: Page, at: int) -> list[str]:
    cells = page.locator("#t table.data").first.locator(f"tbody tr > :nth-child({at + 1})")
    return [text.strip() for text in cells.all_inner_texts()]


def head(page: Page, words: str) -> Any:
    return page.locator("#t table.data").first.locator("thead th", has_text=words).first


@pytest.mark.parametrize("width", [1280, 768, 390])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_is_wider_than_the_screen(page: Page, width: int, scheme: str) -> None:
    page.emulate_media(color_scheme=scheme)
    page.set_viewport_size({"width": width, "height": 800})
    page.evaluate("document.querySelectorAll('details').forEach((fold) => { fold.open = true; })")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.evaluate(OUTSIDE) == []


def test_dark_is_dark(page: Page) -> None:
    def lightness(of: str) -> float:
        found = page.evaluate(f"getComputedStyle(document.body).{of}.match(/[0-9]+/g).map(Number)")
        return float(sum(found[:3])) / 3

    assert lightness("backgroundColor") > 250 > 60 > lightness("color")
    page.emulate_media(color_scheme="dark")
    assert lightness("backgroundColor") < 40 < 200 < lightness("color")


def test_the_first_screen_answers(page: Page) -> None:
    """Sentence, picture of differences and the numbers of a table begin above the fold of a small laptop."""
    places = {name: page.locator(name).first.bounding_box()["y"] for name in (".findings", ".forest", "table.data")}
    assert list(places) == sorted(places, key=places.__getitem__)
    assert max(places.values()) < 800


def test_four_columns_are_seen_and_others_on_demand(page: Page) -> None:
    table = page.locator("#t table.data").first
    shown = "thead tr:last-child th:not([hidden])"
    assert table.locator(shown).count() <= 5
    quoted = head(page, "quoted")
    assert not quoted.is_visible()
    chooser = page.locator("#t details.columns").first
    assert chooser.locator("summary").inner_text() == "Columns: 3 of 13"
    chooser.locator("summary").click()
    chooser.get_by_label("quoted: CelebA").check()
    assert quoted.is_visible()
    assert column(page, 13) == ["20", "21", "22", "23", ""], "the last column"
    assert chooser.locator("summary").inner_text() == "Columns: 4 of 13"
    chooser.get_by_label("FD").first.uncheck()
    assert not head(page, "FD").is_visible()


def test_sorting_knows_numbers_and_leaves_real_images_last(page: Page) -> None:
    before = column(page, 0)
    button = head(page, "FD").locator("button")
    for wanted, order in (("ascending", [NASTY, "D", "A", LONG]), ("descending", [LONG, "A", "D", NASTY])):
        button.click()
        assert head(page, "FD").get_attribute("aria-sort") == wanted
        assert column(page, 0) == [*order, "Real images (baseline)"]
    button.click()
    assert head(page, "FD").get_attribute("aria-sort") is None
    assert column(page, 0) == before
    head(page, "Variant").locator("button").press("Enter")
    assert column(page, 0)[-1] == "Real images (baseline)"


def test_exact_values_under_the_pointer_and_the_finger(page: Page) -> None:
    cell = page.locator("#t table.data").first.locator("tbody tr").first.locator("td").first
    cell.hover()
    tip = page.get_by_role("status")
    assert "seed 0: 30.5, seed 1: 31, seed 2: 32" in tip.inner_text()
    page.keyboard.press("Escape")
    assert not tip.is_visible()
    page.mouse.move(2, 2)
    cell.dispatch_event("click")
    assert tip.is_visible()


def test_samples_enlarge(page: Page) -> None:
    page.locator("#t summary", has_text="More samples").click()
    small = page.locator("#t .gallery img")
    before = small.bounding_box()["width"]
    small.click()
    dialog = page.get_by_role("dialog")
    assert dialog.get_attribute("aria-label") == NASTY
    assert dialog.locator("img").bounding_box()["width"] > 2 * before
    assert dialog.locator("img").get_attribute("alt").startswith(f"Samples of {NASTY}")
    page.keyboard.press("Escape")
    assert not dialog.is_visible()


@pytest.mark.parametrize("paper", PAPER)
def test_nothing_is_cut_on_paper(page: Page, paper: str) -> None:
    page.emulate_media(media="print")
    page.set_viewport_size({"width": PAPER[paper], "height": 1000})
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert page.evaluate(OUTSIDE) == []
    assert page.locator("#t th:visible", has_text="quoted: CelebA").count() == 1, "published numbers are there"
    assert page.locator("#t", has_text="random random").locator("summary", has_text="Open choices").is_visible()
    assert page.locator("#t details.paper:not([open])").count() == 0
    assert not page.locator("nav").is_visible()
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    assert page.locator("#t details.paper[open]").count() == 0
    page.emulate_media(media="screen")
    assert page.pdf(format=paper).startswith(b"%PDF")


def test_screen_readers_find_their_way(page: Page) -> None:
    assert page.get_by_role("main").count() == page.get_by_role("banner").count() == 1
    assert page.get_by_role("navigation", name="Contents").locator("a").all_inner_texts()[:3] == [
        "At a glance", "Table 3", "Table 3",
    ]  # fmt: skip
    assert page.get_by_role("region", name="At a glance").is_visible()
    mark = page.get_by_role("img", name=f"{NASTY} against A in FD", exact=False).first
    assert "better" in mark.get_attribute("aria-label")
