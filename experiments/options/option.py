"""What an option is, and how a command's options are built from what was typed or called."""

import math
import os
import shlex
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import MISSING, Field, dataclass, fields
from enum import StrEnum
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args, get_origin

from prism_bench.experiments.options.completion import Typed
from prism_bench.prism.component import LARGEST_WHOLE
from prism_bench.prism.errors import InputError, closest, without_passwords

Options = TypeVar("Options")


class Panel(StrEnum):
    """Where the help of a command shows an option; without one it stands among the command's own."""

    IMAGES = "Images"
    WEIGHTS = "Weights of others"
    MACHINE = "Machine"
    OUTPUT = "Store, files and output"


@dataclass(frozen=True, kw_only=True)
class Option:
    """How a field of a command's options is spelled, explained and checked.

    flag: its name on the command line, where that is not the field's, or a switch that knows no --no-; a short one
    may follow. argument: given by position, without a name.
    read: what makes a value of one text that holds several. least, most: the range of a number. writes: what is made at
    a path. kept: whether a command that is printed repeats it. paths: its texts name paths, perhaps behind NAME=.
    panel: where help shows it. completes: the names that a shell offers for it, of what is `Typed`.
    """

    help: str
    flag: str | None = None
    argument: bool = False
    read: Callable[[str], object] | None = None
    least: float | None = None
    most: float | None = None
    envvar: str | None = None
    writes: Literal["file", "folder", "either"] | None = None
    kept: bool = True
    paths: bool = False
    panel: Panel | None = None
    completes: Callable[[Typed], Iterable[str]] | None = None

    @property
    def range_in_words(self) -> str:
        """The range, to stand behind the help; "" where there is none."""
        least = [] if self.least is None else [f"at least {self.least:g}"]
        most = [] if self.most is None else [f"at most {self.most:g}"]
        return f" [{', '.join(least + most)}]" if least or most else ""

    def spelled(self, name: str) -> str:
        """As a user types it: --split-seed; an argument by its bare name."""
        return name if self.argument else (self.flag or f"--{name.replace('_', '-')}").split()[0]


def option_of(field: Field[Any]) -> Option | None:
    """A field's option; None where it is no option, but something that the program adds."""
    return next((one for one in getattr(field.type, "__metadata__", ()) if isinstance(one, Option)), None)


def type_of(field: Field[Any]) -> Any:
    """A field's type, without its option."""
    return get_args(field.type)[0] if get_origin(field.type) is not None and option_of(field) else field.type


def options_in(options: Any) -> Iterator[tuple[Field[Any], Option]]:
    """The fields of a class of options, or of its instance, that are options."""
    for field in fields(options):
        option = option_of(field)
        if option is not None:
            yield field, option


def is_several(hint: Any) -> bool:
    """Whether a field holds any number of values."""
    return get_origin(hint) is tuple


def options_of(kind: type[Options], given: Mapping[str, Any]) -> Options:
    """The options `kind` from what was given by name: texts as they are typed, or values.

    One value stands for a tuple of one, a mapping for pairs key=value, a text for a path.

    Raises:
        InputError: an unknown or missing name, or a value of the wrong type or out of its range.
    """
    known = {field.name: field for field in fields(kind)}  # type: ignore[arg-type]
    for name in given.keys() - known.keys():
        raise InputError(f"there is no option {name!r}; {closest(name, known)}")
    typed = dict(given)
    for field, option in options_in(kind):
        if field.name not in given:
            if option.envvar and os.environ.get(option.envvar):
                typed[field.name] = os.environ[option.envvar]
            elif field.default is MISSING:
                raise InputError(f"{field.name} must be given: {option.help}")
    return kind(**{name: value_of(known[name], value) for name, value in typed.items()})


def value_of(field: Field[Any], value: Any) -> Any:
    """The value of an option from what was given for it.

    Raises:
        InputError: it is of the wrong type, or out of its range.
    """
    option, hint = option_of(field), type_of(field)
    if option is None or (value is None and field.default is None):
        return value
    said = f"the argument {field.name}" if option.argument else option.spelled(field.name)
    if option.read is not None:
        if isinstance(value, Mapping):
            # Alternatives of one key as --only spells them.
            value = [f"{key}={'|'.join(map(str, _several(item)))}" for key, item in value.items()]
        if not isinstance(value, str) and not _several(value) and field.default == ():
            return ()
        text = value if isinstance(value, str) else ",".join(map(str, _several(value)))
        if not text.strip():
            raise InputError(f"{said} {_EMPTY}")
        try:
            return option.read(text)
        except ValueError as error:
            raise InputError(f"{said} {text}: {error}") from None
    if is_several(hint):
        if isinstance(value, Mapping):
            value = [f"{key}={item}" for key, item in value.items()]
        return tuple(_single(get_args(hint)[0], item, said) for item in _several(value))
    found = _in_range(_single(hint, value, said), option, said)
    if option.writes is not None:
        _check_place(found, option.writes, said)
    return found


