"""Copies of a store elsewhere: in an object store (S3, Google, Azure) or another folder.

A stage's files go first and its manifest last, so that what has a manifest is whole, at either end. Nothing that is
there is written over. What was interrupted goes on where it was.
"""

import hashlib
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from prism_bench.experiments.store.inventory import Inventory, rank
from prism_bench.prism.engine.runtime import write_bytes
from prism_bench.prism.engine.store import MANIFEST, Address, Store, file_digest, manifest_of
from prism_bench.prism.errors import ComputeError, InputError
from prism_bench.sealed import DamagedError

if TYPE_CHECKING:
    from obstore.store import ObjectStore

    from prism_bench.prism.engine.manifest import Manifest

DOCUMENTS = ("records/*.json", "experiments/*/*.json", "experiments/*/latest")
"""What is small and goes along, below the store: results, plans, and which plans are an experiment's latest."""

Say = Callable[[int, int, str], None]
"""Told of progress: bytes moved, bytes altogether, and of what."""


@dataclass
class Moved:
    """What a push or a pull did: stages and documents moved, and how many stages were there already.

    different: documents that are there with other contents, and were left.
    """

    stages: int = 0
    there: int = 0
    bytes: int = 0
    documents: int = 0
    different: list[str] = field(default_factory=list)


def open_remote(url: str) -> "ObjectStore":
    """The place that an address names, s3://bucket/prefix or file:///folder; keys come from its own variables.

    Raises:
        InputError: the package is not installed, or the address is none.
    """
    try:
        from obstore.exceptions import BaseError
        from obstore.store import LocalStore, from_url
    except ImportError:
        raise InputError('an address needs the package obstore: pip install "prism-bench[cloud]"') from None
    if "://" not in url:
        raise InputError(f"{url} is no address; give s3://bucket/prefix, gs://..., az://... or file:///folder")
    try:
        if url.startswith("file://"):
            return LocalStore(Path(url.removeprefix("file://")), mkdir=True)
        return from_url(url)
    except (BaseError, OSError, ValueError) as error:
        raise InputError(f"{url}: {str(error).splitlines()[0]}") from None


def push(inventory: Inventory, remote: "ObjectStore", say: Say) -> Moved:
    """Copy every finished stage that is not there yet, and the records and plans.

    Raises:
        ComputeError: a stage here is damaged, or the place cannot be reached.
    """
    moved, store = Moved(), inventory.store
    there = dict(_listed(remote, "stages/"))
    todo = [held for held in inventory.stages.values() if _at(held.address, MANIFEST) not in there]
    moved.there = len(inventory.stages) - len(todo)
    whole = sum(held.bytes for held in todo)
    for held in sorted(todo, key=lambda held: rank(held.address.kind)):
        manifest = store.manifest(held.address)
        fault = store.fault(held.address)
        if fault is not None or manifest is None:
            raise ComputeError(
                f"{held.address.kind} {held.address.key} is damaged ({fault}); see prism-bench cache verify"
            )
        folder = store.folder(held.address)
        for name, facts in manifest.files.items():
            place = _at(held.address, name)
            if there.get(place) != facts.bytes:
                _call("put", remote, place, folder / name)
            moved.bytes += facts.bytes
            say(moved.bytes, whole, held.address.kind)
        _create(remote, _at(held.address, MANIFEST), (folder / MANIFEST).read_bytes())
        moved.stages += 1
    for pattern in DOCUMENTS:
        for path in sorted(store.root.glob(pattern)):
            _settle(moved, path.relative_to(store.root).as_posix(), path.read_bytes(), remote)
    return moved


