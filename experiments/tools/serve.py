"""`prism-bench ui`: MLflow's pages, on this machine alone, until a signal ends them."""

import os
import signal
import socket
import subprocess
import sys
import time
import webbrowser
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from multiprocessing import get_context
from pathlib import Path
from typing import Protocol
from urllib.error import URLError
from urllib.request import urlopen

import psutil

from prism_bench.experiments.interrupt import interruptible
from prism_bench.experiments.mlflow_view.connection import server_address, ui_command
from prism_bench.experiments.mlflow_view.shown import Shown, shown_in_mlflow
from prism_bench.experiments.options.stored import UiOptions
from prism_bench.experiments.store.inventory import check_store
from prism_bench.prism.errors import ComputeError, InputError

GRACE = 5.0
"""Seconds that MLflow's processes have to end."""
LINES = 5
"""Of MLflow's own words, where it ends by itself."""
_SIGNALS = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP", "SIGQUIT", "SIGBREAK") if hasattr(signal, name)]
Say = Callable[[str], None]


class Find(Protocol):
    """What finds the pages of an experiment, and makes the database where there is none."""

    def __call__(self, store: Path, experiment: str | None, say: Say, /) -> Shown | None:
        """See `shown_in_mlflow`."""


def serve(options: UiOptions, say: Say, find: Find = shown_in_mlflow) -> None:
    """Serve MLflow on a store, and open the comparison of an experiment's cells; returns when a signal ends it.

    Where MLFLOW_TRACKING_URI names a server nothing is started. say, find: functions of a module, as another process
    calls them: MLflow would take a third of a gigabyte of this one for as long as it serves.

    Raises:
        InputError: there is no store, or the port is taken.
        AnalysisError: there is no run of the experiment.
        ComputeError: MLflow ended.
    """
    check_store(options.store)
    store = options.store.absolute()
    there = server_address(store)
    if there is not None:
        _announce(there, find(store, options.experiment, say), say, browser=options.browser)
        return
    _check_port(options.port)
    command, environment = ui_command(store, options.port)
    with suppress(KeyboardInterrupt), interruptible(_SIGNALS):
        say("Starting MLflow ...")
        # Before the server: it would make the database at the same time.
        shown = _elsewhere(find, store, options.experiment, say)
        with _serving(command, environment, store / "logs" / "mlflow-ui.log") as (process, log):
            if answers(process, options.port):
                address = f"http://127.0.0.1:{options.port}"
                say(f"MLflow at {address} (Ctrl-C ends it)")
                _announce(address, shown, say, browser=options.browser)
            code = process.wait()
            said = log.read_text(encoding="utf-8", errors="replace").splitlines()[-LINES:]
            raise ComputeError("\n  ".join([f"MLflow ended with exit code {code}; its last words ({log}):", *said]))


def _elsewhere(find: Find, store: Path, experiment: str | None, say: Say) -> Shown | None:
    """Call a function in a process that is gone afterwards, with its memory."""
    # Ctrl-C comes to this process alone, which ends the other.
    with get_context("spawn").Pool(1, signal.signal, (signal.SIGINT, signal.SIG_IGN)) as one:
        return one.apply(find, (store, experiment, say))


@contextmanager
def _serving(
    command: list[str], environment: dict[str, str], log: Path
) -> "Iterator[tuple[subprocess.Popen[bytes], Path]]":
    """A server that tells its log what it does, and ends with the block."""
    log.parent.mkdir(exist_ok=True)
    with log.open("wb") as words:
        # Of its own session: a terminal's Ctrl-C comes to us alone, who end the others.
        process = subprocess.Popen(
            command, env=environment, stdout=words, stderr=subprocess.STDOUT, start_new_session=True
        )
        try:
            yield process, log
        finally:
            end(process)


def _announce(address: str, shown: Shown | None, say: Say, *, browser: bool) -> None:
    if shown is None:
        say("There is nothing to compare yet: `prism-bench run ablation-table3` computes a first table.")
        page = address
    else:
        page = f"{address}/{shown.comparison}"
        say(f"{shown.experiment}, {shown.cells} runs side by side:\n  {page}")
        say(f"Their curves over the images seen:\n  {address}/{shown.curves}")
    if browser and _has_browser():
        webbrowser.open(page)


def _has_browser() -> bool:
    """Whether a window can be opened: a browser of the terminal would take the place of what is said."""
    named = ("BROWSER", "DISPLAY", "WAYLAND_DISPLAY")
    return sys.platform in {"darwin", "win32"} or any(os.environ.get(name) for name in named)


def _check_port(port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise InputError(f"--port {port} cannot be listened on ({error.strerror}); name another one") from None


def answers(process: "subprocess.Popen[bytes]", port: int) -> bool:
    """Wait until the pages answer; False where the process ended before."""
    while process.poll() is None:
        try:
            with urlopen(f"http://127.0.0.1:{port}/health", timeout=5):
                return True
        except (URLError, OSError):
            time.sleep(0.1)
    return False


def end(process: "subprocess.Popen[bytes]") -> None:
    """End the process and all that it started."""
    try:
        family = [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]
    except psutil.NoSuchProcess:
        family = []
    for ask in (psutil.Process.terminate, psutil.Process.kill):
        for one in family:
            try:
                ask(one)
            except psutil.NoSuchProcess:
                continue
        _, family = psutil.wait_procs(family, timeout=GRACE)
    process.wait()
    if hasattr(os, "killpg"):  # what a process that had ended by itself left behind
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
