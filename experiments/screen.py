"""Where a command says what it does, and where what came of it."""

import os
from dataclasses import dataclass
from typing import Self

from rich.console import Console, RenderableType

from prism_bench.prism.errors import InputError

NARROWEST, USUAL = 60, 100
"""Columns that a table has at least, and where the output is no terminal."""


@dataclass(frozen=True)
class Screen:
    """Two places for the words of a command.

    said: what it does, with progress and notes; silent with --quiet, on standard error with --json. results: what came
    of it; silent with --json, whose document holds it. verbose: say more of each.
    """

    said: Console
    results: Console
    verbose: bool = False

    @classmethod
    def of(cls, *, quiet: bool = False, verbose: bool = False, as_json: bool = False) -> Self:
        """The screen of a command with these switches.

        Raises:
            InputError: quiet and verbose together.
        """
        if quiet and verbose:
            raise InputError("--quiet and --verbose exclude each other; leave one out")
        said = Console(highlight=False, soft_wrap=True, quiet=quiet, stderr=as_json)
        return cls(said, Console(highlight=False, soft_wrap=True, quiet=as_json), verbose)

    @classmethod
    def on(cls, console: Console) -> Self:
        """Everything in one place."""
        return cls(console, console)

    def say(self, text: object = "") -> None:
        """Tell what is done, as it stands, without markup."""
        self.said.print(text, markup=False, soft_wrap=True)

    def tell(self, text: object = "") -> None:
        """Tell what came of it, as it stands, without markup."""
        self.results.print(text, markup=False, soft_wrap=True)

    def show(self, drawn: RenderableType) -> None:
        """Draw what came of it, no wider than `width`."""
        wide = self.results.width
        self.results.width = self.width
        self.results.print(drawn, soft_wrap=False)
        self.results.width = wide

    @property
    def width(self) -> int:
        """Columns for tables: the terminal's (or COLUMNS), from `NARROWEST` on; `USUAL` in a file."""
        known = "COLUMNS" in os.environ or any(map(os.isatty, (0, 1, 2)))
        return max(self.results.width, NARROWEST) if known else USUAL
