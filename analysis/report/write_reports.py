"""Write the files of several tables and studies: those of each, and the document, frame and page of all of them."""

import os
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from urllib.parse import quote

from prism_bench.analysis.figures.drawing import FORMATS as PICTURES
from prism_bench.analysis.files import write_file
from prism_bench.analysis.formats.html.details import Addresses, RunKey
from prism_bench.analysis.formats.latex import document_tex
from prism_bench.analysis.frame.frame import joined
from prism_bench.analysis.report.study_report import write_study
from prism_bench.analysis.report.write_report import (
    PAGE,
    USUAL_LOOK,
    Look,
    Source,
    check_columns,
    check_formats,
    frame_csv,
    frame_parquet,
    results_of,
    text_bytes,
    write_with_pictures,
)
from prism_bench.analysis.stats.statistics import STUDENT_T, Estimator
from prism_bench.analysis.table.results import Results
from prism_bench.analysis.table.study_results import StudyResults
from prism_bench.analysis.unchanged import Keep, make_anew, pictures_shown


def write_reports(
    sources: Sequence[Source],
    store: Path,
    out: Path,
    formats: Sequence[str],
    estimator: Estimator = STUDENT_T,
    seen: Callable[[Results], None] = lambda _: None,
    look: Look = USUAL_LOOK,
    studies: Sequence[StudyResults] = (),
    runs: Mapping[RunKey, str] | None = None,
    *,
    keep: Keep = make_anew,
) -> list[Path]:
    """Write the files of several plans and studies, each into its folder, and those of all of them into <out>.

    The latter are all.tex, the frame of everything as all.csv and all.parquet, and the page index.html. seen: called
    with each plan's results. runs: the addresses of cells' runs in MLflow, for the page. keep: whether files that would
    say what they say already are made again.

    Raises:
        AnalysisError: see `write_report`.
    """
    check_formats(formats)
    # All before the first file: what cannot be reported leaves nothing behind.
    parts = [results_of(source, store, estimator, look) for source in sources]
    check_columns(parts)
    written: list[Path] = []
    for source, part in zip(sources, parts, strict=True):
        seen(part)
        _bring(source)
        written += write_with_pictures(part, formats, look.pictures, keep)
    for study in studies:
        made_of = [formats, look.pictures, study.digest]
        written += keep(study.folder, "study", made_of, partial(write_study, study, formats, look.pictures))
    addresses = Addresses(records=_seen_from(out, store / "records"), runs=runs or {})
    everything = [
        *(formats, addresses.records, sorted(addresses.runs.items())),
        *([part.digest, pictures_shown(part.folder)] for part in parts),
        *([study.digest, pictures_shown(study.folder)] for study in studies),
    ]
    return [*written, *keep(out, "all", everything, lambda: _together(parts, studies, addresses, out, formats))]


def _together(
    parts: Sequence[Results],
    studies: Sequence[StudyResults],
    addresses: Addresses,
    out: Path,
    formats: Sequence[str],
) -> list[Path]:
    """Write what shows all of them at once."""
    told = [part for part in parts if part.plan.kind == "table"]
    found = [study.table for study in studies if study.best]
    # A paper's order: what is read first, and the appendix.
    tables = [*(part.first for part in told), *found, *(table for part in told for table in part.appendix)]
    together: dict[str, tuple[str, Callable[[], bytes]]] = {
        "latex": ("all.tex", lambda: text_bytes(document_tex(tables))),
        "csv": ("all.csv", lambda: frame_csv(joined([part.frame for part in parts]))),
        "parquet": ("all.parquet", lambda: frame_parquet(joined([part.frame for part in parts]))),
        PAGE: ("index.html", lambda: text_bytes(_page(parts, addresses, studies))),
    }
    return [
        write_file(out / file, content())
        for name, (file, content) in together.items()
        if name in formats and (parts or name in {"latex", PAGE}) and (tables or name != "latex")
    ]


def _page(parts: Sequence[Results], addresses: Addresses, studies: Sequence[StudyResults]) -> str:
    # Templates and codecs of pictures are loaded where a page is made.
    from prism_bench.analysis.formats.html.page import page_html

    return page_html(parts, addresses, studies)


def _bring(source: Source) -> None:
    """Copy the pictures of a run to where the report is wanted."""
    if source.pictures is None or source.pictures == source.folder:
        return
    for name in PICTURES:
        for path in sorted(source.pictures.glob(f"*.{name}")):
            write_file(source.folder / path.name, path.read_bytes())


def _seen_from(folder: Path, other: Path) -> str | None:
    """The relative address of a folder, as a page in another one has it; None on another drive."""
    try:
        return quote(Path(os.path.relpath(other.resolve(), folder.resolve())).as_posix())
    except ValueError:
        return None
