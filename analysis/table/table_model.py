"""What a table consists of: columns, rows, and cells that are measured, quoted, missing or words."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import groupby
from typing import Literal

from prism_bench.analysis import formatting
from prism_bench.analysis.schema.records import Better
from prism_bench.analysis.stats.statistics import STUDENT_T, Estimator


@dataclass(frozen=True, kw_only=True)
class Measured:
    """Mean over seeds; half the width of its 95% interval, None with one seed; `values` are (seed, value).

    best, second: see `ranking`.
    """

    mean: float
    half_width: float | None
    values: tuple[tuple[int, float], ...]
    best: bool = False
    second: bool = False
    note: str | None = None

    @property
    def n_seeds(self) -> int:
        """How many seeds the mean is over."""
        return len(self.values)


@dataclass(frozen=True, kw_only=True)
class Quoted:
    """A published number, not measured here."""

    value: float


@dataclass(frozen=True, kw_only=True)
class Hole:
    """A cell without a number, why, and the letter of the note that says so below the table."""

    reason: str
    note: str | None = None


@dataclass(frozen=True, kw_only=True)
class Text:
    """Words or an already spelled number, with the number itself; empty where nothing belongs."""

    text: str
    value: float | None = field(default=None, compare=False)


TableCell = Measured | Quoted | Hole | Text


@dataclass(frozen=True, kw_only=True)
class Column:
    """One column after the label. `mark` refers to a sentence of the caption.

    `decimals` spell its numbers; `widest` is its largest half-width, None where no cell has an interval. `unit` is that
    of a quoted size or time.
    """

    key: str
    label: str
    kind: Literal["words", "measured", "count", "quoted"]
    better: Better | None = None
    fingerprint: str | None = None
    mark: str = ""
    decimals: int = 0
    widest: float | None = None
    unit: str = ""

    def published(self, cell: Quoted) -> str:
        """A quoted number of the column, spelled."""
        return formatting.published(cell.value, self.unit, self.decimals)

    @property
    def arrow(self) -> str:
        """The direction in which the metric improves: a down or up arrow, or nothing."""
        return {"lower": "↓", "higher": "↑", None: ""}[self.better]

    @property
    def side(self) -> Literal["l", "r"]:
        """Where its cells are aligned: words to the left, numbers to the right."""
        return "l" if self.kind == "words" else "r"

    @property
    def heading(self) -> str:
        """Label, arrow and mark in plain text."""
        return " ".join(part for part in (self.label, self.arrow, self.mark) if part)


Block = tuple[Column, list[TableCell]]
"""A column and its cells."""


@dataclass(frozen=True, kw_only=True)
class Row:
    """One line: its label and a cell for each column. `k_sample` where its variant has a line for each of several."""

    id: str
    label: str
    kind: Literal["variant", "control", "floor"]
    cells: tuple[TableCell, ...]
    k_sample: int | None = None


@dataclass(frozen=True, kw_only=True)
class Table:
    """Everything an output needs. `notes` belong to the letters a, b, ... of cells; `caption` is plain sentences.

    `details` say how its numbers were measured, where the caption does not. `name` and `scale` are the plan's; `stub`
    heads the column of row labels. `group`: what a further table of the same plan shows; empty for the main one.
    """

    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    name: str = ""
    scale: str = ""
    caption: tuple[str, ...] = ()
    notes: tuple[tuple[str, str], ...] = ()
    remarks: tuple[str, ...] = ()
    details: tuple[str, ...] = ()
    estimator: Estimator = STUDENT_T
    stub: str = "Variant"
    group: str = ""

    @property
    def blocks(self) -> list[tuple[str, str, int]]:
        """The kinds of columns side by side: each with its words, where it needs some, and how many columns it has."""
        words = {"measured": f"measured here, scale {self.scale}", "quoted": "quoted, not measured here"}
        if not any(column.kind == "quoted" for column in self.columns):
            words = {}
        kinds = groupby(self.columns, key=lambda column: column.kind)
        return [(kind, words.get(kind, ""), len(list(columns))) for kind, columns in kinds]

    @property
    def measured(self) -> Iterator[Measured]:
        """Its measured cells, those of the real-data baseline too."""
        return (cell for row in self.rows for cell in row.cells if isinstance(cell, Measured))
