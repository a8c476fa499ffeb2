"""Texts that hold several values: numbers, names, pairs."""


def numbers(text: str) -> tuple[int, ...]:
    """Whole numbers from 3, 1,2,3, 0-4 or any mixture, in order, without repeats.

    Raises:
        ValueError: a part that is neither a number nor a range, or no number at all.
    """
    found: list[int] = []
    for part in text.split(","):
        first, dash, last = part.strip().partition("-")
        if not first.isdigit() or (dash and not last.isdigit()):
            raise ValueError(f"{part.strip()!r} is not a whole number or a range; write 0, 0,1,2 or 0-2")
        found += range(int(first), int(last if dash else first) + 1)
    if not found:
        raise ValueError("it holds no number; write the smaller end of a range first")
    return tuple(dict.fromkeys(found))


def numbers_or_none(text: str) -> tuple[int, ...]:
    """The same; no numbers from an empty text."""
    return numbers(text) if text else ()


def names(text: str) -> tuple[str, ...]:
    """Names between commas, without spaces and empty ones."""
    return tuple(name.strip() for name in text.split(",") if name.strip())


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
