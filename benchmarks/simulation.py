"""A plan of thousands of stages on up to a thousand workers that die at random: the real scheduler, time that is not.

    OMP_NUM_THREADS=1 python -m benchmarks.simulation [--workers 1 10 100 1000] [--deaths 0.01] [--picture FILE]

The table is Markdown. Real: `Scheduler`, and a `Store` with its leases, work folders and manifests, in a temporary
folder (on a disk in memory where there is one). Simulated, at the pool's boundary: workers and time. A worker takes a
stage under a real lease, holds its place for as long as the stage lasts, and publishes it. Where it dies, its lease
stays behind; once it has been silent for SILENCE seconds, the date of its file is set back, and the scheduler finds it
gone. What the scheduler computes is charged to the clock, as if nothing were started or heard of meanwhile.

As many workers have a GPU as are said, and as many more have none, as on one machine. Durations are in HOURS and OTHER.
"""

import argparse
import heapq
import json
import os
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, Self

import numpy as np

from prism_bench.prism.component import Json
from prism_bench.prism.engine.lease import BEAT, SILENCE, Lease
from prism_bench.prism.engine.manifest import UsedRuntime
from prism_bench.prism.engine.pool import Answer
from prism_bench.prism.engine.scheduler import LOOK, Scheduler
from prism_bench.prism.engine.stage import Stage, StageContext
from prism_bench.prism.engine.store import Address, Store

HOURS = {"cifar10": (7, 0.2), "celeba": (11, 2.6), "imagenet100": (2, 13.0), "afhqv2": (2, 0.9)}
"""How many of the paper's 22 trainings are on a dataset, and the estimated hours of one of them on an H100."""
OTHER = {"dataset": 900.0, "split": 5.0, "embeddings": 300.0, "neighbours": 600.0, "reference": 300.0}
"""Seconds of the stages that all rows on a dataset share."""
SAMPLING, FEATURES, METRIC = 0.06, 240.0, 60.0
"""Of sampling, as a share of its training; seconds of looking at the samples, and of one metric."""
PER_SAMPLES = {"features": 2, "metric": 7}
"""Stages for each set of samples, as in Tables 3 and 4."""
ON_DEVICE = {"training", "samples", "features", "embeddings"}
DAY = 86400.0
NOTICED, RESTART = 1.0, 60.0
"""Seconds until a worker's death is noticed, and until another one stands in its place."""


@dataclass(frozen=True, kw_only=True)
class Simulated(Stage):
    """A stage that lasts so many seconds, and of which nothing else is known."""

    kind: ClassVar[str] = "simulated"
    name: str
    seconds: float
    on_device: bool
    needs: tuple["Simulated", ...] = ()

    def parameters(self) -> dict[str, Json]:
        return {"name": self.name}

    def inputs(self) -> dict[str, Stage]:
        return {str(index): stage for index, stage in enumerate(self.needs)}

    @property
    def lineage(self) -> Json:
        return str(self.address)

    def run(self, context: StageContext) -> None:
        raise NotImplementedError("a simulated stage is not made")


def simulated_plan(stages: int, seed: int = 0) -> list[Simulated]:
    """About so many stages, in the order in which the product begins them: every training before any samples."""
    rng = np.random.default_rng(seed)
    kinds: dict[str, list[Simulated]] = {}

    def stage(kind: str, seconds: float, *needs: Simulated) -> Simulated:
        made = kinds.setdefault(kind, [])
        lasts = seconds * float(rng.lognormal(-0.02, 0.2))
        made.append(Simulated(name=f"{kind} {len(made)}", seconds=lasts, on_device=kind in ON_DEVICE, needs=needs))
        return made[-1]

    shared = {name: _of_a_dataset(stage) for name in HOURS}
    names = [name for name, (trainings, _) in HOURS.items() for _ in range(trainings)]
    while sum(map(len, kinds.values())) < stages:
        place = len(kinds.get("training", ()))
        name = names[place % len(names)]
        data, references = shared[name]
        training = stage("training", HOURS[name][1] * 3600, *data)
        for _ in range(1 + 2 * (place % 2)):
            samples = stage("samples", SAMPLING * HOURS[name][1] * 3600, training)
            looks = [stage("features", FEATURES, samples) for _ in range(PER_SAMPLES["features"])]
            for index in range(PER_SAMPLES["metric"]):
                stage("metric", METRIC, looks[index % len(looks)], references[index % len(references)])
    order = ("dataset", "split", "embeddings", "neighbours", "training", "samples", "features", "reference", "metric")
    return [one for kind in order for one in kinds[kind]]


