"""What goes into a bundle: all that tables are made from, without places and names of this machine."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any

from prism_bench.analysis.schema.document import parse
from prism_bench.analysis.schema.records import Plan, Record
from prism_bench.analysis.schema.stored_plans import load_tables
from prism_bench.experiments.reports.places import table_with
from prism_bench.experiments.store.gc import INTERMEDIATE
from prism_bench.experiments.store.inventory import Inventory, StoredPlan
from prism_bench.experiments.tools.bundling.anonymous import Anonymous
from prism_bench.experiments.tools.bundling.readme import readme
from prism_bench.prism.engine.store import MANIFEST, file_digest
from prism_bench.prism.errors import InputError, closest
from prism_bench.sealed import sealed

SMALL = ("values.json", "metrics.jsonl")
"""Files of stages that always go along: measured values and the curves of trainings."""
TEXTS = {".md", ".tex", ".csv", ".html", ".txt", ".json", ".jsonl"}
PICTURES = {".png", ".svg", ".pdf"}
CHUNK = 1 << 20
LINK = "is a link, and a bundle follows none"


@dataclass(frozen=True, kw_only=True)
class Choice:
    """What goes along: samples (images.npy) and models (weights) are large.

    stages: manifests, values and logs. reports: files below the store, by name; None: every report there is.
    """

    samples: bool = False
    models: bool = False
    stages: bool = True
    reports: tuple[str, ...] | None = None

    @property
    def words(self) -> str:
        """What the README says of it."""
        names = [name for name, wanted in (("generated images", self.samples), ("weights", self.models)) if wanted]
        return f"with {' and '.join(names)}" if names else "without generated images and weights"

    def whole(self, kind: str) -> bool:
        """Whether the files of a kind's stages go along."""
        return (kind == "samples" and self.samples) or (kind == "training" and self.models)


@dataclass
class Contents:
    """The members of a bundle: bytes in hand, or a file to be copied; and what should have been there."""

    held: dict[str, bytes] = field(default_factory=dict)
    files: dict[str, Path] = field(default_factory=dict)
    missing: list[str] = field(default_factory=list)

    def facts(self) -> dict[str, dict[str, Any]]:
        """SHA-256 and size of every member."""
        found = {name: (hashlib.sha256(data).hexdigest(), len(data)) for name, data in self.held.items()}
        found |= {name: (file_digest(path), path.stat().st_size) for name, path in self.files.items()}
        return {name: {"sha256": sha, "bytes": size} for name, (sha, size) in sorted(found.items())}


def _is_own(path: Path, root: Path) -> bool:
    """Whether no link leads to a file of the store, but for one that stands for the folder of its kind (stages)."""
    top, *rest = path.relative_to(root).parts
    return path.resolve() == (root / top).resolve().joinpath(*rest)


def _own_bytes(path: Path, root: Path) -> bytes:
    if not _is_own(path, root):
        raise InputError(f"{path} is a link, and a bundle follows none; put the file itself there and bundle again")
    return path.read_bytes()


def choose(inventory: Inventory, experiments: Sequence[str], *, every_plan: bool) -> list[StoredPlan]:
    """The plans of the experiments, or of all: those of the latest tables, as `report` joins them, or every one.

    Raises:
        InputError: an experiment has no plan in the store.
    """
    known = sorted({plan.experiment for plan in inventory.plans})
    if not known:
        raise InputError(f"the store {inventory.store.root} holds no experiment to bundle; run one first")
    wanted = list(chain.from_iterable(known if name == "all" else [name] for name in experiments))
    for name in wanted:
        if name not in known:
            raise InputError(
                f"no run of {name!r} in the store {inventory.store.root}; {closest(name, [*known, 'all'])}"
            )
    plans = [plan for plan in inventory.plans if plan.experiment in wanted]
    if every_plan:
        return plans
    latest = {plan.document.plan for plan in plans if plan.latest}
    tables = chain.from_iterable(load_tables(name, inventory.store.root) for name in dict.fromkeys(wanted))
    shown = [{source.plan for source in table.sources} for table in tables if any(map(table.shows, latest))]
    joined = latest.union(*shown)
    return [plan for plan in plans if plan.document.plan in joined]


def gather(inventory: Inventory, plans: Sequence[StoredPlan], choice: Choice) -> Contents:
    """Everything that goes into a bundle of these plans.

    Raises:
        InputError: a text names a place of this machine that cannot be taken out.
    """
    contents = Contents()
    clean = Anonymous(inventory.store.root)
    _plans(plans, inventory.store.root, clean, contents)
    records = _records(plans, inventory, clean, contents)
    if choice.stages:
        _stages(inventory, records, choice, clean, contents)
    if choice.reports is None:
        everything = {plan.experiment for plan in plans} == {plan.experiment for plan in inventory.plans}
        if everything:
            _studies(inventory.store.root, clean, contents)
        _reports(inventory, plans, clean, contents, everything=everything)
    else:
        _named(inventory.store.root, choice.reports, contents)
    _front(plans, records, choice, contents)
    for name, data in contents.held.items():
        _check(name, clean.left(data))
    for name, path in contents.files.items():
        _check(name, _left_in_file(path, clean))
    return contents


def _plans(plans: Sequence[StoredPlan], root: Path, clean: Anonymous, contents: Contents) -> None:
    latest: dict[str, list[str]] = {}
    for plan in plans:
        contents.held[f"experiments/{plan.experiment}/{plan.path.name}"] = clean.data(_own_bytes(plan.path, root))
        latest.setdefault(plan.experiment, []).extend([plan.path.stem] if plan.latest else [])
    for experiment, digests in latest.items():
        contents.held[f"experiments/{experiment}/latest"] = _json(sealed({"plans": digests}))


