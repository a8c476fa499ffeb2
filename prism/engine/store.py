"""The store: content-addressed stages, published by rename, verified by checksum, each made under a lease.

stages/<kind>/<key>/    finished stages, each with its `stage.json`
work/<kind>-<key>/      stages under way: checkpoints and partial arrays, from which the same command goes on; with
                        `~` and a mark behind the key where another process has taken the stage over
locks/<kind>-<key>/     who makes a stage
corrupted/              stages whose checksum failed, set aside
records/<digest>.json   one result per cell      experiments/<name>/<plan>.json   what was asked
"""

import contextlib
import errno
import hashlib
import os
import shutil
import stat
import time
import uuid
from collections.abc import Callable, Container, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, cast

from prism_bench.prism.component import Json, digest_of
from prism_bench.prism.engine.lease import FileSystemClock, HeldError, Lease
from prism_bench.prism.engine.resumable_array import BLOCKS, PARTIAL
from prism_bench.prism.engine.runtime import PROGRESS, TEMPORARY, StopRequestedError, as_json, write_bytes
from prism_bench.prism.engine.stamps import STAMPS, stamps_hold, write_stamps
from prism_bench.prism.errors import ComputeError, InputError
from prism_bench.sealed import DamagedError, sealed

if TYPE_CHECKING:
    from prism_bench.prism.engine.manifest import Manifest

MANIFEST = "stage.json"
KEY_LENGTH = 20
"""Hex characters of a key: 80 bits."""
RESUMABLE = (f"*{PARTIAL}", f"*{BLOCKS}", "checkpoint*.safetensors")
"""What an interrupted stage goes on from, by name; what else lies in a work folder is made anew."""
TAKEN_OVER = "~"
"""Before the mark of a work folder whose first maker is gone."""
LOOK = 0.5
"""Seconds between two looks at a stage that another process makes."""


@dataclass(frozen=True)
class Address:
    """Where a stage lives: its kind and its key."""

    kind: str
    key: str

    @classmethod
    def of(cls, identity: Json) -> Self:
        """The address of the stage with this identity."""
        return cls(str(cast("dict[str, Json]", identity)["kind"]), digest_of(identity)[:KEY_LENGTH])

    def __str__(self) -> str:
        return f"{self.kind}-{self.key}"


