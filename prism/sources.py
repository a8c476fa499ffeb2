"""Where the value of a field comes from: given by the paper, open in it, or otherwise than there.

A component says so beside its fields, in a class attribute `sources`: field -> `given`, `left_open` or `differs`. The
key OF_ITSELF speaks of what is no field; WHOLE speaks for all fields at once. Plug-ins need none.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from typing import Literal, NamedTuple

from prism_bench.prism.component import Component, Json

Status = Literal["given", "open", "differs", "not described"]
OF_ITSELF = ""
WHOLE = "*"


@dataclass(frozen=True)
class Source:
    """What the paper says of a field. `values`: those that are the paper's; any where there are none."""

    status: Status
    words: str
    values: tuple[object, ...] = ()
    otherwise: str = ""

    def of(self, value: object) -> tuple[Status, str]:
        """The status of a value, and what is to be said of it."""
        if not self.values or value in self.values:
            return self.status, self.words
        return "differs", self.otherwise


Sources = Mapping[str, Source]


def given(place: str, *values: object, otherwise: str = "") -> Source:
    """The paper says it, in such a place. Where `values` are named, any other one differs, as `otherwise` says."""
    return Source("given", place, values, otherwise)


def left_open(words: str) -> Source:
    """The paper does not say it."""
    return Source("open", words)


def differs(words: str) -> Source:
    """It is otherwise than in the paper, whatever the value."""
    return Source("differs", words)


class Choice(NamedTuple):
    """A field of a component by its dotted path, its value (a component's name), and what the paper says of it.

    owner: the class that should describe it, and under which key.
    """

    path: str
    value: Json
    status: Status
    words: str
    owner: tuple[type[Component], str]


def choices(value: Component, path: str) -> Iterator[Choice]:
    """Every field of a component and of the components in it, those that are given too.

    path: what the fields' names stand behind; of a component that says nothing of its fields, or speaks for all of them
    at once, one entry.
    """
    kind = type(value)
    told = sources_of(kind)
    itself = told.get(WHOLE, told.get(OF_ITSELF))
    if itself is not None:
        yield Choice(path or kind.family, value.name, *itself.of(value), (kind, OF_ITSELF))
    elif not told:
        yield Choice(path or kind.family, value.name, "not described", "", (kind, WHOLE))
    if WHOLE in told or not told:
        return
    encoded = value.to_json(whole=True)
    for field in fields(value):
        item = getattr(value, field.name)
        part = isinstance(item, Component)
        source = told.get(field.name, Source("not described", ""))
        below = f"{path}.{field.name}".strip(".")
        yield Choice(below, item.name if part else encoded[field.name], *source.of(item), (kind, field.name))
        if part:
            yield from choices(item, below)


def sources_of(kind: type[Component]) -> dict[str, Source]:
    """What a class and those it subclasses say of their fields."""
    told: dict[str, Source] = {}
    for owner in reversed(kind.__mro__):
        told |= vars(owner).get("sources", {})
    return told
