"""A table on the page: which columns are seen at first, exact values to hover over, numbers to sort by."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

from markupsafe import Markup

from prism_bench.analysis.formats.html.templates import template
from prism_bench.analysis.table.table_model import Table

ON_PAPER = 6
"""Columns of a printed table: more are printed as further tables, so that nothing is cut."""


@dataclass(frozen=True, kw_only=True)
class Grid:
    """A table, what screen readers call it, the keys of the columns that are seen at first, and its sentences.

    printed: the tables that print what the table itself does not: the other columns, or all where it is too wide for
    paper.
    """

    table: Table
    name: str
    seen: frozenset[str]
    sentences: tuple[str, ...] = ()
    printed: tuple[Table, ...] = ()

    @property
    def too_wide(self) -> bool:
        """Whether what is seen at first would be cut on paper."""
        return len(self.seen) > ON_PAPER

    @property
    def groups(self) -> list[tuple[str, str, int, int]]:
        """Columns of a kind side by side, where words tell kinds apart: kind, words, how many, how many are seen."""
        if not any(words for _, words, _ in self.table.blocks):
            return []
        found, first = [], 0
        for kind, words, width in self.table.blocks:
            own = self.table.columns[first : first + width]
            found.append((kind, words, width, sum(column.key in self.seen for column in own)))
            first += width
        return found


def grid_of(table: Table, name: str, sentences: Sequence[str], seen: Collection[str] | None = None) -> Grid:
    """A table for the page. seen: the keys of the columns that are seen at first (None: all)."""
    keys = frozenset(column.key for column in table.columns if seen is None or column.key in seen)
    too_wide = len(keys) > ON_PAPER
    others = [index for index, column in enumerate(table.columns) if too_wide or column.key not in keys]
    printed = [_columns(table, others[first : first + ON_PAPER]) for first in range(0, len(others), ON_PAPER)]
    return Grid(table=table, name=name, seen=keys, sentences=tuple(sentences), printed=tuple(printed))


def table_html(table: Table) -> Markup:
    """The table alone, every column seen, with its caption and notes: as notebooks show it."""
    grid = grid_of(table, table.name or "results", table.caption)
    return Markup(template("table.html").module.grid(grid))  # type: ignore[attr-defined]  # noqa: S704


def _columns(table: Table, picked: Sequence[int]) -> Table:
    rows = tuple(replace(row, cells=tuple(row.cells[index] for index in picked)) for row in table.rows)
    return replace(table, columns=tuple(table.columns[index] for index in picked), rows=rows)
