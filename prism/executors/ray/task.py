"""What workers of a Ray cluster run: one stage, or a look around them."""

import contextlib
import os
import pickle
import signal
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import version
from pathlib import Path

from prism_bench.prism.component import load
from prism_bench.prism.engine.lease import Lease
from prism_bench.prism.engine.pool import Answer, attempt, prepare_process
from prism_bench.prism.engine.runtime import Runtime
from prism_bench.prism.engine.store import Store
from prism_bench.prism.errors import InputError

PACKAGE = "prism-bench"
LOOK = 1.0
"""Seconds between two looks whether the command is still there."""
PATIENCE = 20.0
"""Seconds that a stopping stage has to write its checkpoint."""


@dataclass(frozen=True, kw_only=True)
class Order:
    """For which command a worker works. command: the folder of the lease that it holds. version: of prism-bench."""

    root: Path
    command: Path
    plugins: tuple[Path, ...] = ()
    version: str = field(default_factory=lambda: version(PACKAGE))


def make(pickled: bytes, address: str, order: Order, runtime: Runtime) -> Answer:
    """Make one stage, for as long as the command is there; a polite kill of this process saves the stage, too.

    pickled: the stage, whose classes may be in plug-ins, which are therefore imported before.
    """
    stop = threading.Event()
    # Ray has handlers of its own, and Ctrl-C may reach the whole group: the command decides.
    before = {
        signal.SIGINT: signal.signal(signal.SIGINT, signal.SIG_IGN),
        signal.SIGTERM: signal.signal(signal.SIGTERM, lambda *_: stop.set()),
    }
    try:
        if _is_gone(order.command):
            return Answer(address, "stopped", reason=f"{socket.gethostname()} does not see the command in {order.root}")
        with _following(order.command, stop):
            _load_once(order.plugins)
            put_back = prepare_process(runtime)
            try:
                return attempt(pickle.loads(pickled), Store.create(order.root), runtime, stop)  # noqa: S301 - our own
            finally:
                put_back()
    except InputError as error:
        return Answer(address, "failed", reason=f"on {socket.gethostname()}: {error}")
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


# A worker makes several stages, and a file that is imported again makes its classes anew.
_load_once = cache(load)


def _is_gone(command: Path) -> bool:
    try:
        return Lease(command).holder() is None
    except OSError:  # a file system that does not answer says nothing of the command
        return False


@contextlib.contextmanager
def _following(command: Path, stop: threading.Event) -> Iterator[None]:
    """Once the command has gone, ask the stage to stop; where that takes too long, end the process."""
    ended = threading.Event()

    def follow() -> None:
        while not ended.wait(LOOK):
            if _is_gone(command):
                stop.set()
                if not ended.wait(PATIENCE):
                    os._exit(1)
                return

    watching = threading.Thread(target=follow, daemon=True)
    watching.start()
    try:
        yield
    finally:
        ended.set()
        watching.join()


def look_around(order: Order) -> str:
    """What is wrong on this node for work on a store; empty where it sees the same files and runs the same program."""
    deadline = time.monotonic() + PATIENCE
    while _is_gone(order.command):
        # A network file system may hide what another machine has just written.
        if time.monotonic() > deadline:
            return f"does not see the store {order.root}; give a folder that all nodes share"
        time.sleep(LOOK)
    if version(PACKAGE) != order.version:
        return f"has {PACKAGE} {version(PACKAGE)}, and the command {order.version}; install the same version"
    missing = [str(plugin) for plugin in order.plugins if not plugin.is_file()]
    return f"does not see {', '.join(missing)}; put plug-ins in a folder that all nodes share" if missing else ""
