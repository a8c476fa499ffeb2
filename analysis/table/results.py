"""One plan's results, and everything that is said of them, each thing made once."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pandas as pd

from prism_bench.analysis.frame.frame import claims_frame, frame_of
from prism_bench.analysis.frame.table_lines import TableLines, table_lines
from prism_bench.analysis.schema.records import Plan, Record
from prism_bench.analysis.stats.agreement import Agreement, agreements
from prism_bench.analysis.stats.claims import ClaimResult, judge_claims
from prism_bench.analysis.stats.differences import Differences, differences_of
from prism_bench.analysis.stats.statistics import STUDENT_T, Estimator
from prism_bench.analysis.table.build import build, further
from prism_bench.analysis.table.sweep import Sweep, paper_form, sweep_of
from prism_bench.analysis.table.table_model import Table


@dataclass(frozen=True, kw_only=True, eq=False)
class Results:
    """A plan and its records (of its claims too); `pictures` is the folder that holds its pictures, if any."""

    plan: Plan
    records: Sequence[Record]
    estimator: Estimator = STUDENT_T
    pictures: Path | None = None

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
        """The main table."""
        return build(self.plan, self.lines, self.estimator)

    @cached_property
    def further(self) -> tuple[Table, ...]:
        """More numbers of the same cells."""
        return further(self.plan, self.lines, self.estimator)

    @cached_property
    def sweep(self) -> Sweep | None:
        """The plan as a sweep over k_sample, where it is one."""
        return sweep_of(self.plan, self.lines, self.estimator)

    @cached_property
    def paper_form(self) -> Table | None:
        """The main table's numbers in the form of the paper's table, where that is another."""
        return None if self.sweep is None else paper_form(self.sweep, self.estimator)

    @property
    def tables(self) -> list[Table]:
        """All of them, that in the form of the paper first."""
        return [*([] if self.paper_form is None else [self.paper_form]), self.table, *self.further]

    @cached_property
    def claims(self) -> tuple[ClaimResult, ...]:
        """The paper's claims with their verdicts."""
        return judge_claims(self.plan, claims_frame(self.plan, self.records), self.estimator)

    def check(self) -> None:
        """AnalysisError where a row has fewer seeds than the intervals that were asked for need."""
        for metric in () if self.plan.kind == "grid" else self.lines.measured["metric"].unique():
            values = {line: self.lines.of(metric, line) for line in self.lines.lines.index}
            self.estimator.check({str(self.lines.lines.at[line, "title"]): own for line, own in values.items() if own})

    @cached_property
    def differences(self) -> Differences | None:
        """Each row against the baseline."""
        return differences_of(self.lines, self.estimator)

    @cached_property
    def agreements(self) -> tuple[Agreement, ...]:
        """The rows' order against the published ones."""
        return agreements(self.lines)