def _records(
    plans: Sequence[StoredPlan], inventory: Inventory, clean: Anonymous, contents: Contents
) -> dict[str, Record]:
    found: dict[str, Record] = {}
    for plan in plans:
        for row, cell in plan.cells():
            record = inventory.records.get(cell.record)
            where = f"{plan.title}, {row.label}, seed {cell.seed}, k_sample {cell.k_sample}"
            if record is None:
                contents.missing.append(f"{where}: no record yet")
            elif record.status != "done":
                contents.missing.append(f"{where}: {record.status}, {clean.value(record.reason, 'reason')}")
        for name in plan.records:
            if name in inventory.records:
                found[name] = inventory.records[name]
                contents.held[f"records/{name}.json"] = clean.data(
                    _own_bytes(inventory.store.record_path(name), inventory.store.root)
                )
    return found


def _stages(
    inventory: Inventory, records: dict[str, Record], choice: Choice, clean: Anonymous, contents: Contents
) -> None:
    """Manifests of all stages; values and training logs; samples and weights where they were asked for."""
    root = inventory.store.root
    for address in sorted(inventory.needed(records), key=str):
        folder, place = inventory.store.folder(address), f"stages/{address.kind}/{address.key}"
        if address not in inventory.stages:
            # What no table shows is described by the manifests of the stages made from it.
            if address.kind not in INTERMEDIATE:
                contents.missing.append(f"{place}: is not in the store")
            continue
        contents.held[f"{place}/{MANIFEST}"] = clean.data(_own_bytes(folder / MANIFEST, root))
        for name in sorted(inventory.stages[address].files):
            if not (name in SMALL or choice.whole(address.kind)):
                continue
            if not (folder / name).is_file():
                contents.missing.append(f"{place}/{name}: is not in the store")
            elif _is_own(folder / name, root):
                contents.files[f"{place}/{name}"] = folder / name
            else:
                contents.missing.append(f"{place}/{name}: {LINK}")


def _studies(root: Path, clean: Anonymous, contents: Contents) -> None:
    """What was tuned: a document for each study, from which `report` makes its table."""
    for path in sorted(root.glob("tuning/*.json")):
        contents.held[path.relative_to(root).as_posix()] = clean.data(_own_bytes(path, root))


def _reports(
    inventory: Inventory, plans: Sequence[StoredPlan], clean: Anonymous, contents: Contents, *, everything: bool
) -> None:
    """The folders of the plans' tables and pictures, and pages that lie above them, of studies too."""
    root = inventory.store.root
    folders = [table_with(plan.document, root)[1] for plan in plans]
    for plan, folder in zip(plans, folders, strict=True):
        if not folder.is_dir():
            contents.missing.append(
                f"{plan.title}: no report; `prism-bench report {plan.experiment}` writes its tables"
            )
    above = [root / "reports" / plan.experiment for plan in plans] + ([root / "reports"] if everything else [])
    folders += sorted(root.glob("reports/tune-*")) if everything else []
    paths = chain(
        chain.from_iterable(folder.rglob("*") for folder in folders),
        chain.from_iterable(folder.glob("*") for folder in above),
    )
    for path in sorted(set(paths)):
        if not path.is_file() or path.name.startswith("."):
            continue
        name = path.relative_to(root).as_posix()
        if not _is_own(path, root):
            contents.missing.append(f"{name}: {LINK}")
        elif path.suffix in TEXTS:
            text = path.read_bytes().decode(errors="surrogateescape")
            contents.held[name] = clean.text(text).encode(errors="surrogateescape")
        elif path.suffix in PICTURES:
            contents.files[name] = path


def _named(root: Path, names: Sequence[str], contents: Contents) -> None:
    """Pictures of the reports by their names below the store."""
    for name in names:
        if (root / name).is_file() and _is_own(root / name, root):
            contents.files[name] = root / name
        else:
            contents.missing.append(f"{name}: is not in the store; `prism-bench run` draws it")


def _front(plans: Sequence[StoredPlan], records: dict[str, Record], choice: Choice, contents: Contents) -> None:
    """README.txt, environment.json and, last, MANIFEST.json with the digests of all others."""
    from prism_bench.experiments.execution.cell_record import environment

    computed = {json.dumps(record.environment, sort_keys=True) for record in records.values()}
    versions = {"bundled with": environment(), "computed with": [json.loads(text) for text in sorted(computed)]}
    contents.held["environment.json"] = _json(versions)
    names = [f"experiments/{plan.experiment}/{plan.path.name}" for plan in plans]
    commands = [parse(Plan, contents.held[name], name).command for name in names]
    contents.held["README.txt"] = readme(plans, commands, large=choice.words, missing=contents.missing).encode()
    experiments = sorted({plan.experiment for plan in plans})
    contents.held["MANIFEST.json"] = _json(
        {"experiments": experiments, "members": contents.facts(), "missing": contents.missing}
    )


def _check(name: str, word: str | None) -> None:
    if word is not None:
        raise InputError(
            f"{name} names {word!r}, which should not leave this machine; write the reports again with "
            "`prism-bench report`, or delete that file, and bundle again"
        )


def _left_in_file(path: Path, clean: Anonymous) -> str | None:
    """`Anonymous.left` for a file of any size, piece by piece; pieces overlap so that no word is cut."""
    before = b""
    with path.open("rb") as file:
        while piece := file.read(CHUNK):
            word = clean.left(before + piece, shortest=8)
            if word is not None:
                return word
            before = piece[-4096:]
    return None


def _json(value: Any) -> bytes:
    return (json.dumps(value, indent=1, sort_keys=True) + "\n").encode()
