"""Columns by their names, in full or by their beginning."""

import difflib
from collections.abc import Collection

from prism_bench.analysis import formatting
from prism_bench.analysis.errors import AnalysisError


def called(name: str, main: Collection[str], others: Collection[str] = ()) -> str:
    """The column that is meant: the one of that name, or the only one that begins so; those of `main` go first.

    Raises:
        AnalysisError: an unknown or ambiguous name.
    """
    found = find(name, main, others)
    if found is None:
        raise AnalysisError(unknown(name, [*main, *others]))
    return found


def find(name: str, main: Collection[str], others: Collection[str] = ()) -> str | None:
    """The same; None where there is no such column."""
    if name in main or name in others:
        return name
    fitting = next(filter(None, ([own for own in group if own.startswith(name)] for group in (main, others))), [])
    if len(fitting) > 1:
        raise AnalysisError(f"{name!r} begins {formatting.listing(fitting)}; write one of them")
    return fitting[0] if fitting else None


def unknown(name: str, known: Collection[str]) -> str:
    """What to say of a name that no column has."""
    closest = difflib.get_close_matches(name, known, n=3, cutoff=0.0)
    hint = f"the closest are {formatting.listing(closest)}" if closest else "nothing has been measured yet"
    return f"no metric is called {name!r}, or begins so; {hint}"
