"""What a study says: its best point, whether that can be told from the next, and its trials as a table."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from prism_bench.analysis import formatting
from prism_bench.analysis.schema.study import Study, Trial
from prism_bench.analysis.stats.contrasts import Contrasts
from prism_bench.analysis.stats.ranking import ranking
from prism_bench.analysis.stats.statistics import (
    STUDENT_T,
    Interval,
    kendall_tau,
    mean_interval,
)
from prism_bench.analysis.table.table_model import Block, Column, Hole, Measured, Row, Table, TableCell, Text

FEWEST = 4
"""Trials with both a proxy and a value from which on their rank correlation is told."""
PICTURE = "sensitivity.png"


def words(point: Mapping[str, Any]) -> str:
    """A point for people; one that nobody had drawn yet is called so."""
    parts = [f"{name} {value:.3g}" if isinstance(value, float) else f"{name} {value}" for name, value in point.items()]
    return ", ".join(parts) or "nothing drawn yet"


def interval_of(trial: Trial) -> Interval:
    """A trial's mean over seeds, with its interval."""
    return mean_interval(list(trial.by_seed.values()))


def spelled(interval: Interval, places: int) -> str:
    """A mean with its interval in brackets, where it has one."""
    if interval.low is None or interval.high is None:
        return formatting.fixed(interval.mean, places)
    low, high = (formatting.fixed(end, places) for end in (interval.low, interval.high))
    return f"{formatting.fixed(interval.mean, places)} [{low}, {high}]"


@dataclass(frozen=True, kw_only=True, eq=False)
class StudyResults:
    """A study and the folder of its files."""

    study: Study
    folder: Path

    @cached_property
    def digest(self) -> str:
        """The SHA-256 of all that its files say, but for pictures."""
        return hashlib.sha256(self.study.model_dump_json().encode()).hexdigest()

    @property
    def name(self) -> str:
        """What its files are called."""
        return f"tune-{self.study.target}"

    @property
    def title(self) -> str:
        """What was tuned."""
        study = self.study
        return f"{formatting.listing(study.parameters)} of {study.variant}, tuned by {study.label}"

    @property
    def best(self) -> Trial | None:
        """The best trial; None where none has a value."""
        return next(iter(self.study.finished), None)

    @cached_property
    def places(self) -> int:
        """Decimals of the metric."""
        return formatting.decimals([interval_of(trial).mean for trial in self.study.finished])

    @property
    def sentences(self) -> list[str]:
        """The best point, whether it can be told from the next, and how well short trainings foretold the order."""
        finished = self.study.finished
        if not finished:
            return ["No trial has a value yet; the same command goes on."]
        found = interval_of(finished[0])
        told = f"{self.study.label} {spelled(found, self.places)} ({found.estimator})"
        best = f"Best of {len(finished)}: {words(finished[0].point)}: {told}"
        return [best, *self._runner_up(finished), *_proxies(finished)]

    def _runner_up(self, finished: Sequence[Trial]) -> list[str]:
        if len(finished) < 2:
            return []
        one, other = finished[:2]
        name = words(other.point)
        if len(one.values) < 2:
            return [f"One seed: it cannot be told whether it is better than {name}; add --seeds 0-2"]
        difference = self._contrasts.difference(one.number, other.number).interval
        if difference is None:
            return []
        separable = "separable" if difference.excludes_zero() else "not separable"
        by = f"paired difference in {self.study.label} {spelled(difference, self.places)}"
        return [f"It is {separable} from the next, {name}: {by}"]

    @cached_property
    def table(self) -> Table:
        """A row for each trial with a value, the best first."""
        study, finished = self.study, self.study.finished
        cells = self._measured(finished)
        halves = [cell.half_width for cell in cells if cell.half_width is not None]
        metric = Column(
            key=study.metric, label=study.label, kind="measured", better=study.better, decimals=self.places,
            widest=max(halves, default=None),
        )  # fmt: skip
        blocks: list[Block] = [(metric, list(cells)), *_further_columns(finished)]
        several = len(study.seeds) > 1
        how = f"mean ± half-width of the {STUDENT_T.words()} over {len(study.seeds)} seeds" if several else "one seed"
        data = study.dataset
        return Table(
            name=f"{self.name} {study.study}",
            scale=study.scale,
            stub="Point",
            columns=tuple(column for column, _ in blocks),
            rows=tuple(
                Row(
                    id=str(trial.number),
                    label=words(trial.point),
                    kind="variant",
                    cells=tuple(block[index] for _, block in blocks),
                )
                for index, trial in enumerate(finished)
            ),
            caption=(
                f"{self.title}, on {data.label} at {data.resolution}x{data.resolution}, scale {study.scale}.",
                f"{how[0].upper()}{how[1:]}, n = {formatting.count(study.samples)} samples each; bold: the best, where "
                "paired differences tell it from every other point.",
            ),
            remarks=self._ended_badly(),
        )

    @cached_property
    def _contrasts(self) -> Contrasts[int]:
        """Of the trials with a value, by their numbers."""
        values = {trial.number: trial.by_seed for trial in self.study.finished}
        return Contrasts(values=values, better=self.study.better, estimator=STUDENT_T, pools={})

    def _measured(self, finished: Sequence[Trial]) -> list[Measured]:
        ranked = ranking(self._contrasts)
        return [
            Measured(
                mean=interval_of(trial).mean,
                half_width=interval_of(trial).half_width,
                values=tuple(trial.by_seed.items()),
                best=trial.number == ranked.best,
                second=trial.number == ranked.second,
            )
            for trial in finished
        ]

    def _ended_badly(self) -> tuple[str, ...]:
        """Why trials have no value."""
        told = [
            f"Trial {trial.number} ({words(trial.point)}): {trial.reason or _ended(trial)}."
            for trial in self.study.trials
            if not trial.values and trial.status not in {"running", "waiting"}
        ]
        return tuple(told)

    def rows(self) -> list[dict[str, Any]]:
        """Every trial with what is known of it, for a frame."""
        found = []
        for trial in self.study.trials:
            row: dict[str, Any] = {"trial": trial.number, **trial.point, "status": trial.status}
            if trial.values:
                interval = interval_of(trial)
                row |= {self.study.metric: interval.mean, "low": interval.low, "high": interval.high}
                row |= {f"seed {seed}": value for seed, value in trial.by_seed.items()}
            row |= {"proxy": trial.proxy, "seconds": trial.seconds, "records": " ".join(trial.records.values())}
            found.append({**row, "reason": trial.reason})
        return found

    @property
    def columns(self) -> list[str]:
        """The names of what `rows` know, in order."""
        seeds = sorted({seed for trial in self.study.trials for seed in trial.by_seed})
        numbers = [self.study.metric, "low", "high", *(f"seed {seed}" for seed in seeds)]
        return ["trial", *self.study.parameters, "status", *numbers, "proxy", "seconds", "records", "reason"]


