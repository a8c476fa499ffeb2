"""The comparison page of MLflow as a reader sees it: the real server, in Chromium where there is one."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from itertools import takewhile
from pathlib import Path
from typing import Any

import pytest
from test_run import ENVIRONMENT, PROGRAM
from test_serve import free_port
from tiny import copy_of

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "chrome"))), None)
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on the PATH, which shows the page")


@pytest.fixture(scope="module")
def served(made: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, list[str]]]:
    """A store that was computed without MLflow, and the links that `ui` prints of it."""
    store = copy_of(made, tmp_path_factory.mktemp("served"))
    for log in store.glob("stages/training/*/metrics.jsonl"):
        # Of a single point MLflow draws a bar, which has no axis of images.
        log.write_text('{"images": 16, "loss": 9.0, "seconds": 0.1}\n' + log.read_text())
    environment = {name: text for name, text in ENVIRONMENT.items() if name != "MLFLOW_TRACKING_URI"}
    command = [*PROGRAM, "ui", "ablation-table3", "--store", str(store), "--port", str(free_port()), "--no-browser"]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        links: list[str] = []
        for line in iter(process.stdout.readline, ""):
            links += re.findall(r"^  (http\S+)$", line)
            if len(links) == 2:
                break
        yield store, links
        process.terminate()


@pytest.fixture(scope="module")
def page() -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        # As root, which tests in containers are, Chromium has no sandbox.
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser.new_page(viewport={"width": 1500, "height": 1000})
        browser.close()


def rows_of(page: Any) -> list[list[str]]:
    """The rows of all tables of the page, as texts."""
    found: list[list[str]] = page.evaluate(
        "() => [...document.querySelectorAll('tr')].map(row => [...row.children].map(cell => cell.innerText.trim()))"
    )
    return found


def metrics_of(page: Any) -> dict[str, list[float]]:
    """The metrics of two runs that are in sight: their table is drawn as a column of names, then the numbers."""
    lines = page.inner_text("body").partition("Metrics\nShow diff only\n")[2].split("\n")
    names = list(takewhile(lambda line: "/" in line, lines))
    numbers = [float(line.replace(",", "")) for line in lines[len(names) : 3 * len(names)]]
    return {name: numbers[2 * at : 2 * at + 2] for at, name in enumerate(names)}


def test_the_comparison_names_rows_and_shows_their_numbers(served: tuple[Path, list[str]], page: Any) -> None:
    store, (comparison, _) = served
    page.goto(comparison)
    page.wait_for_selector("text=Comparing 2 Runs from 1 Experiment", timeout=90_000)
    page.wait_for_selector("text=with/dataset.component", timeout=90_000)
    rows = {row[0]: row[1:] for row in rows_of(page) if row}
    assert rows["Run Name:"] == ["PatchD · seed 0", "ST + RAG + PatchD + DS (PRISM) · seed 0"]
    names = list(rows)
    first = names[names.index("aggregator") :]
    assert first[:7] == ["aggregator", "k_sample", "schedule", "seed", "training_set", "variant", first[6]]
    assert first[6].startswith("with/"), "what differs comes first, the whole configuration behind it"
    assert rows["variant"] == ["PatchD", "ST + RAG + PatchD + DS (PRISM)"]
    assert rows["aggregator"] == ["none", "set_transformer"]
    (plan,) = (store / "experiments" / "ablation-table3").glob("*.json")
    records = [
        json.loads((store / "records" / f"{row['cells'][0]['record']}.json").read_text())
        for row in json.loads(plan.read_text())["rows"]
        if row["cells"]
    ]
    shown = metrics_of(page)
    assert next(iter(shown)).startswith("measured/"), "pages begin with what was measured"
    for name in ("fd_efficientnet_lite0", "far_correlation"):
        values = [next(it["value"] for it in record["values"] if it["name"] == name) for record in records]
        assert shown[f"measured/{name}"] == pytest.approx(values, rel=1e-3, abs=1e-3), "MLflow shows few digits"


def test_curves_are_over_the_images_seen(served: tuple[Path, list[str]], page: Any) -> None:
    page.goto(served[1][1])
    page.wait_for_selector("text=training/loss", timeout=90_000)
    page.wait_for_selector("input[type=radio][value=step]:checked", state="attached", timeout=90_000)


def test_there_is_no_default_experiment(served: tuple[Path, list[str]], page: Any) -> None:
    page.goto(served[1][0].partition("#")[0] + "#/experiments?workflowType=machine_learning")
    page.wait_for_selector("text=prism-bench/ablation", timeout=90_000)
    assert "Default" not in page.inner_text("table, [role=table]")
