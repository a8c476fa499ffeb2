"""Which process owns a run that MLflow calls RUNNING, and whether that process still lives."""

import os
import socket
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from prism_bench.experiments.mlflow_view.connection import every

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

PREFIX = "prism-bench/"


def owner_tags(store: Path) -> dict[str, str]:
    """Tags that name this process: host, pid, the moment the pid began, and the store it works in."""
    pid = os.getpid()
    return {
        "prism.host": socket.gethostname(),
        "prism.pid": str(pid),
        "prism.pid_began": began(pid) or "",
        "prism.store": str(store.resolve()),
    }


def alive(pid: int, since: str) -> bool:
    """Whether the process lives. `since`, as `began` gives it, tells it from a later process of the same number.

    In doubt (Windows, no permission) it lives: a wrong KILLED would hide a run that works.
    """
    if sys.platform == "win32":
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    now = began(pid)
    return now is None or not since or now == since


def close_stale(client: "MlflowClient", store: Path) -> int:
    """End as KILLED the RUNNING runs that dead processes of this host left for this store; returns how many."""
    experiments = every(
        lambda token: client.search_experiments(filter_string=f"name LIKE '{PREFIX}%'", page_token=token)
    )
    ids = [experiment.experiment_id for experiment in experiments]
    if not ids:
        return 0
    running = every(lambda token: client.search_runs(ids, "attributes.status = 'RUNNING'", page_token=token))
    stale = [run for run in running if _is_stale(run, owner_tags(store))]
    for run in stale:
        pid = run.data.tags["prism.pid"]
        client.set_tag(run.info.run_id, "prism.status", "killed")
        client.set_tag(run.info.run_id, "prism.reason", f"process {pid} ended without closing this run")
        client.set_terminated(run.info.run_id, "KILLED")
    return len(stale)


def _is_stale(run: "Run", here: dict[str, str]) -> bool:
    tags = run.data.tags
    if any(tags.get(name) != here[name] for name in ("prism.host", "prism.store")):
        return False
    pid = tags.get("prism.pid", "")
    return pid.isdigit() and not alive(int(pid), tags.get("prism.pid_began", ""))


def began(pid: int) -> str | None:
    """Start of a process in clock ticks since boot; None where /proc does not say, "ended" for a zombie."""
    try:
        # The second field is the program's name in brackets and may hold anything, so count from its end.
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return "ended" if fields[0] == "Z" else fields[19]
