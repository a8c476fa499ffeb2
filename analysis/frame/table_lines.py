"""A plan's frame as the lines of its table: one for each row and k_sample, with values, costs and what is missing."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import pandas as pd

from prism_bench.analysis.errors import AnalysisError
from prism_bench.analysis.frame.columns import COSTS
from prism_bench.analysis.frame.dtypes import TEXT
from prism_bench.analysis.schema.records import Better

BETWEEN = re.compile(r", (?![^\[\]]*\])")
"""What stands between settings in a text of several; not within a list that is the value of one."""
OF_ROW = ["experiment", "panel", "plan", "row"]
FINISHED = ("done", "declined", "absent")
"""The statuses of the lines of a finished cell."""
SAME = ("fingerprint", "n", "reference_n", "better", "unit")
"""What values of one metric share."""
QUOTED = ["of_row", "label", "k_sample", "metric", "group", "better", "value"]
OF_METRIC = (*SAME, "group", "about", "floor", "floor_spread", "standard_error")


@dataclass(frozen=True)
class Metric:
    """A metric and the way it was measured, which all values of a column share.

    `floor`, `floor_spread`: the real-data baseline of the first value and its spread over splits. `standard_error`: the
    largest of its values. NaN where there is none.
    """

    name: str
    label: str
    better: Better
    unit: str
    n: int
    reference_n: int
    fingerprint: str
    group: str
    about: str
    floor: float
    floor_spread: float
    standard_error: float

    @property
    def arrow(self) -> str:
        """The direction in which it improves."""
        return "↓" if self.better == "lower" else "↑"

    @property
    def frechet(self) -> bool:
        """Whether it is a Fréchet distance, as `Encoder.frechet_name` calls them."""
        return self.name.startswith(("fd_", "fid_"))


def metric_of(line: Any) -> Metric:
    """The metric of one measured line of a frame, given as `itertuples` does."""
    return Metric(name=line.metric, label=line.metric_label, **{name: getattr(line, name) for name in OF_METRIC})


@dataclass(frozen=True, eq=False)
class TableLines:
    """The frame, numbered.

    `cells`: its measured lines, `line` and `of_row` counting table lines and rows. `lines`, by number: row, label as
    tables show it, title (the label without the mark of controls), row_label (without its k_sample too), control,
    trained_on, k_sample, of_row, several (whether the row has lines of other k_sample) and seeds (how many it was
    asked for). `quoted`: the quoted numbers. `quoted_sizes`: the quoted sizes and times, which are no metric's;
    `size_of` calls them without their column.
    """

    cells: pd.DataFrame
    lines: pd.DataFrame
    quoted: pd.DataFrame
    quoted_sizes: pd.DataFrame

    @cached_property
    def measured(self) -> pd.DataFrame:
        """The lines that hold a value."""
        return self.cells[self.cells["value"].notna()]

    @cached_property
    def values(self) -> dict[tuple[str, int], dict[int, float]]:
        """Values by rising seed, of each metric and line that has some."""
        found: dict[tuple[str, int], dict[int, float]] = {}
        by_seed = self.measured.sort_values("seed", kind="stable")
        for metric, line, seed, value in by_seed[["metric", "line", "seed", "value"]].itertuples(index=False):
            found.setdefault((metric, line), {})[seed] = value
        return found

    def of(self, metric: str, line: int) -> dict[int, float]:
        """Values by rising seed; empty where there are none."""
        return self.values.get((metric, line), {})

    @cached_property
    def floors(self) -> dict[str, pd.DataFrame]:
        """Of each metric that has them, the real-data baselines by seed and how many images each is of."""
        columns = ["metric", "seed", "floor", "floor_spread", "floor_n", "n"]
        known = self.measured[columns].dropna(subset="floor").drop_duplicates()
        return dict(iter(known.groupby("metric")))

    @cached_property
    def groups(self) -> list[str]:
        """The further tables that the values ask for, in order of appearance."""
        return list(dict.fromkeys(metric.group for metric in self._metrics if metric.group))

    def metrics(self, group: str = "") -> dict[str, Metric]:
        """Every metric of a group, in order of appearance.

        Raises:
            AnalysisError: values of one metric were measured in two ways.
        """
        return {metric.name: metric for metric in self._metrics if metric.group == group}

    @cached_property
    def _metrics(self) -> list[Metric]:
        named = self.measured[["label", "seed", "metric", "metric_label", *OF_METRIC]]
        named = named.assign(standard_error=named.groupby("metric")["standard_error"].transform("max"))
        ways = named.drop_duplicates(["metric", "group", *SAME])
        first = ways.drop_duplicates(["metric", "group"])
        if len(ways) > len(first):
            _refuse(ways)
        return [metric_of(line) for line in first.itertuples()]

    @cached_property
    def every_cell(self) -> pd.DataFrame:
        """One line for each cell; `state` is done, or why it is not."""
        cells = self.cells.dropna(subset="record").drop_duplicates(["line", "seed"])
        states = zip(cells["status"], cells["reason"], strict=True)
        return cells.assign(
            state=["done" if status in FINISHED else why_missing(status, told) for status, told in states]
        )

    @cached_property
    def finished(self) -> pd.DataFrame:
        """One line for each finished cell, with its costs."""
        return self.every_cell[self.every_cell["state"] == "done"]

    @cached_property
    def costs(self) -> pd.DataFrame:
        """Means of the costs over the finished cells of each line that has some."""
        return self.finished.groupby("line")[list(COSTS)].mean()

    @cached_property
    def untrained(self) -> frozenset[int]:
        """The lines that show what nothing has learnt, such as real images: finished, and without a parameter."""
        return frozenset(self.finished.loc[self.finished["parameters"] == 0, "line"])

    @cached_property
    def _without(self) -> dict[int, pd.DataFrame]:
        return dict(iter(self.cells[self.cells["value"].isna()].groupby("line")))

    def missing(self, line: int, metric: str | None = None) -> dict[int, str]:
        """Why a seed has no value of this metric (of None: why it is not finished), by seed."""
        without = self._without.get(line, self.cells[:0])
        unfinished = without["metric"].isna() & (without["status"] != "done")
        wanted = without[unfinished if metric is None else unfinished | (without["metric"] == metric)]
        return {int(one.seed): why_missing(one.status, one.reason) for one in wanted.itertuples()}

    def summary(self, line: int, metric: str | None = None) -> str:
        """The same as one text, empty where nothing is missing; of a row without cells why it has none."""
        seeds = self.lines.at[line, "seeds"]
        return summary_of(self.missing(line, metric), seeds) if seeds else str(self.lines.at[line, "reason"])

    @cached_property
    def _published(self) -> dict[int, list[Any]]:
        return {of_row: list(own.itertuples()) for of_row, own in self.quoted[QUOTED].groupby("of_row")}

    def published(self, line: int) -> tuple[list[Any], list[Any]]:
        """The row's quoted numbers that fit a line (without a k_sample: a row with a single one), and the others."""
        k_sample, several = self.lines.at[line, "k_sample"], self.lines.at[line, "several"]
        fitting: list[Any] = []
        others: list[Any] = []
        for number in self._published.get(self.lines.at[line, "of_row"], []):
            fits = not several if pd.isna(number.k_sample) else pd.notna(k_sample) and number.k_sample == k_sample
            (fitting if fits else others).append(number)
        return fitting, others


