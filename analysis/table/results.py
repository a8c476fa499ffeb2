"""One plan's results, and everything that is said of them, each thing made once."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import pandas as pd

from prism_bench.analysis.errors import AnalysisError
from prism_bench.analysis.frame.frame import claims_frame, frame_of
from prism_bench.analysis.frame.table_lines import TableLines, table_lines
from prism_bench.analysis.schema.bare_labels import with_bare_labels
from prism_bench.analysis.schema.records import Plan, Record
from prism_bench.analysis.stats.agreement import Agreement, agreements
from prism_bench.analysis.stats.claims import ClaimResult, judge_claims
from prism_bench.analysis.stats.differences import Differences, differences_of
from prism_bench.analysis.stats.headline import headline
from prism_bench.analysis.stats.statistics import STUDENT_T, Estimator
from prism_bench.analysis.table.build import build, further
from prism_bench.analysis.table.shown import (
    Picked,
    known_columns,
    other_table,
    shortened,
    shown_table,
    wanted_columns,
    whole_table,
)
from prism_bench.analysis.table.spread import Spread, with_spread
from prism_bench.analysis.table.sweep import Sweep, paper_form, sweep_of
from prism_bench.analysis.table.table_model import Table

OUTCOMES = "Outcomes and cost"
"""What the shown columns are called where the paper's form stands first."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Results:
    """A plan and its records (of its claims too); `pictures` is the folder that holds its pictures, if any.

    The plan's labels are bare: settings that all its rows share stand in captions. `columns` are names of those that
    are shown at first (empty: `shown.usual_columns`), `spread` is what stands behind the means of the tables that are
    written.
    """

    plan: Plan
    records: Sequence[Record]
    estimator: Estimator = STUDENT_T
    pictures: Path | None = None
    columns: tuple[str, ...] = ()
    spread: Spread = "ci"

    def __post_init__(self) -> None:
        object.__setattr__(self, "plan", with_bare_labels(self.plan))

    @property
    def folder(self) -> Path:
        """Where its pictures and files are."""
        if self.pictures is None:
            raise ValueError("results without a folder")
        return self.pictures

    @cached_property
    def digest(self) -> str:
        """The SHA-256 of all that its files say, but for pictures."""
        look = json.dumps([self.estimator.name, self.columns, self.spread])
        parts = (look, *(it.model_dump_json() for it in (self.plan, *self.records)))
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()

    @cached_property
    def frame(self) -> pd.DataFrame:
        """A line for each cell and metric."""
        return frame_of(self.plan, self.records)

    @cached_property
    def lines(self) -> TableLines:
        """The frame by the lines of the table."""
        return table_lines(self.frame)

    @cached_property
    def table(self) -> Table:
        """The main table with all its columns, and intervals behind the means."""
        return build(self.plan, self.lines, self.estimator)

    @cached_property
    def shown(self) -> Table:
        """The main table with the columns that are wanted first; its `details` are the words of the whole."""
        metrics = self.lines.metrics() if self.plan.kind != "grid" else {}
        found = shown_table(self.plan, self.table, self._further, metrics, self.columns, self.spread)
        # Beside the paper's form it is a further table.
        found = found if self.sweep is None else replace(found, group=OUTCOMES)
        return with_spread(found, self.spread)

    @cached_property
    def others(self) -> Table | None:
        """The other columns of the main table."""
        found = other_table(self.plan, self.table, self.shown)
        return None if found is None else with_spread(shortened(found, self.lines.metrics()), self.spread)

    @cached_property
    def whole(self) -> Table:
        """The shown columns and the other ones in one table, the shown ones first."""
        return self.shown if self.others is None else whole_table(self.table, self.shown, self.others)

    @property
    def missing_columns(self) -> list[str]:
        """The names of wanted columns that no table has."""
        return wanted_columns(self.columns, self.table, self.known_columns)[1] if self.columns else []

    @cached_property
    def known_columns(self) -> dict[str, Picked]:
        """All columns that may be asked for, by name."""
        return known_columns(self.table, self._further)

    @cached_property
    def _further(self) -> tuple[Table, ...]:
        return further(self.plan, self.lines, self.estimator)

    @cached_property
    def further(self) -> tuple[Table, ...]:
        """More numbers of the same cells."""
        short = [shortened(table, self.lines.metrics(table.group)) for table in self._further]
        return tuple(with_spread(table, self.spread) for table in short)

    @cached_property
    def sweep(self) -> Sweep | None:
        """The plan as a sweep over k_sample, where it is one."""
        return sweep_of(self.plan, self.lines, self.estimator)

    @cached_property
    def paper_form(self) -> Table | None:
        """The main table's numbers in the form of the paper's table, where that is another."""
        if self.sweep is None:
            return None
        return with_spread(paper_form(self.sweep, self.estimator, self.spread), self.spread)

    @property
    def first(self) -> Table:
        """The table that answers first: in the form of the paper where that is another, or the shown columns."""
        return self.paper_form or self.shown

    @property
    def appendix(self) -> list[Table]:
        """All others: what `first` does not show, and more numbers of the same cells."""
        others = [] if self.others is None else [self.others]
        return [*([] if self.paper_form is None else [self.shown]), *others, *self.further]

    @cached_property
    def claims(self) -> tuple[ClaimResult, ...]:
        """The paper's claims with their verdicts."""
        return judge_claims(self.plan, claims_frame(self.plan, self.records), self.estimator)

    def check(self) -> None:
        """See that there can be a table: rows of enough seeds for the intervals, and of one way of measuring.

        Raises:
            AnalysisError: there cannot, also for what claims speak of beside the table.
        """
        if self.plan.kind == "grid":
            return
        try:
            for metric in self.lines.metrics():
                values = {line: self.lines.of(metric, line) for line in self.lines.lines.index}
                seeds = {str(self.lines.lines.at[line, "title"]): own for line, own in values.items() if own}
                self.estimator.check(seeds)
            if self.estimator != STUDENT_T:
                _ = self.differences, self.claims
        except AnalysisError as error:
            raise AnalysisError(f"{self.plan.experiment}: {error}") from None

    @cached_property
    def differences(self) -> Differences | None:
        """Each row against the baseline."""
        return differences_of(self.lines, self.estimator)

    @cached_property
    def headline(self) -> tuple[str, ...]:
        """What the table says, in sentences."""
        return headline(self.plan, self.lines, self.differences) if self.plan.kind == "table" else ()

    @property
    def outcomes(self) -> list[str]:
        """The metrics that claims are judged by."""
        named = (outcome.metric for claim in self.plan.claims for outcome in claim.outcomes)
        return list(dict.fromkeys(named))

    @cached_property
    def agreements(self) -> tuple[Agreement, ...]:
        """The rows' order against the published ones."""
        return agreements(self.lines)
