"""Which process owns a run that MLflow calls RUNNING, and whether that process still lives."""

import os
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil

from prism_bench.experiments.mlflow_view.connection import every
from prism_bench.prism.engine.lease import Holder

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

PREFIX = "prism-bench/"


def process_facts(process: Holder) -> dict[str, str]:
    """What a tracker or a study keeps of a process, to know later whether it lives."""
    return {
        "host": process.host,
        "machine": process.machine,
        "pid": str(process.pid),
        "started": repr(process.started),
    }


def process_of(facts: Mapping[str, Any]) -> Holder | None:
    """The process of such facts; None where they name none.

    Up to 0.4.0 they had no machine, and in place of the start the ticks since the boot (`pid_began`, `began`).
    """
    host, pid = str(facts.get("host", "")), str(facts.get("pid", ""))
    if not pid.isdigit():
        return None
    if "machine" in facts:
        machine, started = str(facts["machine"]), float(facts.get("started", 0))
    else:
        machine = Holder.here().machine if host == socket.gethostname() else ""
        ticks = str(facts.get("pid_began", facts.get("began", "")))
        started = psutil.boot_time() + int(ticks) / os.sysconf("SC_CLK_TCK") if ticks.isdigit() else 0.0
    return Holder(host=host, machine=machine, pid=int(pid), started=started, token="")


def has_ended(process: Holder) -> bool:
    """Whether a process is gone, one of before the last boot of this host too."""
    here = Holder.here()
    rebooted = process.host == here.host and process.machine.split()[1:2] != here.machine.split()[1:2]
    return rebooted or process.is_gone()


def owner_tags(store: Path) -> dict[str, str]:
    """Tags that name this process and the store it works in."""
    facts = process_facts(Holder.here())
    return {f"prism.{name}": value for name, value in facts.items()} | {"prism.store": str(store.resolve())}


def owner_of(tags: Mapping[str, str]) -> Holder | None:
    """The process that a run's tags name."""
    return process_of({name.removeprefix("prism."): value for name, value in tags.items()})


def close_stale(client: "MlflowClient", store: Path) -> int:
    """End as KILLED the RUNNING runs that dead processes of this machine left for this store; returns how many."""
    experiments = every(
        lambda token: client.search_experiments(filter_string=f"name LIKE '{PREFIX}%'", page_token=token)
    )
    ids = [experiment.experiment_id for experiment in experiments]
    if not ids:
        return 0
    running = every(lambda token: client.search_runs(ids, "attributes.status = 'RUNNING'", page_token=token))
    stale = [run for run in running if _is_stale(run, str(store.resolve()))]
    for run in stale:
        pid = run.data.tags["prism.pid"]
        client.set_tag(run.info.run_id, "prism.status", "killed")
        client.set_tag(run.info.run_id, "prism.reason", f"process {pid} ended without closing this run")
        client.set_terminated(run.info.run_id, "KILLED")
    return len(stale)


def _is_stale(run: "Run", store: str) -> bool:
    owner = owner_of(run.data.tags)
    return run.data.tags.get("prism.store") == store and owner is not None and has_ended(owner)
