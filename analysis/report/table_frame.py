"""A table as a DataFrame, for whoever goes on in Python."""

from collections.abc import Sequence
from dataclasses import replace

import pandas as pd

from prism_bench.analysis import formatting
from prism_bench.analysis.formats.html.html_table import table_html
from prism_bench.analysis.formats.html.templates import source
from prism_bench.analysis.frame.table_lines import Metric, TableLines, table_lines
from prism_bench.analysis.stats.contrasts import HOW_POOLED
from prism_bench.analysis.stats.statistics import STUDENT_T, Estimator
from prism_bench.analysis.table.build import measured_columns, table_of
from prism_bench.analysis.table.caption import sizes, ways
from prism_bench.analysis.table.column_names import called
from prism_bench.analysis.table.table_model import Measured, Table

OF_NUMBER = ["mean", "half_width", "n", "seeds"]


class TableFrame(pd.DataFrame):  # type: ignore[misc]
    """A DataFrame that shows itself in a notebook as the report does; whatever is made of it is a plain one."""

    _metadata = ["shown"]  # noqa: RUF012 - as pandas asks for it
    shown: Table

    def _repr_html_(self) -> str:
        # Its rules nested in one of ours: the notebook's own tables keep their looks.
        own = source("table.css").replace(":root", "&")
        return f'<div class="prism-bench"><style>.prism-bench {{ {own} }}</style>{table_html(self.shown)}</div>'


def table_frame(
    frame: pd.DataFrame, columns: Sequence[str] | None = None, estimator: Estimator = STUDENT_T
) -> pd.DataFrame:
    """A table of means over seeds.

    Args:
        frame: results, as `frame.frame_of` and `frame.read_frame` give them.
        columns: names of metrics in full, or by their beginning where only one begins so (those of the main table go
            first); None: every metric of the main table.
        estimator: how intervals are made.

    Returns:
        One line for each row of the table, its index label, after experiment and panel and before k_sample where there
        are several of them. Columns are (name of a metric, one of): mean, in the metric's unit; half_width of the 95%
        interval, NaN with one seed; n, the generated images of each seed; seeds, how many the mean is over.

    Raises:
        AnalysisError: an unknown or ambiguous name, or values of one metric that were measured in two ways.
    """
    lines = table_lines(frame)
    metrics = lines.metrics() if columns is None else _called(columns, lines)
    blocks = measured_columns(lines, metrics, "", estimator)
    numbers = {
        (column.key, name): pd.array([_number(cell, metrics[column.key].n, name) for cell in cells], dtype=dtype)
        for column, cells in (blocks if metrics else [])
        for name, dtype in zip(OF_NUMBER, ("float64", "float64", "Int64", "Int64"), strict=True)
    }
    index = _index(lines.lines)
    names = pd.MultiIndex.from_product([list(metrics), OF_NUMBER], names=["metric", None])
    table = TableFrame(pd.DataFrame(numbers, index=index, columns=names))
    scales = formatting.listing(sorted(frame["scale"].dropna().unique()))
    words = (
        f"Measured here, scale {scales}: mean ± half-width of the {estimator.words()} over seeds ({estimator.note})."
    )
    shown = table_of(lines, blocks, metrics, estimator)
    pooled = (HOW_POOLED,) if estimator.pooled else ()
    table.attrs["interval"] = estimator.of_differences()
    table.shown = replace(shown, scale=scales, caption=(words, *pooled, *sizes(metrics, ""), *ways(metrics)))
    return table


def _called(columns: Sequence[str], lines: TableLines) -> dict[str, Metric]:
    """The metrics that are meant, in the order given."""
    main = lines.metrics()
    others = {name: metric for group in lines.groups for name, metric in lines.metrics(group).items()}
    known = main | others
    names = [called(name, main, others) for name in columns]
    return {name: known[name] for name in names}


def _number(cell: object, n: int, name: str) -> float | int | None:
    if not isinstance(cell, Measured):
        return 0 if name == "seeds" else None
    return {"mean": cell.mean, "half_width": cell.half_width, "n": n, "seeds": cell.n_seeds}[name]


def _index(lines: pd.DataFrame) -> pd.Index:
    label = lines["row_label"].where(~lines["control"].astype(bool), lines["row_label"] + " (control)")
    shown = {"k_sample": lines["several"].any(), "label": True}
    levels = ["experiment", "panel", "label", "k_sample"]
    named = [name for name in levels if shown.get(name, lines[name].nunique() > 1)]
    levels = lines.assign(label=label)[named]
    return pd.MultiIndex.from_frame(levels) if len(named) > 1 else pd.Index(levels["label"])