def _further_columns(finished: Sequence[Trial]) -> list[Block]:
    """What else is known of some trials."""
    blocks: list[Block] = []
    if any(trial.proxy is not None for trial in finished):
        proxies = [trial.proxy for trial in finished if trial.proxy is not None]
        places = formatting.decimals(proxies)
        cells: list[TableCell] = [
            Hole(reason="no short training") if it.proxy is None else Text(text=formatting.fixed(it.proxy, places))
            for it in finished
        ]
        blocks.append((Column(key="proxy", label="Short training", kind="count"), cells))
    if any(trial.seconds is not None for trial in finished):
        times: list[TableCell] = [Text(text=formatting.duration(it.seconds or 0.0)) for it in finished]
        blocks.append((Column(key="seconds", label="Time", kind="count"), times))
    return blocks


def _proxies(finished: Sequence[Trial]) -> list[str]:
    """How well short trainings foretold the order; nothing where no trial had one."""
    both = [trial for trial in finished if trial.proxy is not None]
    if not both:
        return []
    if len(both) < FEWEST:
        return [f"Proxy against final value: too few trials have both ({len(both)})"]
    tau = kendall_tau([trial.proxy or 0.0 for trial in both], [interval_of(trial).mean for trial in both])
    agreement = "cannot be told" if tau is None else f"{tau:.2f}"
    return [f"Proxy against final value: Kendall's tau {agreement} over {len(both)} trials"]


def _ended(trial: Trial) -> str:
    return "ended early, its short training was worse than the median" if trial.status == "pruned" else trial.status