class Store:
    """One folder; several processes, machines and accounts may use it at once."""

    def __init__(self, root: Path) -> None:
        self.root = root.absolute()
        self._clock = FileSystemClock()

    @classmethod
    def create(cls, root: Path) -> "Store":
        """Make the folder if need be and see that it can be written.

        Where the folder may be written by its group, so may be all that this process writes from here on: a team's.

        Raises:
            InputError: it cannot.
        """
        store = cls(root)
        try:
            store.root.mkdir(parents=True, exist_ok=True)
            if store.root.stat().st_mode & stat.S_IWGRP:
                os.umask(os.umask(0o077) & ~stat.S_IRWXG)
            for name in ("stages", "work", "locks", "records", "experiments"):
                (store.root / name).mkdir(exist_ok=True)
            probe = store.root / f".probe-{uuid.uuid4().hex}{TEMPORARY}"
            try:
                probe.write_bytes(b"x")
            finally:
                probe.unlink(missing_ok=True)
        except OSError as error:
            raise InputError(
                f"the store {store.root} cannot be written ({error.strerror}); free space or permissions, "
                "or name another folder with --store DIR or PRISM_BENCH_STORE"
            ) from None
        return store

    def folder(self, address: Address) -> Path:
        """Where the finished stage is or will be."""
        return self.root / "stages" / address.kind / address.key

    def work(self, address: Address) -> Path:
        """Where the stage is being made; created on demand."""
        path = self.work_folder(address)
        path.mkdir(parents=True, exist_ok=True)
        return path

    def clean_work(self, address: Address) -> Path:
        """The same, with nothing in it but what its maker can go on from and sees to be whole: see RESUMABLE."""
        work = self.work(address)
        for path in sorted(work.rglob("*"), reverse=True):
            if path.is_dir():
                with contextlib.suppress(OSError):  # not empty
                    path.rmdir()
            elif not (any(map(path.match, RESUMABLE)) or path.with_suffix(BLOCKS).exists()):
                path.unlink()
        return work

    def work_folder(self, address: Address) -> Path:
        """The same, whether it is there or not."""
        taken_over = next(self.root.glob(f"work/{address}{TAKEN_OVER}*"), None)
        return taken_over or self.root / "work" / str(address)

    def work_folders(self) -> dict[str, Path]:
        """The folders of all stages that are being made, by address: one look for many."""
        # Of a stage that was taken over the folder of who has it now, which comes after the other one.
        return {path.name.partition(TAKEN_OVER)[0]: path for path in sorted((self.root / "work").iterdir())}

    def take_over_work(self, address: Address, mark: str) -> None:
        """Rename the folder in which a stage was being made, so that whoever made it cannot publish it any more."""
        with contextlib.suppress(FileNotFoundError):
            self.work_folder(address).rename(self.root / "work" / f"{address}{TAKEN_OVER}{mark}")

    def lease(self, address: Address) -> Lease:
        """Held by the one process that makes this stage."""
        return Lease(self.root / "locks" / str(address), self._clock)

    @contextmanager
    def making(
        self, address: Address, *, wait: bool = True, should_stop: Callable[[], bool] = lambda: False
    ) -> Iterator[Lease]:
        """Make a stage that nobody else is making, for as long as the context lasts.

        Raises:
            HeldError: another living process makes it; with `wait` its end is waited for.
            StopRequestedError: `should_stop` said so while waiting.
        """
        lease = self.lease(address)
        while True:
            try:
                taken_over = lease.acquire()
                break
            except HeldError:
                if not wait:
                    raise
            if should_stop():
                raise StopRequestedError
            time.sleep(LOOK)
        with lease:
            if taken_over and lease.mine is not None:
                self.take_over_work(address, lease.mine.token[:8])
            yield lease

    @contextmanager
    def scratch(self, kind: str, key: str) -> Iterator[Path]:
        """A folder for work that is no stage, of one process at a time; gone at the end of the context."""
        address = Address(kind, key[:20])
        with self.making(address):
            folder = self.work(address)
            try:
                yield folder
            finally:
                shutil.rmtree(folder)

    def manifest(self, address: Address) -> "Manifest | None":
        """The `stage.json` of a finished stage; None where it is not finished, or the file is not that one.

        Raises:
            InputError: a newer program wrote it.
        """
        try:
            return self._manifest(address)
        except (OSError, DamagedError):
            return None

    def _manifest(self, address: Address) -> "Manifest":
        path = self.folder(address) / MANIFEST
        return manifest_of(address, path.read_bytes(), str(path))

    def manifests(self, kind: str) -> "list[Manifest]":
        """The manifests of all finished stages of a kind, by key."""
        parent = self.root / "stages" / kind
        if not parent.is_dir():
            return []
        found = [self.manifest(Address(kind, path.name)) for path in sorted(parent.iterdir())]
        return [manifest for manifest in found if manifest is not None]

    def publish(self, address: Address, work: Path, **facts: Any) -> Path:
        """Finish a stage: checksum its files, write the manifest, rename the folder into place.

        `facts`: what the manifest says besides kind, key, files and time.
        """
        from prism_bench.prism.engine.manifest import FileFacts, Manifest

        for left in (work / PROGRESS, *work.rglob(f"*{BLOCKS}")):
            left.unlink(missing_ok=True)
        files = {
            str(path.relative_to(work)): FileFacts(sha256=file_digest(path), bytes=path.stat().st_size)
            for path in sorted(work.rglob("*"))
            if path.is_file() and path.name not in {MANIFEST, STAMPS}
        }
        created = time.strftime("%Y-%m-%dT%H:%M:%S%z")
        manifest = Manifest(kind=address.kind, key=address.key, files=files, created=created, **facts)
        return self.adopt(address, work, as_json(sealed(manifest.model_dump(mode="json"))), manifest)

    def adopt(self, address: Address, work: Path, text: bytes, manifest: "Manifest") -> Path:
        """Rename a folder of files whose checksums are right into place, with this manifest; returns where."""
        write_bytes(work / MANIFEST, text)
        target = self.folder(address)
        target.parent.mkdir(parents=True, exist_ok=True)
        write_stamps(work, manifest)
        try:
            work.rename(target)
        except OSError as error:
            # A network file system may send a rename twice, of which the second finds nothing.
            if error.errno == errno.ENOENT and not work.exists() and self.manifest(address) == manifest:
                return target
            # Another process published the same key first: its bytes are as good as ours.
            if error.errno not in {errno.ENOTEMPTY, errno.EEXIST}:
                raise
            shutil.rmtree(work)
        return target

    def fault(self, address: Address) -> str | None:
        """What is wrong with a stage's files: None where every checksum holds, or where there is no such stage.

        A file is read only where its size, time or inode is not that of when its checksum was last found right.
        """
        folder, manifest = self.folder(address), self.manifest(address)
        if manifest is not None and stamps_hold(folder, manifest):
            return None
        found = next(self.faults(address), None)
        if found is None and manifest is not None:
            # A store that can only be read, or is on a full disk, is read whole each time.
            with contextlib.suppress(OSError):
                write_stamps(folder, manifest)
        return found

    def faults(self, address: Address, without: Container[str] = ()) -> Iterator[str]:
        """Everything that is wrong with a stage's files, each of them read; those of `without` may be missing."""
        folder = self.folder(address)
        if not folder.exists():
            return
        try:
            manifest = self._manifest(address)
        except OSError as error:
            yield f"{MANIFEST} {'is missing' if error.errno == errno.ENOENT else f'cannot be read ({error.strerror})'}"
            return
        except DamagedError as error:
            yield f"{MANIFEST} {error}"
            return
        for name, facts in manifest.files.items():
            path = folder / name
            if not path.is_file():
                if name not in without:
                    yield f"{name} is missing"
                continue
            found = file_digest(path)
            if found != facts.sha256:
                yield f"{name} has sha256 {found[:12]}…, expected {facts.sha256[:12]}…"

    def file(self, address: Address, name: str) -> Path | None:
        """One file of a finished stage, whole; None where it is not there.

        Raises:
            ComputeError: it is not what was written.
        """
        folder, manifest = self.folder(address), self.manifest(address)
        path = folder / name
        if manifest is None or name not in manifest.files or not path.is_file():
            return None
        if not stamps_hold(folder, manifest, name) and file_digest(path) != manifest.files[name].sha256:
            raise ComputeError(f"{path} is damaged; prism-bench cache verify --set-aside --store {self.root} mends it")
        return path

    def clear(self, address: Address) -> tuple[str, Path] | None:
        """Set a damaged stage aside: what is wrong with it, and where its files are kept; None where nothing is.

        Other processes may have seen the same damage, and one of them may have made the stage anew.

        Raises:
            ComputeError: it is damaged, and the store cannot be written.
        """
        fault = self.fault(address)
        if fault is None:
            return None
        try:
            with self.making(address):
                fault = self.fault(address)
                return None if fault is None else (fault, self.set_aside(address))
        except OSError as error:
            raise ComputeError(
                f"{self.folder(address)} is damaged ({fault}) and cannot be set aside ({error.strerror}); "
                "let the store be written, and it is made again"
            ) from None

    def set_aside(self, address: Address) -> Path:
        """Move a damaged stage out of the way, keeping its files."""
        target = self.root / "corrupted" / f"{address}-{time.strftime('%Y%m%dT%H%M%S')}-{uuid.uuid4().hex[:8]}"
        target.parent.mkdir(exist_ok=True)
        self.folder(address).rename(target)
        return target

    def record_path(self, digest: str) -> Path:
        """The file of one cell's result."""
        return self.root / "records" / f"{digest}.json"

    def plan_path(self, experiment: str, digest: str) -> Path:
        """The file of one plan: what was asked and which records answer it."""
        folder = self.root / "experiments" / experiment
        folder.mkdir(parents=True, exist_ok=True)
        return folder / f"{digest}.json"


def manifest_of(address: Address, text: bytes, where: str) -> "Manifest":
    """The manifest of this stage in a file's bytes, called `where` in messages.

    Raises:
        DamagedError: they are no such thing, or not what was written, or of another stage.
        InputError: a newer program wrote them.
    """
    from prism_bench.prism.engine.manifest import read_manifest

    found = read_manifest(text, where)
    for other in (Address(found.kind, found.key), Address.of(found.identity)):
        if other != address:
            raise DamagedError(f"tells of the stage {other.kind} {other.key}")
    return found


def file_digest(path: Path) -> str:
    """SHA-256 (hex) of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
