"""Write the files of tables: LaTeX, Markdown, CSV for each, and one page and one LaTeX document for all."""

import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from prism_bench.analysis.errors import AnalysisError
from prism_bench.analysis.figures.plots import interval_plot
from prism_bench.analysis.figures.quality_compute import PICTURE, quality_plot
from prism_bench.analysis.figures.sweep_figures import sweep_figures
from prism_bench.analysis.formats.csv_table import table_csv
from prism_bench.analysis.formats.html.page import FIGURES, Part, page_html
from prism_bench.analysis.formats.latex import document_tex
from prism_bench.analysis.formats.markdown import Picture, table_markdown
from prism_bench.analysis.schema.records import Plan, Record, load_records
from prism_bench.analysis.stats.statistics import STUDENT_T, Estimator
from prism_bench.analysis.table.build import build, further
from prism_bench.analysis.table.sweep import paper_form, sweep_of
from prism_bench.analysis.table.table_model import Measured, Table


@dataclass(frozen=True, kw_only=True)
class _Material:
    table: Table
    records: tuple[Record, ...]
    pictures: tuple[Picture, ...]
    paper_form: Table | None
    further: tuple[Table, ...]

    @property
    def tables(self) -> list[Table]:
        """The table, after its form in the paper where that is another, and its further tables."""
        first = [] if self.paper_form is None else [self.paper_form]
        return [*first, self.table, *self.further]


_WRITERS: dict[str, tuple[str, Callable[[_Material], str]]] = {
    "latex": ("tex", lambda it: document_tex(it.tables)),
    "markdown": ("md", lambda it: table_markdown(it.table, it.records, it.pictures, it.paper_form, it.further)),
    "csv": ("csv", lambda it: table_csv(it.table.plan, it.records)),
}
PAGE = "html"
FORMATS = (*_WRITERS, PAGE)
KINDS = {"table": ("latex", "markdown", "csv"), "curves": ("markdown", "csv"), "grid": ("markdown",)}
"""The files that each kind of plan has: a grid of samples has no numbers, curves show those of a table."""


@dataclass(frozen=True, kw_only=True)
class Source:
    """A plan, and the folder where its files go; its sample grids lie there already, or in `pictures`."""

    plan: Plan
    folder: Path
    pictures: Path | None = None


def write_report(
    plan: Plan,
    store: Path,
    out: Path,
    formats: Sequence[str] = tuple(_WRITERS),
    estimator: Estimator = STUDENT_T,
) -> list[Path]:
    """Write <out>/<experiment>.tex, .md and .csv from the plan and the records in <store>/records; their paths.

    Works with whatever records are there. Pictures that lie in <out> (overview.png, intervals.png,
    training-curves.png, grid-*.png) are shown in the Markdown page. Each file appears whole or not at all.

    Raises:
        AnalysisError: an unknown format, a malformed plan or record, or records that cannot share a table.
    """
    check_formats(formats)
    return _write_part(_part(Source(plan=plan, folder=out), store, estimator), out, formats)


def write_reports(
    sources: Sequence[Source], store: Path, out: Path, formats: Sequence[str], estimator: Estimator = STUDENT_T
) -> list[Path]:
    """Write the files of several plans, each into its folder, and for all of them <out>/all.tex and <out>/index.html.

    Raises:
        AnalysisError: see `write_report`.
    """
    check_formats(formats)
    written: list[Path] = []
    parts: list[Part] = []
    for source in sources:
        _bring(source)
        part = _part(source, store, estimator)
        written += [*draw(part.table, part.records, source.folder), *_write_part(part, source.folder, formats)]
        parts.append(part)
    out.mkdir(parents=True, exist_ok=True)
    tables = [table for part in parts if part.plan.kind == "table" for table in _material(part).tables]
    if "latex" in formats and tables:
        written.append(_write(out / "all.tex", document_tex(tables)))
    if PAGE in formats:
        written.append(_write(out / "index.html", page_html(parts)))
    return written


def check_formats(formats: Sequence[str]) -> None:
    """AnalysisError where one is unknown."""
    for name in formats:
        if name not in FORMATS:
            raise AnalysisError(f"unknown format {name!r}; known: {', '.join(FORMATS)}")


def _part(source: Source, store: Path, estimator: Estimator) -> Part:
    plan, records = source.plan, tuple(load_records(store, source.plan).values())
    return Part(
        table=build(plan, records, estimator),
        further=further(plan, records, estimator),
        records=records,
        pictures=source.folder,
    )


def _material(part: Part) -> _Material:
    return _Material(
        table=part.table,
        records=part.records,
        pictures=() if part.pictures is None else pictures_in(part.pictures, part.plan),
        paper_form=paper_form(part.plan, part.records, part.table.estimator),
        further=part.further,
    )


def _write_part(part: Part, folder: Path, formats: Sequence[str]) -> list[Path]:
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    material = _material(part)
    for name in dict.fromkeys(formats):
        if name in KINDS[part.plan.kind]:
            ending, writer = _WRITERS[name]
            written.append(_write(folder / f"{part.plan.experiment}.{ending}", writer(material)))
    return written


def draw(table: Table, records: Sequence[Record], folder: Path) -> list[Path]:
    """Write the pictures that show numbers, made of records alone: intervals, and those of a sweep; their paths."""
    drawn = []
    if any(isinstance(cell, Measured) for row in table.rows for cell in row.cells):
        drawn.append(interval_plot(table, folder / "intervals.png"))
    quality = quality_plot(table, records, folder / PICTURE) if table.plan.kind == "table" else None
    drawn += [] if quality is None else [quality]
    sweep = sweep_of(table.plan, records, table.estimator)
    return drawn if sweep is None else [*drawn, *sweep_figures(sweep, folder)]


def _bring(source: Source) -> None:
    """Copy the sample grids of a run to where the report is wanted."""
    if source.pictures is None or source.pictures == source.folder:
        return
    source.folder.mkdir(parents=True, exist_ok=True)
    for path in sorted(source.pictures.glob("*.png")):
        shutil.copyfile(path, source.folder / path.name)


def pictures_in(folder: Path, plan: Plan) -> tuple[Picture, ...]:
    """The pictures of a report that lie in a folder: (file name, caption), rows in the order of the plan."""
    captions = FIGURES | {f"grid-{row.id}.png": f"Samples of {row.label}." for row in plan.rows}
    others = sorted(path.name for path in folder.glob("grid-*.png"))
    captions |= {name: f"Samples: {name.removesuffix('.png')}." for name in others if name not in captions}
    return tuple((name, caption) for name, caption in captions.items() if (folder / name).is_file())


def _write(path: Path, text: str) -> Path:
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    temporary.write_text(text, encoding="utf-8", errors="backslashreplace", newline="\n")
    temporary.replace(path)
    return path
