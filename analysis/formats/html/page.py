"""The report as one page: nothing is loaded from anywhere, and the same records give the same bytes."""

from collections.abc import Sequence
from itertools import groupby

from prism_bench.analysis.formats.html.details import Addresses, environment_of
from prism_bench.analysis.formats.html.section import TableSection
from prism_bench.analysis.formats.html.study import StudySection
from prism_bench.analysis.formats.html.templates import template
from prism_bench.analysis.table.results import Results
from prism_bench.analysis.table.study_results import StudyResults

TITLE = "PRISM: what was measured, and what the paper says"
NOWHERE = Addresses()
ASKED = ("", "Data", "Scale", "Seeds", "Cells", "Training", "Sampling")


def page_html(parts: Sequence[Results], addresses: Addresses = NOWHERE, studies: Sequence[StudyResults] = ()) -> str:
    """The whole page: what each table says, then a section for each part and each study, then cost and environment.

    A section of another kind is a class with an `anchor`, a `short` name and the name of its `template`.
    """
    shown: dict[str, TableSection] = {}
    names = [(part.plan.experiment, part.plan.panel) for part in parts]
    sections = [
        TableSection(part, addresses, shown, names[:index].count(names[index])) for index, part in enumerate(parts)
    ]
    head, lines = environment_of([record for part in parts for record in part.records])
    return template("page.html").render(
        title=TITLE,
        sections=sections,
        studies=[StudySection(study) for study in studies],
        contents=[(name, list(own)) for name, own in groupby(sections, key=lambda it: it.plan.experiment)],
        common=_common(sections),
        asked_head=ASKED,
        asked=[(section.short, *section.asked) for section in sections],
        environment_head=head,
        environment=lines,
        linked=any(cell.run for section in sections for cell in section.cells),
    )


def _common(sections: Sequence[TableSection]) -> list[str]:
    """What holds for all sections: data, scale, seeds; and all cells together."""
    data, scales, seeds = ({section.asked[at] for section in sections} for at in range(3))
    finished = sum(len(section.part.lines.finished) for section in sections)
    every = sum(len(section.part.lines.every_cell) for section in sections)
    words = [next(iter(own)) for own in (data,) if len(own) == 1]
    words += [f"scale {next(iter(scales))}"] if len(scales) == 1 else []
    words += [f"seeds {next(iter(seeds))}"] if len(seeds) == 1 else []
    return [*words, f"{finished} of {every} cells"]
