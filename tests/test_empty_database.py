"""A new store's MLflow database is a copy of the first one that this version of MLflow made."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from prism_bench.experiments.mlflow_view.connection import connect

MADE = ["Preparing MLflow (once for each of its versions, a few seconds) ..."]


def contents(store: Path) -> dict[str, list[tuple[object, ...]]]:
    """The schema and the rows of every table of a store's database, without times."""
    with closing(sqlite3.connect(store / "mlflow.db")) as database:
        schema = database.execute("select type, name, sql from sqlite_master order by type, name").fetchall()
        tables = [name for kind, name, _ in schema if kind == "table"]
        rows = {name: database.execute(f'select * from "{name}"').fetchall() for name in tables}  # noqa: S608
    place = str(store)
    times = {"experiments": slice(0, 4)}
    told = {name: [row[times.get(name, slice(None))] for row in found] for name, found in rows.items()}
    return {
        "schema": schema,
        **{
            name: [tuple(str(it).replace(place, "STORE") for it in row) for row in found]
            for name, found in told.items()
        },
    }


def test_a_copy_is_as_one_that_was_made_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PRISM_BENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)

    def said(name: str) -> list[str]:
        words: list[str] = []
        (tmp_path / name).mkdir()
        connect(tmp_path / name, words.append)
        left = {path.name for path in (tmp_path / name).iterdir()}
        assert left == {"mlflow.db", "mlflow.db.lock"}, "it is made under another name, which must be gone"
        return words

    assert (said("made"), said("copied")) == (MADE, [])
    assert contents(tmp_path / "copied") == contents(tmp_path / "made")
    assert contents(tmp_path / "made")["experiments"][0][2] == "file://STORE/mlflow-artifacts/Default"
    (kept,) = (tmp_path / "cache" / "mlflow").iterdir()
    whole = kept.read_bytes()
    for damaged in (b"", whole[: len(whole) // 2], b"x" * len(whole)):
        kept.write_bytes(damaged)
        name = f"after{len(damaged)}{damaged[:1].hex()}"
        assert said(name) == MADE
        assert contents(tmp_path / name).keys() == contents(tmp_path / "made").keys()  # MLflow words a check otherwise
        assert kept.read_bytes()[:15] == whole[:15]
    monkeypatch.setenv("PRISM_BENCH_CACHE", str(kept))  # no folder can be made there
    assert said("without") == MADE
