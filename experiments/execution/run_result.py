"""What a run leaves: its plans, and the records, tables and pictures of them in the store."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from prism_bench.experiments.errors import as_input_errors
from prism_bench.experiments.formatting import counted
from prism_bench.experiments.options.option import options_of
from prism_bench.experiments.options.stored import ReportOptions
from prism_bench.experiments.reports.places import Placed, place_name, table_with
from prism_bench.experiments.reports.reporting import estimator_called, report_tables
from prism_bench.experiments.reports.result_document import finite, results_document
from prism_bench.prism.errors import InputError, closest

if TYPE_CHECKING:
    from pandas import DataFrame

    from prism_bench.analysis.schema.records import Plan


@dataclass(frozen=True)
class Picture:
    """A PNG file that shows itself in a notebook, and can be opened as a path."""

    path: Path

    def __fspath__(self) -> str:
        return str(self.path)

    def _repr_png_(self) -> bytes:
        return self.path.read_bytes()


@dataclass(frozen=True)
class RunResult:
    """The outcome of `prism_bench.run`: everything is read from the store when it is asked for.

    plans: one for each experiment, or for each of the paper's datasets of it. store: the folder of the store.
    ok: whether every cell has its numbers; `results` says of each other cell why it has none. pool: whether rows were
    compared by one spread. planned: of a dry run, every stage with its state.
    """

    plans: "tuple[Plan, ...]" = field(repr=False)
    store: Path
    ok: bool
    pool: bool = field(default=False, repr=False)
    planned: Sequence[dict[str, Any]] | None = field(default=None, repr=False)

    @property
    @as_input_errors()
    def tables(self) -> "tuple[Placed, ...]":
        """The tables of the report that show the plans, with what earlier ones add to them, and their folders."""
        return tuple(table_with(plan, self.store) for plan in self.plans)

    @property
    def folders(self) -> tuple[Path, ...]:
        """Where the tables and pictures of each plan are."""
        return tuple(folder for _, folder in self.tables)

    @property
    def folder(self) -> Path:
        """Where the tables and pictures are; of several plans, the folder that holds theirs."""
        return self.folders[0] if len(self.folders) == 1 else self.store / "reports"

    @property
    @as_input_errors()
    def results(self) -> "DataFrame":
        """A tidy frame of what was asked: one line for each cell and metric, quoted numbers on lines of their own kind.

        `prism_bench.results` gives those of earlier runs too.
        """
        from pandas import concat

        from prism_bench.analysis.frame.frame import frame_of
        from prism_bench.analysis.schema.records import load_records

        frames = [frame_of(plan, load_records(self.store, plan).values()) for plan in self.plans]
        return concat(frames, ignore_index=True)

    @as_input_errors()
    def table(self, columns: Iterable[str] | None = None, *, interval: str = "t", pool: bool = False) -> "DataFrame":
        """Mean, half-width of the 95% interval, n and number of seeds of each row and metric.

        columns: which metrics (default: all). interval: how intervals are made, t or bootstrap. pool: whether rows are
        compared by one spread over rows and seeds; `attrs["interval"]` says so.

        Raises:
            InputError: no metric, or several, of such a name; an unknown estimator.
        """
        from prism_bench.analysis.report.table_frame import table_frame

        wanted = None if columns is None else [columns] if isinstance(columns, str) else list(columns)
        return table_frame(self.results, wanted, estimator=estimator_called(interval, pool=pool))

    @property
    def figures(self) -> dict[str, Path]:
        """The pictures of the run by name; of several plans, by experiment and name."""
        pictures: dict[str, Path] = {}
        for plan, folder in self.tables:
            prefix = "" if len(self.plans) == 1 else f"{place_name(plan)}/"
            for path in sorted(folder.glob("*.png")):
                pictures[f"{prefix}{path.stem}"] = path
        return pictures

    def figure(self, name: str = "overview") -> Picture:
        """A picture of the run, which shows itself in a notebook.

        Raises:
            InputError: there is none of the name (with the closest names).
        """
        figures = self.figures
        if name not in figures:
            raise InputError(f"there is no figure {name!r}; {closest(name, figures)}")
        return Picture(figures[name])

    @as_input_errors()
    def report(self, out: str | Path | None = None, **options: Any) -> list[Path]:
        """Write the run's report, as `prism-bench report` does; the paths of its files.

        options: columns, spread, figure_formats and the others of `prism_bench.report`.
        """
        given = options_of(ReportOptions, {**options, "experiments": self._names, "out": out, "store": self.store})
        return report_tables(self.tables, given)

    @as_input_errors()
    def document(self) -> dict[str, Any]:
        """Everything of it in plain values, as `--json` prints it."""
        from prism_bench.analysis.report.write_report import Source, results_of

        estimator = estimator_called(pool=self.pool)
        sources = [Source(plan=table, folder=folder) for table, folder in self.tables]
        parts = [results_of(source, self.store, estimator) for source in sources]
        files = [path for folder in self.folders for path in sorted(folder.glob("[!.]*")) if path.is_file()]
        stages = {} if self.planned is None else {"stages": finite(self.planned)}
        found = results_document(parts, files)
        return {"ok": self.ok, "store": str(self.store), **stages, **found}

    @property
    def _names(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(plan.experiment for plan in self.plans))

    def __str__(self) -> str:
        """What was run, and where its files are."""
        cells = counted(sum(len(row.cells) for plan in self.plans for row in plan.rows), "cell")
        asked = f"{', '.join(self._names)} at scale {self.plans[0].scale}, {cells}"
        return f"{asked}: {'done' if self.ok else 'some cells failed'}; {self.folder}"

    __repr__ = __str__
