"""How each row of a table looks in all its pictures: colours that the colour-blind tell apart (Okabe and Ito 2008)."""

from collections.abc import Sequence
from itertools import cycle
from typing import NamedTuple

BLUE, ORANGE, GREEN, VERMILION, PURPLE, SKY, GREY = (
    "#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9", "#7F7F7F",
)  # fmt: skip
COLOURS = (BLUE, ORANGE, GREEN, VERMILION, PURPLE, SKY, GREY)
MARKERS = ("o", "s", "D", "^", "v")
OF_PAPER = {
    "patchd": BLUE, "rag": ORANGE, "st-rag": GREEN, "prism": VERMILION, "rissole": PURPLE,
    "decreasing": VERMILION, "increasing": BLUE, "random": GREEN, "fixed": ORANGE,
}  # fmt: skip
"""Rows of the paper, by how their ids begin, which look alike in all tables; PRISM's schedule is PRISM's colour."""


class Look(NamedTuple):
    """A colour, and a marker that tells rows of one colour apart."""

    colour: str
    marker: str


def looks_of(rows: Sequence[str]) -> dict[str, Look]:
    """A look for each row, by id: its own where the paper has it, then the colours that are left, in order.

    Equal rows in equal order look alike; where colours are used up they come again with another marker.
    """
    found: dict[str, Look] = {}
    free = cycle(Look(colour, marker) for marker in MARKERS for colour in COLOURS)
    for row in rows:
        own = next((OF_PAPER[name] for name in sorted(OF_PAPER, key=len, reverse=True) if row.startswith(name)), None)
        look = None if own is None else Look(own, MARKERS[0])
        if look is not None and look not in found.values():
            found[row] = look
    for row in rows:
        if row not in found:
            taken = set(found.values())
            more = len(found) < len(COLOURS) * len(MARKERS)
            found[row] = next(look for look in free if look not in taken or not more)
    return {row: found[row] for row in rows}
