"""Results as one tidy DataFrame: its columns, its lines, its files, and a table made of it."""

import json
from io import BytesIO
from pathlib import Path

import pandas as pd
import pytest
from handmade import Json, cells, claim, document, plan_of, record, record_json, row

from prism_bench.analysis.errors import AnalysisError
from prism_bench.analysis.frame.columns import COLUMNS, COSTS, as_markdown
from prism_bench.analysis.frame.frame import claims_frame, frame_of, read_frame
from prism_bench.analysis.report.table_frame import table_frame
from prism_bench.analysis.report.write_report import Source, frame_csv, frame_parquet
from prism_bench.analysis.report.write_reports import write_reports
from prism_bench.analysis.schema.records import Plan, Record, load_plan
from prism_bench.analysis.stats.statistics import POOLED, STUDENT_T

DOCS = Path(__file__).parents[1] / "docs" / "frame.md"
K = (1, 4)


def results() -> tuple[Plan, list[Record]]:
    """Row a: two seeds; row b: one failed, one that declined a metric; row c is declined, with a quoted number."""
    rows = [row("a", 2, 21.5), row("b", 2, control=True), row("c", 0, 9.0, declined="not built in")]
    plan = plan_of(rows, [claim(("elsewhere", "a"), seeds=1)], 2, plan="p" * 32)
    bare = record_json("bs1", 5.0, declined=[{"metric": "far", "reason": "too few"}])
    del bare["values"][1]
    declined = record("bs1", 5.0, **bare)
    failed = record("bs0", 0.0, status="failed", reason="loss became nan")
    return plan, [record("as0", 3.0), record("as1", 4.0, 0.7), failed, declined, record("elsewheres0", 1.0)]


def store_of(folder: Path, *plans: Json, names: tuple[str, ...] = ()) -> Path:
    """A store: the last plan is its experiment's latest, and records lie there by name."""
    for plan in plans:
        kept = folder / "experiments" / plan["experiment"]
        kept.mkdir(parents=True, exist_ok=True)
        (kept / f"{plan['plan']}.json").write_text(json.dumps(plan))
        (kept / "latest").write_text(json.dumps({"plans": [plan["plan"]]}))
    (folder / "records").mkdir(parents=True, exist_ok=True)
    for index, name in enumerate(names):
        (folder / "records" / f"{name}.json").write_text(json.dumps(record_json(name, float(index))))
    return folder


def test_columns_can_be_asked_together_whatever_they_hold() -> None:
    """Counts and texts in either order, where quoted numbers have none of either."""
    frame = frame_of(plan_of([row("a", 1, 21.99)], [], 1), [record("as0", 1.0)])
    assert frame.seed.isna().any()
    assert frame.dataset.isna().any()
    for asked in ((frame.seed == 0) & (frame.dataset == "toyfaces"), (frame.dataset == "toyfaces") & (frame.seed == 0)):
        assert frame[asked.fillna(False)].value.tolist() == [1.0, 0.5]


def test_columns_and_dtypes_are_the_declared_ones_with_and_without_results(tmp_path: Path) -> None:
    declared = {name: column.dtype for name, column in COLUMNS.items()}
    for frame in (frame_of(*results()), read_frame(tmp_path)):
        assert {name: str(dtype) for name, dtype in frame.dtypes.items()} == declared
    assert read_frame(tmp_path).empty


def test_the_columns_stand_in_the_docs() -> None:
    assert as_markdown() in DOCS.read_text(encoding="utf-8")


def test_a_line_for_each_cell_and_metric_and_one_for_what_is_not_there() -> None:
    frame = frame_of(*results())
    told = frame[["row", "seed", "kind", "metric", "value", "status", "reason"]].astype(object)
    assert told.where(told.notna(), None).to_numpy().tolist() == [
        ["a", 0, "measured", "fd", 3.0, "done", None],
        ["a", 0, "measured", "far", 0.5, "done", None],
        ["a", 1, "measured", "fd", 4.0, "done", None],
        ["a", 1, "measured", "far", 0.7, "done", None],
        ["b", 0, "measured", None, None, "failed", "loss became nan"],
        ["b", 1, "measured", "fd", 5.0, "done", None],
        ["b", 1, "measured", "far", None, "declined", "too few"],
        ["c", None, "measured", None, None, "declined", "not built in"],
        ["a", None, "quoted", "CelebA FID", 21.5, "done", None],
        ["c", None, "quoted", "CelebA FID", 9.0, "done", None],
    ]


def test_what_a_line_carries() -> None:
    line = frame_of(*results()).iloc[0]
    assert (line["experiment"], line["label"], line["plan"], line["record"]) == ("t", "A", "p" * 32, "as0")
    assert (line["dataset"], line["dataset_digest"], line["images"], line["scale"]) == ("toyfaces", "d0", 9, "laptop")
    assert (line["floor"], line["n"], line["reference_n"], line["better"]) == (0.5, 100, 200, "lower")
    assert (line["images_seen"], line["train_seconds"], line["peak_bytes"]) == (1000, 60.0, 7)
    quoted = frame_of(*results()).iloc[-1]
    assert (quoted["about"], quoted["group"]) == ("PRISM", "CelebA")
    assert quoted[["dataset", "scale", "n", "record", *COSTS]].isna().all(), "a publication's are not ours"


def test_the_order_of_records_does_not_matter() -> None:
    plan, records = results()
    pd.testing.assert_frame_equal(frame_of(plan, records), frame_of(plan, records[::-1]))


def test_claims_reach_cells_of_other_tables() -> None:
    frame = claims_frame(*results())
    assert frame.dropna(subset="value")["record"].unique().tolist() == ["elsewheres0", "as0"]
    assert "elsewheres0" not in set(frame_of(*results())["record"].dropna())