def pull(store: Store, remote: "ObjectStore", say: Say) -> Moved:
    """Copy every stage there that is not here yet, and the records and plans; what arrives is checked.

    Raises:
        ComputeError: a file arrived otherwise than its manifest says, or the place cannot be reached.
    """
    moved = Moved()
    sizes: Counter[Address] = Counter()
    addresses = []
    for path, size in _listed(remote, "stages/"):
        address = Address(*path.split("/")[1:3])
        sizes[address] += size
        addresses += [address] if path.endswith(f"/{MANIFEST}") else []
    todo = [address for address in addresses if store.manifest(address) is None]
    moved.there = len(addresses) - len(todo)
    whole = sum(sizes[address] for address in todo)
    for address in sorted(todo, key=lambda address: rank(address.kind)):
        text = _bytes(remote, _at(address, MANIFEST))
        manifest = _checked(text, address)
        with store.making(address):
            if store.manifest(address) is not None:
                continue
            work = store.work(address)
            for name, facts in manifest.files.items():
                _fetch(remote, _at(address, name), work / name, facts.sha256)
                moved.bytes += facts.bytes
                say(moved.bytes, whole, address.kind)
            store.adopt(address, work, text, manifest)
        moved.stages += 1
    for prefix in ("records/", "experiments/"):
        for name, _ in _listed(remote, prefix):
            _keep(moved, store.root / _inside(name), name, _bytes(remote, name))
    return moved


def _checked(text: bytes, address: Address) -> "Manifest":
    """A manifest that is what it says: of this address, by its identity."""
    try:
        return manifest_of(address, text, str(address))
    except DamagedError as error:
        raise ComputeError(f"{address}: the manifest that is kept there {error}") from None


def _inside(name: str) -> str:
    """A name that stays below the folder it is put in."""
    if PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts:
        raise ComputeError(f"{name!r} would be written outside the store; nothing of it is taken")
    return name


def _fetch(remote: "ObjectStore", name: str, target: Path, expected: str) -> None:
    """Bring a file, unless an earlier attempt has, and check it on its arrival."""
    if target.exists() and file_digest(target) == expected:
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    arriving, digest = target.with_name(f"{target.name}.arriving"), hashlib.sha256()
    with arriving.open("wb") as file, _in_one_line(remote):
        for chunk in _call("get", remote, name).stream():
            digest.update(chunk)
            file.write(chunk)
    if digest.hexdigest() != expected:
        arriving.unlink()
        raise ComputeError(
            f"{name} arrived with sha256 {digest.hexdigest()[:12]}…, expected {expected[:12]}…; it was not kept, and "
            "its stage is not published here"
        )
    arriving.replace(target)


def _settle(moved: Moved, name: str, text: bytes, remote: "ObjectStore") -> None:
    if _create(remote, name, text):
        moved.documents += 1
    elif _bytes(remote, name) != text:
        moved.different.append(name)


def _keep(moved: Moved, path: Path, name: str, text: bytes) -> None:
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        write_bytes(path, text)
        moved.documents += 1
    elif path.read_bytes() != text:
        moved.different.append(name)


def _at(address: Address, name: str) -> str:
    return f"stages/{address.kind}/{address.key}/{name}"


def _listed(remote: "ObjectStore", prefix: str) -> Iterator[tuple[str, int]]:
    with _in_one_line(remote):
        found = [(it["path"], it["size"]) for batch in _call("list", remote, prefix=prefix) for it in batch]
    yield from found


def _create(remote: "ObjectStore", name: str, text: bytes) -> bool:
    """Write what is not there yet; whether it was not."""
    from obstore.exceptions import AlreadyExistsError

    try:
        _call("put", remote, name, text, mode="create")
    except AlreadyExistsError:
        return False
    return True


def _bytes(remote: "ObjectStore", name: str) -> bytes:
    return bytes(_call("get", remote, name).bytes())


def _call(function: str, remote: "ObjectStore", *given: Any, **named: Any) -> Any:
    """One of obstore's functions."""
    import obstore

    with _in_one_line(remote):
        return getattr(obstore, function)(remote, *given, **named)


@contextmanager
def _in_one_line(remote: "ObjectStore") -> Iterator[None]:
    """What goes wrong on the way is a ComputeError; that something is there already is for the caller to know."""
    from obstore.exceptions import AlreadyExistsError, BaseError

    try:
        yield
    except AlreadyExistsError:
        raise
    except (BaseError, OSError) as error:
        raise ComputeError(f"{remote}: {str(error).splitlines()[0]}; the same command goes on from here") from None
