"""Options of the commands that compute or show results: how much they say, and in which form."""

from dataclasses import dataclass
from typing import Annotated

from prism_bench.experiments.options.option import Option, Panel

AsJson = Annotated[
    bool,
    Option(
        panel=Panel.OUTPUT,
        flag="--json",
        help="One JSON document on standard output, all else on standard error.",
        kept=False,
    ),
]


@dataclass(frozen=True, kw_only=True)
class ShownOptions:
    """How much a command says; no part of what it computes, and of no command that is printed."""

    quiet: Annotated[
        bool, Option(panel=Panel.OUTPUT, flag="--quiet -q", help="Print results and errors only.", kept=False)
    ] = False
    verbose: Annotated[
        bool,
        Option(panel=Panel.OUTPUT, flag="--verbose -v", help="A line for every stage, and every column.", kept=False),
    ] = False
    as_json: AsJson = False
