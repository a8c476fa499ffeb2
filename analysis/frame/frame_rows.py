"""The frame as plain values, for JSON."""

import math
from typing import Any

import pandas as pd


def frame_rows(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """One mapping for each line, by the names of the columns; None where there is nothing, or no finite number."""
    names = list(frame.columns)
    return [
        {name: _plain(value) for name, value in zip(names, line, strict=True)}
        for line in frame.itertuples(index=False, name=None)
    ]


def _plain(value: Any) -> Any:
    if value is pd.NA or value is None or (isinstance(value, float) and not math.isfinite(value)):
        return None
    return value.item() if hasattr(value, "item") else value
