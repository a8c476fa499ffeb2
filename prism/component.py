"""Component: a frozen, named, digestible part of a method.

A variant is a value. What can change a number is a field of a component and so enters its digest;
device, paths, threads and workers are not fields of any component and so cannot.

Adding a member of a family is one file: a frozen dataclass that subclasses the family. It is found because a name that
nothing imported yet has declared is looked for in the packages registered in the entry-point group
`prism_bench.plugins`; our own packages are registered there in the same way as anyone else's.
"""

import hashlib
import importlib
import importlib.util
import json
import math
import pkgutil
import re
import sys
import types
import typing
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, fields, is_dataclass, replace
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, ClassVar, Self, TypeVar, get_args, get_origin, get_type_hints

from prism_bench.prism.code_digest import code_digest
from prism_bench.prism.errors import InputError, closest, program_ended
from prism_bench.prism.old_imports import import_fault

Json = None | bool | int | float | str | list["Json"] | dict[str, "Json"]
LARGEST_WHOLE = 2**63 - 1
"""The largest whole number that arrays, tables and databases hold."""
ENTRY_POINT_GROUP = "prism_bench.plugins"
PLUGIN = "prism_bench_plugin_"
"""How the names of modules begin that are files of the user's own."""
BEFORE = "before"


def added(default: Any, *, before: Any) -> Any:
    """A dataclass field that earlier versions did not have; `before`: what they did.

    At that value the canonical form leaves it out, so that digests of earlier versions stay valid; a form that leaves
    it out is read as that value.
    """
    return field(default=default, metadata={BEFORE: before})


