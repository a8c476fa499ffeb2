"""`prism-bench compare`: any computed rows or runs side by side."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

from prism_bench.analysis.report.write_report import Source, results_of
from prism_bench.analysis.schema.records import Cell, Plan, PlanRow, Record, load_record
from prism_bench.analysis.stats.differences import Differences
from prism_bench.analysis.table.results import Results
from prism_bench.experiments.formatting import counted
from prism_bench.experiments.options.trained import CompareOptions
from prism_bench.experiments.planning.plan_document import with_digest
from prism_bench.experiments.reports.reporting import estimator_called, show_table, table_text, write_tables
from prism_bench.experiments.reports.result_document import results_document
from prism_bench.experiments.reports.sample_grids import overview
from prism_bench.experiments.screen import USUAL, Screen
from prism_bench.experiments.tools.find import row_of
from prism_bench.prism.component import Json, diff, from_json, load
from prism_bench.prism.engine.store import Address, Store
from prism_bench.prism.errors import InputError


@dataclass(frozen=True)
class Side:
    """One thing to compare: its finished records by seed."""

    name: str
    label: str
    records: dict[int, Record]

    @property
    def first(self) -> Record:
        """The record of its first seed."""
        return self.records[min(self.records)]

    @property
    def cells(self) -> set[str]:
        """The names of its records."""
        return {record.record for record in self.records.values()}

    @property
    def k_sample(self) -> int:
        """Neighbours at sampling."""
        return self.first.config.sampling.k_sample


@dataclass(frozen=True)
class Comparison:
    """Things side by side: their table, and the files that show them."""

    results: Results
    folder: Path
    files: tuple[Path, ...]

    def text(self, width: int = USUAL) -> str:
        """The table, the settings that differ, and the differences in each metric."""
        return "\n".join([table_text(self.results, width), *self._lines])

    def show(self, screen: Screen) -> None:
        """The same on a screen."""
        show_table(self.results, screen)
        for line in self._lines:
            screen.tell(line)

    @property
    def _lines(self) -> list[str]:
        return [*_changes(self.results.plan), *_differences(self.results.differences)]

    def document(self) -> dict[str, Any]:
        """Results, the settings of each row that differ from the base, and the paired differences, in plain values."""
        base, *others = self.results.plan.rows
        settings = {row.label: {path: list(pair) for path, pair in row.changes.items()} for row in others}
        compared = {"base": base.label, "settings": settings, "differences": _numbers(self.results.differences)}
        return {**compared, **results_document([self.results], self.files)}

    def __repr__(self) -> str:
        return self.text()


def run_compare(options: CompareOptions) -> Comparison:
    """Find, build a table of them, and write it with pictures.

    Raises:
        InputError: fewer than two things, unknown ones, one twice, or different images.
    """
    load(options.plugins)
    if len(options.what) < 2:
        raise InputError("compare needs two things at least, for example: compare table1/patchd table1/prism")
    store = Store(options.store.absolute())
    sides = [find_side(name, store) for name in options.what]
    for one, other in combinations(sides, 2):
        if one.cells == other.cells:
            raise InputError(f"{one.name} and {other.name} are the same; compare it with something else")
    plan = document_of(sides, options.command)
    folder = options.out or store.root / "reports" / "compare" / plan.plan[:8]
    pictures = _samples(sides, store, folder)
    estimator = estimator_called(pool=options.pool)
    results = results_of(Source(plan=plan, folder=folder), store.root, estimator)
    return Comparison(results, folder, (*pictures, *write_tables(results, own=options.out)))


def find_side(name: str, store: Store) -> Side:
    """EXPERIMENT/ROW with all its seeds, EXPERIMENT/ROW@K for one of several k_sample, or the beginning of a record.

    Raises:
        InputError: there is no such row or record, or none of its cells is finished.
    """
    if "/" not in name:
        paths = [path for path in store.root.glob("records/*.json") if name and path.stem.startswith(name)]
        if len(paths) != 1:
            found = "no record begins" if not paths else f"{len(paths)} records begin"
            raise InputError(f"{found} with {name!r}; write EXPERIMENT/ROW, or the beginning of one record's name")
        record = load_record(paths[0])
        return _finished(name, record.variant, [record])
    experiment, _, row = name.partition("/")
    row, _, k_sample = row.partition("@")
    label, cells = row_of(store, experiment, row)
    known = sorted({str(cell.k_sample) for cell in cells}, key=int)
    if (k_sample or len(known) > 1) and k_sample not in known:
        raise InputError(f"{name}: the row has the k_sample {', '.join(known)}; write {experiment}/{row}@{known[0]}")
    paths = [store.record_path(cell.record) for cell in cells if k_sample in {"", str(cell.k_sample)}]
    label += f", k_sample {k_sample}" if len(known) > 1 else ""
    return _finished(name, label, [load_record(path) for path in paths if path.exists()])


def _finished(name: str, label: str, records: Sequence[Record]) -> Side:
    done = {record.seed: record for record in records if record.status == "done"}
    if not done:
        raise InputError(f"{name} has no finished cell; run it first")
    if len({record.dataset.digest for record in records}) > 1:
        raise InputError(f"{name} was computed on several datasets; give the beginnings of its records' names")
    return Side(name, label, dict(sorted(done.items())))


def document_of(sides: Sequence[Side], command: str) -> Plan:
    """The sides as the plan of a table whose first row is the base.

    Raises:
        InputError: they were computed on different images.
    """
    base = sides[0]
    data = base.first.dataset
    for side in sides[1:]:
        other = side.first.dataset
        if data.digest != other.digest:
            raise InputError(
                f"{side.name} was computed on {other.label} at {other.resolution}x{other.resolution}, "
                f"{base.name} on {data.label} at {data.resolution}x{data.resolution}: different images cannot be "
                "compared"
            )
    labels = [side.label for side in sides]
    plan = Plan(
        plan="",
        experiment="compare",
        title=" against ".join(side.name for side in sides),
        scale=base.first.scale,
        dataset=data,
        reference=f"all {data.images} real images X",
        seeds=tuple(sorted({seed for side in sides for seed in side.records})),
        split_seed=from_json(base.first.config.split).seed,
        rows=tuple(
            PlanRow(
                id=str(index),
                label=side.label if labels.count(side.label) == 1 else f"{side.label} ({side.name})",
                trained_on=from_json(side.first.config.method).training_set.words,
                changes=_difference(base, side),
                cells=tuple(
                    Cell(seed=seed, record=record.record, k_sample=side.k_sample)
                    for seed, record in side.records.items()
                ),
            )
            for index, side in enumerate(sides)
        ),
        command=command,
    )
    return with_digest(plan, "panel", "settings", "only")


def _difference(base: Side, side: Side) -> dict[str, tuple[Json, Json]]:
    """Everything of method, sampling and split that differs from the base's first seed."""
    changes = diff(*(from_json(one.first.config.method) for one in (base, side)))
    plain = [{**one.first.config.sampling.model_dump(), "split": one.first.config.split} for one in (base, side)]
    for key in plain[0].keys() | plain[1].keys():
        before, after = (one.get(key) for one in plain)
        if before != after:
            changes[f"sampling.{key}" if key != "split" else key] = (before, after)
    return changes


