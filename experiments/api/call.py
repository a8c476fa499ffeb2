"""What every call has: options by name, a console or silence, one kind of error."""

import functools
import os
import sys
import warnings
from collections.abc import Callable
from inspect import Parameter, Signature, signature
from typing import ParamSpec, TypeVar

from rich.console import Console

from prism_bench.experiments.errors import as_input_errors
from prism_bench.experiments.options.option import options_in, type_of
from prism_bench.experiments.screen import Screen
from prism_bench.prism.errors import InputError

OF_COMMANDS = {"quiet", "as_json"}
"""Options of commands that calls do not have, unless they declare them themselves."""
P = ParamSpec("P")
R = TypeVar("R")


def takes(kind: type[object], *given: str) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Say in a function's signature and docstring which options its `**options` are: those of `kind`, but `given`."""

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        @functools.wraps(function)
        def call(*args: P.args, **kwargs: P.kwargs) -> R:
            os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
            for name in kwargs.keys() & OF_COMMANDS - call.__signature__.parameters.keys():  # type: ignore[attr-defined]
                raise InputError(f"{name} is an option of the command line alone; what a call returns holds everything")
            with as_input_errors(), warnings.catch_warnings():
                # tqdm says so, in a notebook without ipywidgets; what a call says of its progress is text.
                warnings.filterwarnings("ignore", message="IProgress not found")
                return function(*args, **kwargs)

        named = [it for it in signature(function).parameters.values() if it.kind is not Parameter.VAR_KEYWORD]
        known = {*given, *OF_COMMANDS, *(parameter.name for parameter in named)}
        options = [(field, option) for field, option in options_in(kind) if field.name not in known]
        added = [
            Parameter(field.name, Parameter.KEYWORD_ONLY, default=field.default, annotation=type_of(field))
            for field, _ in options
        ]
        call.__signature__ = Signature([*named, *added])  # type: ignore[attr-defined]
        if options:
            lines = [f"        {field.name}: {option.help}" for field, option in options]
            call.__doc__ = "\n".join([(function.__doc__ or "").rstrip(), "", "    Options:", *lines, ""])
        return call

    return decorate


def screen(*, quiet: bool, verbose: bool = False) -> Screen:
    """Where a call says what it does: bars in a terminal, plain lines in a notebook or a file, or nowhere.

    Raises:
        InputError: quiet and verbose together.
    """
    if quiet and verbose:
        raise InputError("quiet and verbose exclude each other; leave one out")
    # A notebook asks for colours, which a terminal has; bars that move up and down in its output are none.
    terminal = sys.stdout.isatty()
    console = Console(highlight=False, soft_wrap=True, quiet=quiet, force_jupyter=False, force_terminal=terminal)
    return Screen(console, console, verbose)


def check_caller() -> None:
    """Refuse a call by a script that a worker is importing: it would start workers of its own, and these others.

    Raises:
        InputError: the call is not below `if __name__ == "__main__":`.
    """
    frame = sys._getframe()
    while frame.f_back is not None:
        frame = frame.f_back
        if frame.f_globals.get("__name__") == "__mp_main__" and frame.f_code.co_name == "<module>":
            raise InputError('workers import this script: put the call below `if __name__ == "__main__":`')
