"""Rows of several plans as those of one table, and the claims of all of them over all their seeds."""

from collections.abc import Callable, Iterable, Mapping, Sequence

from prism_bench.analysis.schema.records import Cell, Claim, Plan, PlanRow, Side

Place = tuple[str, int | None]
"""A row's id and a number of neighbours."""
Cells = Mapping[int, Cell]
"""Cells of one place by seed."""
OF_ROW = ("label", "trained_on", "changes", "factors", "control")
"""What a row of one id is in every plan of a table."""


def places(rows: Iterable[PlanRow]) -> dict[Place, dict[int, Cell]]:
    """The cells of rows by place, then by seed."""
    found: dict[Place, dict[int, Cell]] = {}
    for row in rows:
        for cell in row.cells:
            found.setdefault((row.id, cell.k_sample), {})[cell.seed] = cell
    return found


def are_kin(known: Cells, others: Cells) -> bool:
    """Whether cells of one place differ in their seeds alone.

    They do where they have records in common and none of one seed that differ, or where they name one kin.
    """
    both = known.keys() & others.keys()
    if both:
        return all(known[seed].record == others[seed].record for seed in both)
    names = {cell.kin for cell in (*known.values(), *others.values())}
    return len(names) == 1 and None not in names


def rows_differ(rows: Iterable[PlanRow], others: Iterable[PlanRow]) -> bool:
    """Whether a row that is computed in both is another thing there."""
    known = {row.id: row for row in others if row.cells}
    pairs = ((row, known[row.id]) for row in rows if row.cells and row.id in known)
    return any(getattr(row, name) != getattr(other, name) for row, other in pairs for name in OF_ROW)


def joined_rows(parts: Sequence[Sequence[PlanRow]]) -> tuple[PlanRow, ...]:
    """Every row once, with the cells of all parts by rising k_sample and seed; one that is computed says so."""
    rows: dict[str, PlanRow] = {}
    for part in parts:
        for row in part:
            known = rows.get(row.id, row)
            rows[row.id] = known if known.cells or not row.cells else row
    cells: dict[str, dict[tuple[int, int], Cell]] = {}
    for row in (row for part in reversed(parts) for row in part):
        own = {(-1 if cell.k_sample is None else cell.k_sample, cell.seed): cell for cell in row.cells}
        cells[row.id] = cells.get(row.id, {}) | own
    return tuple(
        rows[name].model_copy(update={"cells": tuple(cells[name][at] for at in sorted(cells[name]))})
        for name in in_order([[row.id for row in part] for part in parts])
    )


def in_order(lists: Sequence[Sequence[str]]) -> list[str]:
    """All names, those of the longest list in its order; others stand behind the name that they follow in theirs, or
    before the one that they precede.
    """
    ordered: list[str] = []
    for names in sorted(lists, key=len, reverse=True):
        for index, name in enumerate(names):
            if name in ordered:
                continue
            after = next((ordered.index(it) + 1 for it in reversed(names[:index]) if it in ordered), None)
            before = next((ordered.index(it) for it in names[index + 1 :] if it in ordered), len(ordered))
            ordered.insert(before if after is None else after, name)
    return ordered


def with_all_seeds(plans: Sequence[Plan]) -> tuple[Claim, ...]:
    """The claims of the plans, each as the first plan has it, over the seeds of every plan."""
    claims = {claim.id: claim for plan in reversed(plans) for claim in plan.claims}
    order = dict.fromkeys(claim.id for plan in plans for claim in plan.claims)
    known: dict[Place, dict[int, Cell]] = {}
    for side in (side for plan in plans for claim in plan.claims for side in claim.sides):
        own = {cell.seed: cell for cell in side.cells}
        there = known.setdefault((side.row, side.k_sample), own)
        if are_kin(there, own):
            known[side.row, side.k_sample] = own | there

    def whole(side: Side) -> Side:
        cells = known[side.row, side.k_sample]
        return side.model_copy(update={"cells": tuple(cells[seed] for seed in sorted(cells))})

    return tuple(with_sides(claims[name], whole) for name in order)


def with_sides(claim: Claim, whole: Callable[[Side], Side]) -> Claim:
    """A claim with every side changed."""
    pairs = tuple(
        pair.model_copy(update={"better": whole(pair.better), "worse": whole(pair.worse)}) for pair in claim.pairs
    )
    limit = claim.limit and claim.limit.model_copy(update={"sides": tuple(map(whole, claim.limit.sides))})
    return claim.model_copy(update={"pairs": pairs, "limit": limit})
