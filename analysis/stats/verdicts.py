"""Verdicts, and what they rest on."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from prism_bench.analysis.stats.comparison import SIGNIFICANT, Comparison
from prism_bench.analysis.stats.paired import Seeds

Verdict = Literal["reproduced", "not reproduced", "undecided", "not tested"]


@dataclass(frozen=True, kw_only=True)
class PairResult:
    """One pair in one metric: the difference is positive where it is as claimed.

    `needed`: paired seeds that would decide it at the claim's level, if the observed mean were the true one; None where
    it is decided or nothing can be said. `missing`: why it could not be tested.
    """

    better: str
    worse: str
    factors: tuple[str, ...]
    comparison: Comparison
    needed: Seeds | None = None
    missing: str | None = None

    @property
    def mean(self) -> float | None:
        """The mean difference."""
        return None if self.comparison.interval is None else self.comparison.interval.mean


@dataclass(frozen=True, kw_only=True)
class Judgement:
    """A claim in one metric. `of`: the outcome that it is, where the plan names outcomes; alpha: its share of 5%."""

    metric: str
    verdict: Verdict
    sentence: str
    pairs: tuple[PairResult, ...] = ()
    of: str = ""
    alpha: float = SIGNIFICANT

    @property
    def evidence(self) -> str:
        """The sentence without the verdict that it begins with."""
        return self.sentence.partition(": ")[2] or self.sentence

    @property
    def title(self) -> str:
        """The outcome and its metric, as far as they are known."""
        return ", ".join(filter(None, (self.of, self.metric)))


def verdict_of(pairs: Sequence[Comparison]) -> Verdict:
    """All pairs must be significant as claimed; one that is significant the other way is enough against it."""
    if any(pair.significant and pair.interval is not None and pair.interval.mean < 0 for pair in pairs):
        return "not reproduced"
    if any(pair.interval is None for pair in pairs):
        return "not tested"
    return "reproduced" if all(pair.significant for pair in pairs) else "undecided"