def _samples(sides: Sequence[Side], store: Store, folder: Path) -> list[Path]:
    """The same noise and pseudo-query in each column, from the first seed that all have; none where there is none."""
    shared = sorted(set.intersection(*(set(side.records) for side in sides)))
    if not shared:
        return []
    keys = [(side.label, side.records[shared[0]].stages["samples"]) for side in sides]
    files = [(label, store.file(Address("samples", key), "images.npy")) for label, key in keys]
    strips = [(label, path.parent) for label, path in files if path]
    if not strips:
        return []
    data = Address("dataset", sides[0].first.dataset.digest)
    store.file(data, "images.npy")
    title = f"seed {shared[0]}: same noise and pseudo-query in each column"
    return overview(strips, store.folder(data), title, folder / "overview.png")


def _changes(plan: Plan) -> list[str]:
    base, *others = plan.rows
    lines = [""]
    for row in others:
        changed = [f"{path}: {_brief(old, path)} -> {_brief(new, path)}" for path, (old, new) in row.changes.items()]
        lines.append(f"{row.label} differs from {base.label} in {counted(len(changed), 'setting')}:")
        lines += [f"  {change}" for change in changed] or ["  none"]
    return lines


def _brief(value: object, path: str) -> str:
    """A value in a line; a component by its name alone where the path names its family."""
    if isinstance(value, dict) and "component" in value:
        value = value["component"]
    text = value if isinstance(value, str) else json.dumps(value)
    text = text.removeprefix(f"{path.rpartition('.')[2]}/")
    return text if len(text) <= 60 else f"{text[:57]}..."


def _differences(found: Differences | None) -> list[str]:
    """Paired by seed: the mean difference with its interval, and the corrected p value."""
    if found is None:
        return []
    lines = ["", f"Differences to {found.baseline}, paired by seed (mean [95% interval], Holm's p):"]
    for one in found.metrics:
        arrow = "lower is better" if one.metric.better == "lower" else "higher is better"
        for label, comparison in one.rows:
            if comparison.interval is None:
                lines.append(f"  {one.metric.label}: {label} shares no seed")
                continue
            mean, spread, p = comparison.spelled
            why = f"({comparison.reason})" if comparison.reason else ""
            told = ", ".join(filter(None, (" ".join(filter(None, (mean, spread, why))), p)))
            lines.append(f"  {one.metric.label} ({arrow}): {label} {told}")
    return lines


def _numbers(found: Differences | None) -> list[dict[str, Any]]:
    """Row minus base: mean, ends of the interval, Holm's p; None what is not known."""
    return [
        {
            "metric": one.metric.name,
            "row": label,
            "mean": compared.interval and compared.interval.mean,
            "low": compared.interval and compared.interval.low,
            "high": compared.interval and compared.interval.high,
            "p": compared.adjusted,
            "seeds": compared.seeds,
        }
        for one in (() if found is None else found.metrics)
        for label, compared in one.rows
    ]
