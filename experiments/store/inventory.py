"""What a store holds: its finished stages, what each rests on, and which plans and records need it. Needs no torch."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import Any

from prism_bench.analysis.errors import AnalysisError, NewerSchemaError
from prism_bench.analysis.schema.document import D, read
from prism_bench.analysis.schema.records import Cell, Plan, PlanRow, Record
from prism_bench.analysis.schema.stored_plans import LATEST, MENDED, latest_plans
from prism_bench.prism.component import canonical
from prism_bench.prism.engine.manifest import Manifest
from prism_bench.prism.engine.store import Address, Store
from prism_bench.prism.errors import InputError

Identity = dict[str, Any]
"""The nested description whose hash is a stage's key: kind, version, parameters, inputs."""

KINDS = (
    "dataset",
    "split",
    "embeddings",
    "neighbours",
    "training",
    "samples",
    "features",
    "reference",
    "metric",
    "floor",
)
"""The kinds of stages in the order of the work; others come last."""


def check_store(store: Path, remedy: str = "run an experiment first, or name its store with --store") -> None:
    """InputError where there is no store."""
    if not (store / "records").is_dir():
        raise InputError(f"there is no store at {store}; {remedy}")


class StoredStage(Manifest):
    """A finished stage: its manifest, and the bytes of those of its files that are there."""

    bytes: int

    @property
    def address(self) -> Address:
        """Where it lies."""
        return Address(self.kind, self.key)


@dataclass(frozen=True, kw_only=True)
class StoredPlan:
    """A plan in a store. `latest`: what `report` shows of its experiment."""

    path: Path
    document: Plan
    latest: bool

    @property
    def experiment(self) -> str:
        """The experiment's name."""
        return self.document.experiment

    @property
    def title(self) -> str:
        """Experiment, data and scale, in words."""
        data = self.document.dataset
        return f"{self.experiment} ({data.label} {data.resolution}px, {self.document.scale})"

    def cells(self) -> Iterator[tuple[PlanRow, Cell]]:
        """Every (row, cell) of the table."""
        for row in self.document.rows:
            for cell in row.cells:
                yield row, cell

    @cached_property
    def records(self) -> tuple[str, ...]:
        """The records of its cells and of its claims, each once."""
        return self.document.records


@dataclass(frozen=True)
class Inventory:
    """Everything a store holds, read once."""

    store: Store
    stages: dict[Address, StoredStage]
    broken: tuple[Address, ...]
    """Stages without a readable manifest."""
    plans: tuple[StoredPlan, ...]
    records: dict[str, Record]
    unreadable: Mapping[Path, str]
    """Plans, records and lists of latest plans that cannot be read as such, and why."""

    @classmethod
    def read(cls, root: Path) -> "Inventory":
        """Read every manifest, plan and record.

        Raises:
            InputError: there is no store, or a newer program wrote one of its manifests.
            NewerSchemaError: a newer program wrote one of its plans or records.
        """
        check_store(root)
        store = Store(root)
        stages: dict[Address, StoredStage] = {}
        broken = []
        for path in sorted(store.root.glob("stages/*/*")):
            address = Address(path.parent.name, path.name)
            manifest = store.manifest(address)
            if manifest is None:
                broken.append(address)
            else:
                files = [path / name for name in manifest.files]
                there = sum(file.stat().st_size for file in files if file.is_file())
                stages[address] = StoredStage(**dict(manifest), bytes=there)
        unreadable: dict[Path, str] = {}
        records = {
            path.stem: value
            for path in sorted(store.root.glob("records/*.json"))
            if (value := _read(Record, path, unreadable)) is not None
        }
        return cls(store, stages, tuple(broken), _plans(store.root, unreadable), records, unreadable)

    def find(self, identity: Identity) -> tuple[StoredStage, ...]:
        """The finished stages that serve for this identity: one, or several tables of neighbours of other widths."""
        return tuple(self._by_lineage.get(canonical(lineage_of(identity)), ()))

    def users(self, address: Address) -> list[StoredStage]:
        """The finished stages that rest on this one, whether it is there or not."""
        return [held for user, held in self.stages.items() if address in self._below[user]]

    def closure(self, targets: Iterable[Address]) -> set[Address]:
        """The targets and every stage they rest on, as far as it is known, whether it is there or not."""
        found: set[Address] = set()
        for address in targets:
            held = self.stages.get(address)
            if held is not None and address not in found:
                found |= self._below[address]
            found.add(address)
        return found

    def targets(self, record: Record) -> Iterator[Address]:
        """The stages whose results a record shows, and beside its metrics their floors and what saves them time."""
        for address in stages_of(record).values():
            yield address
            if address.kind == "metric" and address in self.stages:
                for beside in self._beside_metrics.get(_measure(self.stages[address].identity), ()):
                    yield beside.address

    def needed(self, records: Iterable[str]) -> set[Address]:
        """Every stage that the records which are there rest on."""
        there = (self.records[name] for name in records if name in self.records)
        return self.closure(chain.from_iterable(map(self.targets, there)))

    def plans_with(self, record: str) -> list[StoredPlan]:
        """The plans that show a record."""
        return [plan for plan in self.plans if record in plan.records]

    def records_with(self, address: Address) -> list[str]:
        """The records that rest on a stage, themselves or through other stages."""
        return [name for name, record in self.records.items() if address in self.closure(self.targets(record))]

    @cached_property
    def named(self) -> dict[Address, Identity]:
        """Every stage that is there or that one of them was made from, with its identity."""
        found = {address: held.identity for address, held in self.stages.items()}
        for inputs in self._inputs.values():
            for identity in inputs.values():
                key = key_of(identity)
                if key is not None:
                    found.setdefault(Address(str(identity["kind"]), key), identity)
        return found

    @cached_property
    def _inputs(self) -> dict[Address, dict[str, Identity]]:
        """The identities of everything a stage was made from, by their text, itself left out."""
        return {
            address: {canonical(identity): identity for identity in nested(held.identity)}
            for address, held in self.stages.items()
        }

    @cached_property
    def _below(self) -> dict[Address, set[Address]]:
        found: dict[Address, set[Address]] = {}
        keys: dict[str, set[Address]] = {}
        for address, inputs in self._inputs.items():
            found[address] = set()
            for text, identity in inputs.items():
                if text not in keys:
                    key = key_of(identity)
                    named = set() if key is None else {Address(str(identity["kind"]), key)}
                    keys[text] = named | {one.address for one in self.find(identity)}
                found[address] |= keys[text]
        return found

    @cached_property
    def _by_lineage(self) -> dict[str, list[StoredStage]]:
        found: dict[str, list[StoredStage]] = {}
        for held in self.stages.values():
            found.setdefault(canonical(lineage_of(held.identity)), []).append(held)
        return found

    @cached_property
    def _beside_metrics(self) -> dict[str, list[StoredStage]]:
        found: dict[str, list[StoredStage]] = {}
        for held in self.stages.values():
            if held.address.kind in ("floor", "reference"):
                found.setdefault(_measure(held.identity), []).append(held)
        return found


