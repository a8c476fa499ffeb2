"""What was made of the same things before is neither drawn nor written again."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from conftest import Cli
from PIL import Image, ImageOps
from tiny import RUN, without_torch

from prism_bench.analysis import files, unchanged
from prism_bench.analysis.report import write_reports
from prism_bench.analysis.unchanged import unless_made
from prism_bench.experiments.mlflow_view import connection


def made(folder: Path, *made_of: object) -> int:
    """How often the files were made, all in all."""

    def make() -> list[Path]:
        count = folder / "count"
        count.write_text(f"{int(count.read_text()) + 1 if count.exists() else 1}")
        (folder / "a.png").write_bytes(json.dumps(made_of).encode())
        return [folder / "a.png"]

    assert unless_made(folder, "a", made_of, make) == [folder / "a.png"]
    assert (folder / "a.png").read_bytes() == json.dumps(made_of).encode()
    return int((folder / "count").read_text())


def test_files_are_made_where_what_they_are_made_of_or_they_themselves_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert [made(tmp_path, 1), made(tmp_path, 1), made(tmp_path, 2), made(tmp_path, 2)] == [1, 1, 2, 2]
    (tmp_path / "a.png").unlink()
    assert made(tmp_path, 2) == 3
    (tmp_path / "a.png").write_bytes(b"an edited picture")
    assert made(tmp_path, 2) == 4
    (tmp_path / ".made-a.json").write_text("{")
    assert made(tmp_path, 2) == 5
    monkeypatch.setattr(unchanged, "_program", lambda: ["another version"])
    assert made(tmp_path, 2) == 6


def looks(store: Path) -> dict[Path, tuple[int, ...]]:
    """How every file of a store looks, by inode and time; of a plan that is asked for again the time changes."""
    files = {path: path.stat() for path in store.rglob("*") if path.is_file()}
    asked = {path for path in files if path.parent.parent.name == "experiments"}
    return {path: (it.st_ino, 0 if path in asked else it.st_mtime_ns) for path, it in files.items()}


def test_a_second_run_needs_no_torch(cli: Cli, store: Path, tmp_path: Path) -> None:
    assert cli(RUN).code == 0
    done = without_torch(RUN, tmp_path)
    assert done.returncode == 0, done.stderr
    assert "FD" in done.stdout


def test_a_second_run_draws_and_writes_nothing(cli: Cli, store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Files of equal bytes would hide a drawing, so that figures are counted."""
    drawn: list[Path] = []
    write = files.write_figure
    monkeypatch.setattr(
        "prism_bench.analysis.figures.drawing.write_figure",
        lambda figure, path, dpi=None: drawn.append(path) or write(figure, path, dpi),
    )
    assert cli(RUN).code == 0
    before = looks(store)
    count = len(drawn)
    assert {"overview.png", "intervals.png", "training-curves.png"} <= {path.name for path in before}
    monkeypatch.setattr(
        "prism_bench.analysis.report.write_report._write", lambda *_: pytest.fail("the tables say the same")
    )
    said = cli(RUN)
    assert said.code == 0, said.err
    assert len(drawn) == count
    assert looks(store) == before
    monkeypatch.undo()
    monkeypatch.chdir(store.parent)
    monkeypatch.setattr(
        "prism_bench.analysis.figures.drawing.write_figure",
        lambda figure, path, dpi=None: drawn.append(path) or write(figure, path, dpi),
    )
    next(path for path in before if path.name == "overview.png").unlink()
    assert cli(RUN).code == 0
    assert [path.name for path in drawn[count:]] == ["overview.png"]


def test_a_second_report_writes_what_changed_alone(cli: Cli, store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pages: list[int] = []
    page = write_reports._page
    monkeypatch.setattr(write_reports, "_page", lambda *given: pages.append(1) or page(*given))

    def reported(*options: str) -> int:
        pages.clear()
        done = cli(f"report all --format latex,markdown,csv,html {' '.join(options)}")
        assert done.code == 0, done.err
        said.append(done.out)
        return len(pages)

    said: list[str] = []
    assert cli(RUN).code == 0
    assert reported() == 1
    before = looks(store)
    page_file = store / "reports" / "index.html"
    assert (reported(), looks(store), said[0]) == (0, before, said[1])
    assert "prism-bench-store/reports/index.html" in said[1]
    shown = page_file.read_bytes()
    assert reported("--spread sd") == 1
    assert (reported(), page_file.read_bytes(), reported()) == (1, shown, 0)
    (overview,) = (path for path in before if path.name == "overview.png")
    with Image.open(overview) as picture:
        ImageOps.invert(picture.convert("RGB")).save(overview)
    assert reported() == 1
    assert page_file.read_bytes() != shown
    page_file.write_text("edited")
    assert reported() == 1
    record = next((store / "records").glob("*.json"))
    kept = record.read_bytes()
    record.unlink()
    assert reported() == 1
    record.write_bytes(kept)
    assert (reported(), reported()) == (1, 0)
    elsewhere = store.parent / "elsewhere"
    assert (reported(f"--out {elsewhere}"), reported(f"--out {elsewhere}")) == (1, 1)
    assert not [path for path in elsewhere.rglob("*") if path.name.startswith(".")]


def test_a_report_is_made_anew_where_a_template_changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "analysis" / "formats"
    folder.mkdir(parents=True)
    (folder / "page.html").write_text("old")
    monkeypatch.setattr(unchanged, "PACKAGE", tmp_path)
    unchanged._program.cache_clear()
    try:
        assert [made(tmp_path, 1), made(tmp_path, 1)] == [1, 1]
        (folder / "page.html").write_text("newer")
        unchanged._program.cache_clear()
        assert made(tmp_path, 1) == 2
    finally:
        monkeypatch.undo()
        unchanged._program.cache_clear()


def test_mlflow_is_opened_where_it_may_lack_something(cli: Cli, store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    line = RUN.replace("--no-mlflow ", "").replace("patchd|prism", "patchd")
    assert cli(line).code == 0
    opened: list[int] = []
    connect = connection.connect
    monkeypatch.setattr(
        "prism_bench.experiments.mlflow_view.tracker.connect", lambda *given: opened.append(1) or connect(*given)
    )

    def runs() -> list[tuple[str, str]]:
        with closing(sqlite3.connect(store / "mlflow.db")) as database:
            query = "select name, status from runs where lifecycle_stage = 'active' order by name"
            return database.execute(query).fetchall()

    def again() -> int:
        opened.clear()
        assert cli(line).code == 0
        return len(opened)

    first, before = runs(), looks(store)
    assert {status for _, status in first} == {"FINISHED"}
    assert again() == 0
    assert looks(store) == before
    with closing(sqlite3.connect(store / "mlflow.db")) as database:
        database.execute("update runs set lifecycle_stage = 'deleted'")
        database.commit()
    assert (runs(), again(), runs()) == ([], 1, first)
    assert again() == 0
    (store / "mlflow.shown").write_text("{")
    assert (again(), again()) == (1, 0)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{store}/another.db")
    assert (again(), again()) == (1, 1)  # nobody knows who else writes to it
