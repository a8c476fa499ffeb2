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
from prism_bench.prism.errors import InputError

P = ParamSpec("P")
R = TypeVar("R")


def takes(kind: type[object], *given: str) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Say in a function's signature and docstring which options its `**options` are: those of `kind`, but `given`."""

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        @functools.wraps(function)
        def call(*args: P.args, **kwargs: P.kwargs) -> R:
            os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
            with as_input_errors(), warnings.catch_warnings():
                # tqdm says so, in a notebook without ipywidgets; what a call says of its progress is text.
                warnings.filterwarnings("ignore", message="IProgress not found")
                return function(*args, **kwargs)

        named = [it for it in signature(function).parameters.values() if it.kind is not Parameter.VAR_KEYWORD]
        known = {*given, *(parameter.name for parameter in named)}
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


def console(*, quiet: bool) -> Console:
    """Where a call says what it does: bars in a terminal, plain lines in a notebook or a file, or nowhere."""
    # A notebook asks for colours, which a terminal has; bars that move up and down in its output are none.
    terminal = sys.stdout.isatty()
    return Console(highlight=False, soft_wrap=True, quiet=quiet, force_jupyter=False, force_terminal=terminal)


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
