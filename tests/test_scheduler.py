"""The scheduler over stages that know no image: order, sharing, failures."""

import errno
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import pytest

from prism_bench.prism.component import Json
from prism_bench.prism.engine.manifest import Manifest
from prism_bench.prism.engine.pool import Answer
from prism_bench.prism.engine.runtime import Runtime
from prism_bench.prism.engine.scheduler import Scheduler
from prism_bench.prism.engine.stage import Stage, StageContext
from prism_bench.prism.engine.store import Address, Store
from prism_bench.prism.errors import ComputeError
from prism_bench.prism.executors.local_pool import LocalPool
from prism_bench.prism.executors.slots import Slots


@dataclass(frozen=True, kw_only=True)
class Sum(Stage):
    """sum.txt: its number and those of what it needs, added."""

    kind: ClassVar[str] = "sum"
    number: int
    needs: tuple["Sum", ...] = ()

    def parameters(self) -> dict[str, Json]:
        return {"number": self.number}

    def inputs(self) -> dict[str, Stage]:
        return {str(index): stage for index, stage in enumerate(self.needs)}

    def run(self, context: StageContext) -> None:
        if self.number < 0:
            raise ComputeError(f"{self.number} is negative")
        total = self.number + sum(int((folder / "sum.txt").read_text()) for folder in context.inputs.values())
        (context.folder / "sum.txt").write_text(str(total))


@dataclass
class Heard:
    """An observer that keeps the order in which stages were started and finished."""

    lines: list[str]

    def started(self, stage: Stage) -> None:
        self.lines.append(f"start {stage.label}")

    def elsewhere(self, stage: Stage, who: str) -> None:
        self.lines.append(f"elsewhere {stage.label}")

    def put_back(self, stage: Stage, answer: Answer) -> None:
        self.lines.append(f"{answer.outcome} {stage.label}")

    def waits(self, stage: Stage, where: str) -> None:
        self.lines.append(f"{where} {stage.label}")

    def progressed(self, stage: Stage, progress: dict[str, object]) -> None:
        """Nothing: these stages take no time."""

    def finished(self, stage: Stage, answer: Answer) -> None:
        self.lines.append(f"{answer.outcome} {stage.label}")


def scheduled(tmp_path: Path, *stages: Sum) -> tuple[Scheduler, Store, list[str]]:
    store, heard = Store.create(tmp_path), Heard([])
    with LocalPool(store, Slots.one(Runtime(), here=True)) as pool:
        scheduler = Scheduler(store, pool, [heard])
        scheduler.run({str(stage.address): stage for stage in stages})
    return scheduler, store, heard.lines


def value(store: Store, stage: Sum) -> int:
    return int((store.folder(stage.address) / "sum.txt").read_text())


def test_a_diamond_is_done_once_in_the_order_of_its_needs(tmp_path: Path) -> None:
    top = Sum(number=1, label="top")
    left, right = (Sum(number=n, needs=(top,), label=str(n)) for n in (10, 20))
    end = Sum(number=100, needs=(left, right), label="end")
    scheduler, store, lines = scheduled(tmp_path, end, right, left, top)
    assert value(store, end) == 100 + (10 + 1) + (20 + 1)
    # Of the two that are ready together, the one that was given first.
    assert lines == [
        "start top", "done top", "start 20", "done 20", "start 10", "done 10", "start end", "done end",
    ]  # fmt: skip
    assert not scheduler.failed
    assert not any(scheduler.is_open(stage) for stage in (top, left, right, end))


def test_a_failure_stops_what_rests_on_it_and_nothing_else(tmp_path: Path) -> None:
    bad, good = Sum(number=-1, label="bad"), Sum(number=2, label="good")
    after = Sum(number=3, needs=(bad,), label="after")
    last = Sum(number=4, needs=(after, good), label="last")
    scheduler, store, lines = scheduled(tmp_path, bad, after, last, good)
    assert value(store, good) == 2
    assert "start after" not in lines
    assert scheduler.failed[str(bad.address)] == "-1 is negative"
    for stage in (after, last):
        assert scheduler.failed[str(stage.address)] == "needs sum bad, which failed: -1 is negative"


def test_what_falls_with_a_failure_is_told_too(tmp_path: Path) -> None:
    bad = Sum(number=-1, label="bad")
    after = Sum(number=3, needs=(bad,), label="after")
    store, told = Store.create(tmp_path), []
    with LocalPool(store, Slots.one(Runtime(), here=True)) as pool:
        Scheduler(store, pool).run({str(stage.address): stage for stage in (bad, after)}, told.extend)
    assert told == [str(bad.address), str(after.address)]


