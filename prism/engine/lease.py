"""Leases: which process makes a stage, on one machine or on many that share a folder.

A lease is a file: `locks/<kind>-<key>/<n>.json`, the n-th of its stage; the highest n holds. Nothing is asked of the
file system but that one of several processes succeeds in creating a file, so that no flock is needed (Lustre, NFS).
The holder touches its file every BEAT seconds. It is gone where its process is gone, as far as that can be seen from
here (the same machine and the same namespace of processes), and otherwise where the file was not touched for SILENCE
seconds. Who finds it gone creates n + 1, which only one process can do.
"""

import contextlib
import json
import os
import socket
import threading
import time
import uuid
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path

import psutil

from prism_bench.prism.errors import ComputeError

BEAT = 10.0
"""Seconds between two signs of life."""
SILENCE = 120.0
"""Seconds without one after which another process takes over. More than what a network file system may hide."""
CLOCK = 60.0
"""Seconds for which a reading of a file system's clock is carried on by this process's own."""
ROUNDS = 100
"""Attempts to create a lease while others come and go."""


class HeldError(ComputeError):
    """Another living process makes the stage."""


class LeaseLostError(ComputeError):
    """Another process took the stage over while this one was silent; nothing of it is published from here."""


@dataclass(frozen=True, kw_only=True)
class Holder:
    """Who holds a lease: a process of a machine, or of a container of it.

    machine: name, boot and process namespace. started: when the process began, seconds since 1970, for numbers come
    again; 0 where that is not known. token: of this lease alone.
    """

    host: str
    machine: str
    pid: int
    started: float
    token: str

    @classmethod
    def here(cls) -> "Holder":
        """The process that asks, with a new token."""
        pid = os.getpid()
        return cls(
            host=socket.gethostname(),
            machine=_machine(pid),
            pid=pid,
            started=_started(pid),
            token=uuid.uuid4().hex,
        )

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host}"

    def is_gone(self) -> bool:
        """Whether it is known that the process has ended; False where that cannot be seen from here."""
        if self.machine != _machine(os.getpid()):
            return False
        try:
            process = psutil.Process(self.pid)
            # A second: the time of the boot, from which starts are counted, is read anew by each process.
            came_again = self.started > 0 and abs(process.create_time() - self.started) > 1
            return bool(came_again or process.status() == psutil.STATUS_ZOMBIE)
        except psutil.NoSuchProcess:
            return True
        except psutil.AccessDenied:
            return False


class FileSystemClock:
    """What the clock of a file system says, by which leases are dated: those of two machines may differ.

    To read it, a file is made; readings are therefore carried on for a while. One that was carried on may lag behind,
    by what this process slept, and is believed only where it says that a holder lives.
    """

    def __init__(self) -> None:
        self._read: tuple[float, float] | None = None
        """What the clock said, and when that was known, by this process's own."""

    def was_silent(self, folder: Path, touched: float) -> bool:
        """Whether SILENCE seconds have passed since a date that the file system of `folder` gave."""
        if self._read is not None:
            elapsed = time.monotonic() - self._read[1]
            if elapsed < CLOCK and self._read[0] + elapsed - touched <= SILENCE:
                return False
        return self._now(folder) - touched > SILENCE

    def _now(self, folder: Path) -> float:
        probe = folder / f".{uuid.uuid4().hex}"
        try:
            probe.touch()
            now = probe.stat().st_mtime
        except FileNotFoundError:  # the lease and its folder have gone meanwhile
            return 0.0
        finally:
            probe.unlink(missing_ok=True)
        self._read = now, time.monotonic()
        return now


