"""Write the files of tables: LaTeX, Markdown, the frame as CSV and Parquet, for each and for all, and one page."""

import io
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import pandas as pd

from prism_bench.analysis.errors import AnalysisError
from prism_bench.analysis.figures.drawing import FORMATS as PICTURES
from prism_bench.analysis.figures.drawing import PNG
from prism_bench.analysis.figures.plots import interval_plot
from prism_bench.analysis.figures.quality_compute import PICTURE, quality_plot
from prism_bench.analysis.figures.sweep_figures import sweep_figures
from prism_bench.analysis.files import write_file
from prism_bench.analysis.formats.html.details import Addresses, RunKey
from prism_bench.analysis.formats.html.page import page_html
from prism_bench.analysis.formats.html.pictures import FIGURES
from prism_bench.analysis.formats.latex import appendix_tex, document_tex, input_tex
from prism_bench.analysis.formats.markdown import Picture, table_markdown
from prism_bench.analysis.frame.frame import joined
from prism_bench.analysis.report.study_report import write_study
from prism_bench.analysis.schema.records import Plan, load_records
from prism_bench.analysis.stats.statistics import STUDENT_T, Estimator
from prism_bench.analysis.table.column_names import unknown
from prism_bench.analysis.table.results import Results
from prism_bench.analysis.table.spread import Spread
from prism_bench.analysis.table.study_results import StudyResults
from prism_bench.analysis.unchanged import unless_made

