"""A Typer command from the dataclass of its options."""

import shlex
import sys
from collections.abc import Callable, Iterator
from dataclasses import MISSING, Field, fields
from functools import wraps
from inspect import Parameter, Signature, get_annotations
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_args

import typer

from prism_bench.experiments.options.option import Option, Options, is_several, options_in, options_of, text_of, type_of

if TYPE_CHECKING:
    from rich.console import Console


INTERRUPTED = 130
"""The exit code of a command that Ctrl-C ended."""


def command_group(about: str, **settings: Any) -> typer.Typer:
    """Commands that stand together; without one of them it shows its help."""
    context = {"help_option_names": ["-h", "--help"]}
    return typer.Typer(help=about, no_args_is_help=True, context_settings=context, **settings)


def takes(kind: type[Options]) -> Callable[[Callable[[Options], int | None]], Callable[..., None]]:
    """Make a Typer command of a function that takes the options `kind`; the code that it returns is the exit code."""

    def command(function: Callable[[Options], int | None]) -> Callable[..., None]:
        @wraps(function)
        def call(**typed: Any) -> None:
            names = {field.name for field in fields(kind)}  # type: ignore[arg-type]
            try:
                code = function(options_of(kind, {**typed, "command": command_line()} if "command" in names else typed))
            except KeyboardInterrupt:
                raise typer.Exit(INTERRUPTED) from None
            if code:
                raise typer.Exit(code)

        parameters = [_parameter(field, option) for field, option in _in_order(kind)]
        # Typer reads both.
        call.__signature__ = Signature(parameters)  # type: ignore[attr-defined]
        call.__annotations__ = {one.name: one.annotation for one in parameters}
        return call

    return command


def _in_order(kind: type[object]) -> Iterator[tuple[Field[Any], Option]]:
    """The fields that are options: a command's own, then those that it shares with more and more commands."""
    known = {field.name: (field, option) for field, option in options_in(kind)}
    for owner in kind.__mro__:
        for name in get_annotations(owner):
            if name in known:
                yield known.pop(name)


def _parameter(field: Field[Any], option: Option) -> Parameter:
    hint, default = type_of(field), field.default
    if option.read is not None:
        # Typed as one text, which is read when the command is called.
        hint = str | None if default is None else str
        default = text_of(default) if isinstance(default, tuple) else default
    elif is_several(hint):
        (item, *_) = get_args(hint)
        hint = list[Path] if item is Path else list[str]
        default = default if default is MISSING else list(default)
    bounds: dict[str, Any] = {"min": option.least, "max": option.most}
    if int in (hint, *get_args(hint)):
        bounds = {name: None if bound is None else int(bound) for name, bound in bounds.items()}
    flags = () if option.flag is None else tuple(option.flag.split())
    make = typer.Argument if option.argument else typer.Option
    info = make(*flags, help=option.help, envvar=option.envvar, **bounds)
    given = Parameter.empty if default is MISSING else default
    return Parameter(field.name, Parameter.KEYWORD_ONLY, default=given, annotation=Annotated[hint, info])


def command_line() -> str:
    """The command as it was typed, for captions and for typing it again."""
    return "prism-bench " + " ".join(shlex.quote(word) for word in sys.argv[1:])


def console() -> "Console":
    """Where a command says what it does."""
    from rich.console import Console

    return Console(highlight=False, soft_wrap=True)
