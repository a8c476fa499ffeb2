"""The templates of the page: everything that they are given is escaped, and a name that is none is an error."""

from functools import cache
from pathlib import PurePosixPath

from jinja2 import Environment, PackageLoader, StrictUndefined, Template
from markupsafe import Markup

from prism_bench.analysis import formatting
from prism_bench.analysis.formats.html.cell_values import exact, order
from prism_bench.analysis.stats.verdicts import Verdict
from prism_bench.analysis.table.table_model import Hole, Measured, Quoted, Text

MARKS: dict[Verdict, str] = {"reproduced": "yes", "not reproduced": "no", "undecided": "open", "not tested": "none"}
"""The colour class of a verdict; the word itself is always there too."""


def template(name: str) -> Template:
    """A template by the name of its file."""
    return _environment().get_template(name)


@cache
def _environment() -> Environment:
    found = Environment(
        loader=PackageLoader("prism_bench.analysis.formats.html"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    for kind in (Measured, Quoted, Hole, Text):
        found.tests[kind.__name__.lower()] = lambda cell, kind=kind: isinstance(cell, kind)
    found.globals |= {"exact": exact, "order": order}
    found.filters |= {
        "fixed": formatting.fixed,
        "mark": MARKS.__getitem__,
        "source": lambda name: Markup(source(name)),  # noqa: S704 - a file of our own
    }
    return found


def source(name: str) -> str:
    """A style sheet or script of our own, as it is."""
    loader, environment = _environment().loader, _environment()
    if loader is None or PurePosixPath(name).suffix not in {".css", ".js"}:
        raise ValueError(name)
    return loader.get_source(environment, name)[0]
