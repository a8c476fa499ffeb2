"""A Typer command from the dataclass of its options."""

import json
import shlex
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import MISSING, Field, fields
from functools import wraps
from inspect import Parameter, Signature, get_annotations
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_args

import typer

from prism_bench.experiments.cli.project import of_project
from prism_bench.experiments.cli.streams import is_closed_pipe
from prism_bench.experiments.options.completion import Typed
from prism_bench.experiments.options.option import (
    Option,
    Options,
    Panel,
    at_home,
    is_several,
    options_in,
    options_of,
    text_of,
    type_of,
)
from prism_bench.experiments.options.project import usual_store
from prism_bench.experiments.options.shown import ShownOptions
from prism_bench.experiments.options.stored import DEFAULT_STORE
from prism_bench.prism.errors import program_ended, without_passwords

if TYPE_CHECKING:
    from prism_bench.experiments.screen import Screen


INTERRUPTED = 130
"""The exit code of a command that Ctrl-C ended."""


def command_group(about: str, **settings: Any) -> typer.Typer:
    """Commands that stand together; without one of them it shows its help."""
    context = {"help_option_names": ["-h", "--help"]}
    return typer.Typer(help=about, no_args_is_help=True, context_settings=context, **settings)


def takes(kind: type[Options]) -> Callable[[Callable[[Options], int | None]], Callable[..., None]]:
    """Make a Typer command of a function that takes the options `kind`; the code that it returns is the exit code.

    The command has `kind` as its attribute `options`.
    """

    def command(function: Callable[[Options], int | None]) -> Callable[..., None]:
        @wraps(function)
        def call(context: typer.Context, **typed: Any) -> None:
            names = {field.name: field for field in fields(kind)}  # type: ignore[arg-type]
            typed = {name: value for name, value in typed.items() if value is not None or names[name].default is None}
            project = of_project(context, kind)
            typed |= project.values
            if "command" in names:
                typed["command"] = command_line(project.words)
            try:
                options = options_of(kind, typed)
                project.tell(quiet=getattr(options, "quiet", False))
                code = function(options)
            except KeyboardInterrupt:
                raise typer.Exit(INTERRUPTED) from None
            except SystemExit as error:
                if is_closed_pipe(error.__context__):  # of which rich makes an exit
                    raise
                raise program_ended(error) from error
            if code:
                raise typer.Exit(code)

        context = Parameter("context", Parameter.KEYWORD_ONLY, annotation=typer.Context)
        parameters = [context, *(_parameter(field, option) for field, option in _in_order(kind))]
        # Typer reads both.
        call.__signature__ = Signature(parameters)  # type: ignore[attr-defined]
        call.__annotations__ = {one.name: one.annotation for one in parameters}
        call.options = kind  # type: ignore[attr-defined]
        return call

    return command


def _in_order(kind: type[object]) -> Iterator[tuple[Field[Any], Option]]:
    """The fields that are options, by panel: a command's own, then those it shares with more and more commands."""
    known = {field.name: (field, option) for field, option in options_in(kind)}
    names = dict.fromkeys(name for owner in kind.__mro__ for name in get_annotations(owner) if name in known)
    panels: list[Panel | None] = [None, *Panel]
    yield from sorted((known[name] for name in names), key=lambda found: panels.index(found[1].panel))


def _parameter(field: Field[Any], option: Option) -> Parameter:
    hint, default = type_of(field), field.default
    more: dict[str, Any] = {} if option.argument else {"rich_help_panel": option.panel}
    if hint is not bool:
        more["metavar"] = _metavar(field, option)
    if option.read is not None:
        # Typed as one text, which is read when the command is called.
        hint = str if default else str | None
        default = text_of(default) if default else None
    elif is_several(hint):
        hint = list[str]
        default = default if default is MISSING else list(default)
    elif Path in (hint, *get_args(hint)):
        hint = str | None if default is None else str
        default = str(default) if isinstance(default, Path) else default
    if option.completes is not None:
        more["autocompletion"] = _completion(option.completes)
    flags = () if option.flag is None else tuple(option.flag.split())
    make = typer.Argument if option.argument else typer.Option
    info = make(*flags, help=option.help + option.range_in_words, envvar=option.envvar, **more)
    given = Parameter.empty if default is MISSING else default
    return Parameter(field.name, Parameter.KEYWORD_ONLY, default=given, annotation=Annotated[hint, info])


def _metavar(field: Field[Any], option: Option) -> str:
    """What stands for a value in the help, short, so that the help has room."""
    if option.argument:
        return field.name.upper().replace("_", "-")
    kinds = (type_of(field), *get_args(type_of(field)))
    if Path in kinds:
        return "PATH"
    return "NUMBER" if option.read is None and {int, float} & set(kinds) else "TEXT"


def _completion(completes: Callable[[Typed], Iterable[str]]) -> Callable[[typer.Context, str], list[str]]:
    def complete(context: typer.Context, incomplete: str) -> list[str]:
        plugins = tuple(map(at_home, context.params.get("plugins") or ()))
        store = context.params.get("store") or usual_store(DEFAULT_STORE)
        try:
            return [
                name for name in completes(Typed(incomplete, at_home(store), plugins)) if name.startswith(incomplete)
            ]
        except Exception:  # a shell has no place for a fault while somebody types
            return []

    return complete


def command_line(project: Sequence[str] = ()) -> str:
    """The command as it was typed, for captions and for typing it again; passwords are left out.

    project: the words for what the project's file added, so that it says the same where there is no such file.
    """
    return "prism-bench " + without_passwords(shlex.join([*sys.argv[1:], *project]))


def screen(options: object = None) -> "Screen":
    """Where a command with these options says what it does, and what came of it.

    Raises:
        InputError: --quiet and --verbose together.
    """
    from prism_bench.experiments.screen import Screen

    if not isinstance(options, ShownOptions):
        return Screen.of(as_json=getattr(options, "as_json", False))
    return Screen.of(quiet=options.quiet, verbose=options.verbose, as_json=options.as_json)


def print_document(document: object) -> None:
    """Print what came of a command as its one JSON document."""
    typer.echo(json.dumps(document, allow_nan=False, ensure_ascii=False, indent=1))
