"""Pictures for a paper: one look for each row, sizes and letters that can be read there, ranges that hold intervals."""

import re
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import TINY, Cli
from handmade import build, plan_of, record, row
from handmade import results as results_of
from PIL import Image
from test_sweep import results, swept

from prism_bench.analysis.figures.colours import COLOURS, OF_PAPER, ORANGE, VERMILION, looks_of
from prism_bench.analysis.figures.drawing import COLUMN, DPI, PAGE
from prism_bench.analysis.figures.plots import Curve, interval_plot, training_curves
from prism_bench.analysis.figures.sweep_figures import colour_range, sweep_figures


def test_rows_of_the_paper_look_alike_in_all_tables() -> None:
    table3, table1 = looks_of(["patchd", "rag", "st-rag", "prism"]), looks_of(["patchd", "rissole", "prism"])
    for name in ("patchd", "prism"):
        assert table3[name] == table1[name]
    assert looks_of(["prism", "prism-50pc"])["prism"].colour == VERMILION
    assert looks_of(["decreasing"])["decreasing"].colour == VERMILION, "PRISM's schedule"
    assert (OF_PAPER["rag"], looks_of(["rag"])["rag"].colour) == (ORANGE, ORANGE)


@pytest.mark.parametrize("count", [1, 7, 20])
def test_no_two_rows_look_alike(count: int) -> None:
    rows = [f"row-{index}" for index in range(count)] + ["prism", "patchd"]
    looks = looks_of(rows)
    assert list(looks) == rows
    assert len(set(looks.values())) == len(rows)
    assert looks["prism"].colour == VERMILION


def test_the_papers_rows_are_apart_for_the_colour_blind() -> None:
    """As seen without cones for red (Viénot 1999, without gamma)."""

    def seen(colour: str) -> tuple[float, float]:
        red, green, blue = (int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5))
        return 0.11 * red + 0.89 * green, blue

    of_paper = sorted(set(OF_PAPER.values()))
    pairs = [(seen(a), seen(b)) for a in of_paper for b in of_paper if a < b]
    assert min(max(abs(x - y) for x, y in zip(*pair, strict=True)) for pair in pairs) > 0.1
    assert len(set(COLOURS)) == 7


def test_seeds_are_one_line_with_a_band(tmp_path: Path) -> None:
    """Three seeds of one row, as a PDF: one stroked line in its panel, and a filled band."""
    logs = [[{"images": 10.0 * at, "loss": 1.0 / at + seed, "k_train": 4.0} for at in (1, 2, 3)] for seed in range(3)]
    (one,) = training_curves([Curve("prism", "PRISM", logs)], tmp_path / "one.pdf", ("pdf",))
    (single,) = training_curves([Curve("prism", "PRISM", logs[:1])], tmp_path / "single.pdf", ("pdf",))
    vermilion = re.compile(r"0\.835\d* 0\.368\d* 0 (rg|RG)")
    used = {path: len(vermilion.findall(page_of(path))) for path in (one, single)}
    assert used[one] == used[single] + 2, "a band more in each panel, and no line"


def page_of(path: Path) -> str:
    """What a PDF draws."""
    streams = re.findall(rb"stream\r?\n(.*?)\r?\nendstream", path.read_bytes(), re.DOTALL)
    texts = []
    for stream in streams:
        try:
            texts.append(zlib.decompress(stream).decode("latin-1"))
        except zlib.error:
            continue
    return "\n".join(texts)


def drawn(tmp_path: Path, formats: tuple[str, ...]) -> list[Path]:
    records = [record(f"{name}s{seed}", 9.0 + seed) for name in "ab" for seed in (0, 1)]
    plain = build(plan_of([row("a", 2), row("b", 2)], [], 2), records)
    sweep = results_of(swept(), results()).sweep
    assert sweep is not None
    return [*interval_plot(plain, tmp_path / "intervals.png", None, formats), *sweep_figures(sweep, tmp_path, formats)]


def test_pictures_are_as_wide_as_a_column_in_each_format(tmp_path: Path) -> None:
    files = drawn(tmp_path, ("png", "pdf"))
    assert [path.suffix for path in files] == [".png", ".pdf"] * 3
    for path in files[::2]:
        with Image.open(path) as picture:
            assert picture.size[0] == pytest.approx(COLUMN * DPI, abs=1)
    for path in files[1::2]:
        data = path.read_bytes()
        (box,) = re.findall(rb"/MediaBox \[ 0 0 ([\d.]+) [\d.]+ \]", data)
        assert float(box) == pytest.approx(72 * COLUMN, abs=0.5)
        assert b"/Type3" not in data, "letters as bitmaps are refused by conferences"
        assert b"CreationDate" not in data
        sizes = [float(size) for size in re.findall(r"/F\d+ ([\d.]+) Tf", page_of(path))]
        assert min(sizes) >= 7
    again = drawn(tmp_path / "again", ("png", "pdf"))
    assert [path.read_bytes() for path in files] == [path.read_bytes() for path in again]
    assert PAGE > 2 * COLUMN
    drawn(tmp_path, ("png",))
    assert not list(tmp_path.glob("*.pdf")), "they would show other numbers one day"


def test_the_colours_of_the_heat_map_span_every_interval() -> None:
    sweep = results_of(swept(), results()).sweep
    assert sweep is not None
    low, high = colour_range(sweep.cells)
    cells = [cell for own in sweep.cells for cell in own]
    assert low == min(cell.mean - cell.half_width for cell in cells)  # type: ignore[union-attr, operator]
    assert high == max(cell.mean + cell.half_width for cell in cells)  # type: ignore[union-attr, operator]


@pytest.mark.parametrize("command", [lambda store: f"report all --store {store} --out out", lambda _: f"run x {TINY}"])
def test_an_unknown_format_is_refused_at_once(command: Callable[[Path], str], cli: Cli, tmp_path: Path) -> None:
    said = cli(f"{command(tmp_path / 'none')} --figure-format png,tiff")
    assert (said.code, "--figure-format png,tiff: 'tiff' is unknown; known are png, pdf" in said.err) == (2, True), (
        said.err
    )


def test_a_run_and_its_report_draw_for_a_paper(cli: Cli, store: Path) -> None:
    assert cli(f"report ablation-table3 --store {store} --out out --format markdown --figure-format png,pdf").code == 0
    names = {path.name for path in Path("out/ablation-table3").iterdir()}
    assert {"intervals.pdf", "intervals.png", "quality-compute.pdf"} <= names
