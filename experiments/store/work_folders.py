"""Stages that are being made, or were when their process ended."""

from dataclasses import dataclass
from pathlib import Path

from prism_bench.prism.engine.store import TAKEN_OVER, Address, Store


@dataclass(frozen=True, kw_only=True)
class Work:
    """A folder in which a stage is being made, or was when its process ended."""

    address: Address
    path: Path
    bytes: int
    touched: float
    """When any of its files was last written, in seconds since 1970."""
    running: bool


def work_folders(store: Store) -> list[Work]:
    """The folders of stages that are being made, or were interrupted."""
    found = []
    for path in sorted(store.root.glob("work/*")):
        kind, _, key = path.name.partition(TAKEN_OVER)[0].rpartition("-")
        if not path.is_dir() or not kind:
            continue
        address = Address(kind, key)
        times = [item.stat().st_mtime for item in (path, *path.rglob("*")) if item.exists()]
        found.append(
            Work(
                address=address, path=path, bytes=bytes_in(path), touched=max(times), running=is_locked(store, address)
            )
        )
    return found


def is_locked(store: Store, address: Address) -> bool:
    """Whether a living process is making this stage."""
    try:
        return store.lease(address).holder() is not None
    except OSError:  # a store that can only be read
        return False


def bytes_in(folder: Path) -> int:
    """Bytes of all files below a folder, or of one file; those that vanish while we look count nothing."""
    total = 0
    for path in (folder, *folder.rglob("*")):
        try:
            total += path.stat().st_size if path.is_file() else 0
        except FileNotFoundError:
            continue
    return total
