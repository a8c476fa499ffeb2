"""What stands behind the mean of a cell: the half-width of its interval, the spread of its seeds, or nothing."""

from dataclasses import replace
from typing import Literal, get_args

import numpy as np

from prism_bench.analysis.errors import AnalysisError
from prism_bench.analysis.table.table_model import Column, Measured, Row, Table, TableCell

Spread = Literal["ci", "sd", "none"]
SPREADS: tuple[str, ...] = get_args(Spread)


def check_spread(name: str) -> Spread:
    """The spread of that name; AnalysisError where there is none."""
    if name not in SPREADS:
        raise AnalysisError(f"--spread {name}: known are {', '.join(SPREADS)}")
    return name  # type: ignore[return-value]


def with_spread(table: Table, spread: Spread) -> Table:
    """The table with another spread in its measured cells; that of the real-data baseline, over splits, with any."""
    if spread == "ci":
        return table
    rows = tuple(replace(row, cells=tuple(_cell(cell, row, spread) for cell in row.cells)) for row in table.rows)
    columns = tuple(_column(column, [row.cells[index] for row in rows]) for index, column in enumerate(table.columns))
    return replace(table, rows=rows, columns=columns)


def _cell(cell: TableCell, row: Row, spread: Spread) -> TableCell:
    if not isinstance(cell, Measured):
        return cell
    if spread == "none":
        return replace(cell, half_width=None)
    if row.kind == "floor":
        return cell
    values = [value for _, value in cell.values]
    return replace(cell, half_width=float(np.std(values, ddof=1)) if len(values) > 1 else None)


def _column(column: Column, cells: list[TableCell]) -> Column:
    halves = [cell.half_width for cell in cells if isinstance(cell, Measured) and cell.half_width is not None]
    return replace(column, widest=max(halves, default=None))
