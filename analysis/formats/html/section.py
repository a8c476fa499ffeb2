"""One plan on the page: everything that its section shows, each sentence once."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

from prism_bench.analysis import formatting
from prism_bench.analysis.formats.html.details import Addresses, CellLine, cells_of, changes_of, total_cost
from prism_bench.analysis.formats.html.forest import Forest, forest_of
from prism_bench.analysis.formats.html.html_table import Grid, grid_of
from prism_bench.analysis.formats.html.pictures import Picture, curves_of, grids_of, overview_of, resemblances_of
from prism_bench.analysis.schema.bare_labels import settings_of
from prism_bench.analysis.schema.records import Plan
from prism_bench.analysis.stats.claims import how_judged
from prism_bench.analysis.stats.verdicts import Judgement, Verdict
from prism_bench.analysis.table.caption import unmarked
from prism_bench.analysis.table.ledger import LEDGER, ledger_lines
from prism_bench.analysis.table.results import Results
from prism_bench.analysis.table.short_caption import marks, where, with_short_names

Verdicts = dict[str, Counter[Verdict]]


class _Told:
    """Sentences that a section has said already."""

    def __init__(self, *before: str) -> None:
        self._before = set(before)

    def news(self, sentences: Iterable[str]) -> list[str]:
        """Those that it has not."""
        found = [it for it in dict.fromkeys(sentences) if it not in self._before]
        self._before |= set(found)
        return found


@dataclass(frozen=True, eq=False)
class TableSection:
    """A plan of any kind: a table, a grid of samples, or curves.

    shown: the pictures of the page so far, by their addresses, with the sections that show them; it grows. again: how
    many sections of the same experiment and panel stand before.
    """

    part: Results
    addresses: Addresses
    shown: "dict[str, TableSection]"
    again: int = 0
    template = "section.html"

    @property
    def plan(self) -> Plan:
        """What was asked."""
        return self.part.plan

    @property
    def anchor(self) -> str:
        """Its name within the page."""
        name = f"{self.plan.experiment} {self.plan.panel} {self.again + 1 if self.again else ''}"
        return "-".join(name.split()).lower()

    @property
    def short(self) -> str:
        """What the table of contents calls it."""
        name = self.plan.paper_table or self.plan.experiment
        extra = self.plan.panel or ("curves" if self.plan.kind == "curves" else "")
        return ", ".join(filter(None, (name, extra, self.plan.apart)))

    @property
    def heading(self) -> str:
        """Its name, title and panel."""
        title = f"{self.plan.paper_table or self.plan.experiment}: {self.plan.title}"
        return ", ".join(filter(None, (title, self.plan.panel, self.plan.apart)))

    @property
    def is_table(self) -> bool:
        """Whether it has numbers of its own."""
        return self.plan.kind == "table"

    @property
    def asked(self) -> tuple[str, ...]:
        """Data, scale, seeds, cells, and the time of the distinct trainings and samples."""
        plan, lines = self.plan, self.part.lines
        training, sampling = total_cost(self.part)
        return (
            f"{plan.dataset.label} {plan.dataset.resolution}x{plan.dataset.resolution}",
            plan.scale,
            formatting.listing(plan.seeds),
            f"{len(lines.finished)} of {len(lines.every_cell)}",
            formatting.duration(training),
            formatting.duration(sampling),
        )

    @property
    def facts(self) -> str:
        """On what, how often, how far it is."""
        data, scale, seeds, cells, training, _ = self.asked
        several = "seeds" if len(self.plan.seeds) > 1 else "seed"
        words = f"On {data}, scale {scale}, {several} {seeds}; {cells} cells; trained in {training}."
        settings = settings_of(self.plan)
        return f"{words} Settings: {formatting.listing(settings)}." if settings else words

    @cached_property
    def findings(self) -> list[str]:
        """What it says, or how far it is; the first sentence is for the page's beginning."""
        shown = {column.key for column in self.part.shown.columns}
        metrics = [one for name, one in self.part.lines.metrics().items() if name in shown] if self.is_table else []
        said = [with_short_names(sentence, metrics) for sentence in self.part.headline]
        return said or [f"Nothing to compare yet: {self.asked[3]} cells are there."]

    @cached_property
    def verdicts(self) -> Verdicts:
        """How its claims came out, by outcome."""
        found: Verdicts = {}
        for judged in (one for result in self.part.claims for one in result.judged):
            found.setdefault(judged.of or judged.metric or "other", Counter())[judged.verdict] += 1
        return found if self.is_table else {}

    @cached_property
    def forest(self) -> Forest | None:
        """The picture of differences."""
        return forest_of(self.part) if self.is_table else None

    @cached_property
    def grids(self) -> list[Grid]:
        """The tables: in the form of the paper where that is another, then the one with all columns."""
        if self.plan.kind == "curves":
            return []
        form, shown, whole = self.part.paper_form, self.part.shown, self.part.whole
        seen = [column.key for column in shown.columns]
        others = self.part.others.caption[1:] if self.part.others else ()
        news = [*unmarked((*shown.caption, *others)), *marks(self.plan, whole)]
        found = []
        if form is not None:
            found.append(grid_of(form, f"{self.heading}, in the form of the paper", self._told.news(form.caption)))
        name = f"{self.heading}, {shown.group}" if form is not None else self.heading
        return [*found, grid_of(whole, name, self._told.news(news), seen)]

    @cached_property
    def further(self) -> list[tuple[str, Grid]]:
        """More numbers of the same cells, by what they show."""
        _ = self.grids  # says its sentences first
        if self.plan.kind == "curves":
            return []
        tables = self.part.further
        return [(it.group, grid_of(it, f"{self.short}, {it.group}", self._told.news(it.caption[1:]))) for it in tables]

    @cached_property
    def measured(self) -> list[str]:
        """How it was measured."""
        tables = [self.part.shown, *([self.part.others] if self.part.others else []), *self.part.further]
        _ = self.further
        return self._told.news(sentence for table in tables for sentence in table.details)

    @cached_property
    def _told(self) -> _Told:
        return _Told(where(self.plan))

    @cached_property
    def overview(self) -> list[Picture]:
        """What the variants draw."""
        return self._new(overview_of(self.part))

    @cached_property
    def resemblances(self) -> list[Picture]:
        """What their samples resemble."""
        return self._new(resemblances_of(self.part))

    @cached_property
    def sample_grids(self) -> list[Picture]:
        """The same, row by row."""
        return self._new(grids_of(self.part))

    @cached_property
    def curves(self) -> list[Picture]:
        """The pictures of numbers."""
        return self._new(curves_of(self.part))

    @cached_property
    def elsewhere(self) -> "dict[TableSection, list[str]]":
        """The sections that show pictures of this one too, and what these are: no picture stands on the page twice."""
        return {}

    def _new(self, pictures: list[Picture]) -> list[Picture]:
        found = []
        for picture in pictures:
            before = self.shown.setdefault(picture.address, self)
            if before is self:
                found.append(picture)
            else:
                self.elsewhere.setdefault(before, []).append(picture.caption)
        return found

    @property
    def how_judged(self) -> str:
        """How verdicts come about."""
        return " ".join(how_judged(self.part.claims, self.part.estimator))

    @staticmethod
    def pairs(judgement: Judgement) -> list[tuple[str, str, str, str, str]]:
        """A line for each pair: who is better than whom, by how much, p, what would decide it, in what they differ."""
        rows = []
        for pair in judgement.pairs:
            *interval, p = pair.comparison.spelled
            difference = pair.missing or " ".join(filter(None, interval))
            needed = "" if pair.needed is None else pair.needed.words
            rows.append((f"{pair.better} better than {pair.worse}", difference, p, needed, ", ".join(pair.factors)))
        return rows

    @property
    def changes(self) -> list[tuple[str, str]]:
        """What each row changes."""
        return changes_of(self.plan)

    @property
    def choices(self) -> list[tuple[str, str]]:
        """The paper's open choices, with the values in force."""
        return [(name, formatting.setting(value)) for name, value in self.plan.choices.items()]

    @property
    def ledger(self) -> tuple[Sequence[str], list[list[str]]]:
        """Head and lines of what is open in the paper or otherwise."""
        return LEDGER, ledger_lines(self.plan)

    @cached_property
    def cells(self) -> list[CellLine]:
        """Every cell."""
        return cells_of(self.part, self.addresses)

    @property
    def commands(self) -> list[str]:
        """What was typed."""
        return [" ".join(command.split()) for command in self.plan.commands]