def test_a_store_is_read_by_experiment_and_by_plan(tmp_path: Path) -> None:
    old = document([row("a", 1)], [], 1, plan="old")
    new = document([row("a", 2)], [], 2, plan="new")
    other = document([row("b", 1)], [], 1, plan="other", experiment="u")
    store = store_of(tmp_path, old, new, other, names=("as0", "as1", "bs0"))
    assert read_frame(store)["plan"].unique().tolist() == ["new", "other"]
    assert read_frame(store, ["u"])["record"].unique().tolist() == ["bs0"]
    assert read_frame(store, ["t"], every_plan=True)["plan"].unique().tolist() == ["new", "old"]
    with pytest.raises(AnalysisError, match=r"no run of 'nothing' in the store .*: it holds t, u"):
        read_frame(store, ["nothing"])


def test_csv_and_parquet_hold_the_frame(tmp_path: Path) -> None:
    frame = frame_of(*results())
    dtypes = frame.dtypes.to_dict()
    pd.testing.assert_frame_equal(pd.read_parquet(BytesIO(frame_parquet(frame))).astype(dtypes), frame)
    again = pd.read_csv(BytesIO(frame_csv(frame)), dtype=dtypes)
    columns = ["metric", "value", "floor", "seed", "control", "status", "reason"]
    pd.testing.assert_frame_equal(again[columns], frame[columns])
    plans = [document([row("a", 1)], [], 1), document([row("b", 1)], [], 1, experiment="u")]
    store = store_of(tmp_path / "store", names=("as0", "bs0"))
    sources = [Source(plan=load_plan(plan), folder=tmp_path / "out" / str(plan["experiment"])) for plan in plans]
    written = write_reports(sources, store, tmp_path / "out", ("csv", "parquet"))
    assert {"t.csv", "t.parquet", "u.csv", "u.parquet", "all.csv", "all.parquet"} <= {path.name for path in written}
    everything = pd.read_parquet(tmp_path / "out" / "all.parquet")
    assert everything["experiment"].unique().tolist() == ["t", "u"]
    assert len(pd.read_csv(tmp_path / "out" / "all.csv")) == len(everything)


def test_a_table_is_a_frame_of_means_with_half_width_n_and_seeds() -> None:
    plan, records = results()
    table = table_frame(frame_of(plan, records))
    assert table.index.tolist() == ["A", "B (control)", "C"]
    assert table.columns.tolist() == [
        (metric, number) for metric in ("fd", "far") for number in ("mean", "half_width", "n", "seeds")
    ]
    assert table.loc["A", ("fd", "mean")] == 3.5
    assert table.loc["A", ("fd", "half_width")] == pytest.approx(12.706204736 * 0.5)
    assert table.loc["A", ("fd", "n")] == 100
    assert table["fd"]["seeds"].tolist() == [2, 1, 0]
    assert pd.isna(table.loc["B (control)", ("fd", "half_width")]), "a single seed has no interval"
    assert table.loc[["B (control)", "C"], ("far", "mean")].isna().all()


def test_a_table_has_a_level_for_k_sample_and_for_experiments_where_there_are_several() -> None:
    own = [cell for k in K for cell in cells("s", 1, k)]
    swept = frame_of(plan_of([row("s", 0, **{"cells": own})], [], 1), [record("s1s0", 1.0), record("s4s0", 2.0)])
    table = table_frame(swept, ["fd"])
    assert table.index.names == ["label", "k_sample"]
    assert table["fd"]["mean"].to_dict() == {("S", 1): 1.0, ("S", 4): 2.0}
    other = frame_of(plan_of([row("a", 1)], [], 1, experiment="u"), [record("as0", 3.0)])
    both = table_frame(pd.concat([swept, other], ignore_index=True), ["fd"])
    assert both.index.names == ["experiment", "label", "k_sample"]
    assert both["fd"]["mean"].tolist() == [1.0, 2.0, 3.0]


def test_a_table_says_whether_its_rows_share_a_spread() -> None:
    frame = frame_of(*results())
    own, pooled = (table_frame(frame, ["fd"], estimator) for estimator in (STUDENT_T, POOLED))
    assert (own.attrs["interval"], pooled.attrs["interval"]) == ("95% t interval", "95% pooled t interval")
    assert "Pooled: the spread of differences is one" in pooled._repr_html_()
    assert own.equals(pooled), "half-widths are those of a row's own seeds"


def test_metrics_are_called_by_their_beginning() -> None:
    plan, records = results()
    frame = frame_of(plan, records)
    assert [name for name, _ in table_frame(frame, ["far", "fd"]).columns[::4]] == ["far", "fd"]
    assert [name for name, _ in table_frame(frame, ["fa"]).columns[::4]] == ["far"]
    with pytest.raises(AnalysisError, match="'f' begins fd, far; write one of them"):
        table_frame(frame, ["f"])
    with pytest.raises(AnalysisError, match="no metric is called 'fdd', or begins so; the closest are fd, far"):
        table_frame(frame, ["fdd"])
    with pytest.raises(AnalysisError, match="nothing has been measured yet"):
        table_frame(frame_of(plan, []), ["fd"])


def test_a_table_shows_itself_as_the_report_does_and_its_parts_are_plain() -> None:
    table = table_frame(frame_of(*results()), ["fd"])
    page = table._repr_html_()
    for words in ("Measured here, scale laptop", "3.500", "± 6.353", "Real images", "not built in", "95% t interval"):
        assert words in page, words
    assert "FAR" not in page
    assert "\nbody" not in page, "the notebook's own looks stay"
    assert type(table["fd"]) is pd.DataFrame
    assert type(table.sort_index()) is pd.DataFrame
