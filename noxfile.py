"""Checks of the project: `nox` runs them all. Those that need torch share one environment of about 6 GB."""

import os
import sys
import tempfile
from pathlib import Path

import nox

nox.options.sessions = ["lint", "types", "tests", "smoke"]

PROJECT = nox.project.load_toml("pyproject.toml")
SHARED = Path(".nox", "shared").resolve()
PROGRAMS = SHARED / ("Scripts" if os.name == "nt" else "bin")


def run(session: nox.Session, program: str, *arguments: str) -> None:
    """Run a program of the shared environment, which comes first on the PATH."""
    path = os.pathsep.join([str(PROGRAMS), os.environ.get("PATH", "")])
    session.run(str(PROGRAMS / program), *arguments, external=True, env={"PATH": path})


def install(session: nox.Session) -> None:
    """Make the shared environment: the package as a user gets it, and what the checks need besides."""
    if not (SHARED / "pyvenv.cfg").exists():
        session.run(sys.executable, "-m", "venv", str(SHARED), external=True)
    groups = nox.project.dependency_groups(PROJECT, "test", "types")
    run(session, "python", "-m", "pip", "install", "--disable-pip-version-check", "--quiet", ".", *groups)


@nox.session
def lint(session: nox.Session) -> None:
    """Ruff: rules and format."""
    session.install(*nox.project.dependency_groups(PROJECT, "lint"))
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")


@nox.session(venv_backend="none")
def types(session: nox.Session) -> None:
    """Mypy, strict."""
    install(session)
    run(session, "mypy")


@nox.session(venv_backend="none")
def tests(session: nox.Session) -> None:
    """Pytest: everything, on the installed package, warnings as errors. Arguments after -- go to pytest."""
    install(session)
    run(session, "pytest", *session.posargs)


@nox.session(venv_backend="none")
def smoke(session: nox.Session) -> None:
    """The main command at smoke scale in an empty folder, twice, and the report."""
    install(session)
    main = "run ablation-table3 --scale smoke"
    with tempfile.TemporaryDirectory() as folder, session.chdir(folder):
        for command in (main, main, "report ablation-table3"):
            run(session, "prism-bench", *command.split())
