"""Components as their source text declares them, for lists and for completion: importing them takes too long."""

import re
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cache, cached_property
from importlib.machinery import PathFinder
from importlib.metadata import entry_points
from pathlib import Path

from prism_bench.prism.component import ENTRY_POINT_GROUP

_STRING = re.compile(r'"""[\s\S]*?"""')
_DOCSTRING = re.compile(r'\s*"""(.*)"""')
_CLASS = re.compile(r"^class (\w+)\(([^)]*)\):", re.MULTILINE)
_FIELD = re.compile(r"^    (\w+): (?!ClassVar)([^=\n#]+)", re.MULTILINE)
_KEYWORD = re.compile(r'(family|name)="([^"]*)"')
_NAME = re.compile(r"[A-Z]\w*")
DEEPEST = 5
"""Names in a path of settings: rissole.method.training.images has four."""


@dataclass(frozen=True)
class Declared:
    """A class: the names of its bases, its family or its name as a member, its fields with their types as text.

    summary: the first line of its docstring, as `Component.summary` has it.
    """

    bases: tuple[str, ...]
    family: str = ""
    name: str = ""
    fields: dict[str, str] = field(default_factory=dict)
    summary: str = ""


@dataclass(frozen=True, eq=False)
class Sources:
    """The classes of all packages that declare components, and of some plug-in files, by name."""

    classes: dict[str, Declared]

    @classmethod
    def of(cls, plugins: Iterable[Path] = ()) -> "Sources":
        """Those of our packages and of installed ones, and of files; what cannot be read is passed over."""
        classes = dict(_installed())
        for path in plugins:
            classes |= dict(_declared(path))
        return cls(classes)

    def members(self, family: str) -> list[str]:
        """The names of a family's members."""
        return sorted(self.summaries.get(family, ()))

    @cached_property
    def summaries(self) -> dict[str, dict[str, str]]:
        """The members of each family that has some, with what they are."""
        found: dict[str, dict[str, str]] = {}
        for name, one in self.classes.items():
            if one.name:
                found.setdefault(self._family(name), {})[one.name] = one.summary
        return found

    @cached_property
    def families(self) -> list[str]:
        """Every family by name."""
        return sorted({one.family for one in self.classes.values() if one.family})

    def paths(self, *classes: str) -> list[str]:
        """What `--set` may change, starting at the fields of some classes: training.images, schedule.k_max."""
        return sorted({path for name in classes for path in self._below(name, DEEPEST)})

    def named(self, base: str) -> list[str]:
        """The classes that are members and come from a class."""
        return [name for name, one in self.classes.items() if one.name and base in self._line(name)]

    def _below(self, name: str, depth: int) -> Iterator[str]:
        for base in self._line(name):
            for own, hint in self.classes[base].fields.items():
                yield own
                # The values of several components in a tuple have no path.
                if depth == 1 or hint.startswith("tuple["):
                    continue
                for part in (part for kind in _NAME.findall(hint) for part in self._concrete(kind)):
                    yield from (f"{own}.{path}" for path in self._below(part, depth - 1))

    def _concrete(self, kind: str) -> list[str]:
        """A component of ours, and where it heads a family all its members."""
        return self._lines.get(kind, []) if self._family(kind) else []

    @cached_property
    def _lines(self) -> dict[str, list[str]]:
        """Each class with all that come from it."""
        found: dict[str, list[str]] = {}
        for name in self.classes:
            for base in self._line(name):
                found.setdefault(base, []).append(name)
        return found

    def _line(self, name: str) -> list[str]:
        """A class and all that it comes from."""
        found: list[str] = []
        left = [name]
        while left:
            one = left.pop()
            if one in self.classes and one not in found:
                found.append(one)
                left += self.classes[one].bases
        return found

    def _family(self, name: str) -> str:
        return next((self.classes[one].family for one in self._line(name) if self.classes[one].family), "")


@cache
def _installed() -> tuple[tuple[str, Declared], ...]:
    found: dict[str, Declared] = {}
    for point in entry_points(group=ENTRY_POINT_GROUP):
        for root in _folders(point.value):
            for path in sorted(root.rglob("*.py")) if root.is_dir() else [root]:
                found |= dict(_declared(path))
    return tuple(found.items())


def _folders(module: str) -> Iterator[Path]:
    """Where a package or module lies, without importing it."""
    head, *rest = module.split(".")
    if head in sys.modules:
        places = list(getattr(sys.modules[head], "__path__", ()))
    else:
        spec = PathFinder.find_spec(head)
        places = [] if spec is None else list(spec.submodule_search_locations or ())
    for place in places:
        path = Path(place, *rest)
        yield from (one for one in (path, path.with_suffix(".py")) if one.exists())


def _declared(path: Path) -> Iterator[tuple[str, Declared]]:
    try:
        text = _STRING.sub(_first_line, path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError):
        return
    found = list(_CLASS.finditer(text))
    for index, one in enumerate(found):
        end = found[index + 1].start() if index + 1 < len(found) else len(text)
        # A class ends where a line begins at the margin.
        body = re.split(r"^(?=[^\s)\]}])", text[one.end() : end], maxsplit=1, flags=re.MULTILINE)[0]
        keywords = dict(_KEYWORD.findall(one[2]))
        bases = tuple(
            part.strip().partition("[")[0].rpartition(".")[2] for part in one[2].split(",") if "=" not in part
        )
        family, name = keywords.get("family", ""), keywords.get("name", "")
        docstring = _DOCSTRING.match(body)
        yield one[1], Declared(bases, family, name, dict(_FIELD.findall(body)), docstring[1] if docstring else "")


def _first_line(string: re.Match[str]) -> str:
    lines = string[0].strip('"').strip().splitlines()
    return f'"""{lines[0] if lines else ""}"""'
