"""What a stage is: a pure function of its parameters and its inputs, with a key that says so."""

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from prism_bench.prism.component import Component, Json, leaves
from prism_bench.prism.engine.lease import Lease, LeaseLostError
from prism_bench.prism.engine.peak_memory import peak_bytes, restart_peak
from prism_bench.prism.engine.runtime import PROGRESS, Report, Runtime
from prism_bench.prism.engine.store import Address, Store

if TYPE_CHECKING:
    from prism_bench.prism.engine.manifest import Manifest, UsedRuntime


@dataclass(frozen=True)
class StageContext:
    """What a stage works with: the folders of its inputs, its own folder, and how to run."""

    inputs: Mapping[str, Path]
    folder: Path
    runtime: Runtime
    report: Report


@dataclass(frozen=True, kw_only=True)
class Stage(ABC):
    """One step of the way from data to a number.

    A stage's key is the hash of its kind, the version of its code, its parameters and its inputs' identities.
    Its fields are both: those that hold stages are inputs, the others parameters; None is neither.
    Raise `version` when a change of the code changes the result.
    """

    kind: ClassVar[str]
    version: ClassVar[int] = 1
    uses_device: ClassVar[bool] = False
    """Whether it computes on the device it is given, so that it is worth a GPU."""
    savings: ClassVar[frozenset[str]] = frozenset()
    """Inputs that only save time, for what they hold follows from the others: no part of the key."""

    label: str = field(default="", compare=False)
    """What people call it; not part of the key."""

    def parameters(self) -> dict[str, Json]:
        """Everything of its own that can change the result."""
        own = {name: value for name, value in self._given().items() if not isinstance(value, Stage)}
        return {name: value.to_json() if isinstance(value, Component) else value for name, value in own.items()}

    def inputs(self) -> dict[str, "Stage"]:
        """The stages it reads, by name."""
        return {name: value for name, value in self._given().items() if isinstance(value, Stage)}

    def _given(self) -> dict[str, Any]:
        named = {field.name: getattr(self, field.name) for field in fields(self) if field.compare}
        return {name: value for name, value in named.items() if value is not None}

    @abstractmethod
    def run(self, context: StageContext) -> None:
        """Do the work in `context.folder`, going on from what an interrupted run left there."""

    @cached_property
    def identity(self) -> Json:
        """The nested description whose hash is the key."""
        return {
            "kind": self.kind,
            "version": self.version,
            "parameters": self.parameters(),
            "inputs": {name: stage.lineage for name, stage in self.inputs().items() if name not in self.savings},
        }

    @property
    def lineage(self) -> Json:
        """How dependents see this stage: its identity, unless part of it cannot change their result."""
        return self.identity

    @cached_property
    def address(self) -> Address:
        """Kind and key."""
        return Address.of(self.identity)

    @property
    def title(self) -> str:
        """What progress lines call it."""
        return f"{self.kind} {self.label}".strip()

    def publish(
        self,
        store: Store,
        work: Path,
        *,
        seconds: float,
        runtime: Runtime,
        peak: int | None = None,
        ran_on: "Sequence[UsedRuntime]" = (),
        note: str = "",
    ) -> Path:
        """Finish the stage whose files lie in `work`; returns its folder in the store.

        ran_on: what it was computed on, oldest first, where more is known than `runtime`. note: what people should
        know of it.
        """
        from prism_bench.prism.engine.manifest import UsedRuntime
        from prism_bench.prism.plugin_code import code_of

        *earlier, used = ran_on or (UsedRuntime.here(runtime.device, runtime.threads),)
        facts = {"label": self.label, "identity": self.identity, "seconds": seconds, "peak_bytes": peak, "note": note}
        code = code_of(self.parameters())
        return store.publish(self.address, work, runtime=used, earlier=tuple(earlier), code=code, **facts)


def walk(stage: Stage) -> Iterator[Stage]:
    """The stage and everything it rests on, inputs first; a stage may come more than once."""
    for needed in stage.inputs().values():
        yield from walk(needed)
    yield stage


def perform(
    stage: Stage,
    store: Store,
    runtime: Runtime,
    should_stop: Callable[[], bool] = lambda: False,
    *,
    wait: bool = True,
) -> float:
    """Run one stage whose inputs are finished, and publish it; returns the seconds it took (0 where it was there).

    Several processes may ask for the same stage, and one of them works.

    Raises:
        HeldError: another one does, and `wait` is False; with it, the end of its work is waited for.
        LeaseLostError: this process was silent for so long that another one took the stage over.
    """
    with store.making(stage.address, wait=wait, should_stop=should_stop) as lease:
        if store.manifest(stage.address) is not None:
            return 0.0
        try:
            return _made(stage, store, runtime, should_stop, lease)
        except Exception as error:
            # Whoever took the stage over has moved its folder: what went wrong is a consequence of that.
            if isinstance(error, LeaseLostError) or lease.is_held():
                raise
            raise LeaseLostError(str(error)) from error


def _made(stage: Stage, store: Store, runtime: Runtime, should_stop: Callable[[], bool], lease: Lease) -> float:
    work = store.clean_work(stage.address)  # of what others left, for the lease is ours
    report = Report(work / PROGRESS, should_stop, lease.check_now_and_then)
    restart_peak(runtime.device)
    started = time.monotonic()
    inputs = {name: store.folder(needed.address) for name, needed in stage.inputs().items()}
    stage.run(StageContext(inputs, work, runtime, report))
    seconds = report.earlier_seconds + time.monotonic() - started
    peak = peak_bytes(runtime.device)
    lease.check()
    stage.publish(store, work, seconds=seconds, runtime=runtime, peak=peak, ran_on=report.ran_on, note=report.note)
    return seconds


def explain(stage: Stage, store: Store) -> str:
    """Why a stage has to be computed: what differs from the most similar one that is there."""
    wanted = dict(leaves(stage.identity))

    def changes(manifest: "Manifest") -> list[str]:
        there = dict(leaves(manifest.identity))
        paths = sorted(path for path in wanted.keys() | there.keys() if wanted.get(path) != there.get(path))
        return [f"{_short(path)} {_brief(there.get(path))} -> {_brief(wanted.get(path))}" for path in paths]

    known = [(changes(manifest), manifest.label) for manifest in store.manifests(stage.kind)]
    if not known:
        return "no such stage yet"
    changed, label = min(known, key=lambda one: (len(one[0]), one[1] != stage.label))
    more = f" and {len(changed) - 3} more" if len(changed) > 3 else ""
    return f"differs from '{label}' in {', '.join(changed[:3])}{more}"


def _brief(value: Json) -> str:
    text = str(value)
    return text if len(text) <= 24 else f"{text[:12]}…"


def _short(path: str) -> str:
    return path.replace("inputs.", "").replace("parameters.", "")