def _kind(stage: Simulated) -> str:
    return stage.name.partition(" ")[0]


def _of_a_dataset(stage: Callable[..., Simulated]) -> tuple[tuple[Simulated, ...], list[Simulated]]:
    """What trainings on a dataset need, and what metrics know of its real images."""
    data = stage("dataset", OTHER["dataset"])
    split = stage("split", OTHER["split"], data)
    embeddings = [stage("embeddings", OTHER["embeddings"], data, split) for _ in range(3)]
    neighbours = stage("neighbours", OTHER["neighbours"], embeddings[0], split)
    return (data, split, neighbours), [stage("reference", OTHER["reference"], one) for one in embeddings]


def lower_bound(plan: Sequence[Simulated], workers: int) -> float:
    """No schedule ends sooner: the longest chain, or the work shared out evenly."""
    ends: dict[str, float] = {}
    for stage in plan:
        ends[stage.name] = stage.seconds + max((ends[needed.name] for needed in stage.needs), default=0.0)
    work = [sum(stage.seconds for stage in plan if stage.on_device is here) / workers for here in (True, False)]
    return max(*ends.values(), *work)


@dataclass
class VirtualClock:
    """Seconds that pass when somebody says so."""

    now: float = 0.0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


class CountingStore(Store):
    """A store that counts how often it was asked for a lease."""

    leases = 0

    def lease(self, address: Address) -> Lease:
        self.leases += 1
        return super().lease(address)


