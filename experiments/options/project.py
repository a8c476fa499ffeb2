"""`prism-bench.toml`: the options that the commands of a project have where nothing else is given."""

import os
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import Field, dataclass
from pathlib import Path
from typing import Any, NamedTuple, get_args

from prism_bench.experiments.options.option import Option, at_home, is_several, options_in, type_of, value_of
from prism_bench.prism.errors import InputError, closest

FILE = "prism-bench.toml"
Kinds = Mapping[str, type[object]]
"""Every command by its name, as it is typed ("cache gc"), and the class of its options."""


@dataclass(frozen=True)
class ProjectFile:
    """The file: keys without a table are for every command that has the option, those of `[run]` for `run` alone."""

    path: Path
    tables: Mapping[str, Mapping[str, Any]]

    @classmethod
    def closest(cls, kinds: Kinds, folder: Path | None = None) -> "ProjectFile | None":
        """The closest one upwards from a folder (default: the working directory); None where there is none.

        Raises:
            InputError: it cannot be read, or holds a key that is no option of its command, or a value that does not
                fit.
        """
        path = _path(folder)
        if path is None:
            return None
        try:
            content = tomllib.loads(path.read_text(encoding="utf-8"))
        except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as error:
            raise InputError(f"{path}: cannot be read as TOML ({error}); mend it or move it away") from None
        found = cls(path, dict(_tables(content, kinds, path)))
        for command, table in found.tables.items():
            found._check(command, table, kinds)
        return found

    def options(self, command: str, kind: type[object]) -> "dict[str, Said]":
        """What it says for a command, by field."""
        of_kind = dict(_options(kind))
        merged = {**self.tables.get("", {}), **self.tables.get(command, {})}
        return {
            of_kind[key][0].name: Said(key, self._located(*of_kind[key], value), self._value(key, *of_kind[key], value))
            for key, value in merged.items()
            if key in of_kind
        }

    def _check(self, command: str, table: Mapping[str, Any], kinds: Kinds) -> None:
        asked = [kinds[command]] if command else kinds.values()
        known: dict[str, tuple[Field[Any], Option]] = {}
        for kind in asked:
            known |= {key: found for key, found in _options(kind) if key not in known}
        for key, value in table.items():
            if key not in known:
                whose = f"an option of {command}" if command else "an option of any command"
                raise InputError(f"{self.path}: {key} = {value!r}: {key} is not {whose}; {closest(key, known)}")
            self._value(key, *known[key], value)

    def _value(self, key: str, field: Field[Any], option: Option, value: Any) -> Any:
        try:
            return value_of(field, self._located(field, option, value))
        except InputError as error:
            raise InputError(f"{self.path}: {key} = {value!r}: {error}") from None

    def _located(self, field: Field[Any], option: Option, value: Any) -> Any:
        """The same with relative paths made relative to the file."""
        hint = type_of(field)
        holds_paths = Path in (hint, *get_args(hint)) or option.paths
        if not holds_paths or not isinstance(value, str | list):
            return value
        if isinstance(value, list):
            return [self._at(one) if isinstance(one, str) else one for one in value] if is_several(hint) else value
        return self._at(value)

    def _at(self, text: str) -> str:
        if not text.strip():
            return text
        name, equals, path = text.partition("=")
        if equals and name.isidentifier():
            return f"{name}={self._at(path)}"
        return str(self.path.parent / at_home(text))


class Said(NamedTuple):
    """A key of the file, its value as it would be typed in the working directory, and what that is read as."""

    key: str
    given: Any
    value: Any


def usual_store(default: str) -> Path:
    """The store of a command that names none: the environment's, the project's, or the default."""
    named = os.environ.get("PRISM_BENCH_STORE")
    path = None if named else _path(None)
    if path is not None:
        try:
            found = tomllib.loads(path.read_text(encoding="utf-8")).get("store")
        except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError):
            found = None
        if isinstance(found, str):
            return (path.parent / found).expanduser().absolute()
    return Path(named or default).expanduser().absolute()


def _path(folder: Path | None) -> Path | None:
    try:
        start = Path.cwd() if folder is None else folder.absolute()
    except OSError:  # it has been removed
        return None
    return next((place / FILE for place in (start, *start.parents) if (place / FILE).is_file()), None)


def _tables(content: Mapping[str, Any], kinds: Kinds, path: Path) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """The keys of every command (""), and those of each one that has a table."""
    groups = {name.partition(" ")[0] for name in kinds if " " in name}
    yield "", {key: value for key, value in content.items() if not _is_table(key, value, kinds, groups)}
    for key, value in content.items():
        if not _is_table(key, value, kinds, groups):
            continue
        if key in kinds:
            yield key, value
            continue
        for name, below in value.items():
            command = f"{key} {name}"
            if command not in kinds or not isinstance(below, dict):
                there = [known.partition(" ")[2] for known in kinds if known.startswith(f"{key} ")]
                raise InputError(f"{path}: [{key}] {name} = {below!r}: {closest(name, there)}")
            yield command, below


def _is_table(key: str, value: Any, kinds: Kinds, groups: set[str]) -> bool:
    return isinstance(value, dict) and (key in kinds or key in groups)


def _options(kind: type[object]) -> Iterator[tuple[str, tuple[Field[Any], Option]]]:
    """The options of a command by their names on the command line, without the dashes."""
    for field, option in options_in(kind):
        if not option.argument:
            yield option.spelled(field.name).removeprefix("--"), (field, option)
