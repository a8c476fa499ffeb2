"""The two kinds of failure a user can meet. Every message names the value, the rule and the remedy."""

from collections.abc import Iterable
from difflib import get_close_matches


class InputError(ValueError):
    """What was asked cannot be done as asked; the command line answers with exit code 2."""


class ComputeError(RuntimeError):
    """A stage failed while running; its cells are marked failed, the others go on, exit code 1."""


def closest(word: str, known: Iterable[str]) -> str:
    """A sentence that names the likeliest meant word, or all known ones where none is near."""
    names = sorted(known)
    near = get_close_matches(word, names, n=3, cutoff=0.5)
    return f"did you mean {' or '.join(near)}?" if near else f"known: {', '.join(names)}"


def first_line(error: Exception) -> str:
    """What an error of another library says first, for a message of ours; its kind where it says nothing."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
    # "Error(s) in loading state_dict for CLIP:" says nothing without the line below it.
    return " ".join(lines[:2] if lines[0].endswith(":") else lines[:1])[:240]