def rank(kind: str) -> tuple[int, str]:
    """A kind's place in the order of the work."""
    return (KINDS.index(kind) if kind in KINDS else len(KINDS), kind)


def lineage_of(identity: Identity) -> Identity:
    """How dependents see a stage, from its identity: `Stage.lineage` read from a manifest.

    Only neighbours differ: a wider table holds the same prefix, so their width is no part of what rests on them.
    """
    if identity["kind"] != "neighbours" or "parameters" not in identity:
        return identity
    kept = {name: value for name, value in identity.items() if name != "parameters"}
    return {**kept, **{name: value for name, value in identity["parameters"].items() if name != "width"}}


def key_of(identity: Identity) -> str | None:
    """The key of the stage with this identity; None where it names several (neighbours of any width)."""
    return Address.of(identity).key if "parameters" in identity else None


def nested(identity: Identity) -> Iterator[Identity]:
    """The identities of all that a stage was made from, at any depth, inputs of inputs first; some more than once."""
    for inner in identity["inputs"].values():
        yield from nested(inner)
        yield inner


def stages_of(record: Record) -> dict[str, Address]:
    """The stages that a record names: training, samples, metric:NAME."""
    return {name: Address(name.partition(":")[0], key) for name, key in record.stages.items()}


def _plans(root: Path, unreadable: dict[Path, str]) -> tuple[StoredPlan, ...]:
    found = []
    for folder in sorted(path for path in root.glob("experiments/*") if path.is_dir()):
        latest = _latest(folder, unreadable)
        for path in sorted(folder.glob("*.json")):
            document = _read(Plan, path, unreadable)
            if document is not None:
                found.append(StoredPlan(path=path, document=document, latest=not latest or path.stem in latest))
    return tuple(found)


def _latest(folder: Path, unreadable: dict[Path, str]) -> list[str]:
    """The digests of an experiment's latest plans; none where the folder does not say."""
    try:
        latest = latest_plans(folder)
        for digest in latest:
            if not (folder / f"{digest}.json").is_file():
                raise AnalysisError(f"{folder / LATEST}: names the plan {digest}, which is not there; {MENDED}")
        return latest
    except AnalysisError as error:
        if any(path.name == LATEST or path.suffix == ".json" for path in folder.iterdir()):
            unreadable[folder / LATEST] = str(error)
        return []


def _read(document: type[D], path: Path, unreadable: dict[Path, str]) -> D | None:
    try:
        return read(document, path)
    except NewerSchemaError:
        raise
    except AnalysisError as error:
        unreadable[path] = str(error)
        return None


def _measure(identity: Identity) -> str:
    """What a metric has in common with its floor, and with what it says of the real images alone.

    The measure, the version of its code, the data and their features.
    """
    parameters, inputs = identity["parameters"], identity["inputs"]
    return canonical([parameters["metric"], parameters["code"], inputs["data"], inputs.get("reference")])