def table_lines(frame: pd.DataFrame) -> TableLines:
    """Number the lines of a frame; those of several plans stand one after the other.

    Where plans differ in their settings, labels say in which.
    """
    frame = frame.assign(label=frame["label"] + _apart(frame["settings"]))
    frame = frame.assign(of_row=frame.groupby(OF_ROW, sort=False, dropna=False).ngroup())
    measured = frame["kind"] == "measured"
    cells = frame[measured]
    cells = cells.assign(line=cells.groupby(["of_row", "k_sample"], sort=False, dropna=False).ngroup())
    lines = cells.drop_duplicates("line").set_index("line")
    several = lines.groupby("of_row")["row"].transform("size") > 1
    title = lines["label"].where(~several, lines["label"] + ", k_sample " + lines["k_sample"].astype(TEXT))
    seeds = cells.groupby("line")["seed"].nunique()
    shown = title.where(~lines["control"].astype(bool), title + " (control)")
    lines = lines.assign(several=several, title=title, row_label=lines["label"], label=shown, seeds=seeds)
    scored = frame["better"].notna()
    sizes = frame[~measured & ~scored]
    names = [metric.removeprefix(f"{group} ") for metric, group in zip(sizes["metric"], sizes["group"], strict=True)]
    return TableLines(cells, lines, frame[~measured & scored], sizes.assign(size_of=pd.array(names, dtype=TEXT)))


def _apart(settings: pd.Series) -> pd.Series:
    """What the settings of each line's plan have that not all have: " [training.images=128]", or nothing."""
    sets = {text: BETWEEN.split(text) for text in settings.dropna().unique()}
    plans = [set(own) for own in sets.values()] + ([set()] if settings.isna().any() else [])
    common = set.intersection(*plans) if plans else set()
    own = {text: [one for one in listed if one not in common] for text, listed in sets.items()}
    words = {text: f" [{', '.join(listed)}]" for text, listed in own.items() if listed}
    said = ["" if pd.isna(text) else words.get(text, "") for text in settings]
    return pd.Series(said, index=settings.index, dtype=TEXT)


def why_missing(status: str, reason: str | None) -> str:
    """Why a cell has no value, from the status and reason of its line."""
    told = None if pd.isna(reason) else reason
    if status in FINISHED:
        return f"not measured: {told}"
    state = "still running" if status == "running" else status
    return f"{state}: {told}" if told and status != "pending" else told or state


def summary_of(reasons: Mapping[int, str], seeds: int) -> str:
    """Reasons by seed as one text: the reason alone where all `seeds` share it, 'seed 1: ...' otherwise."""
    if len(reasons) == seeds and len(set(reasons.values())) == 1:
        return next(iter(reasons.values()))
    grouped: dict[str, list[int]] = {}
    for seed, reason in sorted(reasons.items()):
        grouped.setdefault(reason, []).append(seed)
    parts = [f"seed{'s' * (len(own) > 1)} {', '.join(map(str, own))}: {reason}" for reason, own in grouped.items()]
    return "; ".join(parts)


def _refuse(values: pd.DataFrame) -> None:
    """Say which values of one metric were measured in two ways."""
    known: dict[str, pd.Series] = {}
    for _, value in values.iterrows():
        first = known.setdefault(value["metric"], value)
        (one, other), name = ([f"{each['label']}, seed {each['seed']}" for each in (first, value)], value["metric"])
        if first["fingerprint"] != value["fingerprint"]:
            raise AnalysisError(
                f"{name}: two ways of measuring cannot share a column: fingerprint {first['fingerprint']} ({one}) and "
                f"{value['fingerprint']} ({other}); run both with the same settings"
            )
        for key in SAME:
            if first[key] != value[key]:
                raise AnalysisError(
                    f"{name}: {key} is {first[key]!r} ({one}) and {value[key]!r} ({other}) under one fingerprint "
                    f"{value['fingerprint']}; one of the records is wrong, run its cell again"
                )
