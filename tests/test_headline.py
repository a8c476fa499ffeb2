"""The sentences that a result begins with."""

import pytest
from handmade import Json, claim, plan_of, record, results, row
from scipy import stats

from prism_bench.analysis.formatting import apart, decimals

OUTCOMES = [{"of": "appearance", "metric": "fd"}, {"of": "global coherence", "metric": "far"}]
FD = {"a": [30.0, 32.0, 37.0], "b": [28.0, 31.0, 29.0], "c": [20.0, 21.0, 24.0]}
FAR = {"a": [0.1, 0.12, 0.11], "b": [0.5, 0.4, 0.6], "c": [0.05, 0.93, 0.02]}


def said(pairs: list[tuple[str, str]], seeds: int = 3, names: str = "abc", **changes: Json) -> tuple[str, ...]:
    claims = [{**claim(*pairs, seeds=seeds), "outcomes": OUTCOMES}] if pairs else []
    rows = [row(name, seeds, **changes.get(name, {})) for name in names]
    records = [record(f"{name}s{seed}", FD[name][seed], FAR[name][seed]) for name in names for seed in range(seeds)]
    return results(plan_of(rows, claims, seeds), records).headline


def test_the_row_that_claims_hold_best_against_the_baseline_in_each_outcome() -> None:
    (sentence,) = said([("b", "a"), ("c", "b")])
    parts = []
    for gains in (
        [a - c for a, c in zip(FD["a"], FD["c"], strict=True)],
        [c - a for a, c in zip(FAR["a"], FAR["c"], strict=True)],
    ):
        mean = sum(gains) / 3
        ends = stats.t.interval(0.95, 2, loc=mean, scale=stats.sem(gains))
        places = decimals([mean, *ends])
        parts.append((f"{mean:.{places}f}", f"[{ends[0]:.{places}f}, {ends[1]:.{places}f}]"))
    (fd, of_fd), (far, of_far) = parts
    assert sentence == f"C beats A by {fd} FD {of_fd}; by {far} FAR {of_far}, not separable."


def test_what_is_behind_is_said_to_be() -> None:
    (sentence,) = said([("b", "c")], names="cb")
    assert sentence.startswith("B is behind C by ")
    assert " FD [" in sentence
    assert "; beats C by " in sentence


def test_one_seed_has_no_interval() -> None:
    (sentence,) = said([("c", "a")], seeds=1, names="ac")
    bare = "(one seed: no interval)"
    assert sentence == f"C beats A by 10.00 FD {bare}; is behind A by 0.0500 FAR {bare}."


def test_without_claims_every_row_of_few_and_the_best_of_many(monkeypatch: pytest.MonkeyPatch) -> None:
    assert [sentence.split()[0] for sentence in said([])] == ["B", "C"], "against the first, in the first metric"
    monkeypatch.setattr("prism_bench.analysis.stats.headline.MOST", 1)
    assert said([]) == ("Best in FD: C, 21.67 (separable from every other row).",)
    assert said([], seeds=1) == ("Best in FD: C, 20.00 (not separable from every other row).",)


def test_nothing_is_said_of_one_row_and_controls_are_not_what_is_asked() -> None:
    assert said([], names="a") == ()
    (sentence,) = said([], c={"control": True})
    assert sentence.startswith("B beats A")


def test_settings_that_all_labels_share_stand_apart() -> None:
    assert apart(["A [x=1, y=2]", "B [x=1, y=2]", "Real images"]) == (["A", "B", "Real images"], "x=1, y=2")
    assert apart(["A [x=1]", "B [x=2]"]) == (["A [x=1]", "B [x=2]"], "")
    assert apart([]) == ([], "")
