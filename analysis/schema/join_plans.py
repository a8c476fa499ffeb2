"""Plans of one experiment as few tables: those that may share one are joined; the others say how they differ."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeVar

from prism_bench.analysis.schema.bare_labels import settings_of, with_bare_labels
from prism_bench.analysis.schema.join_rows import (
    Place,
    are_kin,
    joined_rows,
    places,
    rows_differ,
    with_all_seeds,
    with_sides,
)
from prism_bench.analysis.schema.records import Cell, OpenChoice, Plan, PlanRow, Record, Side

AXES = ("k_samples", "schedules")
"""Settings that give a table more rows or columns, and change no cell."""
SEEDS = "seeds (--seeds)"
"""The choice that grows with every plan that is joined."""
ALONE, UNCHANGED = "no other setting", "no setting changed"
SHORT = 8
"""Letters of a digest in words."""
Records = Mapping[str, Record]
K = TypeVar("K")
HasCells = TypeVar("HasCells", PlanRow, Side)


class JoinedPlan(Plan):
    """The table of one or several plans, the latest first."""

    joined: tuple[Plan, ...]
    """The plans that it is of."""
    within: tuple[Plan, ...] = ()
    """Plans all of whose cells one of the others has too: nothing is said of them."""
    differs: str = ""
    """What tells the table from the others of its experiment, where there are some."""

    @property
    def name(self) -> str:
        """As every plan's, and what tells it apart."""
        return f"{super().name} {self.apart}".strip()

    @property
    def apart(self) -> str:
        """What tells it apart."""
        return self.differs

    @property
    def sources(self) -> tuple[Plan, ...]:
        """The plans that it is of."""
        return self.joined

    def shows(self, digest: str) -> bool:
        """Whether all that is there of a plan stands in it."""
        return any(plan.plan == digest for plan in (*self.joined, *self.within))


def join_plans(plans: Sequence[Plan], wanted: Sequence[str], records_of: Callable[[Plan], Records]) -> list[JoinedPlan]:
    """The tables of an experiment's plans: rows, seeds and numbers of neighbours of all that may share one.

    Plans share a table where images, scale, split and settings are the same, no row means two things, and no metric
    was measured in two ways. Of plans that are not `wanted`, cells without a record are no part of it.

    Args:
        plans: the latest first.
        wanted: digests of those whose cells are shown in any case.
        records_of: the records that are there of a plan.

    Returns:
        The tables in the order of the first plan of each. A plan of which nothing is to be shown is in none.
    """
    tables: list[_Table] = []
    for plan in plans:
        # What stands alone needs no comparison, and no record.
        alone = len(plans) == 1 and plan.plan in wanted
        part = _Part.of(plan, {} if alone else records_of(plan), whole=plan.plan in wanted)
        if part is None:
            continue
        fitting = next((table for table in tables if table.takes(part)), None)
        if fitting is None:
            fitting = _Table()
            tables.append(fitting)
        fitting.add(part)
    facts = [table.facts for table in tables]
    beside = [
        [facts[at] for at, it in enumerate(tables) if it is not table and it.panel == table.panel] for table in tables
    ]
    return [table.joined(_apart(own, others)) for table, own, others in zip(tables, facts, beside, strict=True)]


@dataclass(frozen=True, eq=False)
class _Part:
    """A plan as it was asked for, what is shown of it, and what its records say."""

    source: Plan
    shown: Plan
    ways: Mapping[str, object]
    trainings: Mapping[tuple[str, int], str]
    """The training of each row and seed, by its key."""

    @classmethod
    def of(cls, plan: Plan, records: Records, *, whole: bool) -> "_Part | None":
        shown = with_bare_labels(plan)
        if not whole:
            rows = tuple(row for row in (_computed(row, records) for row in shown.rows) if row.cells or row.declined)
            if not any(row.cells for row in rows):
                return None
            claims = tuple(with_sides(claim, partial(_computed, records=records)) for claim in shown.claims)
            shown = shown.model_copy(update={"rows": rows, "claims": claims})
        values = (value for record in records.values() for value in record.values)
        ways = {it.name: (it.fingerprint, it.n, it.reference_n, it.better, it.unit) for it in values}
        cells = ((row.id, cell) for row in shown.rows for cell in row.cells if cell.record in records)
        known = {(row, cell.seed): records[cell.record].stages.get("training", "") for row, cell in cells}
        return cls(plan, shown, ways, known)

    @property
    def cells(self) -> set[tuple[str, int | None, int]]:
        """Row, number of neighbours and seed of each."""
        return {(row.id, cell.k_sample, cell.seed) for row in self.shown.rows for cell in row.cells}

    @property
    def shared(self) -> tuple[object, ...]:
        """What plans of one table have in common."""
        plan = self.shown
        return (
            plan.kind,
            plan.panel,
            plan.scale,
            plan.dataset,
            plan.reference,
            plan.split_seed,
            tuple(own_settings(plan)),
        )


def _computed(owner: HasCells, records: Records) -> HasCells:
    return owner.model_copy(update={"cells": tuple(cell for cell in owner.cells if cell.record in records)})


