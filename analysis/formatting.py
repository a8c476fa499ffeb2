"""How numbers are spelled, the same in every output."""

import json
import math
from collections.abc import Iterable, Sequence

THRESHOLDS = (0.025, 0.05)
"""p values below which differences are told apart: of one of two outcomes, and of one alone."""


def decimals(numbers: Iterable[float]) -> int:
    """Decimals for a column of numbers: four figures of the largest magnitude, three below 1, six decimals at most."""
    largest = max((abs(number) for number in numbers), default=0.0)
    if largest == 0:
        return 2
    magnitude = math.floor(math.log10(largest))
    return min(6, max(0, (3 if largest >= 1 else 2) - magnitude))


def published_decimals(numbers: Iterable[float]) -> int:
    """Decimals that spell every published number in full, so that 26.00 stands above 25.62."""
    return max((len(repr(number).partition(".")[2]) for number in numbers if number % 1), default=0)


def fixed(number: float, places: int) -> str:
    """A number with so many decimals; no minus sign before a zero."""
    text = f"{number:.{places}f}"
    return text.lstrip("-") if float(text) == 0 else text


def significant(number: float) -> str:
    """A number to two figures: 0.012, 1.3, 25."""
    return f"{number:.2g}" if abs(number) < 99.5 else f"{number:,.0f}"


def count(number: int) -> str:
    """A whole number with commas between thousands."""
    return f"{number:,}"


def parameters(number: int) -> str:
    """A parameter count to three figures: 755K, 13.2M."""
    if number < 1000:
        return str(number)
    for size, letter in ((10**9, "B"), (10**6, "M"), (10**3, "K")):
        if number >= 0.9995 * size:
            scaled = number / size
            return f"{scaled:.{max(0, 2 - math.floor(math.log10(scaled * 1.0005)))}f}{letter}"
    return str(number)


def published(number: float, unit: str, places: int) -> str:
    """A published number with no more figures than it was published with: 13M, 232,000, 1.5 h, and so many decimals."""
    if unit == "parameters":
        return f"{number / 1e6:g}M"
    if unit == "images":
        return count(round(number))
    return f"{number:g} {unit}" if unit else fixed(number, places)


def duration(seconds: float) -> str:
    """A time in the largest unit that leaves at least one: 31 s, 3.3 min, 5.0 h."""
    if seconds < 60:
        return f"{seconds:.0f} s"
    if seconds < 3600:
        return f"{seconds / 60:.1f} min"
    return f"{seconds / 3600:.1f} h"


def operations(number: float) -> str:
    """Floating-point operations: 3.2 TFLOP."""
    for size, letter in ((1e18, "E"), (1e15, "P"), (1e12, "T"), (1e9, "G")):
        if number >= 0.9995 * size:
            return f"{number / size:.3g} {letter}FLOP"
    return f"{number / 1e6:.3g} MFLOP"


def size(count: float) -> str:
    """Bytes: 41 kB, 4.2 MB, 812 MB, 3.1 GB."""
    if count >= 1e9:
        return f"{count / 1e9:.1f} GB"
    if count >= 1e6:
        return f"{count / 1e6:.{0 if count >= 1e7 else 1}f} MB"
    return f"{count / 1e3:.0f} kB"


def p_value(p: float) -> str:
    """p = 0.034, to two figures, or to as many as show on which side of a threshold it lies; p < 0.001 below that."""
    if p < 0.001:
        return "p < 0.001"
    spelled = (f"{p:.{figures}g}" for figures in range(2, 17))
    return "p = " + next(text for text in spelled if not any(p < limit <= float(text) for limit in THRESHOLDS))


def listing(words: Iterable[object]) -> str:
    """Words with commas between."""
    return ", ".join(str(word) for word in words)


def seeds(numbers: Sequence[int]) -> str:
    """Seeds by number: seed 0; seeds 0, 1, 2."""
    return f"seed{'s' * (len(numbers) != 1)} {listing(numbers)}"


def apart(labels: Sequence[str]) -> tuple[list[str], str]:
    """Labels without the settings in brackets that all of them end in, and these settings; "" where they differ.

    A label without brackets, such as that of real images, stays as it is.
    """
    ends = {label[label.rindex(" [") :] for label in labels if label.endswith("]") and " [" in label}
    if len(ends) != 1:
        return list(labels), ""
    (end,) = ends
    return [label.removesuffix(end) for label in labels], end[2:-1]


def setting(value: object) -> str:
    """The value of a choice or of a field: a text as it is, anything else as JSON."""
    return value if isinstance(value, str) else json.dumps(value, sort_keys=True, ensure_ascii=False)


def letter(index: int) -> str:
    """The mark of a note: a, b ... z, aa, ab ..."""
    head, tail = divmod(index, 26)
    return (letter(head - 1) if head else "") + chr(ord("a") + tail)
