"""The notebooks of examples/ run from top to bottom, at sizes that take seconds."""

import re
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

ROOT = Path(__file__).parent.parent
EXAMPLES = sorted((ROOT / "examples").glob("*.ipynb"))
SETTINGS = {
    "dataset.size": 64,
    "training.images": 64,
    "training.rampup_images": 0,
    "samples": 16,
    "sampler.steps": 2,
}
Outputs = dict[str, list[Any]]


def run(name: str, folder: Path, **more: object) -> Outputs:
    """Run a notebook in an empty folder, with small settings; what each cell put out, by the cell's name."""
    notebook = nbformat.read(ROOT / "examples" / name, as_version=4)
    (parameters,) = [cell for cell in notebook.cells if "parameters" in cell.metadata.get("tags", [])]
    parameters.source = f"settings = {SETTINGS | more!r}"
    NotebookClient(notebook, timeout=600, resources={"metadata": {"path": str(folder)}}).execute()
    return {cell.id: cell.outputs for cell in notebook.cells if cell.cell_type == "code"}


def text_of(outputs: list[Any]) -> str:
    """What a cell printed, and what its last line shows as text."""
    return "".join(one.get("text", "") or one.get("data", {}).get("text/plain", "") for one in outputs)


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_a_notebook_is_kept_without_outputs(path: Path) -> None:
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    assert not any(cell.get("outputs") or cell.get("execution_count") for cell in notebook.cells)


def test_first_steps(tmp_path: Path) -> None:
    outputs = run("first-steps.ipynb", tmp_path)
    progress = [one for one in outputs["table3"] if one.output_type != "execute_result"]
    assert {(one.output_type, one.name) for one in progress} == {("stream", "stdout")}
    text = "".join(one.text for one in progress)
    assert re.search(r"  done  .*training", text)
    assert "\x1b" not in text
    assert "4 cells: done" in outputs["table3"][-1].data["text/plain"]
    assert "text/html" in outputs["pivot"][-1].data
    assert "image/png" in outputs["picture"][-1].data
    assert "PRISM, quadratic schedule" in outputs["extra"][-1].data["text/html"]
    assert "schedule: decreasing -> tabulated" in outputs["sides"][-1].data["text/plain"]


def test_a_variant_of_ones_own(tmp_path: Path) -> None:
    outputs = run("own-variant.ipynb", tmp_path)
    assert re.search(r"^\d+ passed", text_of(outputs["pytest"]), re.MULTILINE), text_of(outputs["pytest"])
    assert re.search(r"training +6$", text_of(outputs["stages"]), re.MULTILINE), text_of(outputs["stages"])
    assert "6 cells: done" in text_of(outputs["run"])
    assert "PRISM, DeepSets" in outputs["pivot"][-1].data["text/html"]
    assert "image/png" in outputs["picture"][-1].data
    assert "aggregator: set_transformer -> deepsets" in text_of(outputs["compare"])


def test_reading_results(tmp_path: Path) -> None:
    """The difference by hand is the one that `compare` prints."""
    outputs = run("reading-results.ipynb", tmp_path, schedules="decreasing,fixed", k_samples="1,2")
    assert text_of(outputs["store"]).startswith("ablation-table3, schedule-sweep at scale smoke, 24 cells: done")
    by_hand = text_of(outputs["difference"]).strip()
    mean, low, high = map(float, re.findall(r"-?\d+\.\d+", by_hand))
    assert low < mean < high
    assert text_of(outputs["compare"]).count(f"{abs(mean):.2f}") >= 1, (by_hand, text_of(outputs["compare"]))
    assert re.search(r"^k_sample +1 +2 +1 +2", text_of(outputs["pivot"]), re.MULTILINE)
    assert "image/png" in outputs["scatter"][-1].data
    assert r"\toprule" in text_of(outputs["write"])
    assert len((tmp_path / "fd.csv").read_text().splitlines()) == 5
