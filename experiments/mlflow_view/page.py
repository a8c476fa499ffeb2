"""The report page of the table that shows a plan, as an artifact of its run."""

from pathlib import Path

from prism_bench.analysis.formats.html.page import page_html
from prism_bench.analysis.report.write_report import Source, results_of
from prism_bench.analysis.schema.records import Plan
from prism_bench.experiments.reports.places import table_with


def page_of(plan: Plan, store: Path) -> str:
    """One HTML page that needs no network, of the records that are there and the pictures that a run has drawn."""
    table, folder = table_with(plan, store)
    return page_html([results_of(Source(plan=table, folder=folder), store)])