def _several(value: Any) -> tuple[Any, ...]:
    single = isinstance(value, str | Path) or not isinstance(value, Iterable)
    return (value,) if single else tuple(value)


def _single(hint: Any, value: Any, said: str) -> Any:
    """One value as the type wants it; a type that is only named by a text is left to the one who uses it."""
    kinds = tuple(kind for kind in (get_args(hint) or (hint,)) if isinstance(kind, type))
    if isinstance(value, str) and not value.strip():
        raise InputError(f"{said} {_EMPTY}")
    if not kinds or (isinstance(value, kinds) and (bool in kinds or not isinstance(value, bool))):
        return at_home(value) if isinstance(value, Path) else value
    if Path in kinds and isinstance(value, str):
        return at_home(value)
    if float in kinds and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    names = " or ".join(kind.__name__ for kind in kinds if kind is not type(None))
    raise InputError(f"{said} {value!r}: expected {names}")


_EMPTY = "is empty (an unset variable?); give a value, or leave the option out"
LONGEST_NAME = 255
"""Bytes that file systems allow a name."""


def at_home(text: str | Path) -> Path:
    """A path as it was typed, with its ~ expanded: the shell leaves it in --data=~/pictures and in variables.

    Raises:
        InputError: nothing was typed, no file can be called so, or the home folder that is meant is not known.
    """
    if not str(text).strip():
        raise InputError(f"a path {_EMPTY}")
    if "\0" in str(text) or any(len(os.fsencode(part)) > LONGEST_NAME for part in Path(text).parts):
        raise InputError(f"{str(text)[:40]!r}...: no file can be called so; names hold up to {LONGEST_NAME} bytes")
    if any("\ud800" <= letter <= "\udfff" for letter in str(text)):
        raise InputError(f"{str(text)!r}: its name is not UTF-8, which plans and records are written in; rename it")
    try:
        return Path(text).expanduser()
    except RuntimeError:
        raise InputError(f"{text}: that home folder is not known; write the whole path") from None


def _check_place(path: Path, kind: str, said: str) -> None:
    """Raise InputError where nothing can be written at `path`, as far as it shows before the work."""
    if kind == "file" and path.is_dir():
        raise InputError(f"{said} {path} is a folder; name a file in it")
    there = next(place for place in (path, *path.absolute().parents) if place.exists())
    if there != path or kind == "folder":
        if not there.is_dir():
            raise InputError(f"{said} {path}: {there} is a file, not a folder; name another place")
        if not os.access(there, os.W_OK | os.X_OK):
            raise InputError(f"{said} {path}: {there} cannot be written to; name another place")


def _in_range(value: Any, option: Option, said: str) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        raise InputError(f"{said} {value}: a finite number is needed")
    if isinstance(value, int) and abs(value) > LARGEST_WHOLE:
        raise InputError(f"{said} {value}: whole numbers up to {LARGEST_WHOLE} are possible")
    if option.least is not None and value < option.least:
        raise InputError(f"{said} {value}: at least {option.least} is needed")
    if option.most is not None and value > option.most:
        raise InputError(f"{said} {value}: at most {option.most} is possible")
    return value


def command_of(name: str, options: object) -> str:
    """The command that says the same as some options; passwords are left out."""
    return without_passwords(" ".join(["prism-bench", name, *map(shlex.quote, words_of(options))]))


def words_of(options: object) -> list[str]:
    """The options as the command line spells them: the arguments, then all that does not stand at its default."""
    values = {field.name: getattr(options, field.name) for field, _ in options_in(options)}
    return words_for(options, values)


def words_for(kind: object, values: Mapping[str, Any]) -> list[str]:
    """The same for some values, by field, of a class of options or of its instance."""
    arguments: list[str] = []
    named: list[str] = []
    for field, option in options_in(kind):
        value = values.get(field.name)
        if value is None or not option.kept or (not option.argument and value == field.default):
            continue
        spelled = option.spelled(field.name)
        if isinstance(value, bool):
            named.append(spelled if value else f"--no-{spelled.removeprefix('--')}")
            continue
        texts = [text_of(value)] if option.read is not None or not isinstance(value, tuple) else map(text_of, value)
        for text in texts:
            if option.argument:
                arguments.append(text)
            else:
                named += [spelled, text]
    return [*arguments, *named]


def text_of(value: Any) -> str:
    """A value as it is typed; components by their names."""
    if isinstance(value, tuple):
        return ",".join("=".join(one) if isinstance(one, tuple) else str(one) for one in value)
    return str(getattr(value, "name", value)) if not isinstance(value, Path) else str(value)