class Lease:
    """The right to make one stage; a context manager that beats while it is held and gives it back.

    clock: where many leases of one file system are looked at, one for all.
    """

    def __init__(self, folder: Path, clock: FileSystemClock | None = None) -> None:
        self.folder = folder
        self._clock = clock or FileSystemClock()
        self.mine: Holder | None = None
        self._path = folder
        self._looked = time.monotonic()
        self._ended = threading.Event()
        self._beating: threading.Thread | None = None

    def holder(self) -> Holder | None:
        """The living holder, whoever it is."""
        newest = self._newest()
        return None if newest is None else self._living(*newest)

    def acquire(self) -> bool:
        """Take the lease; True where it was taken over from a holder that is gone.

        Raises:
            HeldError: another living process has it.
        """
        holder = Holder.here()
        for _ in range(ROUNDS):
            newest = self._newest()
            living = None if newest is None else self._living(*newest)
            if living is not None:
                raise HeldError(f"is being made by {living}")
            path = self.folder / f"{1 if newest is None else int(newest[0].stem) + 1}.json"
            # Another process may be first, or may be removing the folder just now.
            with contextlib.suppress(FileExistsError, FileNotFoundError):
                self.folder.mkdir(parents=True, exist_ok=True)
                self._write(path, holder)
                self.mine, self._path = holder, path
                return newest is not None
        raise HeldError(f"is wanted by many processes at once ({self.folder})")

    @staticmethod
    def _write(path: Path, holder: Holder) -> None:
        opened = path.open("x")
        try:
            with opened as file:
                json.dump(asdict(holder), file)
        except OSError:  # on a full disk an empty file stays, which would pass for the lease of a living process
            path.unlink(missing_ok=True)
            with contextlib.suppress(OSError):
                path.parent.rmdir()
            raise

    def is_held(self) -> bool:
        """Whether this process still has what it acquired."""
        newest = self._newest()
        return self.mine is not None and newest is not None and newest[1] == self.mine

    def check(self) -> None:
        """Raise LeaseLostError where another process has taken over."""
        self._looked = time.monotonic()
        if not self.is_held():
            raise LeaseLostError("another process took this stage over, for this one gave no sign of life; it goes on")

    def check_now_and_then(self) -> None:
        """The same at most once a second: for a loop that calls it in every step."""
        if time.monotonic() - self._looked > 1:
            self.check()

    def __enter__(self) -> "Lease":
        """Beat until the end of the context."""
        self._ended.clear()
        self._beating = threading.Thread(target=self._beat, daemon=True)
        self._beating.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        if self._beating is not None:
            self._beating.join()
        self.release()

    def release(self) -> None:
        """Give back what is held; older leases of the stage, whose holders are gone, go with it."""
        if self.is_held():
            for number, path in self._numbered():
                if number <= int(self._path.stem):
                    path.unlink(missing_ok=True)
            with contextlib.suppress(OSError):
                self.folder.rmdir()
        self.mine = None

    def _beat(self) -> None:
        while not self._ended.wait(BEAT):
            with contextlib.suppress(OSError):
                os.utime(self._path)

    def _newest(self) -> tuple[Path, Holder | None] | None:
        """The file of the highest number and who wrote it; None for one that is not written yet."""
        found = max(self._numbered(), default=None)
        return None if found is None else (found[1], _read(found[1]))

    def _numbered(self) -> Iterator[tuple[int, Path]]:
        with contextlib.suppress(FileNotFoundError):
            for path in list(self.folder.iterdir()):
                if path.suffix == ".json" and path.stem.isdigit():
                    yield int(path.stem), path

    def _living(self, path: Path, holder: Holder | None) -> Holder | None:
        """The holder, unless it is gone; one that is just being written is alive, whoever it is."""
        if holder is not None and holder.is_gone():
            return None
        try:
            # Opened, not only looked up: a network file system then asks its server.
            with path.open("rb") as file:
                touched = os.fstat(file.fileno()).st_mtime
        except FileNotFoundError:
            return None
        if self._clock.was_silent(path.parent, touched):
            return None
        return holder or Holder(host="another machine", machine="", pid=0, started=0.0, token="")


def _read(path: Path) -> Holder | None:
    try:
        return Holder(**json.loads(path.read_text()))
    except (OSError, ValueError, TypeError):
        return None


@lru_cache(maxsize=1)
def _started(pid: int) -> float:
    """When a process began; of the own one, which asks for every lease, while the system reads a long file for it."""
    return float(psutil.Process(pid).create_time())


@lru_cache(maxsize=1)
def _machine(pid: int) -> str:  # noqa: ARG001 - a process that was forked may be in another container
    """The machine since its boot, and the container on it: whose process numbers are the same as ours."""
    parts = [socket.gethostname()]
    for path, read in (("/proc/sys/kernel/random/boot_id", Path.read_text), ("/proc/self/ns/pid", os.readlink)):
        with contextlib.suppress(OSError):
            parts.append(read(Path(path)).strip())
    return " ".join(parts)
