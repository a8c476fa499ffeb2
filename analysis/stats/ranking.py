"""Which row is the best, and which the second best, where that can be told."""

from typing import Generic, NamedTuple

from prism_bench.analysis.stats.contrasts import Contrasts, K


class Ranking(NamedTuple, Generic[K]):
    """The best row and the second best; None where it cannot be told."""

    best: K | None = None
    second: K | None = None


def ranking(contrasts: Contrasts[K]) -> Ranking[K]:
    """The row whose interval to every other measured row lies on the good side of 0, and the same of the others.

    Of two rows alone none is the second best.
    """
    means = {key: sum(values.values()) / len(values) for key, values in contrasts.values.items() if values}
    ranked = sorted(means, key=means.__getitem__, reverse=contrasts.better == "higher")
    if not _leads(contrasts, ranked):
        return Ranking()
    first, *others = ranked
    return Ranking(first, others[0] if _leads(contrasts, others) else None)


def _leads(contrasts: Contrasts[K], ranked: list[K]) -> bool:
    """Whether the first of some rows can be told from all the others."""
    return len(ranked) > 1 and all(contrasts.gain(ranked[0], other).above for other in ranked[1:])
