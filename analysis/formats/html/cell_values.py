"""What stands behind the words of a cell: its exact values, and what rows are sorted by."""

from prism_bench.analysis import formatting
from prism_bench.analysis.table.table_model import Column, Hole, Measured, Quoted, TableCell, Text


def exact(cell: TableCell, column: Column) -> str:
    """What a cell tells who hovers over it: ten figures of the mean and of every seed, or why it is empty."""
    if isinstance(cell, Hole):
        return cell.reason
    if isinstance(cell, Quoted):
        return f"{cell.value:.10g}, published, not measured here"
    if isinstance(cell, Text):
        return "" if cell.value is None else f"{cell.value:.10g}{_unit(column)}"
    spread = "" if cell.half_width is None else f" ± {cell.half_width:.10g}"
    seeds = formatting.listing(f"seed {seed}: {value:.10g}" for seed, value in cell.values)
    return f"mean {cell.mean:.10g}{spread}; {seeds}" if cell.n_seeds > 1 else f"{seeds}{spread}"


def order(cell: TableCell) -> str:
    """What rows are sorted by; empty cells have nothing, and stand last."""
    if isinstance(cell, Hole):
        return ""
    number = cell.mean if isinstance(cell, Measured) else cell.value
    if number is None:
        return cell.text if isinstance(cell, Text) else ""
    return f"{number:.10g}"


def _unit(column: Column) -> str:
    return " s" if column.key.endswith("seconds") else ""
