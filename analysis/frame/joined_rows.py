"""Rows of a plan joined with their records: one line per row and k_sample, and what is missing of it and why."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from prism_bench.analysis.errors import AnalysisError
from prism_bench.analysis.schema.records import Cell, Plan, PlanRow, Record, Value


@dataclass(frozen=True, kw_only=True)
class Line:
    """One line of a table: a row of the plan at one k_sample; `records` holds those of its cells that exist."""

    row: PlanRow
    k_sample: int | None
    cells: tuple[Cell, ...]
    records: Mapping[str, Record]

    @property
    def title(self) -> str:
        """The row's label, with its k_sample where it has several."""
        return f"{self.row.label}, k_sample {self.k_sample}" if self.one_of_several else self.row.label

    @property
    def label(self) -> str:
        """The title as tables show it, controls marked."""
        return f"{self.title} (control)" if self.row.control else self.title

    @property
    def kind(self) -> Literal["variant", "control"]:
        """Whether the paper's table has it."""
        return "control" if self.row.control else "variant"

    @property
    def one_of_several(self) -> bool:
        """Whether the row has lines of other k_sample beside this one."""
        return len({cell.k_sample for cell in self.row.cells}) > 1

    def values(self, metric: str) -> dict[int, Value]:
        """Values by seed, of the seeds that have this metric."""
        return {cell.seed: value for cell, value in self._measured() if value.name == metric}

    def every_value(self) -> list[tuple[int, Value]]:
        """(seed, Value) of every metric, in the order of the plan and of the records."""
        return [(cell.seed, value) for cell, value in self._measured()]

    def done(self) -> list[Record]:
        """The finished records, in the order of the plan."""
        found = [self.records[cell.record] for cell in self.cells if cell.record in self.records]
        return [record for record in found if record.status == "done"]

    def missing(self, metric: str | None) -> dict[int, str]:
        """Why a seed has no value of this metric (of None: why it is not finished), by seed."""
        reasons = {}
        for cell in self.cells:
            reason = why_missing(self.records.get(cell.record), metric)
            if reason is not None:
                reasons[cell.seed] = reason
        return reasons

    def _measured(self) -> list[tuple[Cell, Value]]:
        pairs = [(cell, self.records[cell.record]) for cell in self.cells if cell.record in self.records]
        return [(cell, value) for cell, record in pairs if record.status == "done" for value in record.values]


def why_missing(record: Record | None, metric: str | None) -> str | None:
    """Why a cell has no value of a metric (of None: why it is not finished); None where nothing is missing."""
    if record is None:
        return "not run yet"
    if record.status != "done":
        state = "still running" if record.status == "running" else record.status
        return f"{state}: {record.reason}" if record.reason else state
    if metric is None or any(value.name == metric for value in record.values):
        return None
    return f"not measured: {record.why_declined.get(metric, 'the record holds no such metric')}"


def lines_of(plan: Plan, records: Mapping[str, Record]) -> tuple[Line, ...]:
    """The lines of a plan in its order; a row with several k_sample gives one line for each, in order of appearance."""
    lines = []
    for row in plan.rows:
        for k_sample in dict.fromkeys(cell.k_sample for cell in row.cells) or {None: None}:
            cells = tuple(cell for cell in row.cells if cell.k_sample == k_sample)
            lines.append(Line(row=row, k_sample=k_sample, cells=cells, records=records))
    return tuple(lines)


def groups_of(lines: tuple[Line, ...]) -> tuple[str, ...]:
    """The further tables that the values ask for, in order of appearance."""
    return tuple(dict.fromkeys(value.group for line in lines for _, value in line.every_value() if value.group))


def metrics_of(lines: tuple[Line, ...], group: str = "") -> dict[str, Value]:
    """Every metric of a group, in order of appearance: name -> one Value that stands for the way it was measured.

    Raises:
        AnalysisError: values of one metric were measured in two ways.
    """
    first: dict[str, tuple[str, Value]] = {}
    for line in lines:
        for seed, value in line.every_value():
            if value.group != group:
                continue
            place = f"{line.row.label}, seed {seed}"
            known_place, known = first.setdefault(value.name, (place, value))
            if known.fingerprint != value.fingerprint:
                raise AnalysisError(
                    f"{value.name}: two ways of measuring cannot share a column: fingerprint {known.fingerprint} "
                    f"({known_place}) and {value.fingerprint} ({place}); run both with the same settings"
                )
            for key in ("n", "reference_n", "better", "unit"):
                one, other = getattr(known, key), getattr(value, key)
                if one != other:
                    raise AnalysisError(
                        f"{value.name}: {key} is {one!r} ({known_place}) and {other!r} ({place}) under one fingerprint "
                        f"{value.fingerprint}; one of the records is wrong, run its cell again"
                    )
    return {name: value for name, (_, value) in first.items()}


def summary_of(reasons: Mapping[int, str], seeds: int) -> str:
    """Reasons by seed as one text: the reason alone where all `seeds` share it, 'seed 1: ...' otherwise."""
    if len(reasons) == seeds and len(set(reasons.values())) == 1:
        return next(iter(reasons.values()))
    grouped: dict[str, list[int]] = {}
    for seed, reason in sorted(reasons.items()):
        grouped.setdefault(reason, []).append(seed)
    parts = []
    for reason, group in grouped.items():
        parts.append(f"seed{'s' if len(group) > 1 else ''} {', '.join(map(str, group))}: {reason}")
    return "; ".join(parts)
