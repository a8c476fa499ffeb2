"""The files of a study: its trials as CSV, the picture of the metric over each parameter, Markdown and LaTeX."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from prism_bench.analysis.figures.drawing import PNG
from prism_bench.analysis.figures.tuning_figures import Tried, sensitivity
from prism_bench.analysis.files import write_file
from prism_bench.analysis.formats.latex import input_tex
from prism_bench.analysis.formats.markdown import table_grid
from prism_bench.analysis.formats.markdown_escape import escape
from prism_bench.analysis.table.study_results import PICTURE, StudyResults

TRIALS, PAGE = "trials.csv", "summary.md"


def write_study(
    results: StudyResults, formats: Sequence[str] = ("latex", "markdown", "csv"), pictures: Sequence[str] = PNG
) -> list[Path]:
    """Write them into the folder of the results; their paths. Without a finished trial there is nothing to write."""
    study, folder = results.study, results.folder
    if not study.finished:
        return []
    tried = [
        Tried(point=trial.point, values=tuple(trial.by_seed.values()), best=trial is results.best)
        for trial in study.finished
    ]
    written = sensitivity(tried, study.label, folder / PICTURE, pictures)
    if "csv" in formats:
        # Of objects: a whole number beside an empty place stays one.
        table = pd.DataFrame(results.rows(), columns=results.columns, dtype=object)
        text = str(table.to_csv(index=False, lineterminator="\n"))
        written.append(write_file(folder / TRIALS, text.encode()))
    if "markdown" in formats:
        written.append(write_file(folder / PAGE, study_markdown(results).encode()))
    if "latex" in formats:
        written.append(write_file(folder / f"{results.name}.tex", input_tex([results.table]).encode()))
    return written


def study_markdown(results: StudyResults) -> str:
    """The page of a study: what was found, the trials, the picture, and the commands."""
    best, table = results.best, results.table
    use = [] if best is None or not best.command else [f"Use it:\n\n```\n{best.command}\n```"]
    parts = [
        f"# {escape(results.study.study)}: {escape(results.title)}",
        "\n".join(f"- {escape(line)}" for line in results.sentences),
        *use,
        table_grid(table),
        " ".join(escape(sentence) for sentence in (*table.caption, *table.remarks)),
        f"![The metric over each parameter]({PICTURE})",
        f"## How to go on\n\n```\n{results.study.command}\n```",
    ]
    return "\n\n".join(parts) + "\n"