@dataclass(frozen=True)
class _Table:
    """Parts that share a table; words are those of the first."""

    parts: list[_Part] = field(default_factory=list)
    cells: dict[Place, dict[int, Cell]] = field(default_factory=dict)
    """The cells of all parts by place, then by seed; of two the first part's."""

    def add(self, part: _Part) -> None:
        """Take a part in."""
        self.parts.append(part)
        for place, cells in places(part.shown.rows).items():
            self.cells[place] = cells | self.cells.get(place, {})

    def takes(self, part: _Part) -> bool:
        """Whether the part may share it."""
        known, own = self.cells, places(part.shown.rows)
        return self._is_alike(part) and all(are_kin(known[place], own[place]) for place in known.keys() & own.keys())

    def _is_alike(self, part: _Part) -> bool:
        for other in self.parts:
            both = (other.shown.choices.keys() & part.shown.choices.keys()) - {SEEDS}
            if (
                other.shared != part.shared
                or any(other.shown.choices[name] != part.shown.choices[name] for name in both)
                or rows_differ(part.shown.rows, other.shown.rows)
                or _conflict(part.ways, other.ways)
                or _conflict(part.trainings, other.trainings)
            ):
                return False
        return True

    @property
    def panel(self) -> str:
        return self.parts[0].shown.panel

    @property
    def facts(self) -> list[str]:
        """What it is of, what is told first standing first."""
        plan = self.parts[0].shown
        data, choices = plan.dataset, (f"{name}: {value}" for name, value in plan.choices.items() if name != SEEDS)
        return [
            f"{data.label} {data.resolution}x{data.resolution}",
            f"scale {plan.scale}",
            *own_settings(plan),
            ALONE if own_settings(plan) else UNCHANGED,
            f"split seed {plan.split_seed}",
            *choices,
            f"images {data.digest[:SHORT]}",
            f"plan {plan.plan[:SHORT]}",
        ]

    def joined(self, apart: str) -> JoinedPlan:
        """One plan for all parts."""
        parts = self._needed
        first, sources = parts[0].shown, tuple(part.source for part in parts)
        within = tuple(part.source for part in self.parts if part not in parts)
        known: dict[str, Any] = {"joined": sources, "within": within, "differs": apart}
        if len(parts) == 1:
            return JoinedPlan.model_construct(**dict(first), **known)
        shown = [part.shown for part in parts]
        rows = joined_rows([plan.rows for plan in shown])
        seeds = sorted({cell.seed for row in rows for cell in row.cells} | set(first.seeds))
        digests = "\n".join(sorted(plan.plan for plan in sources))
        changed: dict[str, Any] = {
            "plan": hashlib.sha256(digests.encode()).hexdigest()[:32],
            "seeds": tuple(seeds),
            "settings": tuple(it for it in first.settings if all(it in plan.settings for plan in shown)),
            "only": (),
            "choices": {name: seeds if name == SEEDS else value for name, value in first.choices.items()},
            "rows": rows,
            "claims": with_all_seeds(shown),
            "ledger": _ledger(shown, rows),
        }
        return JoinedPlan.model_construct(**{**dict(first), **changed, **known})

    @property
    def _needed(self) -> list[_Part]:
        """The parts that have a cell which no other has; of equal ones the latest."""
        needed = list(self.parts)
        for part in reversed(self.parts):
            if any(part.cells <= other.cells for other in needed if other is not part):
                needed.remove(part)
        return needed


def own_settings(plan: Plan) -> list[str]:
    """The settings in force that change cells, in order."""
    return sorted(it for it in settings_of(plan) if it.partition("=")[0] not in AXES)


def _conflict(some: Mapping[K, object], others: Mapping[K, object]) -> bool:
    return any(some[name] != others[name] for name in some.keys() & others.keys())


def _ledger(plans: Sequence[Plan], rows: Sequence[PlanRow]) -> tuple[OpenChoice, ...]:
    """The open choices of all, each with the labels of the rows that have it."""
    found: dict[str, tuple[OpenChoice, set[str]]] = {}
    for plan in plans:
        for choice in plan.ledger:
            bare = choice.model_copy(update={"rows": ()})
            found.setdefault(bare.model_dump_json(), (bare, set()))[1].update(choice.rows or _labels(plan.rows))
    labels = _labels(rows)
    return tuple(
        choice
        if having >= set(labels)
        else choice.model_copy(update={"rows": tuple(it for it in labels if it in having)})
        for choice, having in found.values()
    )


def _labels(rows: Sequence[PlanRow]) -> list[str]:
    """Of the rows that open choices are of."""
    return [row.label for row in rows if row.cells and not row.control]


def _apart(own: Sequence[str], others: Sequence[Sequence[str]]) -> str:
    """The first facts that tell one table from each of the others, as words."""
    words = []
    for fact in own:
        if fact in {ALONE, UNCHANGED}:
            # Tells from tables that have settings besides.
            told = [facts for facts in others if set(_settings_in(facts)) > set(_settings_in(own))]
        else:
            told = [facts for facts in others if fact not in facts]
        if told:
            words.append(fact)
            others = [facts for facts in others if facts not in told]
    return ", ".join(words)


def _settings_in(facts: Sequence[str]) -> Sequence[str]:
    """They stand behind data and scale, before the words on them."""
    return facts[2 : next(at for at, fact in enumerate(facts) if fact in {ALONE, UNCHANGED})]
