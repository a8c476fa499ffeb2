"""A study of `tune` on the page: what was found, the curve, the trials as a table, and the commands."""

from dataclasses import dataclass

from prism_bench.analysis.formats.html.html_table import Grid, grid_of
from prism_bench.analysis.formats.html.pictures import Picture, of_study
from prism_bench.analysis.schema.study import Trial
from prism_bench.analysis.table.study_results import StudyResults


@dataclass(frozen=True, eq=False)
class StudySection:
    """One study."""

    results: StudyResults
    template = "study.html"

    @property
    def anchor(self) -> str:
        """Its name within the page."""
        return f"study-{self.results.study.study}".replace("/", "-").replace(" ", "-")

    @property
    def short(self) -> str:
        """What the table of contents calls it."""
        return f"Tuning, {self.results.study.study}"

    @property
    def heading(self) -> str:
        """What was tuned."""
        return f"Tuning: {self.results.title}"

    @property
    def facts(self) -> str:
        """On what, at which seeds, how far it is."""
        study, seeds = self.results.study, self.results.study.seeds
        data = f"{study.dataset.label} {study.dataset.resolution}x{study.dataset.resolution}"
        words = f"seed{'s' * (len(seeds) != 1)} {', '.join(map(str, seeds))}"
        done = f"{len(study.finished)} of {len(study.trials)} trials have a value"
        return f"Study {study.study}, on {data}, scale {study.scale}, {words}; {done}."

    @property
    def findings(self) -> list[str]:
        """What it says; the first sentence is for the page's beginning."""
        return self.results.sentences

    @property
    def best(self) -> Trial | None:
        """The best trial, if there is one."""
        return self.results.best

    @property
    def grid(self) -> Grid:
        """The trials."""
        table = self.results.table
        return grid_of(table, self.heading, (*table.caption[1:], *table.remarks))

    @property
    def pictures(self) -> list[Picture]:
        """The metric over each parameter."""
        return of_study(self.results)

    @property
    def command(self) -> str:
        """What was typed."""
        return " ".join(self.results.study.command.split())