_WRITERS: dict[str, Sequence[tuple[str, Callable[[Results], bytes]]]] = {
    "latex": (
        (".tex", lambda it: _text(input_tex([it.first]))),
        ("-appendix.tex", lambda it: _text(appendix_tex(it.first, it.appendix))),
    ),
    "markdown": ((".md", lambda it: _text(table_markdown(it, pictures_in(it.pictures, it.plan)))),),
    "csv": ((".csv", lambda it: frame_csv(it.frame)),),
    "parquet": ((".parquet", lambda it: frame_parquet(it.frame)),),
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


@dataclass(frozen=True, kw_only=True)
class Look:
    """How a report looks: the columns that tables show first (see `Results.columns`), what stands behind means, and the
    formats of pictures.
    """

    columns: tuple[str, ...] = ()
    spread: Spread = "ci"
    pictures: tuple[str, ...] = PNG


def write_report(
    plan: Plan,
    store: Path,
    out: Path,
    formats: Sequence[str] = USUAL,
    estimator: Estimator = STUDENT_T,
    look: Look = Look(),
) -> list[Path]:
    """Write <out>/<experiment>.tex (and -appendix.tex), .md and .csv from the plan and its records; their paths.

    Works with whatever records are there in <store>/records. Pictures that lie in <out> (overview.png, intervals.png,
    training-curves.png, grid-*.png) are shown in the Markdown page. Each file appears whole or not at all.

    Raises:
        AnalysisError: an unknown format or column, a malformed plan or record, or records that cannot share a table.
    """
    check_formats(formats)
    results = results_of(Source(plan=plan, folder=out), store, estimator, look)
    check_columns([results])
    return write_files(results, formats)


def write_reports(
    sources: Sequence[Source],
    store: Path,
    out: Path,
    formats: Sequence[str],
    estimator: Estimator = STUDENT_T,
    seen: Callable[[Results], None] = lambda _: None,
    look: Look = Look(),
    studies: Sequence[StudyResults] = (),
    runs: Mapping[RunKey, str] | None = None,
) -> list[Path]:
    """Write the files of several plans and studies, each into its folder, and those of all of them into <out>.

    The latter are all.tex, the frame of everything as all.csv and all.parquet, and the page index.html. seen: called
    with each plan's results. runs: the addresses of cells' runs in MLflow, for the page.

    Raises:
        AnalysisError: see `write_report`.
    """
    check_formats(formats)
    written: list[Path] = []
    # All before the first file: what cannot be reported leaves nothing behind.
    parts = [results_of(source, store, estimator, look) for source in sources]
    check_columns(parts)
    for source, part in zip(sources, parts, strict=True):
        seen(part)
        _bring(source)
        # In a folder of the user's own nothing is noted of what its files were made of.
        paint = draw if source.pictures in (None, source.folder) else draw_anew
        written += [*paint(part, source.folder, look.pictures), *write_files(part, formats)]
    for study in studies:
        written += write_study(study, formats, look.pictures)
    told = [part for part in parts if part.plan.kind == "table"]
    found = [study.table for study in studies if study.best]
    # A paper's order: what is read first, and the appendix.
    tables = [*(part.first for part in told), *found, *(table for part in told for table in part.appendix)]
    addresses = Addresses(records=_seen_from(out, store / "records"), runs=runs or {})
    together: dict[str, tuple[str, Callable[[], bytes]]] = {
        "latex": ("all.tex", lambda: _text(document_tex(tables))),
        "csv": ("all.csv", lambda: frame_csv(joined([part.frame for part in parts]))),
        "parquet": ("all.parquet", lambda: frame_parquet(joined([part.frame for part in parts]))),
        PAGE: ("index.html", lambda: _text(page_html(parts, addresses, studies))),
    }
    for name, (file, content) in together.items():
        if name in formats and (parts or name in {"latex", PAGE}) and (tables or name != "latex"):
            written.append(write_file(out / file, content()))
    return written


def check_formats(formats: Sequence[str]) -> None:
    """AnalysisError where one is unknown."""
    for name in formats:
        if name not in FORMATS:
            raise AnalysisError(f"unknown format {name!r}; known: {', '.join(FORMATS)}")


def check_columns(parts: Sequence[Results]) -> None:
    """AnalysisError where a column is asked for that no table has; one that some lack is told there."""
    measured = [part for part in parts if part.plan.kind == "table"]
    known = dict.fromkeys(key for part in measured for key in part.known_columns)
    for name in dict.fromkeys(name for part in measured for name in part.missing_columns):
        if all(name in part.missing_columns for part in measured):
            raise AnalysisError(f"--columns: {unknown(name, list(known))}")


def results_of(source: Source, store: Path, estimator: Estimator = STUDENT_T, look: Look = Look()) -> Results:
    """A plan with the records that are there of it; AnalysisError where they are too few for such intervals."""
    records = tuple(load_records(store, source.plan).values())
    results = Results(
        plan=source.plan,
        records=records,
        estimator=estimator,
        pictures=source.folder,
        columns=look.columns,
        spread=look.spread,
    )
    results.check()
    return results


def write_files(results: Results, formats: Sequence[str] = USUAL) -> list[Path]:
    """One plan's files, in the folder of its pictures."""
    written = []
    for name in dict.fromkeys(formats):
        if name in KINDS[results.plan.kind]:
            for ending, content in _WRITERS[name]:
                written.append(write_file(results.folder / f"{results.plan.experiment}{ending}", content(results)))
    return written


def frame_csv(frame: pd.DataFrame) -> bytes:
    """UTF-8 with a heading line, full precision, empty fields for what there is not; lines end in a line feed."""
    return _text(frame.to_csv(index=False, lineterminator="\n"))


def frame_parquet(frame: pd.DataFrame) -> bytes:
    """The same with its dtypes."""
    buffer = io.BytesIO()
    frame.to_parquet(buffer, index=False)
    return buffer.getvalue()


def draw(results: Results, folder: Path, formats: Sequence[str] = PNG) -> list[Path]:
    """Write the pictures that show numbers, made of records alone: intervals, and those of a sweep; their paths.

    Those that lie there and show the same are left; a note beside them says what they show.
    """
    return unless_made(folder, "numbers", [formats, *_made_of(results)], lambda: draw_anew(results, folder, formats))


def tables_unless_made(results: Results) -> list[Path]:
    """One plan's files in the usual formats; those that lie there and say the same are left."""
    folder, plan = results.folder, results.plan
    made_of = ["tables", pictures_in(results.pictures, plan), *_made_of(results)]
    return unless_made(folder, "tables", made_of, lambda: write_files(results))


def _made_of(results: Results) -> list[object]:
    """All that its files say, but for pictures."""
    shown = (it.model_dump_json() for it in (results.plan, *results.records))
    return [results.estimator.name, results.columns, results.spread, *shown]


def draw_anew(results: Results, folder: Path, formats: Sequence[str] = PNG) -> list[Path]:
    """The same, whatever lies there; nothing is noted."""
    drawn = []
    table = results.table
    if any(True for _ in table.measured):
        names = {row.id: row.label for row in results.plan.rows}
        drawn += interval_plot(table, folder / "intervals.png", names, formats)
    if results.plan.kind == "table":
        drawn += quality_plot(table, results.lines, folder / PICTURE, formats)
    return drawn if results.sweep is None else [*drawn, *sweep_figures(results.sweep, folder, formats)]


def _bring(source: Source) -> None:
    """Copy the pictures of a run to where the report is wanted."""
    if source.pictures is None or source.pictures == source.folder:
        return
    for name in PICTURES:
        for path in sorted(source.pictures.glob(f"*.{name}")):
            write_file(source.folder / path.name, path.read_bytes())


def pictures_in(folder: Path | None, plan: Plan) -> tuple[Picture, ...]:
    """The pictures of a report that lie in a folder: (file name, caption), rows in the order of the plan."""
    if folder is None:
        return ()
    captions = FIGURES | {f"grid-{row.id}.png": f"Samples of {row.label}." for row in plan.rows}
    others = sorted(path.name for path in folder.glob("grid-*.png"))
    captions |= {name: f"Samples: {name.removesuffix('.png')}." for name in others if name not in captions}
    return tuple((name, caption) for name, caption in captions.items() if (folder / name).is_file())


def _seen_from(folder: Path, other: Path) -> str | None:
    """The relative address of a folder, as a page in another one has it; None on another drive."""
    try:
        return quote(Path(os.path.relpath(other.resolve(), folder.resolve())).as_posix())
    except ValueError:
        return None


def _text(text: str) -> bytes:
    return text.encode("utf-8", errors="backslashreplace")
