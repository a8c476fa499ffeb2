"""Write the files of one table: LaTeX, Markdown, the frame as CSV and Parquet, and the pictures of its numbers."""

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from prism_bench.analysis.errors import AnalysisError
from prism_bench.analysis.figures.drawing import PNG
from prism_bench.analysis.figures.plots import interval_plot
from prism_bench.analysis.figures.quality_compute import PICTURE, quality_plot
from prism_bench.analysis.figures.sweep_figures import sweep_figures
from prism_bench.analysis.files import write_file
from prism_bench.analysis.formats.html.pictures import FIGURES
from prism_bench.analysis.formats.latex import appendix_tex, input_tex
from prism_bench.analysis.formats.markdown import Picture, table_markdown
from prism_bench.analysis.schema.records import Plan, load_records
from prism_bench.analysis.stats.statistics import STUDENT_T, Estimator
from prism_bench.analysis.table.column_names import unknown
from prism_bench.analysis.table.results import Results
from prism_bench.analysis.table.spread import Spread
from prism_bench.analysis.unchanged import Keep, make_anew

_WRITERS: dict[str, Sequence[tuple[str, Callable[[Results], bytes]]]] = {
    "latex": (
        (".tex", lambda it: text_bytes(input_tex([it.first]))),
        ("-appendix.tex", lambda it: text_bytes(appendix_tex(it.first, it.appendix))),
    ),
    "markdown": ((".md", lambda it: text_bytes(table_markdown(it, pictures_in(it.pictures, it.plan)))),),
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


USUAL_LOOK = Look()


def write_report(
    plan: Plan,
    store: Path,
    out: Path,
    formats: Sequence[str] = USUAL,
    estimator: Estimator = STUDENT_T,
    look: Look = USUAL_LOOK,
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
    return write_tables(results, formats)


def check_formats(formats: Sequence[str]) -> None:
    """AnalysisError where one is unknown."""
    for name in formats:
        if name not in FORMATS:
            raise AnalysisError(f"unknown format {name!r}; known: {', '.join(FORMATS)}")


def check_columns(parts: Sequence[Results]) -> None:
    """AnalysisError where a column is asked for that no table has; one that some lack is told there."""
    measured = [part for part in parts if part.plan.kind == "table"]
    for name in dict.fromkeys(name for part in measured for name in part.missing_columns):
        if all(name in part.missing_columns for part in measured):
            known = dict.fromkeys(key for part in measured for key in part.known_columns)
            raise AnalysisError(f"--columns: {unknown(name, list(known))}")


def results_of(source: Source, store: Path, estimator: Estimator = STUDENT_T, look: Look = USUAL_LOOK) -> Results:
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


def frame_csv(frame: pd.DataFrame) -> bytes:
    """UTF-8 with a heading line, full precision, empty fields for what there is not; lines end in a line feed."""
    return text_bytes(frame.to_csv(index=False, lineterminator="\n"))


def frame_parquet(frame: pd.DataFrame) -> bytes:
    """The same with its dtypes."""
    buffer = io.BytesIO()
    frame.to_parquet(buffer, index=False)
    return buffer.getvalue()


def write_with_pictures(
    results: Results, formats: Sequence[str] = USUAL, pictures: Sequence[str] = PNG, keep: Keep = make_anew
) -> list[Path]:
    """Draw what shows the numbers, then write the files that show the pictures, all into the folder of the results.

    `keep` may leave what lies there and says the same.
    """
    drawn = keep(results.folder, "numbers", [pictures, results.digest], lambda: _draw(results, pictures))
    return [*drawn, *write_tables(results, formats, keep)]


def write_tables(results: Results, formats: Sequence[str] = USUAL, keep: Keep = make_anew) -> list[Path]:
    """One plan's files, in the folder of its pictures; `keep` may leave those that lie there and say the same."""
    own = tuple(dict.fromkeys(name for name in formats if name in KINDS[results.plan.kind]))
    made_of = [own, results.digest, pictures_in(results.pictures, results.plan)]
    return keep(results.folder, "tables", made_of, lambda: _write(results, own))


def _write(results: Results, formats: Sequence[str]) -> list[Path]:
    name = results.plan.experiment
    return [
        write_file(results.folder / f"{name}{ending}", content(results))
        for kind in formats
        for ending, content in _WRITERS[kind]
    ]


def _draw(results: Results, formats: Sequence[str]) -> list[Path]:
    """The pictures that show numbers, made of records alone: intervals, and those of a sweep."""
    drawn = []
    table, folder = results.table, results.folder
    if any(True for _ in table.measured):
        names = {row.id: row.label for row in results.plan.rows}
        drawn += interval_plot(table, folder / "intervals.png", names, formats)
    if results.plan.kind == "table":
        drawn += quality_plot(table, results.lines, folder / PICTURE, formats)
    return drawn if results.sweep is None else [*drawn, *sweep_figures(results.sweep, folder, formats)]


def pictures_in(folder: Path | None, plan: Plan) -> tuple[Picture, ...]:
    """The pictures of a report that lie in a folder: (file name, caption), rows in the order of the plan."""
    if folder is None:
        return ()
    captions = FIGURES | {f"grid-{row.id}.png": f"Samples of {row.label}." for row in plan.rows}
    others = sorted(path.name for path in folder.glob("grid-*.png"))
    captions |= {name: f"Samples: {name.removesuffix('.png')}." for name in others if name not in captions}
    return tuple((name, caption) for name, caption in captions.items() if (folder / name).is_file())


def text_bytes(text: str) -> bytes:
    """UTF-8, whatever is in it."""
    return text.encode("utf-8", errors="backslashreplace")
