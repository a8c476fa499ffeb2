"""The settings in force that the paper leaves open or has otherwise, as lines of words."""

from prism_bench.analysis import formatting
from prism_bench.analysis.schema.records import Plan

LEDGER = ("Setting", "Value", "In the paper", "What is open or differs", "Rows")
IN_PAPER = {"open": "open", "differs": "otherwise", "not described": "not described by its component"}


def ledger_lines(plan: Plan) -> list[list[str]]:
    """A line for each such setting, in the order of the method's parts; empty for plans of earlier versions."""
    return [
        [
            choice.path,
            formatting.setting(choice.value),
            IN_PAPER[choice.status],
            choice.words,
            formatting.listing(choice.rows) or "all",
        ]
        for choice in plan.ledger
    ]
