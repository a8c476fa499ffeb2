"""Write the files of tables: LaTeX, Markdown, the frame as CSV and Parquet, for each and for all, and one page."""

import io
import shutil
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from prism_bench.analysis.errors import AnalysisError
from prism_bench.analysis.figures.plots import interval_plot
from prism_bench.analysis.figures.quality_compute import PICTURE, quality_plot
from prism_bench.analysis.figures.sweep_figures import sweep_figures
from prism_bench.analysis.formats.html.page import FIGURES, page_html
from prism_bench.analysis.formats.latex import document_tex
from prism_bench.analysis.formats.markdown import Picture, table_markdown
from prism_bench.analysis.frame.frame import joined
from prism_bench.analysis.schema.records import Plan, load_records
from prism_bench.analysis.stats.statistics import STUDENT_T, Estimator
from prism_bench.analysis.table.results import Results

_WRITERS: dict[str, tuple[str, Callable[[Results], bytes]]] = {
    "latex": ("tex", lambda it: _text(document_tex(it.tables))),
    "markdown": ("md", lambda it: _text(table_markdown(it, pictures_in(it.pictures, it.plan)))),
    "csv": ("csv", lambda it: frame_csv(it.frame)),
    "parquet": ("parquet", lambda it: frame_parquet(it.frame)),
}
PAGE = "html"
FORMATS = (*_WRITERS, PAGE)
USUAL = ("latex", "markdown", "csv")
KINDS = {"table": tuple(_WRITERS), "curves": ("markdown", "csv", "parquet"), "grid": ("markdown",)}
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
    formats: Sequence[str] = USUAL,
    estimator: Estimator = STUDENT_T,
) -> list[Path]:
    """Write <out>/<experiment>.tex, .md and .csv from the plan and the records in <store>/records; their paths.

    Works with whatever records are there. Pictures that lie in <out> (overview.png, intervals.png,
    training-curves.png, grid-*.png) are shown in the Markdown page. Each file appears whole or not at all.

    Raises:
        AnalysisError: an unknown format, a malformed plan or record, or records that cannot share a table.
    """
    check_formats(formats)
    return write_files(results_of(Source(plan=plan, folder=out), store, estimator), formats)


def write_reports(
    sources: Sequence[Source], store: Path, out: Path, formats: Sequence[str], estimator: Estimator = STUDENT_T
) -> list[Path]:
    """Write the files of several plans, each into its folder, and those of all of them into <out>.

    The latter are all.tex, the frame of everything as all.csv and all.parquet, and the page index.html.

    Raises:
        AnalysisError: see `write_report`.
    """
    check_formats(formats)
    written: list[Path] = []
    # All before the first file: what cannot be reported leaves nothing behind.
    parts = [results_of(source, store, estimator) for source in sources]
    for source, part in zip(sources, parts, strict=True):
        _bring(source)
        written += [*draw(part, source.folder), *write_files(part, formats)]
    out.mkdir(parents=True, exist_ok=True)
    tables = [table for part in parts if part.plan.kind == "table" for table in part.tables]
    together: dict[str, tuple[str, Callable[[], bytes]]] = {
        "latex": ("all.tex", lambda: _text(document_tex(tables))),
        "csv": ("all.csv", lambda: frame_csv(joined([part.frame for part in parts]))),
        "parquet": ("all.parquet", lambda: frame_parquet(joined([part.frame for part in parts]))),
        PAGE: ("index.html", lambda: _text(page_html(parts))),
    }
    for name, (file, content) in together.items():
        if name in formats and (tables or name != "latex"):
            written.append(_write(out / file, content()))
    return written


def check_formats(formats: Sequence[str]) -> None:
    """AnalysisError where one is unknown."""
    for name in formats:
        if name not in FORMATS:
            raise AnalysisError(f"unknown format {name!r}; known: {', '.join(FORMATS)}")


def results_of(source: Source, store: Path, estimator: Estimator = STUDENT_T) -> Results:
    """A plan with the records that are there of it; AnalysisError where they are too few for such intervals."""
    records = tuple(load_records(store, source.plan).values())
    results = Results(plan=source.plan, records=records, estimator=estimator, pictures=source.folder)
    results.check()
    return results


def write_files(results: Results, formats: Sequence[str] = USUAL) -> list[Path]:
    """One plan's files, in the folder of its pictures."""
    folder = results.pictures
    if folder is None:
        raise ValueError("results without a folder")
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for name in dict.fromkeys(formats):
        if name in KINDS[results.plan.kind]:
            ending, content = _WRITERS[name]
            written.append(_write(folder / f"{results.plan.experiment}.{ending}", content(results)))
    return written


def frame_csv(frame: pd.DataFrame) -> bytes:
    """UTF-8 with a heading line, full precision, empty fields for what there is not; lines end in a line feed."""
    return _text(frame.to_csv(index=False, lineterminator="\n"))


def frame_parquet(frame: pd.DataFrame) -> bytes:
    """The same with its dtypes."""
    buffer = io.BytesIO()
    frame.to_parquet(buffer, index=False)
    return buffer.getvalue()


def draw(results: Results, folder: Path) -> list[Path]:
    """Write the pictures that show numbers, made of records alone: intervals, and those of a sweep; their paths."""
    drawn = []
    table = results.table
    if any(True for _ in table.measured):
        drawn.append(interval_plot(table, folder / "intervals.png"))
    if results.plan.kind == "table":
        quality = quality_plot(table, results.lines, folder / PICTURE)
        drawn += [] if quality is None else [quality]
    return drawn if results.sweep is None else [*drawn, *sweep_figures(results.sweep, folder)]


def _bring(source: Source) -> None:
    """Copy the sample grids of a run to where the report is wanted."""
    if source.pictures is None or source.pictures == source.folder:
        return
    source.folder.mkdir(parents=True, exist_ok=True)
    for path in sorted(source.pictures.glob("*.png")):
        shutil.copyfile(path, source.folder / path.name)


def pictures_in(folder: Path | None, plan: Plan) -> tuple[Picture, ...]:
    """The pictures of a report that lie in a folder: (file name, caption), rows in the order of the plan."""
    if folder is None:
        return ()
    captions = FIGURES | {f"grid-{row.id}.png": f"Samples of {row.label}." for row in plan.rows}
    others = sorted(path.name for path in folder.glob("grid-*.png"))
    captions |= {name: f"Samples: {name.removesuffix('.png')}." for name in others if name not in captions}
    return tuple((name, caption) for name, caption in captions.items() if (folder / name).is_file())


def _text(text: str) -> bytes:
    return text.encode("utf-8", errors="backslashreplace")


def _write(path: Path, content: bytes) -> Path:
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}.tmp")
    temporary.write_bytes(content)
    temporary.replace(path)
    return path
