"""Texts that hold several values: numbers, names, pairs, formats."""

from collections.abc import Sequence

from prism_bench.analysis.figures.drawing import FORMATS
from prism_bench.prism.component import LARGEST_WHOLE

MOST_NUMBERS = 10_000
"""How many numbers a text may stand for: each is a seed or a k, with work of its own."""


def numbers(text: str) -> tuple[int, ...]:
    """Whole numbers from 3, 1,2,3, 0-4 or any mixture, in order, without repeats.

    Raises:
        ValueError: a part that is neither a number nor a range, no number at all, or too many or too large ones.
    """
    found: list[int] = []
    for part in text.split(","):
        first, dash, last = part.strip().partition("-")
        ends = (first, last) if dash else (first, first)
        if not all(end.isascii() and end.isdigit() for end in ends):
            raise ValueError(f"{part.strip()!r} is not a whole number or a range; write 0, 0,1,2 or 0-2")
        if max(map(len, ends)) > len(str(LARGEST_WHOLE)) or int(ends[1]) > LARGEST_WHOLE:
            raise ValueError(f"whole numbers up to {LARGEST_WHOLE} are possible")
        counted = range(int(ends[0]), int(ends[1]) + 1)
        # A range of more has no length that `len` could tell.
        if len(found) + max(0, counted.stop - counted.start) > MOST_NUMBERS:
            raise ValueError(f"these are more than {MOST_NUMBERS:,} numbers; ask for fewer at a time")
        found += counted
    if not found:
        raise ValueError("it holds no number; write the smaller end of a range first")
    return tuple(dict.fromkeys(found))


def names(text: str) -> tuple[str, ...]:
    """Names between commas, without spaces and empty ones.

    Raises:
        ValueError: there is none.
    """
    found = tuple(name.strip() for name in text.split(",") if name.strip())
    if not found:
        raise ValueError("it holds no name; give one, or leave the option out")
    return found


def pairs(text: str) -> tuple[tuple[str, str], ...]:
    """Pairs from key=value,key=value.

    Raises:
        ValueError: a part of another form.
    """
    found = []
    for part in names(text):
        key, equals, value = part.partition("=")
        if not equals or not value:
            raise ValueError(f"{part!r} is not of the form key=value")
        found.append((key.strip(), value.strip()))
    return tuple(found)


def picture_formats(text: str) -> tuple[str, ...]:
    """Formats of pictures between commas.

    Raises:
        ValueError: there is none, or an unknown one.
    """
    return _known(text, FORMATS)


LOGGERS = ("tensorboard", "wandb")
"""What --log takes."""


def loggers(text: str) -> tuple[str, ...]:
    """Programs that show runs, between commas, each once.

    Raises:
        ValueError: there is none, or an unknown one.
    """
    return tuple(dict.fromkeys(_known(text, LOGGERS, " (MLflow has --mlflow, --no-mlflow)")))


def _known(text: str, known: Sequence[str], more: str = "") -> tuple[str, ...]:
    """Names between commas that are all known; more: what a refusal says besides."""
    found = names(text)
    for name in found:
        if name not in known:
            raise ValueError(f"{name!r} is unknown; known are {', '.join(known)}{more}")
    return found