@dataclass
class SimulatedPool:
    """Workers with a GPU and as many without, whose stages last their seconds, and who die now and then.

    deaths: of a worker, per hour. checkpoint: seconds between two checkpoints of a stage on a GPU; others start anew.
    charge: whether the time that the scheduler takes passes for the workers, too.
    """

    store: CountingStore
    clock: VirtualClock
    workers: int
    deaths: float = 0.0
    checkpoint: float = 30.0
    charge: bool = True
    seed: int = 0
    busy: float = 0.0
    """Seconds of work on GPUs, done and lost; and below, what was lost of work on GPUs and on other workers."""
    lost_on_device: float = 0.0
    lost_beside: float = 0.0
    died: int = 0
    begun: list[str] = field(default_factory=list)
    published: list[str] = field(default_factory=list)
    computing: float = 0.0
    """CPU seconds of the scheduler."""
    unheard: float = 0.0
    """Rounds in which it would have found nothing new, which the clock passes over."""
    rounds: int = 0
    _made: dict[str, float] = field(default_factory=dict)
    """Seconds of a stage that its last checkpoint holds."""
    _events: list[tuple[float, int, Callable[[], Answer | None]]] = field(default_factory=list)
    _mark: float | None = None

    def __post_init__(self) -> None:
        self._free = {True: self.workers, False: self.workers}
        self._rng = np.random.default_rng(self.seed)
        self._number = 0

    @property
    def places(self) -> int:
        return 2 * self.workers

    probe = None
    imports = False

    def begin(self) -> None:
        """See `Pool`: nothing can be done before."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    @property
    def is_full(self) -> bool:
        return not any(self._free.values())

    def has_place(self, stage: Stage) -> bool:
        return self._free[_simulated(stage).on_device] > 0

    def submit(self, stage: Stage) -> None:
        with self._apart():
            self._begin(_simulated(stage))

    def answers(self, timeout: float) -> list[Answer]:
        """The answers at the next moment at which anything happens."""
        with self._apart():
            self.rounds += 1
            moment = self._events[0][0] if self._events else self.clock.now + timeout
            self.unheard += max(0.0, moment - self.clock.now) // LOOK
            self.clock.now = max(self.clock.now, moment)
            answers = []
            while self._events and self._events[0][0] <= self.clock.now:
                answers.append(heapq.heappop(self._events)[2]())
        return [answer for answer in answers if answer is not None]

    @contextmanager
    def _apart(self) -> Iterator[None]:
        """What is done here is the simulation's; what was done since the last time was the scheduler's."""
        if self._mark is not None:
            taken = time.thread_time() - self._mark
            self.computing += taken
            self.clock.now += taken if self.charge else 0.0
        yield
        self._mark = time.thread_time()

    def _at(self, moment: float, happens: Callable[[], Answer | None]) -> None:
        self._number += 1
        heapq.heappush(self._events, (moment, self._number, happens))

    def _begin(self, stage: Simulated) -> None:
        address, now = str(stage.address), self.clock.now
        lease = self.store.lease(stage.address)
        if lease.acquire() and lease.mine is not None:
            self.store.take_over_work(stage.address, lease.mine.token[:8])
        _date(lease, DAY)
        work = self.store.work(stage.address)
        (work / "progress.json").write_text(json.dumps({"done": 0, "total": 1, "unit": "stages"}))
        self._free[stage.on_device] -= 1
        self.begun.append(address)
        left = stage.seconds - self._made.get(address, 0.0)
        life = self._rng.exponential(3600 / self.deaths) if self.deaths else float("inf")
        self.busy += min(left, life) if stage.on_device else 0.0
        if life < left:
            self._at(now + life, lambda: self._die(stage, lease, life))
        else:
            self._at(now + left, lambda: self._publish(stage, lease))

    def _publish(self, stage: Simulated, lease: Lease) -> Answer:
        self._free[stage.on_device] += 1
        runtime = UsedRuntime(device="cpu", threads=1, torch="")
        facts = {"label": "", "identity": stage.identity, "seconds": stage.seconds, "peak_bytes": None}
        self.store.publish(stage.address, self.store.work(stage.address), runtime=runtime, **facts)
        lease.release()
        self.published.append(str(stage.address))
        return Answer(str(stage.address), "done", stage.seconds)

    def _die(self, stage: Simulated, lease: Lease, life: float) -> None:
        kept = life - life % self.checkpoint if stage.on_device else 0.0
        address = str(stage.address)
        self._made[address] = self._made.get(address, 0.0) + kept
        if stage.on_device:
            self.lost_on_device += life - kept
        else:
            self.lost_beside += life - kept
        self.died += 1
        self._at(self.clock.now + NOTICED, lambda: Answer(address, "held"))
        self._at(self.clock.now + SILENCE, lambda: _date(lease, -DAY))
        self._at(self.clock.now + RESTART, lambda: self._return(stage))

    def _return(self, stage: Simulated) -> None:
        self._free[stage.on_device] += 1


def _simulated(stage: Stage) -> Simulated:
    assert isinstance(stage, Simulated)
    return stage


def _date(lease: Lease, ahead: float) -> None:
    """Date a lease so far ahead that it lives, however much time really passes, or so far back that it is gone."""
    path = max(lease.folder.iterdir(), key=lambda path: int(path.stem))
    date = time.time() + ahead
    os.utime(path, (date, date))


@dataclass(frozen=True)
class Outcome:
    """What a simulated run came to; times in seconds.

    computing: of the scheduler's CPU, per stage; round: per look at what runs; core: the share of one that it takes.
    leases: operations on them a second.
    """

    workers: int
    stages: int
    makespan: float
    bound: float
    idle: float
    lost: float
    work: float
    died: int
    computing: float
    round: float
    core: float
    leases: float


def simulate(plan: Sequence[Simulated], workers: int, folder: Path, **settings: float) -> tuple[Outcome, SimulatedPool]:
    """Run a plan on so many workers with a GPU, in a store in this folder."""
    store, clock = CountingStore(Store.create(folder).root), VirtualClock()
    pool = SimulatedPool(store, clock, workers, **settings)  # type: ignore[arg-type]
    scheduler = Scheduler(store, pool, clock=clock)
    scheduler.run({str(stage.address): stage for stage in plan})
    assert not scheduler.failed, scheduler.failed
    end = clock.now
    every = pool.computing / pool.rounds
    beats = (pool.busy + sum(stage.seconds for stage in plan if not stage.on_device)) / BEAT
    return Outcome(
        workers=workers,
        stages=len(plan),
        makespan=end,
        bound=lower_bound(plan, workers),
        idle=1 - pool.busy / (workers * end),
        lost=pool.lost_on_device + pool.lost_beside,
        work=sum(stage.seconds for stage in plan),
        died=pool.died,
        computing=pool.computing / len(plan),
        round=every,
        core=(pool.computing + pool.unheard * every) / end,
        leases=(store.leases + beats) / end,
    ), pool


def main() -> None:
    parser = argparse.ArgumentParser(description="A large plan on many workers, simulated.")
    parser.add_argument("--stages", type=int, default=10_000)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 10, 100, 1000])
    parser.add_argument("--deaths", type=float, default=0.01, help="of a worker, per hour")
    parser.add_argument("--checkpoint", type=float, default=30.0, help="seconds between checkpoints")
    parser.add_argument("--longest-first", action="store_true", help="of the stages of a kind, the longest first")
    parser.add_argument("--picture", type=Path, help="a PNG or SVG of the table")
    options = parser.parse_args()
    plan = simulated_plan(options.stages)
    if options.longest_first:
        kinds = list(dict.fromkeys(_kind(stage) for stage in plan))
        plan.sort(key=lambda stage: (kinds.index(_kind(stage)), -stage.seconds))
    print(f"{len(plan):,} stages, {sum(stage.seconds for stage in plan) / 3600:,.0f} hours of work\n")
    head = (
        "workers", "makespan, h", "over the bound", "GPUs idle", "deaths", "lost work, h", "of all work",
        "scheduler, ms a stage", "ms a round", "of one core", "lease operations a second",
    )  # fmt: skip
    print("| " + " | ".join(head) + " |\n|" + "---:|" * len(head))
    outcomes = []
    memory = Path("/dev/shm")  # noqa: S108 - the folder below it has a name of its own
    for workers in options.workers:
        with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as folder:
            one, _ = simulate(plan, workers, Path(folder), deaths=options.deaths, checkpoint=options.checkpoint)
        outcomes.append(one)
        cells = (
            f"{workers:,}", f"{one.makespan / 3600:,.1f}", f"{one.makespan / one.bound - 1:.1%}", f"{one.idle:.1%}",
            f"{one.died:,}", f"{one.lost / 3600:.2f}", f"{one.lost / one.work:.3%}", f"{one.computing * 1000:.2f}",
            f"{one.round * 1000:.2f}", f"{one.core:.2%}", f"{one.leases:.1f}",
        )  # fmt: skip
        print("| " + " | ".join(cells) + " |", flush=True)
    if options.picture:
        draw(outcomes, options.picture)


def draw(outcomes: Sequence[Outcome], path: Path) -> None:
    """Four small panels over the number of workers."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    panels: dict[str, Callable[[Outcome], float]] = {
        "makespan, times the lower bound": lambda one: one.makespan / one.bound,
        "share of GPU time that is idle": lambda one: one.idle,
        "scheduler, CPU ms a stage": lambda one: one.computing * 1000,
        "lease operations a second": lambda one: one.leases,
    }
    figure, axes = plt.subplots(1, len(panels), figsize=(11, 2.4), layout="constrained")
    for axis, (title, value) in zip(axes, panels.items(), strict=True):
        values = [value(one) for one in outcomes]
        axis.plot([one.workers for one in outcomes], values, marker="o", color="#305f8c")
        axis.set(title=title, xlabel="workers with a GPU", xscale="log", ylim=(0, 1.15 * max(values)))
        axis.title.set_fontsize(9)
        axis.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=80)


if __name__ == "__main__":
    main()
