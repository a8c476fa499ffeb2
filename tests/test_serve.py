"""`prism-bench ui`: real processes, a real port."""

import signal
import socket
import subprocess
import time
from pathlib import Path
from urllib.request import urlopen

import psutil
import pytest
from conftest import Cli
from test_run import ENVIRONMENT, PROGRAM


@pytest.fixture
def shown(tmp_path: Path) -> Path:
    """A store without a record."""
    (tmp_path / "s" / "records").mkdir(parents=True)
    return tmp_path / "s"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_pages_answer_when_it_is_said_and_end_with_a_signal(shown: Path) -> None:
    port = free_port()
    environment = {name: value for name, value in ENVIRONMENT.items() if name != "MLFLOW_TRACKING_URI"}
    process = subprocess.Popen(
        [*PROGRAM, "ui", "--store", str(shown), "--port", str(port)],
        env=environment, stdout=subprocess.PIPE, text=True, cwd=shown.parent,
    )  # fmt: skip
    assert process.stdout is not None
    lines = iter(process.stdout.readline, "")
    assert next(line for line in lines if "http" in line) == f"MLflow at http://127.0.0.1:{port} (Ctrl-C ends it)\n"
    assert next(lines).startswith("There is nothing to compare yet")
    with urlopen(f"http://127.0.0.1:{port}/health", timeout=30) as page:
        assert page.status == 200
    family = psutil.Process(process.pid).children(recursive=True)
    listened = {at.laddr.ip for one in family for at in one.net_connections("inet") if at.status == "LISTEN"}
    assert listened == {"127.0.0.1"}
    process.terminate()
    assert process.wait(30) == 0
    process.stdout.close()
    assert psutil.wait_procs(family, timeout=5)[1] == []
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", port)) != 0


PAGES = """
import os, subprocess, sys, time
from http.server import HTTPServer, SimpleHTTPRequestHandler
from pathlib import Path
from prism_bench.experiments.mlflow_view.shown import Shown
from prism_bench.experiments.options.stored import UiOptions
from prism_bench.experiments.tools import serve
if sys.argv[2:] == ["pages"]:
    subprocess.Popen([sys.executable, "-c", "import signal, time; signal.signal(15, signal.SIG_IGN); time.sleep(600)"])
    HTTPServer(("127.0.0.1", int(sys.argv[1])), SimpleHTTPRequestHandler).serve_forever()
def say(text):
    print(text, flush=True)
def find(store, experiment, say):
    return Shown("table", 2, "#/compare", "#/curves") if experiment else None
if __name__ == "__main__":
    serve.GRACE = 0.5
    serve.ui_command = lambda _, port: ([sys.executable, __file__, str(port), "pages"], dict(os.environ))
    serve.serve(UiOptions(store=Path("s"), port=int(sys.argv[1]), experiment=sys.argv[2]), say, find)
"""
"""The command with a server of its own in place of MLflow's, which has a child that does not end when asked."""


@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="signals of Unix")
@pytest.mark.parametrize("ending", ["SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT"])
def test_every_signal_ends_all_its_processes(shown: Path, ending: str) -> None:
    program = shown.parent / "pages.py"
    program.write_text(PAGES)
    (shown.parent / "health").write_text("OK")
    browser = shown.parent / "browser"
    browser.write_text(f'#!/bin/sh\necho "$1" > {shown.parent}/opened\n')
    browser.chmod(0o700)
    port = free_port()
    process = subprocess.Popen(
        [PROGRAM[0], str(program), str(port), "table"],
        env=ENVIRONMENT | {"BROWSER": str(browser)}, cwd=shown.parent,
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
    )  # fmt: skip
    assert process.stdout is not None
    assert [process.stdout.readline() for _ in range(6)] == [
        "Starting MLflow ...\n",
        f"MLflow at http://127.0.0.1:{port} (Ctrl-C ends it)\n",
        "table, 2 runs side by side:\n",
        f"  http://127.0.0.1:{port}/#/compare\n",
        "Their curves over the images seen:\n",
        f"  http://127.0.0.1:{port}/#/curves\n",
    ]
    for _ in range(100):
        if (shown.parent / "opened").exists() and (shown.parent / "opened").read_text():
            break
        time.sleep(0.1)
    assert (shown.parent / "opened").read_text() == f"http://127.0.0.1:{port}/#/compare\n"
    family = psutil.Process(process.pid).children(recursive=True)
    serving = [one for one in family if "resource_tracker" not in " ".join(one.cmdline())]
    assert len(serving) == 2, "what found the pages is gone"
    process.send_signal(getattr(signal, ending))
    assert process.wait(30) == 0
    process.stdout.close()
    assert psutil.wait_procs(family, timeout=5)[1] == []


def test_a_taken_port_is_said(shown: Path, cli: Cli) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        said = cli(f"ui --store s --port {port}")
    assert said.code == 2
    assert f"--port {port} cannot be listened on (Address already in use); name another one" in said.err
    assert "http" not in said.out
    assert not (shown / "mlflow.db").exists(), "said before anything is made"


def test_a_server_that_ends_by_itself_is_said(shown: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    from prism_bench.experiments.tools import serve

    code = "print('a'); print('no room for it'); raise SystemExit(3)"
    monkeypatch.setattr(serve, "ui_command", lambda *_: ([PROGRAM[0], "-c", code], ENVIRONMENT))
    monkeypatch.setattr(serve, "_elsewhere", lambda *_: None)
    said = cli(f"ui --store s --port {free_port()}")
    assert said.code == 1
    assert "MLflow ended with exit code 3; its last words (" in said.err
    assert "no room for it" in said.err
    assert "http" not in said.out


def test_a_server_of_the_environment_is_not_started(shown: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9/")
    said = cli("ui --store s --no-browser")
    assert (said.code, said.out) == (1, "")
    assert "MLflow at http://127.0.0.1:9/: API request to http://127.0.0.1:9/" in said.err


def test_an_experiment_that_was_not_run_is_said(shown: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    said = cli(f"ui table3 --store s --port {free_port()}")
    assert said.code == 2
    assert "no run of 'ablation-table3' in the store" in said.err
    assert "MLflow at" not in said.out
