"""What an option is, and how a command's options are built from what was typed or called."""

import os
import shlex
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import MISSING, Field, dataclass, fields
from pathlib import Path
from typing import Any, TypeVar, get_args, get_origin

from prism_bench.prism.errors import InputError, closest

Options = TypeVar("Options")


@dataclass(frozen=True, kw_only=True)
class Option:
    """How a field of a command's options is spelled, explained and checked.

    flag: its name on the command line, where that is not the field's, or a switch that knows no --no-; a short one
    may follow. argument: given by position, without a name.
    read: what makes a value of one text that holds several. least, most: the range of a number.
    """

    help: str
    flag: str | None = None
    argument: bool = False
    read: Callable[[str], object] | None = None
    least: float | None = None
    most: float | None = None
    envvar: str | None = None

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
    return kind(**{name: _value(known[name], value) for name, value in typed.items()})


def _value(field: Field[Any], value: Any) -> Any:
    option, hint = option_of(field), type_of(field)
    if option is None or (value is None and field.default is None):
        return value
    said = option.spelled(field.name)
    if option.read is not None:
        if isinstance(value, Mapping):
            # Alternatives of one key as --only spells them.
            value = [f"{key}={'|'.join(map(str, _several(item)))}" for key, item in value.items()]
        text = value if isinstance(value, str) else ",".join(map(str, _several(value)))
        try:
            return option.read(text)
        except ValueError as error:
            raise InputError(f"{said} {text}: {error}") from None
    if is_several(hint):
        if isinstance(value, Mapping):
            value = [f"{key}={item}" for key, item in value.items()]
        return tuple(_single(get_args(hint)[0], item, said) for item in _several(value))
    return _in_range(_single(hint, value, said), option, said)


def _several(value: Any) -> tuple[Any, ...]:
    single = isinstance(value, str | Path) or not isinstance(value, Iterable)
    return (value,) if single else tuple(value)


def _single(hint: Any, value: Any, said: str) -> Any:
    """One value as the type wants it; a type that is only named by a text is left to the one who uses it."""
    kinds = tuple(kind for kind in (get_args(hint) or (hint,)) if isinstance(kind, type))
    if not kinds or (isinstance(value, kinds) and (bool in kinds or not isinstance(value, bool))):
        return value
    if Path in kinds and isinstance(value, str):
        return Path(value)
    if float in kinds and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    names = " or ".join(kind.__name__ for kind in kinds if kind is not type(None))
    raise InputError(f"{said} {value!r}: expected {names}")


def _in_range(value: Any, option: Option, said: str) -> Any:
    if option.least is not None and value < option.least:
        raise InputError(f"{said} {value}: at least {option.least} is needed")
    if option.most is not None and value > option.most:
        raise InputError(f"{said} {value}: at most {option.most} is possible")
    return value


def command_of(name: str, options: object) -> str:
    """The command that says the same as some options."""
    return " ".join(["prism-bench", name, *map(shlex.quote, words_of(options))])


def words_of(options: object) -> list[str]:
    """The options as the command line spells them: the arguments, then all that does not stand at its default."""
    arguments: list[str] = []
    named: list[str] = []
    for field, option in options_in(options):
        value = getattr(options, field.name)
        if value is None or (not option.argument and value == field.default):
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
