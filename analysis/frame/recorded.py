"""The values of a frame by record, for what speaks of cells of any table."""

from collections.abc import Iterable, Sequence
from typing import Any

import pandas as pd

from prism_bench.analysis.frame.table_lines import FINISHED, OF_METRIC, Metric, metric_of
from prism_bench.analysis.schema.records import Cell


class Recorded:
    """The measured values of a frame, each record's once."""

    def __init__(self, frame: pd.DataFrame) -> None:
        named = frame[["record", "value", "metric", "metric_label", *OF_METRIC]]
        values = named[(frame["kind"] == "measured") & named["value"].notna()].drop_duplicates(["record", "metric"])
        self.values = values
        self._numbers = dict(zip(zip(values["record"], values["metric"], strict=True), values["value"], strict=True))
        self._finished = set(frame.loc[frame["status"].isin(FINISHED), "record"].dropna())

    def metrics(self, records: Iterable[str]) -> list[Metric]:
        """The metrics of the main table that any of the records has, in the order of the frame."""
        own = self.values[self.values["record"].isin(list(records)) & (self.values["group"] == "")]
        return [metric_of(line) for line in own.drop_duplicates("metric").itertuples()]

    def holds(self, record: str, metric: str | None) -> bool:
        """Whether a record has a value of the metric (of None: whether it is finished)."""
        return record in self._finished if metric is None else (record, metric) in self._numbers

    def by_seed(self, cells: Sequence[Cell], metric: str) -> dict[int, float]:
        """The values of a metric by seed, of the cells that have one."""
        return {cell.seed: self._numbers[cell.record, metric] for cell in cells if self.holds(cell.record, metric)}

    def first_called(self, beginning: str, cells: Sequence[Cell]) -> dict[int, Any]:
        """By seed, the line of each cell's first metric whose name begins so, whatever its encoder."""
        called = self.values[self.values["metric"].str.startswith(beginning)].drop_duplicates("record")
        lines = {line.record: line for line in called.itertuples()}
        return {cell.seed: lines[cell.record] for cell in cells if cell.record in lines}
