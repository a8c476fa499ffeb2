"""What was made of the same things before is neither drawn nor written again."""

import json
from pathlib import Path

import pytest
from conftest import Cli
from tiny import RUN

from prism_bench.analysis import files, unchanged
from prism_bench.analysis.unchanged import unless_made


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


def test_a_second_run_draws_and_writes_nothing(cli: Cli, store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Files of equal bytes would hide a drawing, so that figures are counted."""
    drawn: list[Path] = []
    write = files.write_figure
    monkeypatch.setattr(
        "prism_bench.analysis.figures.drawing.write_figure",
        lambda figure, path, dpi=None: drawn.append(path) or write(figure, path, dpi),
    )
    assert cli(RUN).code == 0
    before = {path: path.stat().st_mtime_ns for path in (store / "reports").rglob("*") if path.is_file()}
    count = len(drawn)
    assert {"overview.png", "intervals.png", "training-curves.png"} <= {path.name for path in before}
    said = cli(RUN)
    assert said.code == 0, said.err
    assert len(drawn) == count
    assert {path: path.stat().st_mtime_ns for path in (store / "reports").rglob("*") if path.is_file()} == before
    next(path for path in before if path.name == "overview.png").unlink()
    assert cli(RUN).code == 0
    assert [path.name for path in drawn[count:]] == ["overview.png"]
