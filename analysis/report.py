"""Write the files of one experiment's table: LaTeX, Markdown, CSV."""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from analysis.csv_table import table_csv
from analysis.errors import AnalysisError
from analysis.latex import table_tex
from analysis.layout import Table
from analysis.markdown import Picture, table_markdown
from analysis.records import Plan, Record, load_plan, load_records
from analysis.table import build


@dataclass(frozen=True, kw_only=True)
class _Material:
    table: Table
    records: tuple[Record, ...]
    pictures: tuple[Picture, ...]


_WRITERS: dict[str, tuple[str, Callable[[_Material], str]]] = {
    "latex": ("tex", lambda it: table_tex(it.table)),
    "markdown": ("md", lambda it: table_markdown(it.table, it.records, it.pictures)),
    "csv": ("csv", lambda it: table_csv(it.table.plan, it.records)),
}
FORMATS = tuple(_WRITERS)


def write_report(
    plan: Path | Mapping[str, object], store: Path, out: Path, formats: Sequence[str] = FORMATS
) -> list[Path]:
    """Write <out>/<experiment>.tex, .md and .csv from the plan and the records in <store>/records; their paths.

    Works with whatever records are there. Pictures that lie in <out> (overview.png, intervals.png,
    training-curves.png, grid-*.png) are shown in the Markdown page. Each file appears whole or not at all.

    Raises:
        AnalysisError: an unknown format, a malformed plan or record, or records that cannot share a table.
    """
    for name in formats:
        if name not in _WRITERS:
            raise AnalysisError(f"unknown format {name!r}; known: {', '.join(FORMATS)}")
    loaded = load_plan(plan)
    records = tuple(load_records(store, loaded).values())
    material = _Material(table=build(loaded, records), records=records, pictures=pictures_in(out, loaded))
    out.mkdir(parents=True, exist_ok=True)
    written = []
    for name in dict.fromkeys(formats):
        ending, writer = _WRITERS[name]
        written.append(_write(out / f"{loaded.experiment}.{ending}", writer(material)))
    return written


def pictures_in(folder: Path, plan: Plan) -> tuple[Picture, ...]:
    """The pictures of a report that lie in a folder: (file name, caption), rows in the order of the plan."""
    named = {
        "overview.png": "Samples of every variant; a column shares its noise and its pseudo-query.",
        "intervals.png": "Each metric: mean over seeds with its 95% interval, seeds as dots, the floor dashed.",
        "training-curves.png": "Loss and k_train over training images.",
    }
    captions = named | {f"grid-{row.id}.png": f"Samples of {row.label}." for row in plan.rows}
    others = sorted(path.name for path in folder.glob("grid-*.png"))
    captions |= {name: f"Samples: {name.removesuffix('.png')}." for name in others if name not in captions}
    return tuple((name, caption) for name, caption in captions.items() if (folder / name).is_file())


def _write(path: Path, text: str) -> Path:
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    temporary.write_text(text, encoding="utf-8", errors="backslashreplace", newline="\n")
    temporary.replace(path)
    return path