@dataclass(frozen=True, kw_only=True)
class Component:
    """Base of all families. A family passes `family=`, a concrete member passes `name=`.

    Concrete members are final: compose or `dataclasses.replace`, never subclass a member.
    """

    family: ClassVar[str] = ""
    name: ClassVar[str] = ""
    members: ClassVar[dict[str, dict[str, type["Component"]]]] = {}
    """Those that have been imported, by family; `load_members` imports all."""
    homes: ClassVar[dict[str, str]] = {}
    """The module that declares each family."""
    retired: ClassVar[Mapping[str, Json]] = {}
    """Fields of earlier versions and the one value they had: still written, so that digests stay, and read past."""

    def __new__(cls, **values: Any) -> Self:
        """Refuse what no field can hold, whatever else a member checks of it.

        Raises:
            InputError: a number that is not finite, or larger than 64 bits hold; a word that is none of a field's.
        """
        for name, value in values.items():
            for number in value if isinstance(value, tuple) else (value,):
                if isinstance(number, float) and not math.isfinite(number):
                    raise InputError(f"{cls.family}.{name} must be a finite number, not {number}")
                if isinstance(number, int) and abs(number) > LARGEST_WHOLE:
                    raise InputError(f"{cls.family}.{name} must be at most {LARGEST_WHOLE}, not {number}")
            hint = cls.__dataclass_fields__[name].type if name in cls.__dataclass_fields__ else None
            if get_origin(hint) is typing.Literal and value not in get_args(hint):
                raise InputError(f"{cls.family}.{name} is one of {', '.join(get_args(hint))}, not {value!r}")
        return super().__new__(cls)

    def __init_subclass__(cls, *, family: str = "", name: str = "", **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if cls.name:
            raise TypeError(f"{cls.__name__} subclasses the member {cls.family}/{cls.name}; compose or replace instead")
        if family:
            cls.family = family
            Component.members.setdefault(family, {})
            Component.homes.setdefault(family, cls.__module__)
        if name:
            cls.name = name
            known = Component.members[cls.family].get(name)
            if known is not None and (known.__module__, known.__qualname__) != (cls.__module__, cls.__qualname__):
                raise InputError(
                    f"two components call themselves {cls.family}/{name}: {known.__module__}.{known.__qualname__} and "
                    f"{cls.__module__}.{cls.__qualname__}; rename one of them"
                )
            Component.members[cls.family][name] = cls

    @classmethod
    def called(cls, name: str, **values: Any) -> Self:
        """The member of this family with that name, made with these values: `Metric.called("kid")`.

        Raises:
            InputError: there is none (with the closest names), or it does not subclass the family.
        """
        kind = member(cls.family, name)
        if not issubclass(kind, cls):
            raise InputError(f"{cls.family} {name} does not subclass {cls.__module__}.{cls.__qualname__}")
        return kind(**values)

    @classmethod
    def summary(cls) -> str:
        """The first line of the docstring: what `prism-bench list` prints."""
        return (cls.__doc__ or "").strip().splitlines()[0]

    def to_json(self, *, whole: bool = False) -> dict[str, Json]:
        """The canonical form: family/name and every field, defaults included.

        whole: those fields too that `added` leaves out for the sake of earlier digests; for people, not for digests.
        """
        values: dict[str, Json] = {"component": f"{self.family}/{self.name}", **self.retired}
        for part in fields(self):
            value = getattr(self, part.name)
            if whole or BEFORE not in part.metadata or value != part.metadata[BEFORE]:
                values[part.name] = _encode(value, whole=whole)
        return values

    def digest(self) -> str:
        """SHA-256 (hex, 64 characters) of the canonical JSON: the identity of this value."""
        return digest_of(self.to_json())

    def check_least(self, path: str, **least: float) -> None:
        """Raise InputError where a field is below its least value; `path`: what `--set` calls this component."""
        for name, bound in least.items():
            if getattr(self, name) < bound:
                raise InputError(f"{path}.{name} must be at least {bound}, not {getattr(self, name)}")

    def replace(self, **changes: Any) -> Self:
        """The same value with some fields changed (checked again at construction)."""
        return replace(self, **changes)


C = TypeVar("C", bound=Component)


def canonical(value: Json) -> str:
    """JSON with sorted keys, no spaces, and no NaN: equal values give equal text in any process."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


def digest_of(value: Json) -> str:
    """SHA-256 (hex) of the canonical JSON of a value."""
    return hashlib.sha256(canonical(value).encode()).hexdigest()


def from_json(data: Json) -> Any:
    """The inverse of `Component.to_json`, for any nesting of components, lists and plain values.

    Raises:
        InputError: a component or field of that name is not known (with the closest names).
    """
    if isinstance(data, list):
        return tuple(from_json(item) for item in data)
    if not isinstance(data, dict):
        return data
    if "component" not in data:
        return {key: from_json(item) for key, item in data.items()}
    family, _, name = str(data["component"]).partition("/")
    kind = member(family, name)
    known = {part.name: part for part in fields(kind)}
    given = {key: item for key, item in data.items() if key != "component" and (key, item) not in kind.retired.items()}
    for key in given.keys() - known.keys():
        raise InputError(f"{family}/{name} has no field {key!r}; {closest(key, known)}")
    earlier = {key: part.metadata[BEFORE] for key, part in known.items() if BEFORE in part.metadata}
    return kind(**earlier | {key: from_json(item) for key, item in given.items()})


def member(family: str, name: str) -> type[Component]:
    """The component class called `name` in `family`; InputError with the closest names otherwise.

    Packages are imported until the name is known, that of the family first.
    """
    packages = iter(() if _is_known(family, name) else _packages(Component.homes.get(family, "")))
    while not _is_known(family, name) and (package := next(packages, None)) is not None:
        _import_all(package)
    if family not in Component.members:
        raise InputError(f"unknown family {family!r}; {closest(family, Component.members)}")
    if name not in Component.members[family]:
        raise InputError(f"unknown {family} {name!r}; {closest(name, Component.members[family])}")
    return Component.members[family][name]


def _is_known(family: str, name: str) -> bool:
    return name in Component.members.get(family, {})


def leaves(value: Json, path: str = "") -> Iterator[tuple[str, Json]]:
    """Every (dotted path, plain value) of a canonical JSON value, in order."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from leaves(item, f"{path}.{key}" if path else key)
    elif isinstance(value, list):
        yield path, canonical(value) if any(isinstance(item, dict | list) for item in value) else value
    else:
        yield path, value


def diff(base: Component, variant: Component) -> dict[str, tuple[Json, Json]]:
    """What `variant` changes of `base`: dotted path -> (before, after). A replaced component is one entry."""
    return _diff(base.to_json(whole=True), variant.to_json(whole=True), "")


def _diff(before: Json, after: Json, path: str) -> dict[str, tuple[Json, Json]]:
    if before == after:
        return {}
    if isinstance(before, dict) and isinstance(after, dict):
        one, other = before.get("component"), after.get("component")
        if one != other:
            return {path or str(one).partition("/")[0]: (one, other)}
        changes: dict[str, tuple[Json, Json]] = {}
        for key in sorted(before.keys() | after.keys()):
            changes |= _diff(before.get(key), after.get(key), f"{path}.{key}" if path else key)
        return changes
    return {path: (before, after)}


def with_setting(value: C, path: str, text: str, *, said: str = "") -> C:
    """`value` with the field at the dotted `path` set from the text of a `--set path=text` option.

    A field that holds a component takes the name of a member of its family (built with its defaults). `said` is the
    option as the user wrote it, for messages.

    Raises:
        InputError: no such field (closest names), or the text does not fit the field's type.
    """
    try:
        return _with_text(value, path, text)
    except InputError as error:
        raise InputError(f"{said or f'--set {path}={text}'}: {error}") from None


def _with_text(value: C, path: str, text: str) -> C:
    head, _, rest = path.partition(".")
    known = {part.name for part in fields(value)}
    if head not in known:
        raise InputError(f"{value.family}/{value.name} has no field {head!r}; {closest(head, known)}")
    current = getattr(value, head)
    if rest:
        if not isinstance(current, Component):
            raise InputError(f"{head} is a plain value ({current!r}); drop '.{rest}'")
        return value.replace(**{head: _with_text(current, rest, text)})
    hint = get_type_hints(type(value))[head]
    try:
        return value.replace(**{head: _parse(text, hint)})
    except InputError:
        raise
    except ValueError as error:
        raise InputError(f"expected {_spell(hint)} ({error})") from None


def _spell(hint: Any) -> str:
    return getattr(hint, "__name__", None) or str(hint).replace("typing.", "")


def _parse(text: str, hint: Any) -> Any:  # noqa: PLR0911 - one return per kind of type
    """`text` as a value of the annotated type; ValueError or InputError where it is not one."""
    if isinstance(hint, type) and issubclass(hint, Component):
        return member(hint.family, text)()
    origin, options = get_origin(hint), get_args(hint)
    if origin in {types.UnionType, typing.Union}:
        if types.NoneType in options and text.lower() in {"none", "null"}:
            return None
        return _parse(text, next(option for option in options if option is not types.NoneType))
    if origin is typing.Literal:
        if text not in options:
            raise ValueError(f"one of {', '.join(map(str, options))}")
        return text
    if origin is tuple:
        items = text.strip("()[]").split(",")
        return tuple(_parse(item.strip(), options[0]) for item in items if item.strip())
    if hint is bool:
        words = {"true": True, "false": False, "1": True, "0": False, "yes": True, "no": False}
        if text.lower() not in words:
            raise ValueError("true or false")
        return words[text.lower()]
    return hint(text)


def _encode(value: Any, *, whole: bool) -> Json:
    if isinstance(value, Component):
        return value.to_json(whole=whole)
    if isinstance(value, tuple | list):
        return [_encode(item, whole=whole) for item in value]
    if isinstance(value, Mapping):
        return {str(key): _encode(item, whole=whole) for key, item in value.items()}
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if is_dataclass(value) and not isinstance(value, type):
        return {part.name: _encode(getattr(value, part.name), whole=whole) for part in fields(value)}
    raise TypeError(f"{value!r} cannot be part of a component: use plain values, tuples and components")


OURS = "prism_bench."
_DECLARES = re.compile(r"^class \w+\([^)]*\b(?:family|name)=", re.MULTILINE)
_imported: set[str] = set()
_plugins: dict[str, Path] = {}
_code: dict[str, str] = {}


def load(plugins: Iterable[Path]) -> None:
    """Import the user's own files, of which every process of a run needs the classes.

    Every package is imported before them, so that a name that is taken is refused whoever has taken it.

    Raises:
        InputError: a file is missing or fails to import, or two files or two components have one name.
    """
    names: dict[str, Path] = {}
    for path in plugins:
        other = names.setdefault(path.name, path)
        if other.resolve() != path.resolve():
            raise InputError(f"--plugin {path}: {other} has the same name; rename one of the files")
        load_members()
        load_plugin(path)


def loaded_plugins() -> tuple[Path, ...]:
    """The files that `load` has imported in this process, for processes that are to know the same classes."""
    return tuple(_plugins.values())


def loaded_code() -> dict[str, str]:
    """The digests of the code of those files, as it was when they were imported, by their names."""
    return dict(_code)


def load_members() -> None:
    """Import every module of every registered package, so that families know all their members."""
    for package in _packages(""):
        _import_all(package)


def registered_packages() -> set[str]:
    """The packages that declare components: ours, and those that are installed as plug-ins."""
    return {f"{OURS}prism"} | {point.value for point in entry_points(group=ENTRY_POINT_GROUP)}


def _packages(first: str) -> list[str]:
    """The registered packages, that which holds the module `first` before the others."""
    return sorted(registered_packages(), key=lambda package: (not f"{first}.".startswith(f"{package}."), package))


def _import_all(package: str) -> None:
    if package in _imported:
        return
    _imported.add(package)
    module = importlib.import_module(package)
    for info in pkgutil.walk_packages(getattr(module, "__path__", []), f"{package}."):
        if not info.name.endswith("__main__") and _may_declare(info.name):
            importlib.import_module(info.name)


def _may_declare(module: str) -> bool:
    """Whether a module may declare members or families: of ours its text says so, and the others load torch."""
    spec = importlib.util.find_spec(module)
    if not module.startswith(OURS) or spec is None or not (spec.origin or "").endswith(".py"):
        return True
    return _DECLARES.search(Path(str(spec.origin)).read_text(encoding="utf-8")) is not None


def load_plugin(path: Path) -> None:
    """Import one Python file of the user's, under a name that other processes of this run can import again.

    Raises:
        InputError: the file is missing or fails to import.
    """
    if not path.is_file():
        raise InputError(f"--plugin {path}: no such file; give the path of a .py file")
    if "." in path.stem:
        better = path.stem.replace(".", "_")
        raise InputError(f"--plugin {path}: Python imports no name with a dot in it; call the file {better}.py")
    name = f"{PLUGIN}{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path.resolve())
    if spec is None or spec.loader is None:
        raise InputError(f"--plugin {path}: not a Python file; give the path of a .py file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        _code[path.name] = code_digest(path.read_bytes(), path.name)
        spec.loader.exec_module(module)
    except ImportError as error:
        raise InputError(f"--plugin {path}: {import_fault(path, error)}") from error
    except SystemExit as error:
        raise InputError(f"--plugin {path}: {program_ended(error)}") from error
    except Exception as error:
        raise InputError(f"--plugin {path}: importing it failed with {type(error).__name__}: {error}") from error
    _plugins[name] = path.resolve()
