"""A Ray cluster: the one that this process joins or starts, what its nodes have, and how many stages they take."""

import logging
import os
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from prism_bench.prism.engine.runtime import usable_cores
from prism_bench.prism.errors import InputError

ADDRESS = "RAY_ADDRESS"
PATIENCE = 10.0
"""Seconds in which the address of a cluster must answer; Ray itself would try for many minutes."""
OBJECTS = 100 * 2**20
"""Bytes of shared memory for a cluster that is started here: what Ray carries for us are a few kilobytes."""


@dataclass(frozen=True, kw_only=True)
class Node:
    """A living machine of the cluster, with what its Ray was started with."""

    id: str
    host: str
    cpus: int
    gpus: int


@dataclass(frozen=True, kw_only=True)
class Demand:
    """What the stages of a command need. threads: CPUs of each. gpus: whether those that use a device get a GPU.

    workers: the most at a time of those that get none; None for as many as fit.
    """

    threads: int = 1
    gpus: bool = False
    workers: int | None = None

    def pinned(self, nodes: Sequence[Node]) -> int:
        """How many stages can have a GPU at a time."""
        return sum(min(node.gpus, node.cpus // self.threads) for node in nodes) if self.gpus else 0

    def others(self, nodes: Sequence[Node]) -> int:
        """How many others can be made beside them; one at least wherever there is any CPU."""
        fitting = sum(node.cpus // self.threads for node in nodes)
        beside = max(fitting - self.pinned(nodes), min(fitting, 1))
        return beside if self.workers is None else min(beside, self.workers)

    def check(self, nodes: Sequence[Node]) -> None:
        """Raise InputError where no node can ever make what is asked for, naming what there is: Ray would wait."""
        if not self.others(nodes):
            raise InputError(f"--threads {self.threads}: no node has so many CPUs; {described(nodes)}")
        if self.gpus and not any(node.gpus for node in nodes):
            raise InputError(f"--device cuda: no node has a GPU; {described(nodes)}; give --device cpu")
        if self.gpus and not self.pinned(nodes):
            raise InputError(f"--threads {self.threads}: no node with a GPU has so many CPUs; {described(nodes)}")


def described(nodes: Sequence[Node]) -> str:
    """Such as: the Ray cluster of this machine has 2 nodes: a (4 CPUs), b (8 CPUs, 1 GPU)."""
    where = os.environ.get(ADDRESS) or "this machine"
    each = ", ".join(
        f"{node.host} ({_counted(node.cpus, 'CPU')}{', ' + _counted(node.gpus, 'GPU') if node.gpus else ''})"
        for node in nodes
    )
    return f"the Ray cluster of {where} has {_counted(len(nodes), 'node')}{': ' if each else ''}{each}"


def _counted(count: int, word: str) -> str:
    return f"{count} {word}{'s' * (count != 1)}"


def living_nodes() -> tuple[Node, ...]:
    """The machines that are there now."""
    import ray

    return tuple(
        Node(
            id=node["NodeID"],
            host=node["NodeManagerHostname"],
            cpus=int(node["Resources"].get("CPU", 0)),
            gpus=int(node["Resources"].get("GPU", 0)),
        )
        for node in ray.nodes()  # type: ignore[no-untyped-call]
        if node["Alive"]
    )


def connect() -> None:
    """Join the cluster of RAY_ADDRESS, or that of `ray start` on this machine; where there is none, start one here.

    Raises:
        InputError: Ray is not installed, or no cluster answers at the address.
    """
    # Ray reads both when it is imported. The second: errors of lost nodes come with pages of logs; we say it in a line.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_DEDUP_LOGS_SKIP_REGEX", "(?s).*")
    try:
        import ray
    except ImportError:
        raise InputError('--executor ray needs the package ray: pip install "prism-bench[ray]"') from None
    if ray.is_initialized():
        return
    _check_address(os.environ.get(ADDRESS, ""))
    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR, "include_dashboard": False}
    try:
        try:
            ray.init(num_cpus=usable_cores(), object_store_memory=OBJECTS, **quiet)
        except ValueError:  # there is one already, whose CPUs are its own
            ray.init(**quiet)
    except (ConnectionError, RuntimeError, ValueError) as error:
        where = os.environ.get(ADDRESS)
        named = f"{ADDRESS}={where}: " if where else ""
        raise InputError(f"{named}Ray cannot be used ({str(error).strip().splitlines()[0]})") from None


def _check_address(address: str) -> None:
    host, _, port = address.rpartition("://")[2].rpartition(":")
    if not host or not port.isdigit():
        return
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=PATIENCE).close()
    except OSError as error:
        raise InputError(
            f"{ADDRESS}={address}: nothing answers there ({error}); start a cluster with ray start --head, "
            f"or unset {ADDRESS} for one that lasts as long as this command"
        ) from None
