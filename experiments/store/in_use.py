"""Which finished stages a running command still needs, so that nothing that cleans a store takes them away."""

import json
import shutil
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from prism_bench.prism.engine.lease import Lease
from prism_bench.prism.engine.runtime import write_json
from prism_bench.prism.engine.stage import Stage, walk
from prism_bench.prism.engine.store import Address, Store

NAMED = "stages.json"
"""Beside a command's lease: the addresses of what it makes and of all that this rests on."""
PREFIX = "command-"


@contextmanager
def in_use(stages: Iterable[Stage], store: Store) -> Iterator[None]:
    """As long as the context lasts, `stages_in_use` names these stages and everything that they rest on."""
    addresses = {stage.address for wanted in stages for stage in walk(wanted)}
    for folder in store.root.glob(f"locks/{PREFIX}*"):  # of commands that were killed
        if Lease(folder).holder() is None:
            shutil.rmtree(folder, ignore_errors=True)
    if not addresses:
        yield
        return
    lease = Lease(store.root / "locks" / f"{PREFIX}{uuid.uuid4().hex}")
    lease.acquire()
    with lease:
        named = lease.folder / NAMED
        write_json(named, sorted([address.kind, address.key] for address in addresses))
        try:
            yield
        finally:
            named.unlink(missing_ok=True)


def stages_in_use(store: Store) -> set[Address]:
    """What the commands that are running need, on any machine."""
    found: set[Address] = set()
    for named in store.root.glob(f"locks/{PREFIX}*/{NAMED}"):
        if Lease(named.parent).holder() is not None:
            try:
                found |= {Address(kind, key) for kind, key in json.loads(named.read_bytes())}
            except FileNotFoundError:  # it has just ended
                continue
    return found
