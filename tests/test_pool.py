"""Worker processes: what is said of one that died, on systems with and without POSIX signals."""

import faulthandler
import multiprocessing
import os
import signal
import subprocess
import sys

import pytest

from prism_bench.prism.executors import local_pool


def die(code: int) -> None:
    """An exit code, or a signal where it is negative."""
    if code < 0:
        faulthandler.disable()
        os.kill(os.getpid(), -code)
    os._exit(code)


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (3, "its worker process died (exit code 3); type"),
        (-signal.SIGTERM, "its worker process died (signal 15); type"),
        (-signal.SIGKILL, "its worker process died (signal 9); the system may have run out of memory: try fewer"),
        (-signal.SIGBUS, "its worker process died (signal 7); a file that it had mapped was cut short, as on a full"),
    ],
)
def test_the_exit_reason_of_a_real_process(code: int, words: str) -> None:
    process = multiprocessing.get_context("fork").Process(target=die, args=(code,))
    process.start()
    assert local_pool.exit_reason(process).startswith(words)


def test_a_system_without_sigkill() -> None:
    """As Windows is: the pool can be imported and says why a worker is gone."""
    code = (
        "import os, signal\nfrom types import SimpleNamespace\ndel signal.SIGKILL, os.sched_getaffinity\n"
        "from prism_bench.experiments.execution import run_experiments\n"
        "from prism_bench.prism.engine import runtime\n"
        "from prism_bench.prism.executors import local_pool\n"
        "assert runtime.usable_cores() > 0\n"
        "print(local_pool.exit_reason(SimpleNamespace(join=lambda timeout: None, exitcode=-9)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout == (
        "its worker process died (signal 9); type the same command again to go on from its last checkpoint\n"
    )