@pytest.mark.parametrize("again", [1, 2])
def test_settled_stages_are_told_after_every_round(tmp_path: Path, again: int) -> None:
    chain = Sum(number=1, label="a")
    for n in range(again):
        chain = Sum(number=n + 2, needs=(chain,), label=str(n))
    store, rounds = Store.create(tmp_path), []
    stages = [chain, *(one for one in _below(chain))]
    with LocalPool(store, Slots.one(Runtime(), here=True)) as pool:
        scheduler = Scheduler(store, pool)
        scheduler.run(
            {str(stage.address): stage for stage in stages},
            lambda closed: rounds.append((list(closed), sum(scheduler.is_open(stage) for stage in stages))),
        )
    assert [still for _, still in rounds] == list(range(again + 1, -1, -1))
    inputs_first = [str(stage.address) for stage in reversed(stages)]
    assert [closed for closed, _ in rounds] == [[], *([address] for address in inputs_first)]


def _below(stage: Sum) -> list[Sum]:
    return [one for needed in stage.needs for one in (needed, *_below(needed))]


def test_a_stage_that_stands_in_a_queue_is_still_to_come(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    answers = LocalPool.answers

    def queued(self: LocalPool, timeout: float) -> Iterator[Answer]:
        yield from [Answer(str(stage.address), "waits", reason="in a queue") for stage in self._inline]
        yield from answers(self, timeout)

    monkeypatch.setattr(LocalPool, "answers", queued)
    stage = Sum(number=1, label="top")
    scheduler, store, lines = scheduled(tmp_path, stage)
    assert lines == ["start top", "in a queue top", "done top"]
    assert value(store, stage) == 1
    assert not scheduler.failed


def hidden(monkeypatch: pytest.MonkeyPatch, looks: int) -> dict[str, int]:
    """A file system that shows a finished stage only after so many looks, as a cache of attributes does; the looks."""
    seen, shown = dict[str, int](), Store.manifest

    def manifest(self: Store, address: Address) -> Manifest | None:
        if (found := shown(self, address)) is None:
            return None
        seen[str(address)] = seen.get(str(address), 0) + 1
        return found if seen[str(address)] > looks else None

    monkeypatch.setattr(Store, "manifest", manifest)
    monkeypatch.setattr("prism_bench.prism.engine.scheduler.LOOK", 0.01)
    return seen


def test_a_stage_that_the_file_system_hides_for_a_while_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks = hidden(monkeypatch, 5)
    top = Sum(number=1, label="top")
    end = Sum(number=2, needs=(top,), label="end")
    scheduler, store, lines = scheduled(tmp_path, end, top)
    assert not scheduler.failed
    assert lines == ["start top", "done top", "start end", "done end"]
    assert value(store, end) == 3
    assert set(looks.values()) == {6}, "each is looked for until it shows"


def test_a_stage_that_never_shows_has_failed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hidden(monkeypatch, 10**9)
    monkeypatch.setattr("prism_bench.prism.engine.scheduler.HIDDEN", 0.1)
    stage = Sum(number=1, label="top")
    scheduler, _, lines = scheduled(tmp_path, stage)
    assert lines == ["start top", "failed top"]
    assert "the store does not show it; do all processes see the same" in scheduler.failed[str(stage.address)]


def test_a_rename_that_was_sent_twice_has_happened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rename = Path.rename

    def twice(self: Path, target: Path) -> Path:
        done = rename(self, target)
        if self.parent.name == "work":
            raise FileNotFoundError(errno.ENOENT, "No such file or directory", str(self))
        return done

    monkeypatch.setattr(Path, "rename", twice)
    stage = Sum(number=1, label="top")
    scheduler, store, _ = scheduled(tmp_path, stage)
    assert not scheduler.failed
    assert value(store, stage) == 1


class Forgetful(LocalPool):
    """Loses the worker of every stage once."""

    def answers(self, timeout: float) -> Iterator[Answer]:
        for answer in super().answers(timeout):
            if answer.address in self.lost:
                yield answer
            else:
                self.lost.add(answer.address)
                yield Answer(answer.address, "lost", reason="gone")

    lost: ClassVar[set[str]] = set()


def test_a_stage_whose_worker_is_lost_is_done_again(tmp_path: Path) -> None:
    top = Sum(number=1, label="top")
    end = Sum(number=2, needs=(top,), label="end")
    store, heard = Store.create(tmp_path), Heard([])
    with Forgetful(store, Slots.one(Runtime(), here=True)) as pool:
        scheduler = Scheduler(store, pool, [heard])
        scheduler.run({str(stage.address): stage for stage in (end, top)})
    assert not scheduler.failed
    assert heard.lines == [
        "start top", "lost top", "start top", "done top", "start end", "lost end", "start end", "done end",
    ]  # fmt: skip


def test_what_rests_on_a_failure_is_not_begun_in_whatever_order_it_was_given(tmp_path: Path) -> None:
    bad = Sum(number=-1, label="bad")
    after = Sum(number=3, needs=(bad,), label="after")
    last = Sum(number=4, needs=(after,), label="last")
    scheduler, _, lines = scheduled(tmp_path, last, after, bad)
    assert lines == ["start bad", "failed bad"]
    assert scheduler.failed[str(last.address)] == "needs sum bad, which failed: -1 is negative"
